"""What a job's reader is told to do, as programs read it."""

from __future__ import annotations

from apiflask import Schema
from marshmallow import fields, validate

from gateway.jobs.filing_schema import FiledSchema


class NextRequestSchema(Schema):
    """What to ask for next: POST the resources to the verb."""

    verb = fields.String(required=True, validate=validate.OneOf(("resume", "rerun")))
    resources = fields.Dict(required=True)
    why = fields.String(required=True)


class AlarmSchema(Schema):
    """A job that will not start by itself: why, and what to do."""

    reason = fields.String(required=True)
    text = fields.String(required=True)
    advice = fields.String(required=True)
    ends = fields.String(
        required=True,
        validate=validate.OneOf(("administrator", "change")),
        metadata={"description": "what ends it: an administrator, or a change of the request"},
    )
    instead = fields.Dict(
        required=True,
        allow_none=True,
        metadata={"description": "what POST to instead asks for, by resource; null: left out"},
    )


class ForecastSchema(Schema):
    """How long a job, or one task of it, is likely to run."""

    text = fields.String(required=True)
    seconds = fields.Float(required=True)
    low_s = fields.Float(required=True)
    high_s = fields.Float(required=True)
    evaluations = fields.Integer(required=True)
    evaluation_s = fields.Float(required=True)
    cpus = fields.Integer(required=True, metadata={"description": "how many processors help"})
    asked_cpus = fields.Integer(required=True)
    basis = fields.String(required=True, metadata={"description": "id of the job that timed it"})
    checked = fields.Boolean(required=True, metadata={"description": "timed by a check"})


class EfficiencySchema(Schema):
    """How well an attempt used what it asked for; of an array, each task on average."""

    cpus = fields.Integer(required=True, metadata={"description": "processors of each task"})
    cpu_s = fields.Float(
        required=True,
        allow_none=True,
        metadata={"description": "processor time of all tasks that tell; null: none does"},
    )
    cpus_used = fields.Float(
        required=True,
        allow_none=True,
        metadata={"description": "so many processors computed, on average"},
    )
    cpu = fields.Float(
        required=True, allow_none=True, metadata={"description": "the same, as a part of cpus"}
    )
    max_rss_bytes = fields.Integer(required=True, allow_none=True)
    mem_bytes = fields.Integer(
        required=True, allow_none=True, metadata={"description": "asked for; null: nothing was"}
    )
    mem = fields.Float(
        required=True, allow_none=True, metadata={"description": "the part of it that was taken"}
    )
    text = fields.String(required=True)
    advice = fields.String(
        required=True, metadata={"description": "what to ask for next time; or empty"}
    )


class AdvisedSchema(FiledSchema):
    """What the reader of a job is told to do, and what it may learn for the next one."""

    next_request = fields.Nested(NextRequestSchema, required=True, allow_none=True)
    alarm = fields.Nested(AlarmSchema, required=True, allow_none=True)
    forecast = fields.Nested(ForecastSchema, required=True, allow_none=True)
    efficiency = fields.Nested(
        EfficiencySchema,
        required=True,
        allow_none=True,
        metadata={"description": "of the current attempt, when it has ended; null: not known"},
    )


class AccuracySchema(Schema):
    """How far off the forecasts of the last jobs were."""

    jobs = fields.Integer(required=True)
    factor = fields.Float(required=True, metadata={"description": "in the median, either way"})


class EarliestSchema(Schema):
    """When a job could start, as its cluster says of one like it that is not submitted."""

    text = fields.String(required=True)
    start = fields.String(required=True, allow_none=True)
    accepted = fields.Boolean(
        required=True,
        allow_none=True,
        metadata={"description": "whether the cluster would take it; null: not known"},
    )
    observed = fields.String(required=True, allow_none=True)
    age_s = fields.Float(required=True, allow_none=True)
    source = fields.String(required=True)
    waiting = fields.Boolean(
        required=True, metadata={"description": "ask for the same preview again in a few seconds"}
    )


class PreviewSchema(Schema):
    """The script as it would run."""

    script = fields.String(required=True)
    sha256 = fields.String(required=True)
    difference = fields.String(
        required=True,
        metadata={"description": "what expert added to the script, as a unified diff; or empty"},
    )
    draft = fields.String(required=True)
    warnings = fields.List(fields.String(), required=True)
    tasks = fields.Integer(required=True)
    forecast = fields.Nested(ForecastSchema, required=True, allow_none=True)
    accuracy = fields.Nested(AccuracySchema, required=True, allow_none=True)
    earliest = fields.Nested(EarliestSchema, required=True, allow_none=True)


class VerdictSchema(Schema):
    """What the fit says of itself."""

    code = fields.String(required=True)
    text = fields.String(required=True)
