"""Follow a job live: server-sent events, and questions where a proxy swallows them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import httpx

from bumps_remote.errors import UnreachableError, WaitTimeoutError
from bumps_remote.transport import Call, Document, Notice, Transport

JOB = "job"
"""Name of the event whose data are the whole job."""

_SILENCE_S = 40.0
"""The server says something at least every 15 s; after so long a silence the line is dead."""

_FAILURES = 3
_POLL_FIRST_S = 1.0
_POLL_LONGEST_S = 10.0
_LINE_BYTES = 4_000_000


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that happened to a job."""

    event: str
    data: Document
    id: str = ""

    @property
    def final(self) -> bool:
        """Whether nothing comes after it."""
        return self.event == JOB and bool(self.data.get("final"))


def parse_events(lines: Iterable[str]) -> Iterator[Event]:
    """Read server-sent events (WHATWG HTML); those whose data are no JSON object are left out.

    >>> list(parse_events(["id: 7", "event: step", 'data: {"n": 1}', ""]))
    [Event(event='step', data={'n': 1}, id='7')]
    """
    fields: dict[str, str] = {}
    for line in lines:
        if not line:
            if event := _event(fields):
                yield event
            fields = {}
            continue
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data" and "data" in fields:
            value = f"{fields['data']}\n{value}"
        if name in ("id", "event", "data") and len(value) < _LINE_BYTES:
            fields[name] = value
    # An event that was cut off has no empty line after it: it comes again.


def _event(fields: dict[str, str]) -> Event | None:
    try:
        data = json.loads(fields.get("data", ""))
    except ValueError:
        return None
    if not isinstance(data, dict):
        return None
    return Event(event=fields.get("event", "message"), data=data, id=fields.get("id", ""))


class Follower:
    """Follows one job until it has ended.

    Parameters
    ----------
    timeout_s
        How long to follow; None for as long as it takes.
    """

    def __init__(
        self,
        transport: Transport,
        job_id: str,
        timeout_s: float | None = None,
        notice: Notice | None = None,
    ) -> None:
        self._transport = transport
        self._id = job_id
        self._end = None if timeout_s is None else time.monotonic() + timeout_s
        self._timeout_s = timeout_s
        self._notice = notice or (lambda _text: None)
        self._last = ""

    def __iter__(self) -> Iterator[Event]:
        """Yield what happens; the last event is the job as it ended.

        Raises
        ------
        WaitTimeoutError
            When the time is over before the job.
        """
        failures = 0
        while failures < _FAILURES:
            before = self._last
            try:
                for event in self._stream():
                    yield event
                    if event.final:
                        return
            except _NoStreamError:
                break
            except httpx.TransportError:
                self._check_time()
            failures = 0 if self._last != before else failures + 1
            self._sleep(self._transport.patience.pause_s(failures))
        self._notice("no live events from there; asking now and again instead")
        yield from self._poll()

    def _stream(self) -> Iterator[Event]:
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
        if self._last:
            headers["Last-Event-ID"] = self._last
        with self._transport.stream(
            f"/jobs/{self._id}/events", headers, self._silence_s()
        ) as answer:
            if answer.status_code in (401, 403, 404):
                answer.read()
                raise self._transport.error_of(answer)
            kind = answer.headers.get("Content-Type", "")
            if not answer.is_success or not kind.startswith("text/event-stream"):
                raise _NoStreamError
            for event in parse_events(self._timed(answer.iter_lines())):
                self._last = event.id or self._last
                yield event

    def _timed(self, lines: Iterator[str]) -> Iterator[str]:
        for line in lines:
            self._check_time()
            yield line

    def _poll(self) -> Iterator[Event]:
        pause_s, etag = _POLL_FIRST_S, ""
        while True:
            headers = {"If-None-Match": etag} if etag else {}
            answer = self._transport.send(
                Call(method="GET", path=f"/jobs/{self._id}", headers=headers)
            )
            if answer.status_code != httpx.codes.NOT_MODIFIED:
                pause_s, etag = _POLL_FIRST_S, answer.headers.get("ETag", "")
                event = Event(event=JOB, data=_object(answer))
                yield event
                if event.final:
                    return
            self._sleep(pause_s)
            pause_s = min(_POLL_LONGEST_S, pause_s * 1.5)

    def _silence_s(self) -> float:
        if self._end is None:
            return _SILENCE_S
        return min(_SILENCE_S, max(0.05, self._end - time.monotonic()))

    def _sleep(self, pause_s: float) -> None:
        if self._end is not None:
            pause_s = min(pause_s, max(0.0, self._end - time.monotonic()))
        time.sleep(pause_s)
        self._check_time()

    def _check_time(self) -> None:
        if self._end is not None and time.monotonic() >= self._end:
            raise WaitTimeoutError(
                f"job {self._id} has not ended within {self._timeout_s:g} s; it goes on: "
                f"bumps-remote watch {self._id}"
            )


class _NoStreamError(Exception):
    """The server gives no stream now: ask instead."""


def _object(answer: httpx.Response) -> Document:
    try:
        document = answer.json()
    except ValueError as error:
        raise UnreachableError(f"the server sent a job that cannot be read: {error}") from error
    if not isinstance(document, dict):
        raise UnreachableError("the server sent a job that is no JSON object")
    return document
