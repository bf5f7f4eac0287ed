"""What to ask for next is computed from what was used, and never more than a site gives."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.clusters.settings import ClusterSettings
from gateway.jobs.advise import NextRequest, next_request
from gateway.jobs.models import Job, Progress
from gateway.jobs.page_words import time_left
from gateway.jobs.reported import fold_elements, fold_progress, read_events
from gateway.jobs.resource_schema import ResourcesSchema
from gateway.jobs.resources import parse_memory, parse_time
from scheduler.base import JobState
from tests.jobs.making import THEN, make_job

CLUSTER = ClusterSettings(scheduler="local", max_time="2-00:00:00", checkpoint_s=300.0)
HOUR = 3600.0


def ended(state: JobState, **changes: Any) -> Job:
    """Make a job that ended so after an hour."""
    resources = {"time": "0-01:00:00", "cpus_per_task": 1, **changes.pop("resources", {})}
    attempt = {"time_limit_s": HOUR, "started": THEN, "method": "dream", "collected": True}
    return make_job(state=state, resources=resources, **{**attempt, **changes})


def asked(job: Job, progress: Progress | None = None) -> NextRequest:
    found = next_request(job, progress, CLUSTER)
    assert found is not None
    ResourcesSchema().load(dict(found.resources))  # what is proposed is what may be asked for
    return found


def steps(step: int, steps: int | None, after_s: float = HOUR) -> Progress:
    return Progress(t=(THEN + timedelta(seconds=after_s)).timestamp(), step=step, steps=steps,
                    chisq=1.0)  # fmt: skip


def seconds(found: NextRequest) -> float:
    return parse_time(str(found.resources["time"])).total_seconds()


def test_without_steps_half_as_much_time_again_is_asked() -> None:
    found = asked(ended(JobState.TIMEOUT))
    assert (found.verb, found.resources) == ("rerun", {"time": "0-01:30:00"})
    assert found.why == "1 h were not enough: half as much time again."


def test_a_fit_that_goes_on_asks_for_the_time_of_what_is_left() -> None:
    found = asked(ended(JobState.TIMEOUT, resumable=True), steps(25, 100))
    assert found.verb == "resume"
    assert "25 of 100 steps in 1 h: the rest takes about 3 h." in found.why
    assert 3 * HOUR < seconds(found) < 4 * HOUR


def test_a_fit_that_begins_anew_asks_for_the_time_of_all_steps() -> None:
    found = asked(ended(JobState.TIMEOUT), steps(25, 100))
    assert found.verb == "rerun"
    assert 4 * HOUR < seconds(found) < 5.5 * HOUR


_NINES = "9" * 300
_T = THEN.timestamp() + HOUR


@pytest.mark.parametrize(
    ("t", "step", "most"),
    [("1e300", "3", _NINES), (_T, "3", _NINES), (_T, _NINES, _NINES), (_T, f"-{_NINES}", "1e12"),
     ("-1e300", "3", "4"), (_T, "3", "1e12"), (_T, "1e12", "1e12"), ("1e300", "3", "9")],
)  # fmt: skip
def test_no_number_that_a_job_tells_is_too_large(t: object, step: str, most: str) -> None:
    line = f'{{"event": "step", "element": 0, "t": {t}, "step": {step}, "steps": {most}}}'
    events = read_events(line.encode())
    told = [fold_progress(events, None)]
    told += [] if told[0] is None else [replace(told[0], steps=int(_NINES))]  # as kept long ago
    told += [Progress(t=1e300, step=3, steps=int(_NINES), chisq=None)]
    for progress in told:
        for resumable in (False, True):
            asked(ended(JobState.TIMEOUT, resumable=resumable), progress)
        running = make_job(state=JobState.RUNNING, started=THEN, method="dream")
        assert "inf" not in time_left(running, progress)
    element = fold_elements(events, {}, 1).get(0)
    assert element is None or element.steps is None or element.steps <= 10**12


def test_the_time_before_the_limit_in_which_a_fit_must_stop_is_added() -> None:
    found = asked(ended(JobState.TIMEOUT, resumable=True), steps(100, 105))
    # 3 minutes are left; a quarter of the limit is the lead, so 4 minutes would just do.
    assert seconds(found) >= 240


def test_a_stop_by_the_wall_time_counts_and_the_fits_own_limit_does_not() -> None:
    stopped = ended(JobState.COMPLETED, reason="TimeLimit", resumable=True)
    assert asked(stopped, steps(25, 100)).verb == "resume"
    own = replace(stopped, options={"fit": "dream", "time": 0.5})
    assert next_request(own, steps(25, 100), CLUSTER) is None


@pytest.mark.parametrize(
    "progress",
    [None, steps(1, 100), steps(100, 100), steps(5, None), steps(5, 100, -1)],
)
def test_steps_that_say_nothing_are_not_reckoned_with(progress: Progress | None) -> None:
    assert asked(ended(JobState.TIMEOUT, resumable=True), progress).resources == {
        "time": "0-01:30:00"
    }


def test_methods_that_may_end_sooner_are_not_reckoned_by_their_steps() -> None:
    found = asked(ended(JobState.TIMEOUT, method="amoeba"), steps(10, 10_000))
    assert found.resources == {"time": "0-01:30:00"}


def test_no_more_than_the_site_gives_is_asked() -> None:
    long = {"resources": {"time": "1-20:00:00"}, "time_limit_s": 44 * HOUR}
    found = asked(ended(JobState.TIMEOUT, **long))
    assert found.resources == {"time": "2-00:00:00"}
    assert found.why.endswith("This site gives a job at most 2 d.")
    whole = {"resources": {"time": "2-00:00:00"}, "time_limit_s": 48 * HOUR}
    assert next_request(ended(JobState.TIMEOUT, **whole), None, CLUSTER) is None
    # To go on makes sense with the same time as well.
    assert asked(ended(JobState.TIMEOUT, **whole, resumable=True)).verb == "resume"


def test_memory_goes_by_what_was_seen() -> None:
    found = asked(ended(JobState.OUT_OF_MEMORY, resources={"mem": "1024M"}, max_rss_bytes=3 << 30))
    assert found.resources == {"mem": "4096M"}  # 3.9 GB, rounded up
    assert found.why == "1024M were not enough: it had taken 3072M when it was ended."


def test_a_limit_that_was_just_passed_hides_how_much_is_needed() -> None:
    seen = (1 << 30) + 1
    found = asked(ended(JobState.OUT_OF_MEMORY, resources={"mem": "1024M"}, max_rss_bytes=seen))
    assert found.resources == {"mem": "2048M"}


def test_memory_that_nobody_measured_is_doubled() -> None:
    found = asked(ended(JobState.OUT_OF_MEMORY, resources={"mem": "512M"}))
    assert found.resources == {"mem": "1024M"}


def test_memory_for_each_processor_stays_so() -> None:
    resources = {"mem_per_cpu": "512M", "cpus_per_task": 4}
    found = asked(ended(JobState.OUT_OF_MEMORY, resources=resources, max_rss_bytes=4 << 30))
    assert found.resources == {"mem_per_cpu": "1536M"}  # 1.3 GB, rounded up
    resources = {"mem_per_gpu": "512M", "gpus": "a100:4"}
    found = asked(ended(JobState.OUT_OF_MEMORY, resources=resources, max_rss_bytes=4 << 30))
    assert found.resources == {"mem_per_gpu": "1536M"}


def test_a_job_that_asked_for_no_memory_is_given_no_number() -> None:
    assert next_request(ended(JobState.OUT_OF_MEMORY), None, CLUSTER) is None


def test_a_record_that_asks_as_nobody_may_today_is_given_no_number() -> None:
    both = {"mem": "1G", "mem_per_gpu": "1G"}
    assert next_request(ended(JobState.OUT_OF_MEMORY, resources=both), None, CLUSTER) is None


@pytest.mark.parametrize("state", [JobState.NODE_FAIL, JobState.BOOT_FAIL, JobState.PREEMPTED])
@pytest.mark.parametrize("resumable", [False, True])
def test_what_the_machines_did_is_asked_for_once_more(state: JobState, resumable: bool) -> None:
    found = asked(ended(state, resumable=resumable))
    assert (found.verb, found.resources) == ("resume" if resumable else "rerun", {})


def test_what_an_earlier_click_changed_is_asked_for_again() -> None:
    first = ended(JobState.TIMEOUT)
    second = replace(
        first.attempt,
        number=2,
        state=JobState.NODE_FAIL,
        resources={**first.attempt.resources, "time": "0-01:30:00"},
    )
    found = asked(replace(first, attempts=(first.attempt, second)))
    assert found.resources == {"time": "0-01:30:00"}
    assert found.changed == ()


@pytest.mark.parametrize("state", [JobState.FAILED, JobState.CANCELLED, JobState.COMPLETED])
def test_other_ends_have_no_next_request(state: JobState) -> None:
    assert next_request(ended(state, max_rss_bytes=1 << 40), steps(5, 100), CLUSTER) is None


def test_a_job_that_runs_or_whose_cluster_is_gone_has_none() -> None:
    assert next_request(make_job(state=JobState.RUNNING), steps(5, 100), CLUSTER) is None
    assert next_request(ended(JobState.TIMEOUT), None, None) is None


@given(
    st.integers(-(2**40), 2**40),
    st.none() | st.integers(-(2**40), 2**70),
    st.floats(-1e18, 1e18),
    st.sampled_from(JobState),
    st.none() | st.integers(0, 2**62),
    st.booleans(),
)
def test_whatever_a_job_told_the_answer_can_be_asked_for(
    step: int, planned: int | None, t: float, state: JobState, rss: int | None, resumable: bool
) -> None:
    resources = {"mem": "100M"}
    job = ended(state, max_rss_bytes=rss, resumable=resumable, resources=resources)
    told = Progress(t=t, step=step, steps=planned, chisq=None)
    if found := next_request(job, told, CLUSTER):
        ResourcesSchema().load(dict(found.resources))
        if "time" in found.resources:
            assert timedelta(0) < parse_time(str(found.resources["time"])) <= timedelta(days=2)
        if "mem" in found.resources:
            assert parse_memory(str(found.resources["mem"])) >= 200 << 20


def test_a_job_that_was_killed_outright_gets_more_memory() -> None:
    """Slurm without cgroups has no other word for too much of it."""
    asked_1g = {"resources": {"mem": "1G"}, "signal": 9, "max_rss_bytes": 2 << 30}
    found = asked(ended(JobState.FAILED, **asked_1g))
    assert found.resources == {"mem": "2816M"}
    assert "1G were not enough" in found.why or "1024M were not enough" in found.why
    assert next_request(ended(JobState.FAILED, **{**asked_1g, "signal": 11}), None, CLUSTER) is None
    assert next_request(ended(JobState.FAILED, signal=9), None, CLUSTER) is None  # none was asked


@pytest.mark.parametrize(
    ("told", "kept"), [("123456", 123456), ('"1"', None), ("-1", None), ("1e300", None)]
)
def test_the_memory_that_a_job_tells_of_is_read_unless_it_cannot_be(
    told: str, kept: int | None
) -> None:
    line = f'{{"event": "step", "element": null, "t": {_T}, "step": 1, "max_rss_bytes": {told}}}'
    found = fold_progress(read_events(line.encode()), None)
    assert found is not None
    assert found.max_rss_bytes == kept
