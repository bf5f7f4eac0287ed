"""The pages on which somebody consents to a program's API token."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from apiflask import APIBlueprint
from flask import redirect, render_template, request
from marshmallow import ValidationError
from werkzeug.wrappers import Response as AnyResponse

from gateway.accounts.api import accounts
from gateway.accounts.grant_api import grant_of
from gateway.accounts.grant_schemas import AuthorizeSchema, from_address
from gateway.accounts.grants import (
    Grant,
    origin_of,
    plain_code,
    require_session,
    shown_code,
    way_back,
)
from gateway.errors import GatewayError, InvalidError, NotFoundError
from gateway.web.context import identity, visit
from gateway.web.errors import field_errors
from gateway.web.headers import relax_csp

bp = APIBlueprint("grant_pages", __name__, enable_openapi=False)

Page = str | tuple[str, int] | tuple[str, int, dict[str, str]] | AnyResponse
_ASKED = (
    "response_type", "client_id", "redirect_uri", "code_challenge", "code_challenge_method",
    "state", "label", "scope", "expires_days",
)  # fmt: skip


@bp.get("/authorize")
def authorize() -> Page:
    """Say which program asks and what it may do, and ask for consent."""
    require_session(identity())
    wanted = _asked(request.args)
    # The answer to the form leads there: without this word the browser would not follow it.
    relax_csp(form_action=f"'self' {origin_of(wanted['redirect_uri'])}")
    return render_template(
        "accounts/consent.html",
        grant=grant_of(wanted),
        action="/authorize",
        fields={name: request.args[name] for name in _ASKED if name in request.args},
        letters="",
        scopes=identity().scopes,
    )


@bp.post("/authorize")
def do_authorize() -> Page:
    """Send the browser back to the program, with a code or a no."""
    wanted = _asked(request.form)
    answer = {"state": wanted["state"]}
    if request.form.get("decision") == "allow":
        answer["code"] = accounts().grants.allow(identity(), grant_of(wanted))
    else:
        answer["error"] = "access_denied"
    return redirect(way_back(wanted["redirect_uri"], **answer), code=303)


@bp.get("/device")
def device() -> Page:
    """Ask for the letters that a program shows."""
    require_session(identity())
    letters = plain_code(request.args.get("code", ""))
    return _device_page(shown_code(letters) if letters else "")


@bp.post("/device")
def do_device() -> Page:
    """Show what asks with these letters, or take the answer to it."""
    require_session(identity())
    grants, typed = accounts().grants, request.form.get("user_code", "")
    decision = request.form.get("decision")
    try:
        if decision in ("allow", "deny"):
            grant = grants.decide(identity(), typed, visit(), allow=decision == "allow")
            return render_template(
                "accounts/consented.html", grant=grant, allowed=decision == "allow"
            )
        grant = grants.find(identity(), typed, visit())
    except GatewayError as error:
        if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise
        return _device_page(typed[:20], error)
    return _consent_page(grant)


def _consent_page(grant: Grant) -> Page:
    return render_template(
        "accounts/consent.html",
        grant=grant,
        action="/device",
        fields={"user_code": grant.user_code},
        letters=shown_code(grant.user_code),
        scopes=identity().scopes,
    )


def _device_page(typed: str, error: GatewayError | None = None) -> Page:
    page = render_template("accounts/device.html", typed=typed, error=error)
    if error is None:
        return page
    wait = {} if error.retry_after_s is None else {"Retry-After": str(error.retry_after_s)}
    status = HTTPStatus.UNPROCESSABLE_ENTITY if isinstance(error, NotFoundError) else error.status
    return page, int(status), wait


def _asked(given: Any) -> dict[str, Any]:
    """Read what a program asks for, from the address or the form that carries it on.

    Raises
    ------
    InvalidError
        Then the browser stays here: an address that is wrong is followed nowhere.
    """
    document = {name: given[name] for name in _ASKED if name in given}
    try:
        loaded: dict[str, Any] = AuthorizeSchema().load(from_address(document))
    except ValidationError as error:
        raise InvalidError(
            list(field_errors({"query": error.messages})),
            "the program asks in a way that this site does not take: end it, and see that it is "
            "up to date",
        ) from error
    return loaded
