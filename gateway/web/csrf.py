"""Writes that a browser makes with its cookies must come from our own pages.

Two proofs: the Origin (or Sec-Fetch-Site) that the browser states, and a token bound to the
session, in the header ``X-CSRF-Token`` or the form field ``csrf_token``. Before somebody has
signed in the token is bound to a random cookie. Programs with a Bearer token send neither.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import request

from gateway.accounts.tokens import matches
from gateway.errors import ForbiddenError
from gateway.web.context import gateway, identity_or_none, is_api
from gateway.web.cookies import stranger

HEADER = "X-CSRF-Token"
FIELD = "csrf_token"
_SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})


def csrf_token() -> str:
    """Make the token for this browser's writes; pages put it into forms and a meta tag."""
    asks = identity_or_none()
    binding = asks.session_id if asks is not None and asks.session_id else f"no {stranger()}"
    return gateway().accounts.csrf_token(binding)


def check_csrf() -> None:
    """Stop a write that another site may have made a browser send.

    Raises
    ------
    ForbiddenError
        With what is missing.
    """
    if request.method in _SAFE or request.endpoint is None:
        return
    if _has_bearer():
        return  # no browser adds that header by itself
    check_origin()
    if identity_or_none() is None and is_api():
        return  # nothing to abuse: a stranger's JSON, from our own origin or no browser at all
    given = request.headers.get(HEADER) or _field()
    if not given or not matches(given, csrf_token()):
        raise ForbiddenError(
            f"this write needs the page's CSRF token, in the header {HEADER} or the form field "
            f"{FIELD}: load the page again and repeat it"
        )


def check_origin() -> None:
    """Stop what the browser itself says comes from elsewhere."""
    origin = request.headers.get("Origin")
    if origin is not None:
        own = {urlsplit(url)[:2] for url in (request.host_url, gateway().settings.url)}
        foreign = urlsplit(origin)[:2] not in own
    else:
        foreign = request.headers.get("Sec-Fetch-Site", "none") not in {"same-origin", "none"}
    if foreign:
        raise ForbiddenError("this write comes from a page of another site: open it here")


def _has_bearer() -> bool:
    return request.headers.get("Authorization", "")[:7].lower() == "bearer "


def _field() -> str | None:
    if request.mimetype in {"application/x-www-form-urlencoded", "multipart/form-data"}:
        return request.form.get(FIELD)
    return None
