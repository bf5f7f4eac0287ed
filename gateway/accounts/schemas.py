"""What accounts read and write as JSON and in forms: the only validation."""

from __future__ import annotations

from apiflask import Schema
from apiflask.fields import Boolean, Enum, Integer, List, Nested, String
from apiflask.validators import Length, Range
from marshmallow import ValidationError, validates_schema

from gateway.accounts.lifetime import USUAL
from gateway.accounts.models import NAME_LENGTH, NAME_PATTERN, NAME_RULE, Scope
from gateway.accounts.passwords import LONGEST, SHORTEST
from gateway.web.fields import Instant
from gateway.web.paging import PageSchema, cursor_like

LABEL_LENGTH = 100
_YEARS_DAYS = 3660


class CredentialsSchema(Schema):
    """Who signs in: a name with its password, or the UID of a self-registered user."""

    name = String(load_default="", metadata={"description": NAME_RULE})
    password = String(load_default="", metadata={"format": "password"})
    uid = String(
        load_default="", metadata={"format": "password", "description": "instead of both, bgu_..."}
    )

    @validates_schema
    def one_way(self, data: dict[str, str], **_: object) -> None:
        """Ask for one way to sign in, whole."""
        if data["uid"] and (data["name"] or data["password"]):
            raise ValidationError("give either a UID or a name and a password", "uid")
        if not data["uid"]:
            missing = [key for key in ("name", "password") if not data[key]]
            if missing:
                raise ValidationError({key: ["is needed to sign in"] for key in missing})


class NewTokenSchema(Schema):
    """What an API token shall be."""

    label = String(
        required=True,
        validate=Length(1, LABEL_LENGTH),
        metadata={"description": "what it is for, such as the name of a program"},
    )
    scopes = List(
        Enum(Scope, by_value=True),
        load_default=lambda: [Scope.READ, Scope.SUBMIT],
        validate=Length(1, len(Scope)),
    )
    expires_days = Integer(
        load_default=lambda: USUAL,
        allow_none=True,
        validate=Range(1, _YEARS_DAYS),
        metadata={
            "description": "null: never, where the site allows that; without it 90, or as long as "
            "the site allows"
        },
    )


class LoginTokenSchema(CredentialsSchema, NewTokenSchema):
    """A program's sign-in: credentials, and the API token to be made."""


class TokenSchema(Schema):
    """An API token, without its secret."""

    id = String(required=True)
    label = String(required=True)
    scopes = List(Enum(Scope, by_value=True), required=True)
    created = Instant(required=True)
    expires = Instant(required=True, allow_none=True)
    last_used = Instant(required=True, allow_none=True)


class MadeTokenSchema(TokenSchema):
    """A new API token with its secret, which is shown this once."""

    token = String(required=True, metadata={"description": "bgw_..., shown this once"})


class TokensSchema(Schema):
    """All API tokens of a user."""

    items = List(Nested(TokenSchema), required=True)
    next_cursor = String(required=True, allow_none=True)


class MeSchema(Schema):
    """Who asks."""

    name = String(required=True)
    admin = Boolean(required=True)
    scopes = List(Enum(Scope, by_value=True), required=True)
    groups = List(String(), required=True)


class SessionSchema(Schema):
    """A session has begun or was renewed; its tokens are in the cookies."""

    user = Nested(MeSchema, required=True)
    expires = Instant(required=True, metadata={"description": "when the access token runs out"})
    csrf_token = String(
        required=True, metadata={"description": "for X-CSRF-Token with each write by cookie"}
    )


class UidSchema(Schema):
    """A self-registered user with the UID, which is shown this once."""

    name = String(required=True)
    uid = String(required=True)


class PasswordChangeSchema(Schema):
    """A new password of one's own."""

    old = String(required=True, validate=Length(max=LONGEST))
    new = String(required=True, metadata={"description": f"at least {SHORTEST} signs"})


class NewPasswordSchema(Schema):
    """A new password for somebody."""

    password = String(required=True)


class NewUserSchema(Schema):
    """An account to be made."""

    name = String(
        required=True,
        metadata={"description": NAME_RULE, "pattern": f"^{NAME_PATTERN.pattern}$"},
    )
    password = String(required=True, metadata={"format": "password"})
    admin = Boolean(load_default=False)


class UserSchema(Schema):
    """An account as its administrator sees it."""

    name = String(required=True, validate=Length(max=NAME_LENGTH))
    admin = Boolean(required=True)
    active = Boolean(required=True)
    groups = List(String(), required=True)
    created = Instant(required=True)


class UsersSchema(Schema):
    """A page of accounts."""

    items = List(Nested(UserSchema), required=True)
    next_cursor = String(required=True, allow_none=True)


class AuditRecordSchema(Schema):
    """One entry of the audit trail."""

    time = Instant(required=True)
    user = String(required=True)
    action = String(required=True)
    subject = String(required=True)
    address = String(required=True)
    request_id = String(required=True)


class AuditSchema(Schema):
    """A page of the audit trail, newest first."""

    items = List(Nested(AuditRecordSchema), required=True)
    next_cursor = String(required=True, allow_none=True)


class AuditQuerySchema(PageSchema):
    """Which part of the audit trail."""

    # An entry's id, two numbers with a hyphen, the first not 0: the store fails on anything else.
    cursor = String(
        load_default=None,
        validate=cursor_like("3[1-9](?:3[0-9]){0,18}2d(?:3[0-9]){1,19}"),
        metadata={"description": "where to go on: next_cursor of the page before"},
    )
    everybody = Boolean(
        load_default=False, metadata={"description": "of all users: for administrators"}
    )
