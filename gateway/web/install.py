"""Puts the parts of this room into an app, in the order in which a request meets them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from apiflask import APIFlask
from flask import Response
from jinja2 import StrictUndefined
from redis import RedisError
from werkzeug.wrappers import Response as AnyResponse

from gateway.accounts.models import Identity
from gateway.web import auth, cookies, correlation, csrf, headers, hosts, limits, logs
from gateway.web.context import EXTENSION, gateway, identity_or_none
from gateway.web.errors import handle_errors
from gateway.web.lasting import serve_lasting
from gateway.web.openapi import docs
from gateway.web.sse import Streams

if TYPE_CHECKING:
    from gateway.services import Gateway

STREAMS = "gateway.streams"


def install(app: APIFlask, services: Gateway) -> None:
    """Make an app serve this gateway; its blueprints are registered by who knows them."""
    settings = services.settings
    app.extensions[EXTENSION] = services
    app.extensions[STREAMS] = Streams(settings.server.streams)
    app.url_map.strict_slashes = False
    limits.set_limits(app, settings.limits.json_bytes)
    hosts.trust_proxies(app, settings)
    handle_errors(app)
    app.register_blueprint(docs)
    _prepare_templates(app)
    allowed = hosts.allowed_hosts(settings)

    @app.before_request
    def before() -> AnyResponse | None:
        """Let each part look at the request; the first to answer or to raise ends it."""
        logs.start_clock()
        correlation.begin()
        hosts.check_host(allowed)
        limits.check_body()
        answer = auth.authenticate()
        csrf.check_csrf()
        return answer

    @app.after_request
    def after(response: Response) -> Response:
        """Complete the answer, and write its line."""
        for part in (cookies.set_cookies, correlation.send, headers.add_headers, logs.log_access):
            response = part(response)
        return response


def _prepare_templates(app: APIFlask) -> None:
    # Flask escapes only in files named .html; here every template is HTML.
    app.jinja_env.autoescape = True
    app.jinja_env.undefined = StrictUndefined
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    serve_lasting(app)
    app.jinja_env.filters["capitalize_first"] = lambda text: text[:1].upper() + text[1:]
    app.context_processor(
        lambda: {
            "csrf_token": csrf.csrf_token,
            "asks": _signed_in(),
            "unread": _unread,
            "site": app.title,
        }
    )


def _signed_in() -> Identity | None:
    """Say who is signed in; nobody is who only has a link."""
    asks = identity_or_none()
    return None if asks is None or not asks.user else asks


def _unread() -> int | None:
    """Count what the user has not read; None on the page that says that the store is away."""
    asks = _signed_in()
    try:
        return None if asks is None else gateway().notifications.unread(asks.user)
    except RedisError:
        return None
