"""Jobs tell of their beginnings and ends themselves: nobody asks their scheduler for it often."""

from __future__ import annotations

from gateway.jobs.inquiry import UNBEGUN_AT_ONCE, take_turn
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
