"""Accounts over HTTP: /auth, /me, /tokens, /users."""

from __future__ import annotations

from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any

from apiflask import APIBlueprint

from gateway.accounts.lifetime import token_days
from gateway.accounts.models import Identity, NewToken, Scope, SignedIn, User, Visit
from gateway.accounts.rights import require_admin
from gateway.accounts.schemas import (
    AuditQuerySchema,
    AuditSchema,
    CredentialsSchema,
    LoginTokenSchema,
    MadeTokenSchema,
    MeSchema,
    NewPasswordSchema,
    NewTokenSchema,
    NewUserSchema,
    PasswordChangeSchema,
    SessionSchema,
    TokensSchema,
    UidSchema,
    UserSchema,
    UsersSchema,
)
from gateway.accounts.service import Accounts
from gateway.errors import ForbiddenError
from gateway.records import now
from gateway.web.access import needs, public, rotates
from gateway.web.context import gateway, identity, identity_or_none, visit
from gateway.web.cookies import drop_session, keep_signed_in
from gateway.web.csrf import csrf_token
from gateway.web.described import answers
from gateway.web.paging import Page, PlainPageSchema, page_of, paged

bp = APIBlueprint("accounts", __name__, tag="accounts")

Reply = tuple[dict[str, Any], int, dict[str, str]]


def accounts() -> Accounts:
    """Answer the room's verbs."""
    return gateway().accounts


@bp.post("/auth/login")
@bp.input(CredentialsSchema, arg_name="who")
@bp.output(SessionSchema)
@public
@answers(HTTPStatus.UNAUTHORIZED)
def login(who: dict[str, str]) -> dict[str, Any]:
    """Sign a browser in: its session is in the cookies."""
    keep_signed_in(sign_in(who, visit()))
    return _session_document(identity())


@bp.post("/auth/refresh")
@bp.output(SessionSchema)
@rotates
def refresh() -> dict[str, Any]:
    """Renew the session: the refresh token is replaced, and the old one is of no use any more."""
    asks = identity()
    if asks.session_id is None:
        raise ForbiddenError("an API token cannot be refreshed: it lives until it expires")
    return _session_document(asks)


@bp.post("/auth/logout")
@bp.output({}, status_code=204)
@needs(Scope.READ)
def logout() -> tuple[str, int]:
    """End the session; with an API token, revoke that token."""
    sign_out()
    return "", 204


@bp.post("/auth/tokens")
@bp.input(LoginTokenSchema, arg_name="wanted")
@bp.output(MadeTokenSchema, status_code=201)
@public
@answers(HTTPStatus.UNAUTHORIZED, HTTPStatus.CONFLICT)
def login_token(wanted: dict[str, Any]) -> Reply:
    """Make an API token for a program whose user types name and password."""
    where, expires = visit(), expiry(wanted["expires_days"])
    label, scopes = wanted["label"], wanted["scopes"]
    if wanted["uid"]:
        made = accounts().make_token_with_uid(wanted["uid"], label, scopes, expires, where)
    else:
        made = accounts().make_token_with_password(
            wanted["name"], wanted["password"], label, scopes, expires, where
        )
    accounts().audit.record(made.token.user, "token.make", made.token.id)
    return made_token(made)


@bp.post("/auth/register")
@bp.output(UidSchema, status_code=201)
@public
def register() -> tuple[Any, int]:
    """Make an account for a stranger, where the site allows it: the UID is shown this once."""
    made = accounts().register(visit())
    accounts().audit.record(made.name, "user.register", made.name)
    return made, 201


@bp.get("/me")
@bp.output(MeSchema)
def me() -> dict[str, Any]:
    """Say who asks, and what the token in use may do."""
    return _me(identity())


@bp.put("/me/password")
@bp.input(PasswordChangeSchema, arg_name="change")
@bp.output(SessionSchema)
def change_password(change: dict[str, str]) -> dict[str, Any]:
    """Choose a new password: all other sessions end; API tokens stay."""
    asks = identity()
    if asks.session_id is None:
        raise ForbiddenError("a password is changed in a session: sign in with the present one")
    keep_signed_in(accounts().change_password(asks, change["old"], change["new"], visit()))
    accounts().audit.record(asks.user, "password.change", asks.user)
    return _session_document(identity())


@bp.get("/me/audit")
@bp.input(AuditQuerySchema, location="query", arg_name="query")
@bp.output(AuditSchema)
def audit(query: dict[str, Any]) -> Reply:
    """Read what was done in one's name, newest first."""
    asks, page = identity(), page_of(query)
    if query["everybody"]:
        require_admin(asks)
    found = accounts().audit.read(
        None if query["everybody"] else asks.user, page.after, page.limit + 1
    )
    last = found[page.limit - 1][0] if len(found) > page.limit else None
    return paged([record for _, record in found[: page.limit]], last)


@bp.get("/tokens")
@bp.output(TokensSchema)
def list_tokens() -> Reply:
    """List one's API tokens; their secrets are known to nobody."""
    return paged(accounts().list_tokens(identity()), None)


