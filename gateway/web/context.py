"""What a view may ask for: the services of this gateway, and who asks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import current_app, g, request

from gateway.accounts.models import Identity, Visit
from gateway.errors import UnauthorizedError

if TYPE_CHECKING:
    from gateway.services import Gateway

EXTENSION = "gateway"
DEVICE_COOKIE = "__Host-bgw-device"


def gateway() -> Gateway:
    """Answer the services of the app that is answering."""
    services: Gateway = current_app.extensions[EXTENSION]
    return services


def identity() -> Identity:
    """Say who asks.

    Raises
    ------
    UnauthorizedError
        When nobody does, or nobody any more.
    """
    if (found := identity_or_none()) is not None:
        return found
    if (refused := g.get("refused")) is not None:
        raise refused
    raise UnauthorizedError("sign in, or send an API token as 'Authorization: Bearer ...'")


def identity_or_none() -> Identity | None:
    """Say who asks, None for a stranger; for pages that everybody may see."""
    found: Identity | None = g.get("identity")
    return found


def visit() -> Visit:
    """Say where a sign-in comes from."""
    return Visit(
        address=request.remote_addr or "local",
        agent=request.user_agent.string,
        device=request.cookies.get(DEVICE_COOKIE),
    )


def is_api() -> bool:
    """Say whether a program asks: then errors are documents, not pages."""
    return request.path.startswith("/api/") or request.path in {"/healthz", "/readyz", "/metrics"}
