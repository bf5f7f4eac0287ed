"""The real application for tests, and a browser's and a program's way to talk to it."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from apiflask import APIBlueprint, APIFlask, Schema
from apiflask.fields import Integer, List, Nested, String
from apiflask.validators import Range
from flask import Flask, Response, current_app, request
from flask.testing import FlaskClient

from gateway.accounts.models import Scope
from gateway.accounts.service import Accounts
from gateway.app import create_app
from gateway.services import Gateway
from gateway.settings import load_settings, prepare_state
from gateway.web.access import needs, public, takes_bytes
from gateway.web.context import EXTENSION, identity
from gateway.web.etag import etag_of, require_match, with_etag
from gateway.web.headers import as_user_file
from gateway.web.idempotency import idempotency_key
from gateway.web.install import STREAMS
from gateway.web.logs import configure_logs
from gateway.web.sse import Event, event_stream
from tests.contract import Contract

SECRET = "0123456789abcdef0123456789abcdef-for-tests"  # noqa: S105 - of no other site
PASSWORD = "four calm otters swim"  # noqa: S105
ORIGIN = "http://localhost"

probe = APIBlueprint("probe", __name__)


class PartSchema(Schema):
    steps = Integer(required=True, validate=Range(1, 10))


class EchoSchema(Schema):
    title = String(required=True)
    parts = List(Nested(PartSchema), load_default=list)


@probe.post("/api/v1/probe/echo")
@probe.input(EchoSchema, arg_name="document")
def echo(document: dict[str, Any]) -> dict[str, Any]:
    """Say what was sent."""
    return {"user": identity().user, "document": document}


@probe.post("/api/v1/probe/bytes")
@takes_bytes("file_bytes")
def take_bytes() -> dict[str, Any]:
    """Count what was sent."""
    return {"size": len(request.stream.read())}


@probe.get("/api/v1/probe/fail")
@public
def fail() -> dict[str, Any]:
    """Fail as a mistake of ours would."""
    raise RuntimeError("a secret at /etc/passwd")


@probe.get("/api/v1/probe/admin")
@needs(Scope.ADMIN)
def admin_only() -> dict[str, Any]:
    """Answer administrators."""
    return {"user": identity().user}


@probe.get("/api/v1/probe/thing")
def thing() -> Response:
    """Answer a thing with its version."""
    return with_etag(Response(b"content"), etag_of("content"))


@probe.put("/api/v1/probe/thing")
def change_thing() -> dict[str, Any]:
    """Change a thing."""
    require_match(etag_of("content"))
    return {"key": idempotency_key()}


@probe.get("/probe/file")
def user_file() -> Response:
    """Serve what a job wrote."""
    body = b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"
    return as_user_file(Response(body, mimetype="image/svg+xml"), 'a/"b\r\n.svg')


@probe.get("/api/v1/probe/events")
def events() -> Response:
    """Stream two events."""

    def read(after: str | None, _wait_s: float) -> Sequence[Event]:
        first = int(after or 0) + 1
        return [Event(id=str(n), event="step", data={"n": n}, last=n == 3) for n in range(first, 4)]

    streams = current_app.extensions[STREAMS]
    return event_stream(streams, identity().user, read, may_read=lambda: True)


@dataclass(frozen=True, kw_only=True)
class Site:
    """A running site and its log."""

    app: APIFlask
    services: Gateway
    log: io.StringIO

    @property
    def accounts(self) -> Accounts:
        return self.services.accounts

    def browser(self, **kwargs: Any) -> Browser:
        """Open a browser that nobody has used."""
        return Browser(self, **kwargs)

    def lines(self) -> list[dict[str, Any]]:
        """Read the log."""
        return [json.loads(line) for line in self.log.getvalue().splitlines()]

    def access_lines(self) -> list[dict[str, Any]]:
        return [line for line in self.lines() if line["event"] == "request"]


_UNDESCRIBED = ("/api/v1/probe", "/api/v1/openapi.json", "/api/spec.html")


class CheckedClient(FlaskClient):
    """Holds each answer of the API against its description."""

    def open(self, *args: Any, **kwargs: Any) -> Any:
        """Ask, and check the answer."""
        answer = super().open(*args, **kwargs)
        path, method = answer.request.path, answer.request.method
        if path.startswith("/api/") and not path.startswith(_UNDESCRIBED) and method != "OPTIONS":
            asked = httpx.Request(method, f"{ORIGIN}{path}")
            headers = {"Content-Type": answer.headers.get("Content-Type", "")}
            shown = httpx.Response(
                answer.status_code, headers=headers, content=answer.data, request=asked
            )
            faults = contract_of(self.application).faults(shown)
            assert not faults, faults
        return answer


_contracts: dict[tuple[str, ...], Contract] = {}


def contract_of(app: Flask) -> Contract:
    """Describe an app, once for all that have the same routes."""
    routes = tuple(sorted(f"{rule.rule} {rule.methods}" for rule in app.url_map.iter_rules()))
    if routes not in _contracts:
        assert isinstance(app, APIFlask)
        with app.test_request_context():
            document = app.spec
        assert isinstance(document, dict)
        _contracts[routes] = Contract(document)
    return _contracts[routes]


class Browser:
    """Keeps cookies, sends Origin and the CSRF token of its session."""

    def __init__(self, site: Site, address: str = "192.0.2.1") -> None:
        self.client: FlaskClient = site.app.test_client()
        self.client.environ_base["REMOTE_ADDR"] = address
        self.csrf: str | None = None

    def cookie(self, name: str) -> str | None:
        found = self.client.get_cookie(f"__Host-bgw-{name}")
        return found.value if found else None

    def set_cookie(self, name: str, value: str) -> None:
        self.client.set_cookie(f"__Host-bgw-{name}", value, secure=True)

    def drop_cookie(self, name: str) -> None:
        self.client.delete_cookie(f"__Host-bgw-{name}")

    def sign_in(self, name: str, password: str = PASSWORD) -> Any:
        response = self.send(
            "POST", "/api/v1/auth/login", json={"name": name, "password": password}
        )
        if response.status_code == 200:
            self.csrf = response.json["csrf_token"]
        return response

    def send(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, **kwargs: Any
    ) -> Any:
        sent = {"Origin": ORIGIN}
        if self.csrf is not None:
            sent["X-CSRF-Token"] = self.csrf
        sent |= headers or {}
        return self.client.open(path, method=method, headers=sent, buffered=True, **kwargs)

    def get(self, path: str, **kwargs: Any) -> Any:
        return self.client.get(path, buffered=True, **kwargs)

    def post_json(self, path: str, document: Any, headers: Mapping[str, str] | None = None) -> Any:
        """Post as a program does: no Origin, no CSRF token."""
        return self.client.post(path, json=document, headers=dict(headers or {}), buffered=True)

    def form_token(self, path: str = "/sign-in") -> str:
        """Read the CSRF token of a page's form."""
        page = self.client.get(path).text
        return page.partition('name="csrf_token" value="')[2].partition('"')[0]

    def post_form(self, path: str, page: str | None = None, **fields: str) -> Any:
        token = self.form_token(page or path)
        return self.client.post(
            path, data={"csrf_token": token, **fields}, headers={"Origin": ORIGIN}
        )


def path_of(rule: str) -> str:
    """Fill a route's arguments, so that it is met.

    >>> path_of("/users/<name>/<any(on, off):verb>/<int:n>")
    '/users/ada/on/1'
    """

    def fill(found: re.Match[str]) -> str:
        converter, _, name = found[1].rpartition(":")
        if converter.startswith("any("):
            return converter.removeprefix("any(").partition(",")[0]
        return "gateway.css" if name == "filename" else "1" if converter == "int" else "ada"

    return re.sub(r"<([^>]+)>", fill, rule)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def make_site(redis_server: Path, state: Path, **environment: str) -> Site:
    """Make a site; settings as in the environment, such as ``GATEWAY_ACCOUNTS__TOKENS="2"``."""
    prepare_state(state)
    settings = load_settings(
        {
            "GATEWAY_STATE": str(state),
            "GATEWAY_SECRET_KEY": SECRET,
            "GATEWAY_REDIS_URL": f"unix://{redis_server}",
            **environment,
        }
    )
    log = io.StringIO()
    configure_logs(log)
    app = create_app(settings)
    app.register_blueprint(probe)
    app.test_client_class = CheckedClient
    return Site(app=app, services=app.extensions[EXTENSION], log=log)
