"""What programs of administrators read of what was handed over."""

from __future__ import annotations

from apiflask import Schema
from apiflask.validators import Length
from marshmallow import fields

from gateway.accounts.models import NAME_LENGTH
from gateway.web.fields import Instant
from gateway.web.paging import PageSchema


class HandedQuery(PageSchema):
    """Which attempts."""

    user = fields.String(validate=Length(max=NAME_LENGTH))
    job = fields.String(validate=Length(max=64), metadata={"description": "id of a job"})
    cluster = fields.String(validate=Length(max=64))


class HandedSchema(Schema):
    """One attempt: what ran, or was to run."""

    asked = Instant(required=True, metadata={"description": "when its owner asked for it"})
    user = fields.String(required=True)
    login = fields.String(
        required=True, metadata={"description": "the owner's own account there; empty: the shared"}
    )
    job = fields.String(required=True)
    attempt = fields.Integer(required=True)
    tries = fields.Integer(required=True, metadata={"description": "submissions that were begun"})
    kind = fields.String(required=True)
    cluster = fields.String(required=True)
    native_id = fields.String(required=True, allow_none=True)
    state = fields.String(required=True)
    wish = fields.String(required=True, metadata={"description": "what is wished of the job now"})
    wish_by = fields.String(required=True, metadata={"description": "who wished it"})
    template = fields.String(
        required=True,
        metadata={"description": "version of the gateway and digest of its script templates"},
    )
    script_sha256 = fields.String(required=True)
    resources = fields.Dict(
        required=True, metadata={"description": "effective directives, with the site's defaults"}
    )
    expert = fields.Dict(
        required=True,
        metadata={
            "description": "what its owner added to the script: directives, and of shell lines "
            "their number and digest"
        },
    )
    options = fields.Dict(required=True, metadata={"description": "effective options of the fit"})
    seed = fields.Integer(required=True)
    problem_digest = fields.String(required=True)
    correlation_id = fields.String(required=True)
    proposal = fields.String(
        required=True, metadata={"description": "under which it was submitted; or empty"}
    )
    started = Instant(required=True, allow_none=True)
    ended = Instant(required=True, allow_none=True)
    core_hours = fields.Float(
        required=True, metadata={"description": "what it took; 0 until it has ended"}
    )
    deleted = Instant(
        required=True,
        allow_none=True,
        metadata={"description": "when the job was deleted: this line stays for 400 days then"},
    )


class HandedPageSchema(Schema):
    """A page of attempts, newest job first."""

    items = fields.List(fields.Nested(HandedSchema), required=True)
    next_cursor = fields.String(required=True, allow_none=True)
