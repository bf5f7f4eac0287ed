"""What only administrators read and write, as programs do."""

from __future__ import annotations

from apiflask import Schema
from apiflask.validators import Length
from marshmallow import fields

from gateway.clusters.drains import REASON_LENGTH
from gateway.web.fields import Instant


class WantedDrainSchema(Schema):
    """Why nothing new is to be handed over."""

    reason = fields.String(
        required=True,
        validate=Length(min=1, max=REASON_LENGTH),
        metadata={"description": "what users are told: one line"},
    )


class DrainSchema(Schema):
    """Nothing new is handed over to a cluster."""

    reason = fields.String(required=True)
    by = fields.String(required=True)
    since = Instant(required=True)
