"""Files as programs write and read them."""

from __future__ import annotations

from apiflask import Schema
from marshmallow import RAISE, fields, validate


class UploadQuery(Schema):
    """The name of an uploaded file."""

    class Meta:
        """Refuse what is not known."""

        unknown = RAISE

    name = fields.String(required=True, validate=validate.Length(min=1, max=200))


class UploadSchema(Schema):
    """A file that comes in pieces."""

    id = fields.String(required=True)
    name = fields.String(required=True)
    size = fields.Integer(required=True, metadata={"description": "bytes of the whole file"})
    offset = fields.Integer(required=True, metadata={"description": "so many of them have come"})
    digest = fields.String(
        required=True, metadata={"description": "SHA-256, hexadecimal; empty until all is here"}
    )


class FileSchema(Schema):
    """A stored file."""

    name = fields.String(required=True, attribute="path")
    digest = fields.String(required=True, metadata={"description": "SHA-256, hexadecimal"})
    size = fields.Integer(required=True)
