"""Wake the reconciler sooner than its next round, through RQ.

A nudge may get lost: the loop looks by itself. So nobody waits for it, a failure here is logged,
and the job is safe. One look sees all jobs, so many requests at once make one message, and
messages keep a distance: each costs as much of a processor as a request.
"""

from __future__ import annotations

import time
from contextlib import suppress
from functools import cached_property
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import Any

import redis
import structlog
from rq import Queue
from rq.serializers import JSONSerializer

from gateway.database import store_url
from gateway.settings import Settings

QUEUE = "nudges"
TASK = "gateway.worker.wake"
_TTL_S = 60
_DISTANCE_S = 0.5
_log = structlog.get_logger("nudge")


class Nudge:
    """Asks for a look at a job."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._wanted: SimpleQueue[str] = SimpleQueue()
        self._start = Lock()
        self._thread: Thread | None = None

    @cached_property
    def _queue(self) -> Any:
        # RQ keeps bytes of its own in Redis, so it gets a connection that decodes nothing.
        client = redis.Redis.from_url(store_url(self._settings), socket_timeout=2.0)
        return Queue(QUEUE, connection=client, serializer=JSONSerializer)

    def __call__(self, id: str) -> None:
        """Ask for a message on the queue."""
        self._wanted.put(id)
        with self._start:
            # Not before the first job: a thread does not survive the fork of the web server.
            if self._thread is None:
                self._thread = Thread(target=self._send_all, name="nudge", daemon=True)
                self._thread.start()

    def _send_all(self) -> None:
        while True:
            newest = self._wanted.get()
            with suppress(Empty):
                while True:
                    newest = self._wanted.get_nowait()
            self._send(newest)
            time.sleep(_DISTANCE_S)

    def _send(self, id: str) -> None:
        try:
            self._queue.enqueue(TASK, id, ttl=_TTL_S, result_ttl=0, failure_ttl=_TTL_S)
        except redis.RedisError as error:
            _log.warning("nudge lost; the loop will look by itself", job=id, error=str(error))
