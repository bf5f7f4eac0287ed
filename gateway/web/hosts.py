"""Which Host headers are answered, and whose X-Forwarded-* are believed."""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import Flask, request
from werkzeug.middleware.proxy_fix import ProxyFix

from gateway.errors import BadRequestError
from gateway.settings import Settings


def trust_proxies(app: Flask, settings: Settings) -> None:
    """Believe X-Forwarded-* of as many proxies as the site has in front; by default of none."""
    count = settings.server.trusted_proxies
    if count > 0:
        app.wsgi_app = ProxyFix(  # type: ignore[method-assign]  # how Flask wants it
            app.wsgi_app, x_for=count, x_proto=count, x_host=count
        )


def allowed_hosts(settings: Settings) -> frozenset[str]:
    """List the names that this site has."""
    own = urlsplit(settings.url).hostname or ""
    names = {name.strip("[]").lower() for name in (*settings.server.allowed_hosts, own)}
    return frozenset(names - {""})


def check_host(allowed: frozenset[str]) -> None:
    """Stop a request for another host: links and redirects would lead there.

    Raises
    ------
    BadRequestError
        When the Host header is not one of this site's names.
    """
    try:
        name = urlsplit(f"//{request.host}").hostname
    except ValueError:
        name = None
    if name is None or name.lower() not in allowed:
        raise BadRequestError(
            "this Host is not one of this site's names: use the site's address, "
            "or add the name to server.allowed_hosts"
        )
