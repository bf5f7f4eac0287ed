"""The pages of the room: sign in, sign out, register, API tokens, one's account, all users."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote, urlsplit

from apiflask import APIBlueprint
from flask import redirect, render_template, request
from marshmallow import ValidationError
from werkzeug.wrappers import Response as AnyResponse

from gateway.accounts.api import accounts, expiry
from gateway.accounts.api import sign_in as start_session
from gateway.accounts.api import sign_out as end_session
from gateway.accounts.lifetime import USUAL, token_days
from gateway.accounts.models import NewToken, Scope
from gateway.accounts.schemas import (
    CredentialsSchema,
    NewTokenSchema,
    NewUserSchema,
    PasswordChangeSchema,
)
from gateway.errors import GatewayError, InvalidError
from gateway.web.access import needs, public
from gateway.web.context import gateway, identity, identity_or_none, visit
from gateway.web.cookies import keep_signed_in
from gateway.web.csrf import FIELD
from gateway.web.errors import field_errors
from gateway.web.paging import make_cursor, read_cursor

bp = APIBlueprint("account_pages", __name__, enable_openapi=False)

START = "/"
_USERS = 100
_PATH = re.compile(r"/[A-Za-z0-9._~!$&'()*+,;=:@%/?-]{0,2000}")
_LIFETIMES = (("7", "a week"), ("30", "30 days"), ("90", "90 days"), ("365", "a year"))

Page = str | tuple[str, int] | tuple[str, int, dict[str, str]] | AnyResponse


def safe_next(text: str | None) -> str:
    r"""Say where to go after signing in: a path on this site, whatever was asked for.

    >>> safe_next("/jobs?state=RUNNING"), safe_next("//evil.example"), safe_next("/\\evil.example")
    ('/jobs?state=RUNNING', '/', '/')
    """
    if not text or not _PATH.fullmatch(text):
        return START
    plain = unquote(text)
    if plain.startswith("//") or not plain.isprintable() or "\\" in plain:
        return START
    parts = urlsplit(text)
    return START if parts.scheme or parts.netloc or parts.path == "/sign-in" else text


@bp.get("/sign-in")
@public
def sign_in() -> Page:
    """Show the form; who is signed in already goes on."""
    following = safe_next(request.args.get("next"))
    if identity_or_none() is not None:
        return redirect(following, code=303)
    return _sign_in_page(following)


@bp.post("/sign-in")
@public
def do_sign_in() -> Page:
    """Sign in and go on to where one was going."""
    following = safe_next(request.form.get("next"))
    try:
        who = _load(CredentialsSchema(), "name", "password", "uid")
        keep_signed_in(start_session(who, visit()))
    except GatewayError as error:
        if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise
        return _sign_in_page(following, error)
    return redirect(following, code=303)


@bp.post("/sign-out")
@needs(Scope.READ)
def sign_out() -> Page:
    """Sign out."""
    end_session()
    return redirect("/sign-in", code=303)


@bp.get("/register")
@public
def register() -> Page:
    """Offer an account, where the site allows it."""
    return render_template(
        "accounts/register.html", made=None, allowed=accounts().settings.registration
    )


@bp.post("/register")
@public
def do_register() -> Page:
    """Make an account and show its UID this once."""
    made = accounts().register(visit())
    accounts().audit.record(made.name, "user.register", made.name)
    return render_template("accounts/register.html", made=made, allowed=True)


@bp.get("/tokens")
def tokens() -> Page:
    """List one's API tokens, with a form for a new one."""
    return _tokens_page()


@bp.post("/tokens")
def make_token() -> Page:
    """Make an API token and show its secret this once."""
    asks = identity()
    try:
        wanted = _load(NewTokenSchema(), "label", "expires_days", scopes=True)
        expires = expiry(wanted["expires_days"])
        made = accounts().make_token(asks, wanted["label"], wanted["scopes"], expires)
    except GatewayError as error:
        if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise
        return _tokens_page(error=error)
    accounts().audit.record(asks.user, "token.make", made.token.id)
    return _tokens_page(made=made)


@bp.post("/tokens/<token_id>/revoke")
def revoke_token(token_id: str) -> Page:
    """Revoke an API token."""
    asks = identity()
    accounts().revoke_token(asks, token_id)
    accounts().audit.record(asks.user, "token.revoke", token_id)
    return redirect("/tokens", code=303)


@bp.get("/account")
def account() -> Page:
    """Show who one is and what was done in one's name, with a form for a new password."""
    return _account_page()


