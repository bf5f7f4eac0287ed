"""What happened to a job is told once, with who says so, and is as safe as the job."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis as redis_client

from gateway.jobs.history import history_of, is_cut, told_history, with_history
from gateway.jobs.models import Job, Stage, Tracking, Verdict, Wish
from gateway.jobs.store import JobStore
from gateway.records import from_document, to_document
from gateway.sidecars import Sidecars
from scheduler.base import JobState
from tests.jobs.making import THEN, make_attempt, make_job


def after(job: Job, **changes: Any) -> Job:
    """Write a job down, changed."""
    own = {name: changes.pop(name) for name in ("wish", "wish_by") if name in changes}
    return with_history(replace(job.with_attempt(**changes), **own))


def told(job: Job) -> list[tuple[str, str]]:
    """Say what is told, the oldest first."""
    return [(one.source, one.text) for one in reversed(history_of(job))]


@pytest.fixture
def handed_over() -> Job:
    job = with_history(make_job())
    job = after(job, stage=Stage.STAGED)
    job = after(job, stage=Stage.UNCERTAIN, try_number=1)
    return after(job, stage=Stage.SUBMITTED, native_id="17", source="squeue")


def test_a_life_is_told_in_its_order_with_who_says_so(handed_over: Job) -> None:
    started, ended = THEN + timedelta(seconds=60), THEN + timedelta(seconds=90)
    job = after(handed_over, state=JobState.RUNNING, reason_text="Running.", started=started)
    job = after(job, wish=Wish.STOP, wish_by="eve")
    job = after(job, state=JobState.COMPLETED, reason_text="Finished.", ended=ended, source="sacct")
    verdict = Verdict(code="converged", text="It converged <b>well</b>.")
    job = after(job, collected=True, dataset="d", verdict=verdict)
    assert told(job) == [
        ("ada", "Asked for."),
        ("the gateway", "Its files lie on local."),
        ("the gateway", "Try 1 goes to local; its answer is waited for."),
        ("the gateway", "The scheduler of local has it as 17."),
        ("squeue", "Running."),
        ("eve", "Asked to stop and keep its result."),
        ("sacct", "Finished."),
        ("the fit", "It converged <b>well</b>."),
        ("the gateway", "What it left was fetched and checked."),
    ]
    running = next(one for one in history_of(job) if one.text == "Running.")
    assert (running.when, running.late_s > 0) == (started, True)
    assert all(item["age_s"] >= 0 for item in told_history(job)["items"])


def test_what_is_seen_again_or_moves_up_in_line_is_no_event(handed_over: Job) -> None:
    job = after(handed_over, reason="InLine", reason_text="Waits. Place 9 in line.")
    count = len(job.history)
    job = after(job, reason_text="Waits. Place 8 in line.", observed=THEN)
    assert len(job.history) == count
    assert after(job, state=JobState.RUNNING, reason="").history[count]["text"]


def test_silence_and_its_end_are_events(handed_over: Job) -> None:
    job = after(handed_over, tracking=Tracking.STALE, error="no route to host")
    job = after(job, tracking=Tracking.FRESH)
    assert told(job)[-2:] == [
        ("the gateway", "local cannot be reached: no route to host"),
        ("the gateway", "local answers of it again."),
    ]


def test_a_directory_that_is_away_is_no_cluster_that_is(handed_over: Job) -> None:
    job = after(handed_over, stage=Stage.SUBMITTED, native_id="7", directory="/scratch/ada/1")
    count = len(told(job))
    job = after(job, tracking=Tracking.STALE, results_wait_since=THEN)
    job = after(job, error="connection refused")
    job = after(job, tracking=Tracking.UNCONFIRMED)
    text = "It has ended, and its directory /scratch/ada/1 cannot be read at the moment."
    assert told(job)[count:] == [("the gateway", text)], "once, whatever its cluster does meanwhile"
    fresh = {"tracking": Tracking.FRESH, "results_wait_since": None}
    assert told(after(job, **fresh))[-1] == ("the gateway", "local answers of it again.")
    closed = after(job, **fresh, state=JobState.FAILED, reason_text="Failed.", collected=True)
    assert [text for _, text in told(closed)[count + 1 :]] == ["Failed."]


def test_a_directory_that_could_not_be_made_ends_nothing(handed_over: Job) -> None:
    why = "its directory could not be made: no space"
    job = after(handed_over, tracking=Tracking.STALE, error=why)
    assert told(job)[-1] == ("the gateway", f"local cannot be reached: {why}")


def test_another_attempt_begins_anew(handed_over: Job) -> None:
    again = make_attempt(number=2, resumed_from=1, asked=THEN)
    job = with_history(replace(handed_over, attempts=(*handed_over.attempts, again)))
    assert told(job)[-1] == ("ada", "Asked to go on from attempt 1.")
    assert after(job, stage=Stage.STAGED).history[-1]["attempt"] == 2


def test_a_long_history_keeps_its_beginning_and_its_end(handed_over: Job) -> None:
    job = handed_over
    for number in range(300):
        job = after(job, reason=f"R{number}", reason_text=f"because of {number} " + "x" * 1000)
    texts = [one["text"] for one in job.history]
    assert (len(texts), texts[0], is_cut(job)) == (100, "Asked for.", True)
    assert texts[-1].startswith("because of 299")
    assert max(map(len, texts)) <= 400


def test_the_store_writes_it_and_reads_it_back_as_the_file_does(
    redis: redis_client.Redis, tmp_path: Path
) -> None:
    store = JobStore(redis, Sidecars(tmp_path / "jobs"))
    made = store.add(make_job())
    assert isinstance(made, Job)
    changed = store.change(made.id, lambda job: replace(job, title="another"))
    assert len(changed.history) == 1
    changed = store.change(made.id, lambda job: job.with_attempt(stage=Stage.STAGED))
    assert store.get(made.id).history == changed.history
    assert len(changed.history) == 2
    assert from_document(Job, to_document(changed)) == changed
    older = {name: value for name, value in to_document(changed).items() if name != "history"}
    assert told(from_document(Job, older)) == []
