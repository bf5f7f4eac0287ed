"""Jobs tell of their beginnings and ends themselves: nobody asks their scheduler for it often."""

from __future__ import annotations

from datetime import timedelta

import pytest

from gateway.jobs.decide import Evidence
from gateway.jobs.inquiry import UNBEGUN_AT_ONCE, Inquiry, take_turn
from gateway.jobs.models import Stage, Tracking
from gateway.jobs.outcome import missing
from gateway.records import now
from gateway.settings import load_settings
from tests.jobs.making import make_job
from tests.live import live_gateway

_HOUR = "3600"


def test_what_begins_and_ends_between_two_questions_is_known_within_seconds() -> None:
    """All but the first wait when the scheduler is asked, which is once."""
    with live_gateway(
        GATEWAY_CLUSTERS__LOCAL__LOOK_S=_HOUR,
        GATEWAY_CLUSTERS__LOCAL__LOOK_MOST_S=_HOUR,
        GATEWAY_CLUSTERS__LOCAL__CALLS_PER_MINUTE="0",
        GATEWAY_CLUSTERS__LOCAL__FOLLOW_S="0.2",
        GATEWAY_CLUSTERS__LOCAL__CPUS="1",
    ) as live:
        api = live.user()
        options = {"seconds": 1, "steps": 2}
        jobs = [api.submit(kind="dummy", options=options)["id"] for _ in range(3)]
        ends = [api.wait(job, within_s=60) for job in jobs]
        assert [end["state"] for end in ends] == ["COMPLETED"] * 3


def test_of_many_that_wait_the_newest_are_looked_at_each_time_and_all_in_turn() -> None:
    """A fit that was submitted behind a thousand that wait may begin and end at once."""
    waiting = [make_job() for _ in range(3 * UNBEGUN_AT_ONCE + 7)]
    looked: list[str] = []
    first = 0
    for _ in range(3):
        turn, first = take_turn(waiting, first)
        ids = [job.id for job in turn]
        assert ids[:UNBEGUN_AT_ONCE] == [job.id for job in waiting[-UNBEGUN_AT_ONCE:]]
        assert len(set(ids)) == len(ids) <= 2 * UNBEGUN_AT_ONCE
        looked += ids

    assert set(looked) == {job.id for job in waiting}
    assert take_turn(waiting, first)[0] == take_turn(waiting, 0)[0], "it begins again"
    assert take_turn(waiting[:3], first) == (waiting[:3], UNBEGUN_AT_ONCE)
    assert take_turn([], first)[0] == []


@pytest.mark.parametrize(
    ("tracking", "polls", "minutes", "long"),
    [
        (Tracking.UNCONFIRMED, 3, 10.1, True),
        (Tracking.LOST, 3, 10.1, True),
        (Tracking.UNCONFIRMED, 2, 600.0, False),
        (Tracking.UNCONFIRMED, 600, 9.9, False),
        (Tracking.STALE, 600, 600.0, False),
    ],
)
def test_ten_minutes_and_three_answers_without_a_job_are_needed_before_its_files_decide(
    tracking: Tracking, polls: int, minutes: float, *, long: bool
) -> None:
    inquiry = Inquiry(load_settings({"HOME": "/nonexistent"}, with_secret=False))
    job = make_job(
        stage=Stage.SUBMITTED,
        native_id="7",
        tracking=tracking,
        missing_polls=polls,
        tracking_since=now() - timedelta(minutes=minutes),
    )
    assert inquiry.evidence(job, {}).absent_long is long
    assert inquiry.evidence(job, None) == Evidence(), "who does not answer says nothing"
    since = missing(job).attempt.tracking_since
    assert since is not None
    begins_anew = tracking is Tracking.STALE
    assert (now() - since < timedelta(minutes=1)) is begins_anew, "hours of silence do not count"
