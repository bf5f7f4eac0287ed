"""One verb for many jobs: what is asked, and what is answered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from apiflask import Schema
from marshmallow import RAISE, ValidationError, fields, post_load, validate, validates_schema

from gateway.jobs.after_schema import id_text
from gateway.jobs.bulk import MOST, Many, Verb

_TAG = 40
_OF_TAGS = (Verb.TAG.value, Verb.UNTAG.value)


class BulkSchema(Schema):
    """What is wanted, of which jobs."""

    class Meta:
        """Refuse members that it does not know."""

        unknown = RAISE

    verb = fields.String(
        required=True,
        validate=validate.OneOf(
            [verb.value for verb in Verb], error="{input!r} is no verb; known: {choices}"
        ),
    )
    jobs = fields.List(
        fields.String(validate=id_text), required=True, validate=validate.Length(min=1, max=MOST)
    )
    tag = fields.String(
        load_default="",
        validate=[
            validate.Length(max=_TAG),
            validate.Predicate("isprintable", error="One line of printable text, please."),
        ],
        metadata={"description": "of the verbs tag and untag"},
    )

    @validates_schema
    def check_tag(self, data: Mapping[str, Any], **_: Any) -> None:
        """Ask for the tag where one is needed."""
        if data.get("verb") in _OF_TAGS and not str(data.get("tag", "")).strip():
            raise ValidationError("Which tag? Give one.", "tag")
        if data.get("verb") == Verb.TAG.value and "," in str(data.get("tag", "")):
            raise ValidationError("One tag, without a comma.", "tag")

    @post_load
    def make(self, data: dict[str, Any], **_: Any) -> Many:
        """Build what the service works with."""
        tag = str(data["tag"]).strip()
        return Many(verb=Verb(data["verb"]), jobs=tuple(data["jobs"]), tag=tag)


class CameSchema(Schema):
    """What came of it for one job."""

    job = fields.String(required=True)
    title = fields.String(required=True)
    done = fields.Boolean(required=True)
    text = fields.String(required=True)


class BulkDoneSchema(Schema):
    """What came of it, in the order of the jobs."""

    done = fields.Integer(required=True)
    items = fields.List(fields.Nested(CameSchema), required=True)
