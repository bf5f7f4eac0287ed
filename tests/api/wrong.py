"""What tests of refusals share: good requests to spoil, and proof that nothing else happened."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.live import Api

DATA = "1 2.1 0.1\n2 3.9 0.1\n3 6.2 0.1\n4 7.8 0.1\n"
CURVE: dict[str, Any] = {
    "name": "line",
    "type": "curve",
    "curve": {
        "data": {"text": DATA},
        "columns": {"x": 0, "y": 1, "dy": {"from": "column", "column": 2}},
        "expression": "a + b*x",
        "parameters": [{"name": "a", "value": 0.0}, {"name": "b", "value": 1.0}],
    },
}


def curve(**changes: Any) -> dict[str, Any]:
    """Make a good curve problem with some members of ``curve`` replaced."""
    document = copy.deepcopy(CURVE)
    document["curve"].update(changes)
    return document


def pointers(answer: httpx.Response, status: int = 422) -> dict[str, str]:
    """Read which fields a refusal names."""
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == status
    assert body["request_id"] == answer.headers["X-Correlation-ID"]
    return {error["pointer"]: error["detail"] for error in body.get("errors", [])}


def kept(api: Api) -> tuple[int, int, int]:
    """Count what a user has: jobs, problems, tokens."""
    return (
        int(api.http.get("/jobs").json()["total"]),
        len(api.http.get("/problems", params={"limit": 200}).json()["items"]),
        len(api.http.get("/tokens").json()["items"]),
    )


@contextmanager
def nothing_happens(api: Api, canary: Path) -> Iterator[None]:
    """Hold that nothing is kept and no command was run by what is sent within."""
    before = kept(api)
    yield
    assert kept(api) == before
    assert not canary.exists()
