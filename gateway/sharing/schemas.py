"""Shares as people and programs write and read them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from apiflask import Schema
from marshmallow import RAISE, ValidationError, fields, post_load, validate, validates_schema

from gateway.records import now
from gateway.sharing.models import Access, How
from gateway.sharing.settings import LINKS
from gateway.web.fields import Instant

_NAME = 64
_LONGEST_DAYS = 3650
_WAYS = ("user", "group", "link")


class NewShareSchema(Schema):
    """With whom something is to be shared: one of user, group and link."""

    class Meta:
        """Refuse what nobody knows."""

        unknown = RAISE

    user = fields.String(
        load_default=None,
        allow_none=True,
        validate=validate.Length(1, _NAME),
        metadata={"description": "the name with which somebody signs in"},
    )
    group = fields.String(
        load_default=None,
        allow_none=True,
        validate=validate.Length(1, _NAME),
        metadata={"description": "a group in which the owner is"},
    )
    link = fields.Boolean(load_default=False)
    expires_days = fields.Integer(
        load_default=None,
        allow_none=True,
        validate=validate.Range(1, _LONGEST_DAYS),
        metadata={"description": "null: until it is taken back"},
    )

    @validates_schema
    def check_one(self, data: dict[str, Any], **_: Any) -> None:
        """Ask for one way, and one alone."""
        given = [way for way in _WAYS if data.get(way)]
        if len(given) != 1:
            which = f"{' and '.join(given)} are given" if given else "none is given"
            text = f"{which}: give one of {', '.join(_WAYS)}"
            raise ValidationError(text, given[-1] if given else "user")

    @post_load
    def make(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Say when it ends."""
        days = data.pop("expires_days")
        return {**data, "expires": None if days is None else now() + timedelta(days=days)}


class OpenedSchema(Schema):
    """Who used a share, and when last."""

    user = fields.String(
        required=True, allow_none=True, metadata={"description": "null: people not signed in"}
    )
    opened = Instant(required=True)


class AccessSchema(Schema):
    """Read access to one thing, as its owner sees it."""

    id = fields.String(required=True)
    how = fields.String(required=True, validate=validate.OneOf([one.value for one in How]))
    to = fields.String(required=True, allow_none=True, metadata={"description": "null: a link"})
    by = fields.String(required=True)
    since = Instant(required=True)
    expires = Instant(required=True, allow_none=True)
    link = fields.String(required=True, allow_none=True)
    members = fields.Integer(
        required=True, allow_none=True, metadata={"description": "of a group, now"}
    )
    note = fields.String(
        required=True, metadata={"description": "why it gives nobody access now; empty: it does"}
    )
    opened = fields.List(fields.Nested(OpenedSchema), required=True)


class AccessListSchema(Schema):
    """Who has access besides the owner, and with whom it could be shared."""

    items = fields.List(fields.Nested(AccessSchema), required=True)
    groups = fields.List(fields.String(), required=True)
    links = fields.String(required=True, validate=validate.OneOf(LINKS))


class LinkSchema(Schema):
    """A link that somebody was given."""

    link = fields.String(required=True, validate=validate.Length(1, 500))


def told(access: Access) -> dict[str, Any]:
    """Write a share for its owner."""
    share = access.share
    return {
        "id": share.id,
        "how": share.how.value,
        "to": share.to or None,
        "by": share.by,
        "since": share.since,
        "expires": share.expires,
        "link": access.link,
        "members": access.members,
        "note": access.note,
        "opened": [{"user": user or None, "opened": at} for user, at in access.opened.items()],
    }
