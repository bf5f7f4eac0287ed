"""Who may call a view, said beside it.

Without a word a view is closed: a reader's scope for GET and HEAD, ``submit`` for the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from flask import current_app, request

from gateway.accounts.models import Scope

_View = TypeVar("_View", bound=Callable[..., Any])
_ATTRIBUTE = "_access"
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, kw_only=True)
class Access:
    """What a view asks of its caller and of the request's body."""

    public: bool = False
    scope: Scope | None = None
    """None: by the method."""

    by_link: bool = False
    """Also for people who are not signed in and have opened a link, where the site allows that."""

    rotates: bool = False
    """The refresh token is what counts, whether or not the access token is still good."""

    body_limit: str = "json_bytes"
    """Which of the site's limits bounds the body."""

    any_type: bool = False
    """The body is bytes of any media type."""

    parts: int = 100
    """How many fields a form may have that carries files."""


def public(view: _View) -> _View:
    """Let everybody call a view."""
    return _declare(view, public=True)


def needs(scope: Scope) -> Callable[[_View], _View]:
    """Ask for a scope; ``admin`` also for an administrator."""
    return lambda view: _declare(view, scope=scope)


def by_link(view: _View) -> _View:
    """Let who has opened a link read, too; the view asks whether it is a link to this."""
    return _declare(view, by_link=True)


def rotates(view: _View) -> _View:
    """Look at the refresh token only."""
    return _declare(view, rotates=True)


def takes_bytes(limit: str) -> Callable[[_View], _View]:
    """Let a view read a raw body, up to one of the site's limits such as ``file_bytes``."""
    return lambda view: _declare(view, body_limit=limit, any_type=True)


def takes_form(limit: str, parts: int) -> Callable[[_View], _View]:
    """Let a view read a form with files: up to one of the site's limits, and so many fields."""
    return lambda view: _declare(view, body_limit=limit, parts=parts)


def access_of(view: Callable[..., Any] | None) -> Access:
    """Say what a view declared."""
    access: Access = getattr(view, _ATTRIBUTE, None) or Access()
    return access


def scope_of(access: Access, method: str) -> Scope:
    """Say which scope a call needs.

    >>> scope_of(Access(), "GET").value, scope_of(Access(), "DELETE").value
    ('read', 'submit')
    """
    if access.scope is not None:
        return access.scope
    return Scope.READ if method in _SAFE else Scope.SUBMIT


def current_access() -> Access:
    """Say what the view of this request declared."""
    return access_of(current_app.view_functions.get(request.endpoint or ""))


def _declare(view: _View, **values: Any) -> _View:
    known = {**vars(access_of(view)), **values}
    setattr(view, _ATTRIBUTE, Access(**known))
    return view
