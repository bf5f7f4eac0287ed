"""Further attempts as people and programs ask for them: the only validation of both."""

from __future__ import annotations

from typing import Any

from marshmallow import ValidationError, fields, validate, validates_schema

from gateway.jobs.expert_schema import ExpertSchema
from gateway.jobs.resource_schema import ResourcesSchema
from gateway.jobs.resources import Resources
from gateway.jobs.schemas import MAX_SEED, Strict


class AgainSchema(Strict):
    """Another attempt of a job: more samples, more time."""

    options = fields.Dict(keys=fields.String(), load_default=dict)
    resources = fields.Nested(ResourcesSchema, load_default=Resources)
    expert = fields.Nested(
        ExpertSchema,
        allow_none=True,
        load_default=None,
        metadata={"description": "other additions to the script; {}: none; null: the same"},
    )
    proposal = fields.String(
        allow_none=True,
        load_default=None,
        validate=validate.Length(max=64),
        metadata={"description": "another one of yours; empty: under none; null: the same"},
    )
    seed = fields.Integer(
        strict=True,
        allow_none=True,
        load_default=None,
        validate=validate.Range(min=0, max=MAX_SEED),
    )


class RerunSchema(AgainSchema):
    """The same from the start, or of an array only what is not done."""

    elements = fields.String(
        attribute="only",
        load_default="",
        validate=validate.OneOf(("", "failed"), error="{input!r} is not known; want 'failed'"),
        metadata={"description": "failed: of an array only the elements that are not done"},
    )

    @validates_schema
    def _keep_to_what_ran(self, data: dict[str, Any], **_: Any) -> None:
        """Refuse other options for some elements than for the others."""
        if data["only"] and (data["options"] or data["seed"] is not None):
            field = "options" if data["options"] else "seed"
            raise ValidationError(
                "Elements that are done keep theirs: with elements 'failed' give resources alone.",
                field,
            )
