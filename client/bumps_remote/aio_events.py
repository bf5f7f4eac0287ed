"""Follow a job live for ``async for``: what `events` does, given up at once when asked to.

A line that is read by a thread cannot be given up, so this one is read by the event loop itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from urllib.parse import urlsplit

import httpx

from bumps_remote.config import is_loopback
from bumps_remote.events import JOB, Event, parse_events
from bumps_remote.job import Job
from bumps_remote.transport import API, Transport

_SILENCE_S = 40.0
_FAILURES = 3
_POLL_FIRST_S = 1.0
_POLL_LONGEST_S = 10.0


async def follow(transport: Transport, job: Job) -> AsyncGenerator[Event, None]:
    """Yield what happens to a job; the last event is the job as it ended."""
    async with aclosing(_told(transport, job.id)) as told:
        async for event in told:
            if event.event == JOB:
                job.document = event.data
            yield event
            if event.final:
                return
    pause_s = _POLL_FIRST_S
    while True:
        # Who may not see the job, or whether there is one, is said by the answer to this question.
        await asyncio.to_thread(job.refresh)
        yield Event(event=JOB, data=job.document)
        if job.final:
            return
        await asyncio.sleep(pause_s)
        pause_s = min(_POLL_LONGEST_S, pause_s * 1.5)


async def _told(transport: Transport, job_id: str) -> AsyncGenerator[Event, None]:
    """Yield what the server tells by itself, until it no longer does."""
    failures, last = 0, ""
    while failures < _FAILURES:
        before = last
        try:
            async with aclosing(_stream(transport, job_id, last)) as stream:
                async for event in stream:
                    last = event.id or last
                    yield event
        except _NoStreamError:
            return
        except httpx.TransportError:
            pass  # it goes on from the last event
        failures = 0 if last != before else failures + 1
        await asyncio.sleep(transport.patience.pause_s(failures))


class _NoStreamError(Exception):
    """The server gives no stream now: ask instead."""


async def _stream(transport: Transport, job_id: str, last: str) -> AsyncGenerator[Event, None]:
    server = transport.server
    headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
    if server.token:
        headers["Authorization"] = f"Bearer {server.token}"
    if last:
        headers["Last-Event-ID"] = last
    host = urlsplit(server.url).hostname or ""
    async with (
        httpx.AsyncClient(
            base_url=server.url,
            timeout=httpx.Timeout(_SILENCE_S, connect=10.0),
            trust_env=not is_loopback(host),  # no proxy leads to this computer
            follow_redirects=False,  # the token is for this server and no other
        ) as client,
        client.stream("GET", f"{API}/jobs/{job_id}/events", headers=headers) as answer,
    ):
        kind = answer.headers.get("Content-Type", "")
        if not answer.is_success or not kind.startswith("text/event-stream"):
            raise _NoStreamError
        lines: list[str] = []
        async for line in answer.aiter_lines():
            lines.append(line)
            if not line:
                for event in parse_events(lines):
                    yield event
                lines = []
