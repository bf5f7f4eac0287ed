"""A job is followed to its end over lines that break."""

from __future__ import annotations

import json
from collections.abc import Iterator
from time import monotonic
from typing import Any

import pytest
from bumps_remote.config import Server
from bumps_remote.errors import AuthError, NotFoundError, WaitTimeoutError
from bumps_remote.events import Event, Follower, parse_events
from bumps_remote.transport import Patience, Transport

from tests.client.site import JOB_ID, TOKEN, Misbehaving, Reply, Seen, job_document

STREAM = f"/jobs/{JOB_ID}/events"
JOB = f"/jobs/{JOB_ID}"
RUNNING = job_document(state="RUNNING", final=False)
ENDED = job_document()


@pytest.fixture
def line(site: Misbehaving) -> Iterator[Transport]:
    transport = Transport(Server(url=site.url, token=TOKEN), Patience(total_s=3, first_s=0.01))
    yield transport
    transport.close()


def sse(*events: tuple[str, str, Any], **rest: Any) -> Reply:
    """Answer with events of (id, name, data)."""
    text = "retry: 3000\n\n" + "".join(
        f"id: {key}\nevent: {name}\ndata: {json.dumps(data)}\n\n" for key, name, data in events
    )
    return Reply(body=text.encode(), headers={"Content-Type": "text/event-stream"}, **rest)


def names(events: list[Event]) -> list[str]:
    return [event.event for event in events]


def test_a_job_is_followed_to_its_end(site: Misbehaving, line: Transport) -> None:
    site.on(
        "GET", STREAM, sse(("1", "job", RUNNING), ("2", "step", {"step": 1}), ("3", "job", ENDED))
    )

    events = list(Follower(line, JOB_ID))

    assert names(events) == ["job", "step", "job"]
    assert events[-1].final


def test_a_cut_stream_goes_on_where_it_was(site: Misbehaving, line: Transport) -> None:
    site.on(
        "GET",
        STREAM,
        sse(("1", "job", RUNNING), ("2", "step", {"step": 1}), length=100_000, cut_after=100_000),
        sse(("3", "step", {"step": 2}), ("4", "job", ENDED)),
    )

    events = list(Follower(line, JOB_ID))

    assert names(events) == ["job", "step", "step", "job"]
    assert [seen.headers.get("Last-Event-ID") for seen in site.asked("GET", STREAM)] == [None, "2"]


def test_an_event_that_was_cut_off_is_not_read_by_half(site: Misbehaving, line: Transport) -> None:
    whole = sse(("1", "step", {"step": 1}), ("2", "step", {"step": 2}))
    cut = Reply(body=whole.content()[:-8], headers=whole.headers, length=100_000, cut_after=100_000)
    site.on("GET", STREAM, cut, sse(("2", "step", {"step": 2}), ("3", "job", ENDED)))

    steps = [event.data["step"] for event in Follower(line, JOB_ID) if event.event == "step"]

    assert steps == [1, 2]


@pytest.mark.parametrize(
    "refusal",
    [
        Reply(status=429, body={"detail": "too many streams"}),
        Reply(status=503),
        Reply(body=b"<html>", headers={"Content-Type": "text/html"}),
        Reply(cut_after=-1),
        sse(),
    ],
)
def test_without_a_stream_the_job_is_asked_for(
    site: Misbehaving, line: Transport, refusal: Reply
) -> None:
    site.on("GET", STREAM, refusal)
    tagged = Reply(body=RUNNING, headers={"ETag": '"one"'})

    def unchanged(seen: Seen) -> Reply:
        assert seen.headers["If-None-Match"] == '"one"'
        return Reply(status=304)

    site.on("GET", JOB, tagged, unchanged, Reply(status=503), Reply(body=ENDED))

    events = list(Follower(line, JOB_ID))

    assert [event.data["state"] for event in events] == ["RUNNING", "COMPLETED"]


def test_the_time_to_wait_ends_though_the_server_says_nothing(
    site: Misbehaving, line: Transport
) -> None:
    site.on("GET", STREAM, sse(("1", "job", RUNNING)))
    site.on("GET", JOB, Reply(body=RUNNING))
    began = monotonic()

    with pytest.raises(WaitTimeoutError, match=r"not ended within 0.3 s"):
        list(Follower(line, JOB_ID, 0.3))

    assert monotonic() - began < 3


def test_a_job_that_is_gone_or_a_token_that_ended_stops_the_following(
    site: Misbehaving, line: Transport
) -> None:
    with pytest.raises(NotFoundError):
        list(Follower(line, JOB_ID))
    site.on("GET", STREAM, Reply(status=401, body={"detail": "expired"}))
    with pytest.raises(AuthError):
        list(Follower(line, JOB_ID))


def test_lines_that_are_no_events_are_passed_over() -> None:
    lines = [
        ": ping",
        "",
        "data: {broken",
        "",
        "data: [1]",
        "",
        "nonsense",
        "",
        'data: {"a":',
        "data: 1}",
        "",
    ]

    assert [event.data for event in parse_events(lines)] == [{"a": 1}]
