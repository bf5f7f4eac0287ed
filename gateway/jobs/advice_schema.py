"""What a job's reader is told to do, as programs read it."""

from __future__ import annotations

from apiflask import Schema
from marshmallow import fields, validate


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
