"""Jobs as people and programs write and read them: the only validation, forms and JSON alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from apiflask import Schema
from marshmallow import RAISE, ValidationError, fields, post_load, validate, validates_schema

from gateway.jobs.advice_schema import AdvisedSchema, VerdictSchema
from gateway.jobs.after_schema import AfterSchema, id_text
from gateway.jobs.campaign import Campaign
from gateway.jobs.campaign_schema import CampaignSchema
from gateway.jobs.dependencies import After
from gateway.jobs.elements_field import ARGUMENT, DIGEST, FILE_NAME, LABEL, ElementsField
from gateway.jobs.expert import NOTHING, Expert
from gateway.jobs.expert_schema import ExpertSchema
from gateway.jobs.filing_schema import FiledQuery, FilingSchema
from gateway.jobs.number_field import NumberField
from gateway.jobs.resource_schema import ResourcesSchema
from gateway.jobs.resources import Resources
from gateway.records import Document
from gateway.web.paging import CURSOR
from scheduler.base import JobState

MODES = ("fit", "check", "chisq", "simulate")
MAX_SEED = 2**32 - 1
_TITLE = 200
_NOTES = 10_000
_TAG = 40
_TAGS = 20
_AT_ONCE = {"description": "At most so many tasks at once, as with sbatch --array=0-99%8"}


@dataclass(frozen=True, kw_only=True)
class JobRequest:
    """What somebody asks to run, checked in itself but not yet against problem and site."""

    kind: str = "fit"
    problem_id: str | None = None
    problem_version: int | None = None
    options: Document = field(default_factory=dict)
    mode: str = "fit"
    seed: int | None = None
    shake: bool = False
    simulate: Document | None = None
    start: tuple[float, ...] = ()
    elements: tuple[Document, ...] = ()
    campaign: Campaign | None = None
    """Elements that differ by parameters, not by files."""

    pack: int | None = 1
    """None: so many elements in a task that there are few tasks."""

    throttle: int | None = None
    """So many tasks at once, at most; None: as many as the cluster has room for."""

    cluster: str | None = None
    proposal: str | None = None
    """What decides its account, QOS and reservation."""

    resources: Resources = field(default_factory=Resources)
    expert: Expert = NOTHING
    title: str = ""
    notes: str = ""
    tags: tuple[str, ...] = ()
    draft: str | None = None
    """What a preview answered: the job gets the id that the previewed script names."""

    parent: str | None = None
    after: After = field(default_factory=After)
    """Which other jobs it runs after."""

    raw: Document = field(default_factory=dict)
    """The request as it was sent; kept to fill the form again."""


class Strict(Schema):
    """Refuses what is not known, so that a misspelt field is not silently lost."""

    class Meta:
        """How: by an error."""

        unknown = RAISE


def _plain_text(value: str) -> None:
    if any(ord(sign) < 32 and sign not in "\n\t" for sign in value):
        raise ValidationError("Control characters have no place here.")


def _line(value: str) -> None:
    if not value.isprintable():
        raise ValidationError("One line of printable text, please.")


class ProblemRefSchema(Strict):
    """Which problem, and which version of it; without a version the newest."""

    id = fields.String(required=True, validate=id_text)
    version = fields.Integer(strict=True, allow_none=True, validate=validate.Range(min=1))


class SimulateSchema(Strict):
    """Replace the data by theory and noise."""

    noise_percent = NumberField(
        allow_none=True, validate=validate.Range(min=0, max=1000), load_default=None
    )


class ElementSchema(Strict):
    """One element of an array: what differs from the problem."""

    label = fields.String(validate=[validate.Length(max=LABEL), _line], load_default="")
    files = fields.Dict(
        keys=fields.String(validate=validate.Length(min=1, max=FILE_NAME)),
        values=fields.String(validate=validate.Regexp(DIGEST)),
        load_default=dict,
    )
    args = fields.List(
        fields.String(validate=validate.Length(max=ARGUMENT)),
        allow_none=True,
        load_default=None,
    )
    start = fields.List(NumberField(), load_default=list)


def _check_campaign(data: Mapping[str, Any]) -> None:
    if data.get("kind") != "fit" or data.get("mode") != "fit":
        raise ValidationError("Only a fit runs as a campaign: kind 'fit', mode 'fit'.", "campaign")
    if data.get("elements"):
        raise ValidationError("Give elements or a campaign, not both.", "campaign")


class JobRequestSchema(Strict):
    """A job to be run."""

    kind = fields.String(load_default="fit", validate=validate.Length(max=64))
    problem = fields.Nested(ProblemRefSchema, allow_none=True, load_default=None)
    options = fields.Dict(keys=fields.String(), load_default=dict)
    mode = fields.String(load_default="fit", validate=validate.OneOf(MODES))
    seed = fields.Integer(
        strict=True,
        allow_none=True,
        load_default=None,
        validate=validate.Range(min=0, max=MAX_SEED),
    )
    shake = fields.Boolean(load_default=False)
    simulate = fields.Nested(SimulateSchema, allow_none=True, load_default=None)
    start = fields.List(NumberField(), load_default=list, validate=validate.Length(max=1000))
    elements = ElementsField(ElementSchema)
    campaign = fields.Nested(CampaignSchema, allow_none=True, load_default=None)
    pack = fields.Integer(
        strict=True,
        allow_none=True,
        load_default=1,
        validate=validate.Range(min=1, max=10_000),
        metadata={"description": "Elements in a task, one after the other; null: few tasks"},
    )
    throttle = fields.Integer(
        strict=True, allow_none=True, metadata=_AT_ONCE, validate=validate.Range(1, 1_000_000)
    )
    cluster = fields.String(allow_none=True, load_default=None, validate=validate.Length(max=64))
    proposal = fields.String(allow_none=True, load_default=None, validate=validate.Length(max=64))
    resources = fields.Nested(ResourcesSchema, load_default=Resources)
    expert = fields.Nested(ExpertSchema, allow_none=True, load_default=NOTHING)
    title = fields.String(load_default="", validate=[validate.Length(max=_TITLE), _line])
    notes = fields.String(load_default="", validate=[validate.Length(max=_NOTES), _plain_text])
    tags = fields.List(
        fields.String(validate=[validate.Length(min=1, max=_TAG), _line]),
        load_default=list,
        validate=validate.Length(max=_TAGS),
    )
    draft = fields.String(allow_none=True, load_default=None, validate=validate.Length(max=1000))
    parent = fields.String(allow_none=True, load_default=None, validate=id_text)
    after = fields.Nested(AfterSchema, allow_none=True, load_default=None)

    @validates_schema(pass_original=True)
    def check_together(self, data: Mapping[str, Any], *_: Any, **__: Any) -> None:
        """Refuse a fit without a problem, and elements of anything but a fit."""
        if data.get("kind") == "fit" and not data.get("problem"):
            raise ValidationError("Which problem? Give its id.", "problem")
        if data.get("elements") and data.get("mode") != "fit":
            raise ValidationError("Only mode 'fit' runs over elements.", "elements")
        if data.get("campaign") is not None:
            _check_campaign(data)

    @post_load(pass_original=True)
    def make_request(self, data: dict[str, Any], original: Any, **_: Any) -> JobRequest:
        """Build the value that the service works with."""
        problem = data.pop("problem", None) or {}
        data["after"], data["expert"] = data["after"] or After(), data["expert"] or NOTHING
        for name in ("start", "elements", "tags"):
            data[name] = tuple(data[name])
        raw = {key: value for key, value in dict(original).items() if key != "draft"}
        return JobRequest(
            **data,
            problem_id=problem.get("id"),
            problem_version=problem.get("version"),
            raw=raw,
        )


class JobPatchSchema(Strict, FilingSchema):
    """What may change about a job at any time."""

    title = fields.String(validate=[validate.Length(max=_TITLE), _line])
    notes = fields.String(validate=[validate.Length(max=_NOTES), _plain_text])
    tags = fields.List(
        fields.String(validate=[validate.Length(min=1, max=_TAG), _line]),
        validate=validate.Length(max=_TAGS),
    )


class JobListQuery(Strict, FiledQuery):
    """Which jobs, and how many of them."""

    state = fields.String(
        validate=validate.OneOf(
            tuple(JobState.__members__), error="{input!r} is no state; known: {choices}"
        )
    )
    kind = fields.String(validate=validate.Length(max=64))
    tag = fields.String(validate=validate.Length(max=_TAG))
    q = fields.String(validate=validate.Length(max=200))
    cursor = fields.String(validate=[validate.Length(max=200), CURSOR])
    limit = fields.Integer(load_default=50, validate=validate.Range(min=1, max=200))


class AttemptQuery(Strict):
    """Which attempt; without it the last."""

    attempt = fields.Integer(load_default=None, allow_none=True, validate=validate.Range(min=1))


class LogQuery(AttemptQuery):
    """Which part of which log."""

    stream = fields.String(load_default="stdout", validate=validate.OneOf(("stdout", "stderr")))
    task = fields.Integer(load_default=0, validate=validate.Range(min=0, max=1_000_000))
    offset = fields.Integer(load_default=-65536)
    limit = fields.Integer(load_default=65536, validate=validate.Range(min=1, max=1_000_000))


class ProgressSchema(Schema):
    """The last step of a running fit."""

    t = fields.Float(required=True)
    step = fields.Integer(required=True)
    steps = fields.Integer(required=True, allow_none=True)
    chisq = fields.Float(required=True, allow_none=True)
    start_chisq = fields.Float(required=True, allow_none=True)
    best = fields.List(fields.Float(allow_none=True), required=True)
    labels = fields.List(fields.String(), required=True)
    quantiles = fields.List(fields.Float(allow_none=True), required=True)
    phase = fields.String(required=True, allow_none=True)
    method = fields.String(required=True)
    max_rss_bytes = fields.Integer(required=True, allow_none=True)


class JobProblemSchema(Schema):
    """The problem of a job, as it was when the job was made."""

    id = fields.String(required=True, allow_none=True)
    version = fields.Integer(required=True)
    name = fields.String(required=True)
    type = fields.String(required=True)
    digest = fields.String(required=True)


class AttemptSchema(Schema):
    """One run that the user asked for."""

    attempt = fields.Integer(required=True)
    state = fields.String(required=True)
    native_id = fields.String(required=True, allow_none=True)
    started = fields.String(required=True, allow_none=True)
    ended = fields.String(required=True, allow_none=True)
    reason_text = fields.String(required=True)
    resources = fields.Dict(required=True)
    resumed_from = fields.Integer(required=True, allow_none=True)
    verdict = fields.Nested(VerdictSchema, required=True, allow_none=True)
    chisq = fields.Float(required=True, allow_none=True)


class JobSchema(AdvisedSchema):
    """A job, as it is now."""

    id = fields.String(required=True)
    owner = fields.String(required=True)
    kind = fields.String(required=True)
    mode = fields.String(required=True)
    title = fields.String(required=True)
    notes = fields.String(required=True)
    tags = fields.List(fields.String(), required=True)
    created = fields.String(required=True)
    updated = fields.String(required=True)
    version = fields.Integer(required=True)
    correlation_id = fields.String(required=True)
    parent = fields.String(required=True, allow_none=True)
    after = fields.Nested(AfterSchema, required=True, allow_none=True)
    problem = fields.Nested(JobProblemSchema, required=True)
    options = fields.Dict(required=True)
    seed = fields.Integer(required=True)
    request = fields.Dict(required=True)
    cluster = fields.String(required=True)
    proposal = fields.String(required=True, allow_none=True)
    elements = fields.Integer(required=True)
    pack = fields.Integer(required=True)
    attempt = fields.Integer(required=True)
    try_ = fields.Integer(required=True, data_key="try", attribute="try")
    native_id = fields.String(required=True, allow_none=True)
    restarts = fields.Integer(required=True)
    twins = fields.Integer(required=True)
    state = fields.String(required=True)
    raw_state = fields.String(required=True)
    reason = fields.String(required=True)
    reason_text = fields.String(required=True)
    source = fields.String(required=True)
    observed = fields.String(required=True, allow_none=True)
    age_s = fields.Float(required=True, allow_none=True)
    submission = fields.String(required=True)
    tracking = fields.String(required=True)
    tracking_since = fields.String(required=True, allow_none=True)
    tracking_text = fields.String(required=True)
    task_states = fields.Dict(required=True)
    wish = fields.String(required=True)
    final = fields.Boolean(required=True)
    resumable = fields.Boolean(required=True)
    max_rss_bytes = fields.Integer(required=True, allow_none=True)
    expected_start = fields.String(required=True, allow_none=True)
    started = fields.String(required=True, allow_none=True)
    ended = fields.String(required=True, allow_none=True)
    exit_code = fields.Integer(required=True, allow_none=True)
    signal = fields.Integer(required=True, allow_none=True)
    error = fields.String(required=True)
    script_sha256 = fields.String(required=True)
    dataset = fields.String(required=True, allow_none=True)
    progress = fields.Nested(ProgressSchema, required=True, allow_none=True)
    verdict = fields.Nested(VerdictSchema, required=True, allow_none=True)
    chisq = fields.Float(required=True, allow_none=True)
    attempts = fields.List(fields.Nested(AttemptSchema), required=True)
    links = fields.Dict(required=True)


class JobListSchema(Schema):
    """Jobs, newest first."""

    items = fields.List(fields.Nested(JobSchema), required=True)
    next_cursor = fields.String(required=True, allow_none=True)
    total = fields.Integer(required=True)


class LogSchema(Schema):
    """A part of a log."""

    stream = fields.String(required=True)
    task = fields.Integer(required=True)
    attempt = fields.Integer(required=True)
    offset = fields.Integer(required=True)
    next_offset = fields.Integer(required=True)
    size = fields.Integer(required=True)
    text = fields.String(required=True)
    cut = fields.Boolean(required=True)


class JobScriptSchema(Schema):
    """What was submitted."""

    script = fields.String(required=True)
    sha256 = fields.String(required=True)
    job = fields.Dict(required=True)
    attempt = fields.Integer(required=True)


class ResultFileSchema(Schema):
    """A result file."""

    path = fields.String(required=True)
    size = fields.Integer(required=True)
    digest = fields.String(required=True)
    href = fields.String(required=True)


class ResultsSchema(Schema):
    """What came out of a job."""

    job = fields.String(required=True)
    attempt = fields.Integer(required=True)
    state = fields.String(required=True)
    type = fields.String(required=True)
    complete = fields.Boolean(required=True)
    results = fields.List(fields.Dict(), required=True)
    files = fields.List(fields.Nested(ResultFileSchema), required=True)
    links = fields.Dict(required=True)
