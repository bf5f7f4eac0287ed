"""What a job that waits for others makes of their ends, before any clock or cluster."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.ids import new_id
from gateway.jobs.dependencies import NEVER, WAITS, review
from gateway.jobs.models import Job
from scheduler.base import JobState
from tests.jobs.test_alarm import waiting


def follows(kind: str, *before: str) -> Job:
    return replace(waiting(WAITS), after=before, after_kind=kind).with_attempt(waits_for=before)


@pytest.mark.parametrize(
    ("kind", "ends"), [("afterany", False), ("afterok", True), ("afternotok", True)]
)
def test_a_deleted_job_has_ended_but_nobody_knows_how(kind: str, ends: bool) -> None:
    gone = new_id()
    seen = review(follows(kind, gone), {})
    assert seen.attempt.final is ends
    assert seen.attempt.waits_for == ()
    if ends:
        assert seen.attempt.reason == NEVER
        assert f"job {gone} was deleted" in (seen.attempt.reason_text or "")


def test_a_deleted_job_is_struck_out_while_another_is_waited_for() -> None:
    gone, running = new_id(), waiting("", state=JobState.RUNNING)
    seen = review(follows("afterany", gone, running.id), {running.id: running})
    assert not seen.attempt.final
    assert seen.attempt.waits_for == (running.id,)
