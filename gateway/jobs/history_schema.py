"""What happened to a job, as programs read it."""

from __future__ import annotations

from apiflask import Schema
from marshmallow import fields


class HappeningSchema(Schema):
    """One thing that happened, and who says so."""

    attempt = fields.Integer(required=True)
    text = fields.String(required=True)
    source = fields.String(required=True)
    when = fields.String(required=True, metadata={"description": "as its source says"})
    noted = fields.String(required=True, metadata={"description": "when the gateway knew"})
    age_s = fields.Float(required=True)


class HistorySchema(Schema):
    """What happened, the newest first."""

    items = fields.List(fields.Nested(HappeningSchema), required=True)
    cut = fields.Boolean(required=True, metadata={"description": "some in between are left out"})
