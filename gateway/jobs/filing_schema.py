"""Where the owner of a job has put it: in the archive, or among what is not to be deleted."""

from __future__ import annotations

from apiflask import Schema
from marshmallow import fields, validate

ARCHIVED = ("no", "yes", "all")


class FiledSchema(Schema):
    """How a job is filed."""

    archived = fields.Boolean(required=True)
    kept = fields.Boolean(required=True)


class FilingSchema(Schema):
    """How a job is to be filed."""

    archived = fields.Boolean(metadata={"description": "out of the list, and found with archived"})
    kept = fields.Boolean(metadata={"description": "cannot be deleted until it is let go"})


class FiledQuery(Schema):
    """Which jobs, by how they are filed."""

    archived = fields.String(
        load_default="no",
        validate=validate.OneOf(ARCHIVED, error="{input!r} is none of {choices}"),
        metadata={"description": "archived ones: left out (no), alone (yes), with the rest (all)"},
    )
    shared = fields.Boolean(
        load_default=False,
        metadata={"description": "those that others share with you, in place of your own"},
    )
