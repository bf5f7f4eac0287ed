"""Who asks: found out once, before any view, and checked against what the view declared."""

from __future__ import annotations

from contextlib import suppress

from flask import Response, g, redirect, request, url_for
from redis import RedisError
from werkzeug.wrappers import Response as AnyResponse

from gateway.accounts.models import InvalidTokenError, Scope, ScopeError, nobody
from gateway.accounts.rights import require_admin
from gateway.errors import GatewayError, NotFoundError
from gateway.web.access import current_access, scope_of
from gateway.web.context import gateway, identity, identity_or_none, is_api
from gateway.web.cookies import credentials, drop_session, keep_session, link

REALM = "bumps-gateway"


def authenticate() -> AnyResponse | None:
    """Verify the request, exactly once, and stop it when the view is closed to it."""
    if request.endpoint is None or request.endpoint == "static":
        return None
    access = current_access()
    try:
        _verify(rotating=access.rotates)
    except (GatewayError, RedisError) as error:
        if not access.public:
            raise
        g.refused = error  # a public page answers all the same, as to a stranger
    if access.public:
        return None
    if access.by_link and identity_or_none() is None:
        _admit_by_link()
    if identity_or_none() is None and _is_page():
        return redirect(url_for("account_pages.sign_in", next=_here()), code=303)
    _check_scope(scope_of(access, request.method))
    return None


def _verify(*, rotating: bool) -> None:
    g.verifications = g.get("verifications", 0) + 1
    shown = credentials(rotating=rotating)
    try:
        verified = gateway().accounts.verify(shown)
    except InvalidTokenError as error:
        if shown.bearer is None:
            drop_session()
        if not _is_page():
            raise
        g.refused = error
        return
    g.identity = verified.identity
    if verified.renewed is not None:
        keep_session(verified.renewed)


def _admit_by_link() -> None:
    """Let somebody without a name read what the link in this browser opens."""
    sharing, shown = gateway().sharing, link()
    if sharing.links == "anyone" and shown:
        with suppress(NotFoundError):  # forged, taken back or over: then they are nobody
            g.identity = nobody(sharing.follow(shown).id)


def _is_page() -> bool:
    return request.method in {"GET", "HEAD"} and not is_api()


def _here() -> str:
    return request.full_path.removesuffix("?")


def _check_scope(scope: Scope) -> None:
    asks = identity()
    if scope is Scope.ADMIN:
        require_admin(asks)
    elif scope not in asks.scopes:
        raise ScopeError(scope)


def challenge(response: Response, error: Exception | None) -> None:
    """Say, by RFC 6750, how to ask again."""
    parts = [f'realm="{REALM}"']
    if isinstance(error, InvalidTokenError):
        parts.append('error="invalid_token"')
    if isinstance(error, ScopeError):
        parts += ['error="insufficient_scope"', f'scope="{error.scope}"']
    response.headers["WWW-Authenticate"] = "Bearer " + ", ".join(parts)
