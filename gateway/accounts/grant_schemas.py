"""What programs send to get an API token by consent: the only validation."""

from __future__ import annotations

from apiflask import Schema
from apiflask.fields import Enum, Integer, String
from apiflask.validators import Length, OneOf, Range, Regexp
from marshmallow import EXCLUDE, ValidationError, validates

from gateway.accounts.grants import CLIENT, INTERVAL_S, is_loopback
from gateway.accounts.lifetime import USUAL
from gateway.accounts.models import Scope
from gateway.accounts.schemas import LABEL_LENGTH

_YEARS_DAYS = 3660
_SECRET_LENGTH = 64
_NEVER = "never"


class AskingSchema(Schema):
    """What a program asks for."""

    client_id = String(
        required=True, validate=OneOf([CLIENT], error="is not a program that this site knows")
    )
    label = String(
        load_default="bumps-remote",
        validate=Length(1, LABEL_LENGTH),
        metadata={"description": "what the token is called in the user's list"},
    )
    scope = Enum(Scope, by_value=True, load_default=Scope.SUBMIT)
    expires_days = Integer(
        load_default=lambda: USUAL,
        allow_none=True,
        validate=Range(1, _YEARS_DAYS),
        metadata={
            "description": "how long the token lives; null: for ever, where the site allows that; "
            "without it 90, or as long as the site allows"
        },
    )

    @validates("label")
    def plain(self, text: str, **_: object) -> None:
        """Let no label turn the direction of writing on a page that asks for trust."""
        if not text.isprintable():
            raise ValidationError("has signs that cannot be seen: use letters and digits")


class AuthorizeSchema(AskingSchema):
    """The address that a program opens in the browser (RFC 6749, 7636, 8252)."""

    class Meta:
        """RFC 6749: parameters that nobody knows are passed over."""

        unknown = EXCLUDE

    response_type = String(required=True, validate=OneOf(["code"], error="must be 'code'"))
    redirect_uri = String(required=True)
    code_challenge = String(
        required=True, validate=Regexp(r"[A-Za-z0-9_-]{43}\Z", error="is no SHA-256 in base64url")
    )
    code_challenge_method = String(required=True, validate=OneOf(["S256"], error="must be S256"))
    state = String(
        required=True,
        validate=Regexp(r"[A-Za-z0-9._~-]{8,128}\Z", error="must have 8 to 128 plain signs"),
    )

    @validates("redirect_uri")
    def this_computer(self, text: str, **_: object) -> None:
        """Lead back to the user's own computer and nowhere else."""
        if not is_loopback(text):
            raise ValidationError("must be http://127.0.0.1:PORT/callback, whatever the port")


class DeviceSchema(AskingSchema):
    """A program without a browser asks."""


class DeviceCodesSchema(Schema):
    """The codes of a program without a browser (RFC 8628)."""

    device_code = String(required=True, metadata={"description": "the program's secret"})
    user_code = String(required=True, metadata={"description": "what the user types"})
    verification_uri = String(required=True, metadata={"description": "where to type it"})
    verification_uri_complete = String(required=True)
    expires_in = Integer(required=True, metadata={"description": "seconds"})
    interval = Integer(
        required=True, metadata={"description": f"ask at most every so many s ({INTERVAL_S})"}
    )


class DeviceTokenSchema(Schema):
    """A program asks whether its user has consented."""

    device_code = String(required=True, validate=Length(1, _SECRET_LENGTH))


class RedeemSchema(Schema):
    """The code that came by the browser, and the verifier behind its challenge."""

    code = String(required=True, validate=Length(1, _SECRET_LENGTH))
    code_verifier = String(required=True, validate=Length(43, 128))
    redirect_uri = String(required=True, validate=Length(max=100))


def from_address(args: dict[str, str]) -> dict[str, object]:
    """Read parameters of an address: 'never' is no number of days."""
    document: dict[str, object] = dict(args)
    if args.get("expires_days") == _NEVER:
        document["expires_days"] = None
    return document