@bp.post("/tokens")
@bp.input(NewTokenSchema, arg_name="wanted")
@bp.output(MadeTokenSchema, status_code=201)
@answers(HTTPStatus.CONFLICT)
def make_token(wanted: dict[str, Any]) -> Reply:
    """Make an API token, at most as mighty as who asks: its secret is shown this once."""
    asks = identity()
    expires = expiry(wanted["expires_days"])
    made = accounts().make_token(asks, wanted["label"], wanted["scopes"], expires)
    accounts().audit.record(asks.user, "token.make", made.token.id)
    return made_token(made)


@bp.delete("/tokens/<token_id>")
@bp.output({}, status_code=204)
@needs(Scope.READ)
def revoke_token(token_id: str) -> tuple[str, int]:
    """Revoke an API token; a token may revoke itself whatever its scope."""
    asks = identity()
    accounts().revoke_token(asks, token_id)
    accounts().audit.record(asks.user, "token.revoke", token_id)
    return "", 204


@bp.get("/users")
@bp.input(PlainPageSchema, location="query", arg_name="page")
@bp.output(UsersSchema)
@needs(Scope.ADMIN)
def list_users(page: Page) -> Reply:
    """List accounts by name."""
    found = accounts().users(page.after, page.limit + 1)
    last = found[page.limit - 1].name if len(found) > page.limit else None
    return paged([_user(user) for user in found[: page.limit]], last)


@bp.post("/users")
@bp.input(NewUserSchema, arg_name="wanted")
@bp.output(UserSchema, status_code=201)
@needs(Scope.ADMIN)
@answers(HTTPStatus.CONFLICT)
def add_user(wanted: dict[str, Any]) -> tuple[Any, int, dict[str, str]]:
    """Make an account."""
    user = accounts().add_user(wanted["name"], wanted["password"], admin=wanted["admin"])
    accounts().audit.record(identity().user, "user.add", user.name)
    return _user(user), 201, {"Location": f"/api/v1/users/{user.name}"}


@bp.get("/users/<name>")
@bp.output(UserSchema)
@needs(Scope.ADMIN)
def get_user(name: str) -> Any:
    """Read an account."""
    return _user(accounts().user(name))


@bp.post("/users/<name>/deactivate")
@bp.output(UserSchema)
@needs(Scope.ADMIN)
@answers(HTTPStatus.CONFLICT)
def deactivate_user(name: str) -> Any:
    """Switch an account off: its sessions and API tokens stop at once."""
    accounts().deactivate(name)
    accounts().audit.record(identity().user, "user.deactivate", name)
    return _user(accounts().user(name))


@bp.post("/users/<name>/activate")
@bp.output(UserSchema)
@needs(Scope.ADMIN)
def activate_user(name: str) -> Any:
    """Switch an account on again; what was revoked stays so."""
    accounts().activate(name)
    accounts().audit.record(identity().user, "user.activate", name)
    return _user(accounts().user(name))


@bp.put("/users/<name>/password")
@bp.input(NewPasswordSchema, arg_name="wanted")
@bp.output({}, status_code=204)
@needs(Scope.ADMIN)
def reset_password(name: str, wanted: dict[str, str]) -> tuple[str, int]:
    """Give an account a new password: its sessions and API tokens end."""
    accounts().set_password(name, wanted["password"])
    accounts().audit.record(identity().user, "password.reset", name)
    return "", 204


def sign_in(who: dict[str, str], where: Visit) -> SignedIn:
    """Sign in one way or the other, and note it; a session that this browser had ends."""
    if who["uid"]:
        signed_in = accounts().sign_in_with_uid(who["uid"], where)
    else:
        signed_in = accounts().sign_in(who["name"], who["password"], where)
    if (before := identity_or_none()) is not None and before.session_id is not None:
        accounts().sign_out(before)
    accounts().audit.record(signed_in.identity.user, "session.begin")
    return signed_in


def sign_out() -> None:
    """End what proves who asks, and note it."""
    asks = identity()
    accounts().sign_out(asks)
    accounts().audit.record(asks.user, "session.end")
    drop_session()


def expiry(days: int | None) -> datetime | None:
    """Say when an API token ends; InvalidError when that is later than this site allows."""
    days = token_days(days, accounts().settings.token_days)
    return None if days is None else now() + timedelta(days=days)


def _me(asks: Identity) -> dict[str, Any]:
    return {
        "name": asks.user,
        "admin": asks.admin,
        "scopes": sorted(asks.scopes),
        "groups": gateway().policies.groups_of(asks.user),
    }


def _user(user: User) -> dict[str, Any]:
    return {**vars(user), "groups": gateway().policies.groups_of(user.name)}


def _session_document(asks: Identity) -> dict[str, Any]:
    expires = now() + timedelta(seconds=accounts().settings.access_s)
    return {"user": _me(asks), "expires": expires, "csrf_token": csrf_token()}


def made_token(made: NewToken) -> Reply:
    """Answer with a new API token, its secret this once."""
    token = made.token
    document = {**vars(token), "token": made.secret}
    return document, 201, {"Location": f"/api/v1/tokens/{token.id}"}
