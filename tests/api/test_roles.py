"""S30: every route for every kind of caller, from the route map; a route without a row fails."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import httpx
import pytest

from tests.api.routes import Route, api_routes
from tests.api.wrong import CURVE
from tests.clusters.making import CLUSTER, PER_USER
from tests.helpers import eventually
from tests.live import PASSWORD, Api, LiveGateway, live_gateway

MISSING = "01ARZ3NDEKTSV4RRFFQ69G5FAV"

# Route -> what (anonymous, a stranger, the owner with a read-only token, the owner, an
# administrator) is answered; None: anything but a refusal (401, 403, 404) or a failure of ours.
_OPEN = (None,) * 5
_READ = (401, None, None, None, None)
_WRITE = (401, None, 403, None, None)
_ADMIN = (401, 403, 403, 403, None)
_OWN_READ = (401, 404, None, None, None)
_OWN_WRITE = (401, 404, 403, None, None)
ROWS: dict[str, tuple[int | None, ...]] = {
    "GET /healthz": _OPEN,
    "GET /readyz": _OPEN,
    "POST /auth/login": _OPEN,
    "POST /auth/tokens": _OPEN,
    "POST /auth/code": _OPEN,
    "POST /auth/device": _OPEN,
    "POST /auth/device/token": _OPEN,
    "POST /auth/register": (403,) * 5,
    "POST /auth/refresh": (401, 403, 403, 403, 403),
    "POST /auth/logout": _READ,
    "GET /me": _READ,
    "PUT /me/password": _WRITE,
    "GET /me/audit": _READ,
    "GET /me/policy": _READ,
    "GET /tokens": _READ,
    "POST /tokens": _WRITE,
    "DELETE /tokens/{token_id}": (401, 404, 403, None, 404),
    "GET /users": _ADMIN,
    "POST /users": _ADMIN,
    "GET /users/{name}": _ADMIN,
    "POST /users/{name}/activate": _ADMIN,
    "POST /users/{name}/deactivate": _ADMIN,
    "PUT /users/{name}/password": _ADMIN,
    "POST /files": _WRITE,
    "GET /files/{digest}": (401, 404, None, None, 404),
    "POST /uploads": _WRITE,
    "GET /uploads/{upload_id}": (401, 404, None, None, 404),
    "PATCH /uploads/{upload_id}": (401, 404, 403, None, 404),
    "DELETE /uploads/{upload_id}": (401, 404, 403, None, 404),
    "GET /functions": _READ,
    "GET /methods": _READ,
    "GET /kinds": _READ,
    "GET /clusters": _READ,
    "GET /admin/clusters": _ADMIN,
    "GET /admin/jobs": _ADMIN,
    "GET /admin/usage": _ADMIN,
    "GET /admin/audit": _ADMIN,
    "GET /admin/clusters/{cluster}/probe": _ADMIN,
    "POST /admin/clusters/{cluster}/probe": _ADMIN,
    "PUT /admin/drain": _ADMIN,
    "DELETE /admin/drain": _ADMIN,
    "PUT /admin/clusters/{cluster}/drain": _ADMIN,
    "DELETE /admin/clusters/{cluster}/drain": _ADMIN,
    "GET /clusters/{cluster}/account": (401, 404, None, None, 404),
    "PUT /clusters/{cluster}/account": _WRITE,
    "DELETE /clusters/{cluster}/account": (401, 404, 403, None, 404),
    "GET /notifications": _READ,
    "POST /notifications/read": _WRITE,
    "POST /notifications/{notification_id}/read": (401, 404, 403, None, 404),
    "GET /me/mail": (401, 404, 404, 404, 404),
    "PUT /me/mail": _WRITE,
    "POST /me/mail/verify": _WRITE,
    "DELETE /me/mail": (401, 404, 403, 404, 404),
    "GET /webhooks": _READ,
    "POST /webhooks": _WRITE,
    "GET /webhooks/deliveries": _READ,
    "DELETE /webhooks/{webhook_id}": (401, 404, 403, None, 404),
    "POST /webhooks/{webhook_id}/test": (401, 404, 403, None, 404),
    "POST /problems/columns": _WRITE,
    "POST /problems/curve/preview": _WRITE,
    "GET /problems": _READ,
    "POST /problems": _WRITE,
    "GET /problems/{problem_id}": _OWN_READ,
    "PUT /problems/{problem_id}": _OWN_WRITE,
    "DELETE /problems/{problem_id}": _OWN_WRITE,
    "POST /problems/{problem_id}/clone": _OWN_WRITE,
    "GET /problems/{problem_id}/versions": _OWN_READ,
    "GET /problems/{problem_id}/export.zip": _OWN_READ,
    "POST /jobs/preview": _WRITE,
    "GET /jobs": _READ,
    "GET /jobs/compare": _READ,
    "POST /jobs": _WRITE,
    "POST /jobs/bulk": _WRITE,
    "POST /jobs/many": _WRITE,
    "GET /jobs/{job_id}": _OWN_READ,
    "PATCH /jobs/{job_id}": _OWN_WRITE,
    "DELETE /jobs/{job_id}": _OWN_WRITE,
    "POST /jobs/{job_id}/cancel": _OWN_WRITE,
    "POST /jobs/{job_id}/stop": _OWN_WRITE,
    "POST /jobs/{job_id}/resume": _OWN_WRITE,
    "POST /jobs/{job_id}/rerun": _OWN_WRITE,
    "POST /jobs/{job_id}/instead": _OWN_WRITE,
    "GET /jobs/{job_id}/shares": _OWN_READ,
    "POST /jobs/{job_id}/shares": _OWN_WRITE,
    "DELETE /jobs/{job_id}/shares/{share_id}": _OWN_WRITE,
    "POST /jobs/{job_id}/copy": _OWN_WRITE,
    "POST /jobs/{job_id}/leave": (401, 404, 403, 404, 404),
    "POST /shared": _WRITE,
    "GET /jobs/{job_id}/script": _OWN_READ,
    "GET /jobs/{job_id}/history": _OWN_READ,
    "GET /jobs/{job_id}/log": _OWN_READ,
    "GET /jobs/{job_id}/events": _OWN_READ,
    "GET /jobs/{job_id}/results": _OWN_READ,
    "GET /jobs/{job_id}/files/{path}": _OWN_READ,
    "GET /jobs/{job_id}/bundle.zip": _OWN_READ,
}
TUS = {
    "Tus-Resumable": "1.0.0",
    "Upload-Length": "0",
    "Upload-Metadata": "filename eC5kYXQ=",
    "Upload-Offset": "0",
    "Content-Type": "application/offset+octet-stream",
}
CALLERS = ("anonymous", "stranger", "reader", "owner", "admin")


@dataclass(frozen=True, kw_only=True, eq=False)
class Stage:
    """A gateway with an owner of things, and all who may ask for them."""

    live: LiveGateway
    owner: Api
    tokens: dict[str, str]
    hooks: list[str] = field(default_factory=list)

    def things(self) -> dict[str, str]:
        """Make one of each for the owner."""
        problem = self.owner.problem({**CURVE, "name": uuid.uuid4().hex})
        job = self.owner.submit(kind="dummy", options={"seconds": 0})
        self.owner.wait(job["id"])
        token = self.owner.http.post("/tokens", json={"label": "x"}).json()
        wanted = {"label": "x", "url": "https://hooks.invalid/"}
        self.owner.http.delete(f"/webhooks/{self.hooks.pop()}") if self.hooks else None
        hook = self.owner.http.post("/webhooks", json=wanted).json()
        self.hooks.append(hook["id"])
        files = self.owner.results(job["id"])["files"]
        told = eventually(lambda: self.owner.http.get("/notifications").json()["items"])[0]
        name = f"v{uuid.uuid4().hex[:8]}"
        made = httpx.post(
            f"{self.live.url}/api/v1/users",
            json={"name": name, "password": PASSWORD},
            headers={"Authorization": f"Bearer {self.tokens['admin']}"},
            timeout=30,
        )
        assert made.status_code == 201, made.text
        upload = self.owner.http.post("/uploads", headers=TUS).json()
        sent = self.owner.http.post("/files?name=x", content=b"1 2 3\n").json()
        share = self.owner.http.post(f"/jobs/{job['id']}/shares", json={"link": True}).json()
        path = f"/clusters/{CLUSTER}/account"
        assert self.owner.http.put(path, json={"login": "ada"}).status_code == 200
        return {"problem_id": problem["id"], "job_id": job["id"], "token_id": token["id"],
                "path": files[0]["path"], "name": name, "cluster": CLUSTER,
                "notification_id": told["id"], "webhook_id": hook["id"],
                "upload_id": upload["id"], "digest": sent["digest"],
                "share_id": share["id"]}  # fmt: skip


@cache
def kept_things(stage: Stage) -> dict[str, str]:
    """Make things once, for those who only look."""
    return stage.things()


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with live_gateway(**PER_USER) as live:
        owner, stranger = live.user(), live.user()
        made = owner.http.post("/tokens", json={"label": "reader", "scopes": ["read"]})
        tokens = {
            "anonymous": "",
            "stranger": live.tokens[stranger.name],
            "reader": made.json()["token"],
            "owner": live.tokens[owner.name],
            "admin": live.add_user("boss", admin=True),
        }
        yield Stage(live=live, owner=owner, tokens=tokens)


def ask(stage: Stage, route: Route, caller: str, values: dict[str, str]) -> httpx.Response:
    path = re.sub(r"\{(\w+)\}", lambda found: values[found[1]], route.template)
    token = stage.tokens[caller]
    if "auth/logout" in path and token:
        made = httpx.post(
            f"{stage.live.url}/api/v1/tokens",
            json={"label": "to end", "scopes": ["read"]},
            headers={"Authorization": f"Bearer {token}"},
        )
        token = made.json().get("token", token) if caller != "reader" else token
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    body: dict[str, Any] = {} if route.method in ("GET", "DELETE") else {"json": {}}
    if route.name == "PUT /problems/{problem_id}":
        body, headers = {"json": CURVE}, {**headers, "If-Match": "*"}
    if route.name == "POST /jobs/{job_id}/shares":
        body = {"json": {"link": True}}
    if "/uploads" in route.template:
        body, headers = {"content": b""}, {**headers, **TUS}
    if route.template.endswith("/files"):
        body = {"content": b"1 2 3\n", "params": {"name": "x.dat"}}
    return httpx.request(
        route.method, f"{stage.live.url}{path}", headers=headers, timeout=20, **body
    )


def test_every_route_has_a_row_and_every_row_a_route() -> None:
    assert {route.name for route in api_routes()} == set(ROWS)


@pytest.mark.parametrize("route", api_routes(), ids=lambda route: route.name)
def test_each_caller_is_answered_as_declared(stage: Stage, route: Route) -> None:
    wanted = dict(zip(CALLERS, ROWS[route.name], strict=True))
    values = {}
    if "{" in route.template:
        values = kept_things(stage) if route.method == "GET" else stage.things()
    order = [c for c in CALLERS if not (route.name == "POST /auth/logout" and c == "reader")]
    found = {}
    for caller in order:
        status = ask(stage, route, caller, values).status_code
        refused = status in (401, 403, 404) or status >= 500
        found[caller] = status if refused else None
        if route.method == "DELETE" and not refused:
            values = stage.things()
    if route.template.startswith("/api/v1/auth") and wanted["owner"] is None:
        found = {
            caller: status if status != 401 else wanted[caller] for caller, status in found.items()
        }
    assert found == {caller: wanted[caller] for caller in order}


@pytest.mark.parametrize(
    "route",
    [route for route in api_routes() if ROWS.get(route.name) in (_OWN_READ, _OWN_WRITE)],
    ids=lambda route: route.name,
)
def test_a_strangers_404_is_that_of_a_missing_thing(stage: Stage, route: Route) -> None:
    there = kept_things(stage)
    missing = {**there, "problem_id": MISSING, "job_id": MISSING}
    bodies = []
    for values in (there, missing):
        answer = ask(stage, route, "stranger", values)
        assert answer.status_code == 404
        text = answer.text
        for name in ("problem_id", "job_id"):
            text = text.replace(values[name], "ID")
        bodies.append(re.sub(r'"request_id": "[^"]*"', "", text))
    assert bodies[0] == bodies[1]


@pytest.mark.parametrize("secret", ["nonsense", "bgw_" + "a" * 36, "a.b.c", "x" * 10_000])
def test_a_wrong_token_is_refused(stage: Stage, secret: str) -> None:
    answer = httpx.get(
        f"{stage.live.url}/api/v1/jobs", headers={"Authorization": f"Bearer {secret}"}
    )
    assert answer.status_code in (400, 401, 431)
    if answer.status_code == 401:
        assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]


def test_a_revoked_token_is_refused_and_a_reader_may_not_write(stage: Stage) -> None:
    made = stage.owner.http.post("/tokens", json={"label": "x", "scopes": ["read"]}).json()
    headers = {"Authorization": f"Bearer {made['token']}"}
    url = f"{stage.live.url}/api/v1/jobs"
    refused = httpx.post(url, json={"kind": "dummy"}, headers=headers)
    assert refused.status_code == 403
    assert 'error="insufficient_scope"' in refused.headers["WWW-Authenticate"]
    assert stage.owner.http.delete(f"/tokens/{made['id']}").status_code == 204
    assert httpx.get(url, headers=headers).status_code == 401
