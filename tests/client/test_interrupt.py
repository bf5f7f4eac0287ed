"""Ctrl-C, whenever it comes: it is said what goes on without us, and nothing is lost."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator

import pytest

from tests.client.site import (
    JOB_ID,
    Misbehaving,
    Reply,
    Shell,
    job_document,
    serve_results,
    serve_submissions,
)
from tests.helpers import eventually


@pytest.fixture
def never() -> Iterator[threading.Event]:
    """Give what keeps an answer back for as long as the test takes."""
    event = threading.Event()
    yield event
    event.set()


def interrupted(shell: Shell, site: Misbehaving, method: str, path: str, *words: str) -> str:
    """Press Ctrl-C while a request waits for its answer; give what was said."""
    with shell.started(*words) as program:
        eventually(lambda: site.asked(method, path), what=f"{method} {path}")
        program.send_signal(signal.SIGINT)
        out, err = program.communicate(timeout=30)
    assert program.returncode == 130, out + err
    assert "Traceback" not in err
    return err


@pytest.mark.parametrize(
    ("words", "asks"),
    [
        (("watch",), f"/jobs/{JOB_ID}"),
        (("wait",), f"/jobs/{JOB_ID}"),
        (("watch", "--json"), f"/jobs/{JOB_ID}/events"),
        (("wait",), f"/jobs/{JOB_ID}/events"),
    ],
)
def test_looking_at_a_job_ends_and_the_job_goes_on(
    site: Misbehaving, shell: Shell, never: threading.Event, words: tuple[str, ...], asks: str
) -> None:
    site.on("GET", f"/jobs/{JOB_ID}", Reply(body=job_document(state="RUNNING", final=False)))
    site.on("GET", asks, Reply(wait=never))

    said = interrupted(shell, site, "GET", asks, words[0], JOB_ID, *words[1:])

    assert f"the job goes on; watch it: bumps-remote watch {JOB_ID}" in said
    assert not site.asked("POST", f"/jobs/{JOB_ID}/cancel")


def test_a_submission_that_is_interrupted_can_be_taken_up_again(
    site: Misbehaving, shell: Shell, never: threading.Event
) -> None:
    serve_submissions(site)
    whole = site.routes["POST", "/jobs"]
    site.on("POST", "/jobs", Reply(wait=never), whole)
    shell.write("model.py", "")

    said = interrupted(shell, site, "POST", "/jobs", "submit", "model.py")
    shell.run("submit", "model.py")

    assert "the same command finds its job or makes it" in said
    first, second = site.asked("POST", "/jobs")
    assert first.key == second.key
    assert first.body == second.body


@pytest.mark.parametrize(
    ("words", "asks", "said"),
    [
        (("logs", JOB_ID, "-f"), f"/jobs/{JOB_ID}/log", "the job goes on; watch it: "),
        (
            ("fetch", JOB_ID, "-o", "my results"),
            f"/jobs/{JOB_ID}/files/out/big",
            f"goes on from there by: bumps-remote fetch {JOB_ID} -o 'my results'",
        ),
        (("list",), "/jobs", "bumps-remote: interrupted"),
    ],
)
def test_what_is_left_behind_is_said_with_how_to_come_back(
    site: Misbehaving,
    shell: Shell,
    never: threading.Event,
    words: tuple[str, ...],
    asks: str,
    said: str,
) -> None:
    serve_results(site, {"out/big": b"x"})
    site.on("GET", asks, Reply(wait=never))

    assert said in interrupted(shell, site, "GET", asks, *words)
