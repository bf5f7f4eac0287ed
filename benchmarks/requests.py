"""How long the API takes: submitting, reading, listing, beside what HTTP and the store cost."""

from __future__ import annotations

import http.client
import json
import os
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from benchmarks.measure import Row, in_parallel, milliseconds, percentile
from gateway.ids import new_id
from gateway.services import Gateway, open_gateway
from gateway.settings import load_settings
from tests.live import Api, LiveGateway

CLIENTS = 8
LISTED = 10_000
_WARM = 5
_PER_S = 40
"""Of all clients together: 144,000 fits an hour, more than any site takes."""

LINE = {
    "name": "line",
    "type": "curve",
    "curve": {
        "data": {"text": "".join(f"{x} {2 * x + 1 + 0.1 * (-1) ** x} 0.1\n" for x in range(50))},
        "columns": {"x": 0, "y": 1, "dy": {"from": "column", "column": 2}},
        "expression": "a*x+b",
        "parameters": [{"name": "a", "value": 1}, {"name": "b", "value": 0}],
    },
}


class Connection:
    """A client that keeps its connection and costs little itself."""

    def __init__(self, api: Api) -> None:
        self._http = http.client.HTTPConnection("127.0.0.1", api.live.port, timeout=30)
        self._token = f"Bearer {api.live.tokens[api.name]}"

    def close(self) -> None:
        """Hang up; the next request connects again."""
        self._http.close()

    def get(self, path: str) -> bytes:
        """Read; anything but 200 is an error."""
        self._http.request("GET", path, headers={"Authorization": self._token})
        return self._answer(200)

    def submit(self, body: bytes) -> str:
        """Queue a job under a new key; answer its id."""
        return str(self._post("/api/v1/jobs", body)["id"])

    def submit_many(self, body: bytes) -> int:
        """Queue jobs under a new key; answer how many."""
        return int(self._post("/api/v1/jobs/many", body)["accepted"])

    def _post(self, path: str, body: bytes) -> dict[str, Any]:
        headers = {
            "Authorization": self._token,
            "Content-Type": "application/json",
            "Idempotency-Key": uuid.uuid4().hex,
        }
        self._http.request("POST", path, body, headers)
        answer: dict[str, Any] = json.loads(self._answer(202))
        return answer

    def _answer(self, status: int) -> bytes:
        answer = self._http.getresponse()
        content = answer.read()
        if answer.status != status:
            raise RuntimeError(f"{answer.status} instead of {status}: {content[:500]!r}")
        return content


def measure_requests(live: LiveGateway, times: int) -> list[Row]:
    """Measure with eight clients at once, each sending its next request when it has an answer."""
    api = live.user()
    connections = [Connection(api) for _ in range(CLIENTS)]
    sample = api.wait(
        api.submit(problem={"id": api.problem(LINE)["id"]}, options={"fit": "lm"})["id"]
    )
    _occupy(api)
    settings = load_settings(live.environment)
    gateway = open_gateway(settings)
    fit = json.dumps({"problem": {"id": api.problem(LINE)["id"]}, "options": {"fit": "lm"}})
    dummy = json.dumps({"kind": "dummy", "options": {"seconds": 0, "steps": 1}})
    rows = []
    floor = _parallel([partial(one.get, "/healthz") for one in connections], times)
    rows += milliseconds("GET /healthz, 8 clients (floor)", floor, (None, None))
    store = [partial(gateway.redis.set, f"bench:{number}", "x") for number in range(CLIENTS)]
    rows += milliseconds(
        "SET, fsync always, 8 clients (floor)", _parallel(store, times), (None, None)
    )
    for name, body in (("a fit", fit), ("a dummy", dummy)):
        took = _parallel([partial(one.submit, body.encode()) for one in connections], times)
        ratio = percentile(took, 50) / percentile(floor, 50)
        rows += milliseconds(
            f"POST of {name}, 8 clients", took, (15, 50), f"{ratio:.1f} x the floor"
        )
        each = [partial(one.submit, body.encode()) for one in connections]
        paced = in_parallel(each, times, pause_s=CLIENTS / _PER_S)
        title = f"POST of {name}, 8 clients, {_PER_S} a second"
        rows += milliseconds(title, paced, (15, 50))
        one = in_parallel([partial(connections[0].submit, body.encode())], times)
        rows += milliseconds(f"POST of {name}, 1 client", one, (None, None))
    rows += _measure_reading(sample["id"], connections[0], gateway, times)
    gateway.redis.close()
    return rows


def _occupy(api: Api) -> None:
    """Fill this computer's processors with a job that sleeps: here a cluster would do the work."""
    job = api.submit(
        kind="dummy", options={"seconds": 3600}, resources={"cpus_per_task": os.cpu_count()}
    )
    api.wait_for_state(job["id"], "RUNNING")


def _measure_reading(id: str, connection: Connection, gateway: Gateway, times: int) -> list[Row]:
    read = in_parallel([partial(connection.get, f"/api/v1/jobs/{id}")], times * 2)
    fill(gateway, id, LISTED)
    connection.close()  # the server has, meanwhile
    listed = in_parallel([partial(connection.get, "/api/v1/jobs?limit=50")], times)
    return [
        *milliseconds("GET of a job", read, (5, None)),
        *milliseconds(f"GET of 50 among {LISTED} jobs", listed, (None, 50)),
    ]


def fill(gateway: Gateway, id: str, number: int) -> None:
    """Fill the store with copies of a finished job until its owner has so many jobs."""
    store = gateway.job_store
    sample = store.get(id)
    for _ in range(number - store.count(sample.owner)):
        store.add(replace(sample, id=new_id(), version=0, keys={}))


def _parallel(requests: Sequence[Callable[[], object]], times: int) -> list[float]:
    in_parallel(requests, _WARM)
    return in_parallel(requests, times)
