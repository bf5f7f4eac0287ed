"""The wish to run after other jobs, as people and programs write it."""

from __future__ import annotations

from typing import Any

from apiflask import Schema
from marshmallow import RAISE, ValidationError, fields, post_load, validate, validates_schema

from gateway.ids import is_id
from gateway.jobs.dependencies import ALL_KINDS, MOST, SINGLETON, After


def id_text(value: str) -> None:
    """Refuse what has not the form of an id."""
    if not is_id(value):
        raise ValidationError(f"{value[:40]!r} is not an id of this gateway.")


class AfterSchema(Schema):
    """Which other jobs a job runs after, by their ids, and how they have to end.

    ``after``: once they have begun. ``singleton`` names none: after all older ones of its title.
    """

    class Meta:
        """Refuse what is not known, so that a misspelt field is not silently lost."""

        unknown = RAISE

    kind = fields.String(load_default="afterok", validate=validate.OneOf(ALL_KINDS))
    jobs = fields.List(
        fields.String(validate=id_text), load_default=(), validate=validate.Length(max=MOST)
    )

    @validates_schema
    def check_jobs(self, data: dict[str, Any], **_: Any) -> None:
        """Refuse a wish that names nothing, and a singleton that names something."""
        named, single = bool(data["jobs"]), data["kind"] == SINGLETON
        if single and named:
            text = "singleton waits for all older jobs of its title: name none, or say afterany."
            raise ValidationError(text, "jobs")
        if not single and not named:
            raise ValidationError("Name at least one job.", "jobs")

    @post_load
    def make(self, data: dict[str, Any], **_: Any) -> After:
        """Make the wish."""
        return After(kind=data["kind"], jobs=tuple(dict.fromkeys(data["jobs"])))
