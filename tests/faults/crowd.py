"""Clients that submit whatever happens, and keep a history of what they were told."""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.faults.watcher import Watcher
from tests.live import PLAIN, Api

_PATIENCE_S = 0.03
_OPEN_JOBS = 12
_CANCELLED_SHARE = 0.15


@dataclass
class History:
    """What the clients were told; the checks read it."""

    answers: dict[str, set[str]] = field(default_factory=dict)
    """Idempotency key -> the ids that were acknowledged for it."""

    cancelled: set[str] = field(default_factory=set)
    """Jobs whose cancellation was acknowledged."""

    unexpected: list[str] = field(default_factory=list)
    """Answers that neither acknowledge nor ask to come again."""

    requests: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def ids(self) -> set[str]:
        """All jobs that were acknowledged."""
        return {name for made in self.answers.values() for name in made}

    def acknowledge(self, key: str, id: str) -> None:
        """Keep an answer."""
        with self.lock:
            self.answers.setdefault(key, set()).add(id)


class Crowd:
    """Some clients in parallel; each submits, repeats until it is answered, and goes on."""

    def __init__(self, api: Api, watcher: Watcher, *, clients: int = 4, seed: int = 1) -> None:
        self.history = History()
        self._watcher = watcher
        self._api = api
        self._over = threading.Event()
        self._random = random.Random(seed)  # noqa: S311 - no secret
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(clients)]

    def __enter__(self) -> Crowd:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()

    def leave(self) -> None:
        """Finish what was begun, and submit no more."""
        self._over.set()
        for thread in self._threads:
            thread.join(timeout=120)

    def _run(self) -> None:
        with httpx.Client(
            base_url=str(self._api.http.base_url),
            headers=self._api.http.headers,
            timeout=10,
            verify=PLAIN,
        ) as http:
            while not self._over.is_set():
                if self._open_jobs() >= _OPEN_JOBS:
                    time.sleep(_PATIENCE_S)
                    continue
                self._one(http)

    def _open_jobs(self) -> int:
        return len(self.history.answers) - len(self._watcher.settled)

    def _one(self, http: httpx.Client) -> None:
        key, doomed = uuid.uuid4().hex, self._random.random() < _CANCELLED_SHARE
        options = {"seconds": 20 if doomed else 0, "steps": 1}
        send = {"json": {"kind": "dummy", "options": options}, "headers": {"Idempotency-Key": key}}
        job = self._until_answered(lambda: http.post("/jobs", **send), {202})  # type: ignore[arg-type]
        self.history.acknowledge(key, job["id"])
        if self._random.random() < _CANCELLED_SHARE:  # a double click, answered as the first one
            again = self._until_answered(lambda: http.post("/jobs", **send), {202})  # type: ignore[arg-type]
            self.history.acknowledge(key, again["id"])
        if doomed:
            time.sleep(self._random.random() / 2)
            # 409: it has ended by itself, as one does whose shepherd was killed.
            self._until_answered(lambda: http.post(f"/jobs/{job['id']}/cancel"), {202, 409})
            self.history.cancelled.add(job["id"])

    def _until_answered(
        self, send: Callable[[], httpx.Response], wanted: set[int]
    ) -> dict[str, Any]:
        while True:
            self.history.requests += 1
            try:
                answer = send()
            except httpx.TransportError:
                time.sleep(_PATIENCE_S)
                continue
            if answer.status_code in wanted:
                return dict(answer.json())
            if answer.status_code < 500:
                self.history.unexpected.append(f"{answer.status_code} {answer.text[:300]}")
            time.sleep(_PATIENCE_S)
