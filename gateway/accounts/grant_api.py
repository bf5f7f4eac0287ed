"""API tokens by consent over HTTP: the program's side of RFC 8252 and RFC 8628.

Members are named as there; bodies are JSON and errors are problems, as everywhere in this API.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from apiflask import APIBlueprint

from gateway.accounts.api import accounts, made_token
from gateway.accounts.grant_schemas import (
    DeviceCodesSchema,
    DeviceSchema,
    DeviceTokenSchema,
    RedeemSchema,
)
from gateway.accounts.grants import DEVICE_LIFE, INTERVAL_S, Grant
from gateway.accounts.lifetime import token_days
from gateway.accounts.schemas import MadeTokenSchema
from gateway.records import now
from gateway.web.access import public
from gateway.web.context import gateway, visit
from gateway.web.described import answers

bp = APIBlueprint("grants", __name__, tag="grants")


@bp.post("/auth/device")
@bp.input(DeviceSchema, arg_name="wanted")
@bp.output(DeviceCodesSchema, status_code=201)
@public
def begin_device(wanted: dict[str, Any]) -> tuple[dict[str, Any], int]:
    """Begin to sign a program in that has no browser: it shows ``user_code``, the user types it."""
    device = accounts().grants.begin(grant_of(wanted), visit())
    page = f"{gateway().settings.url}/device"
    document = {
        "device_code": device.device_code,
        "user_code": device.user_code,
        "verification_uri": page,
        "verification_uri_complete": f"{page}?code={device.user_code}",
        "expires_in": int(DEVICE_LIFE.total_seconds()),
        "interval": INTERVAL_S,
    }
    return document, 201


@bp.post("/auth/device/token")
@bp.input(DeviceTokenSchema, arg_name="shown")
@bp.output(MadeTokenSchema, status_code=201)
@public
@answers(HTTPStatus.CONFLICT)
def device_token(shown: dict[str, str]) -> Any:
    """Get the API token once the user has consented; until then ``authorization-pending``."""
    return made_token(accounts().grants.poll(shown["device_code"], visit()))


@bp.post("/auth/code")
@bp.input(RedeemSchema, arg_name="shown")
@bp.output(MadeTokenSchema, status_code=201)
@public
@answers(HTTPStatus.CONFLICT)
def redeem_code(shown: dict[str, str]) -> Any:
    """Get the API token for the code that came by the browser; good once and for a minute."""
    code, verifier = shown["code"], shown["code_verifier"]
    return made_token(accounts().grants.redeem(code, verifier, shown["redirect_uri"], visit()))


def grant_of(wanted: dict[str, Any]) -> Grant:
    """Take what a program asks for; InvalidError when that is more than this site allows."""
    return Grant(
        label=wanted["label"],
        scope=wanted["scope"],
        expires_days=token_days(wanted["expires_days"], accounts().settings.token_days),
        asked=now(),
        challenge=wanted.get("code_challenge", ""),
        redirect_uri=wanted.get("redirect_uri", ""),
    )
