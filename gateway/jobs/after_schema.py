"""The wish to run after other jobs, as people and programs write it."""

from __future__ import annotations

from typing import Any

from apiflask import Schema
from marshmallow import RAISE, ValidationError, fields, post_load, validate

from gateway.ids import is_id
from gateway.jobs.dependencies import KINDS, MOST, After


def id_text(value: str) -> None:
    """Refuse what has not the form of an id."""
    if not is_id(value):
        raise ValidationError(f"{value[:40]!r} is not an id of this gateway.")


class AfterSchema(Schema):
    """Which other jobs a job runs after, by their ids, and how they have to end."""

    class Meta:
        """Refuse what is not known, so that a misspelt field is not silently lost."""

        unknown = RAISE

    kind = fields.String(load_default="afterok", validate=validate.OneOf(tuple(KINDS)))
    jobs = fields.List(
        fields.String(validate=id_text), required=True, validate=validate.Length(min=1, max=MOST)
    )

    @post_load
    def make(self, data: dict[str, Any], **_: Any) -> After:
        """Make the wish."""
        return After(kind=data["kind"], jobs=tuple(dict.fromkeys(data["jobs"])))
