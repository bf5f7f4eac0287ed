"""The gateway's cookies: ``__Host-`` (no other host or path can set them), Secure, HttpOnly, Lax.

Browsers take Secure cookies over plain http from loopback only; elsewhere TLS must be in front.
"""

from __future__ import annotations

import secrets
from datetime import timedelta

from flask import Response, g, request

from gateway.accounts.models import Credentials, SessionTokens, SignedIn
from gateway.web.context import DEVICE_COOKIE

ACCESS = "__Host-bgw-access"
REFRESH = "__Host-bgw-refresh"
CSRF = "__Host-bgw-csrf"
LINK = "__Host-bgw-link"
_DEVICE_LIFE = timedelta(days=365)


def credentials(*, rotating: bool) -> Credentials:
    """Read what the request shows; a header wins over cookies.

    Parameters
    ----------
    rotating
        Whether the refresh token alone counts.
    """
    kind, _, value = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() == "bearer":
        return Credentials(bearer=value.strip())
    access = None if rotating else request.cookies.get(ACCESS)
    return Credentials(access=access, refresh=request.cookies.get(REFRESH))


def keep_session(tokens: SessionTokens) -> None:
    """Send the browser its tokens with this answer."""
    g.new_tokens = tokens
    g.drop_session = False


def keep_signed_in(signed_in: SignedIn) -> None:
    """Send the browser its new session, and the proof that it has signed in once."""
    keep_session(signed_in.tokens)
    g.identity = signed_in.identity
    g.new_device = signed_in.device


def drop_session() -> None:
    """Have the browser forget its session with this answer."""
    g.drop_session = True
    g.new_tokens = None


def keep_link(link: str) -> None:
    """Have a browser of nobody keep the link that it has opened, until it is closed."""
    g.new_link = link


def link() -> str | None:
    """Read the link that this browser has opened; whether it is good is another question."""
    return request.cookies.get(LINK)


def stranger() -> str:
    """Name a browser that has not signed in; what its forms carry is bound to this name."""
    name: str | None = g.get("stranger") or request.cookies.get(CSRF)
    if not name or len(name) != _STRANGER_LENGTH:
        name = g.stranger = secrets.token_hex(_STRANGER_LENGTH // 2)
    return name


_STRANGER_LENGTH = 32


def set_cookies(response: Response) -> Response:
    """Write what this request changed."""
    tokens: SessionTokens | None = g.get("new_tokens")
    if tokens is not None:
        _set(response, ACCESS, tokens.access, tokens.access_life)
        _set(response, REFRESH, tokens.refresh, tokens.refresh_life)
    if (device := g.get("new_device")) is not None:
        _set(response, DEVICE_COOKIE, device, _DEVICE_LIFE)
    if (name := g.get("stranger")) is not None:
        _set(response, CSRF, name, None)
    if (opened := g.get("new_link")) is not None:
        _set(response, LINK, opened, None)
    if g.get("drop_session"):
        for cookie in (ACCESS, REFRESH):
            response.delete_cookie(cookie, path="/", secure=True, httponly=True, samesite="Lax")
    return response


def _set(response: Response, name: str, value: str, life: timedelta | None) -> None:
    response.set_cookie(
        name, value, max_age=life, path="/", secure=True, httponly=True, samesite="Lax"
    )
