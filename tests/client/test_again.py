"""Another attempt of a job that was asked for and got no answer is asked for once."""

from __future__ import annotations

from pathlib import Path

import pytest
from bumps_remote.journal import Entry, Journal, Repetition

from tests.client.site import (
    JOB_ID,
    Misbehaving,
    Reply,
    Seen,
    Shell,
    job_document,
    serve_submissions,
)

KILLED = -9
VERBS = ("resume", "rerun")


def serve_attempts(site: Misbehaving) -> None:
    """Add attempts as a gateway does: one for each key, and none while one is under way."""
    serve_submissions(site)
    attempts: dict[str, int] = {}

    def add(seen: Seen) -> Reply:
        number = attempts.setdefault(seen.key, len(attempts) + 2)
        return Reply(status=202, body=job_document(attempt=number))

    for verb in VERBS:
        site.on("POST", f"/jobs/{JOB_ID}/{verb}", add)


def asked(site: Misbehaving, verb: str) -> list[Seen]:
    return site.asked("POST", f"/jobs/{JOB_ID}/{verb}")


def entries(shell: Shell) -> list[Path]:
    return list(shell.journal.glob("*.json")) if shell.journal.exists() else []


def test_only_what_failed_of_an_array_is_asked_for(site: Misbehaving, shell: Shell) -> None:
    serve_attempts(site)
    shell.run("rerun", JOB_ID, "--failed", "--wall=2:00:00")
    shell.run("rerun", JOB_ID, "--new")
    bodies = [seen.json for seen in asked(site, "rerun")]
    assert [body.get("elements") for body in bodies] == ["failed", None]
    assert bodies[0]["resources"] == {"time": "2:00:00"}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("point", ["journaled", "sent", "answered"])
def test_a_laptop_that_dies_in_the_middle_finds_its_attempt(
    site: Misbehaving, shell: Shell, verb: str, point: str
) -> None:
    serve_attempts(site)
    command = (verb, JOB_ID, "--set", "samples=2e4", "--wall=4:00:00")

    shell.run(*command, code=KILLED, BUMPS_REMOTE_CRASH_AT=point)
    assert len(entries(shell)) == 1
    again = shell.run(*command)

    assert f"{JOB_ID}: attempt 2" in again.out
    assert "was begun" in again.err
    assert len({(seen.key, seen.body) for seen in asked(site, verb)}) == 1
    assert entries(shell) == []


def test_the_journal_shows_it_and_goes_on_with_it(site: Misbehaving, shell: Shell) -> None:
    serve_attempts(site)
    shell.run("resume", JOB_ID, code=KILLED, BUMPS_REMOTE_CRASH_AT="sent")

    shown = shell.run("journal")
    listed = shell.run("journal", "--json").json["entries"]
    done = shell.run("journal", "--continue", "--json").json

    assert f"resume of {JOB_ID}" in shown.out
    assert "may have been sent" in shown.out
    assert [(row["verb"], row["job"]) for row in listed] == [("resume", JOB_ID)]
    assert [job["attempt"] for job in done["jobs"]] == [2]
    assert len({seen.key for seen in asked(site, "resume")}) == 1
    assert entries(shell) == []


def test_what_was_answered_is_asked_for_anew_the_next_time(site: Misbehaving, shell: Shell) -> None:
    serve_attempts(site)

    outs = [shell.run("rerun", JOB_ID).out for _ in range(2)]

    assert ["attempt 2" in outs[0], "attempt 3" in outs[1]] == [True, True]


@pytest.mark.parametrize(
    "other",
    [("rerun", JOB_ID), ("resume", JOB_ID, "--seed=2"), ("resume", JOB_ID, "--set", "samples=9")],
)
def test_another_request_is_another_attempt(
    site: Misbehaving, shell: Shell, other: tuple[str, ...]
) -> None:
    serve_attempts(site)
    shell.run("resume", JOB_ID, code=KILLED, BUMPS_REMOTE_CRASH_AT="sent")

    assert "attempt 3" in shell.run(*other).out
    assert len(entries(shell)) == 1


def test_new_asks_for_another_attempt_in_spite_of_the_journal(
    site: Misbehaving, shell: Shell
) -> None:
    serve_attempts(site)
    shell.run("resume", JOB_ID, code=KILLED, BUMPS_REMOTE_CRASH_AT="sent")

    assert "attempt 3" in shell.run("resume", JOB_ID, "--new").out
    assert entries(shell) == []


@pytest.mark.parametrize(("status", "left", "code"), [(409, 0, 6), (404, 0, 6), (401, 1, 3)])
def test_a_refusal_for_good_is_struck_out_and_one_that_may_pass_is_kept(
    site: Misbehaving, shell: Shell, status: int, left: int, code: int
) -> None:
    serve_attempts(site)
    refusal = Reply(status=status, body={"detail": "it has not ended"})
    site.on("POST", f"/jobs/{JOB_ID}/resume", refusal)

    assert "it has not ended" in shell.run("resume", JOB_ID, code=code).err
    assert len(entries(shell)) == left


def test_a_repetition_is_found_by_its_content(tmp_path: Path) -> None:
    first = Repetition(url="u", user="kim", verb="resume", job=JOB_ID, body={"seed": 1})

    def begin(**change: object) -> Entry:
        return Journal(tmp_path).begin(Repetition(**{**vars(first), **change}))

    key = begin().key
    assert begin().draft == first
    assert begin().key == key
    others = [begin(user="lee"), begin(job="x"), begin(verb="rerun"), begin(body={})]
    assert len({key, *(entry.key for entry in others)}) == 5