@bp.post("/account/password")
def change_password() -> Page:
    """Choose a new password."""
    asks = identity()
    try:
        change = _load(PasswordChangeSchema(), "old", "new")
        keep_signed_in(accounts().change_password(asks, change["old"], change["new"], visit()))
    except GatewayError as error:
        if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise
        return _account_page(error)
    accounts().audit.record(asks.user, "password.change", asks.user)
    return redirect("/account?done=password", code=303)


@bp.get("/users")
@needs(Scope.ADMIN)
def users() -> Page:
    """List accounts, with a form for a new one."""
    return _users_page()


@bp.post("/users")
@needs(Scope.ADMIN)
def add_user() -> Page:
    """Make an account."""
    try:
        wanted = _load(NewUserSchema(), "name", "password", "admin")
        accounts().add_user(wanted["name"], wanted["password"], admin=wanted["admin"])
    except GatewayError as error:
        if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise
        return _users_page(error)
    accounts().audit.record(identity().user, "user.add", wanted["name"])
    return redirect("/users", code=303)


@bp.post("/users/<name>/<any(activate, deactivate):verb>")
@needs(Scope.ADMIN)
def switch_user(name: str, verb: str) -> Page:
    """Switch an account off, or on again."""
    if verb == "activate":
        accounts().activate(name)
    else:
        accounts().deactivate(name)
    accounts().audit.record(identity().user, f"user.{verb}", name)
    return redirect("/users", code=303)


def _account_page(error: GatewayError | None = None) -> Page:
    asks = identity()
    page = render_template(
        "accounts/account.html",
        user=accounts().user(asks.user),
        trail=[record for _, record in accounts().audit.read(asks.user, limit=20)],
        done=request.args.get("done") == "password",
        error=error,
    )
    return _answer(page, error)


def _users_page(error: GatewayError | None = None) -> Page:
    asked = request.args.get("cursor")
    found = accounts().users(read_cursor(asked) if asked else None, _USERS + 1)
    page = render_template(
        "accounts/users.html",
        users=found[:_USERS],
        cursor=make_cursor(found[_USERS - 1].name) if len(found) > _USERS else None,
        given=request.form,
        error=error,
    )
    return _answer(page, error)


def _sign_in_page(following: str, error: GatewayError | None = None) -> Page:
    page = render_template(
        "accounts/sign_in.html",
        next=following,
        error=error,
        name=request.form.get("name", "")[:100],
        registration=accounts().settings.registration,
    )
    return _answer(page, error)


def _tokens_page(made: NewToken | None = None, error: GatewayError | None = None) -> Page:
    asks = identity()
    page = render_template(
        "accounts/tokens.html",
        tokens=accounts().list_tokens(asks),
        made=made,
        error=error,
        given={} if made else request.form,
        scopes=[scope for scope in Scope if scope in asks.scopes],
        lifetimes=_lifetimes(accounts().settings.token_days),
        usual_days=str(token_days(USUAL, accounts().settings.token_days)),
        url=gateway().settings.url,
    )
    return _answer(page, error)


def _lifetimes(most: int) -> list[tuple[str, str]]:
    """Offer what this site allows.

    >>> [days for days, _ in _lifetimes(0)], [days for days, _ in _lifetimes(60)]
    (['7', '30', '90', '365', 'never'], ['7', '30', '60'])
    """
    if not most:
        return [*_LIFETIMES, ("never", "never")]
    short = [one for one in _LIFETIMES if int(one[0]) < most]
    return [*short, (str(most), f"{most} day{'s' * (most > 1)}")]


def _answer(page: str, error: GatewayError | None) -> Page:
    if error is None:
        return page
    wait = {} if error.retry_after_s is None else {"Retry-After": str(error.retry_after_s)}
    return page, int(error.status), wait


def _load(schema: Any, *names: str, scopes: bool = False) -> dict[str, Any]:
    """Read a form by the schema of the JSON; empty fields are left out, unknown ones refused."""
    form = request.form
    if unknown := sorted(set(form) - {*names, FIELD, "next", "scopes"}):
        raise InvalidError.at(f"/{unknown[0][:50]}", "is not a field of this form")
    document: dict[str, Any] = {name: form[name] for name in names if form.get(name)}
    if scopes and form.getlist("scopes"):
        document["scopes"] = form.getlist("scopes")
    if document.get("expires_days") == "never":
        document["expires_days"] = None
    try:
        loaded: dict[str, Any] = schema.load(document)
    except ValidationError as error:
        raise InvalidError(list(field_errors({"form": error.messages}))) from error
    return loaded
