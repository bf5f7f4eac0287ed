"""Who goes to a cluster next, and who waits in the gateway."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.jobs.line import InLine, LineLimits, cpus_of, in_line
from gateway.jobs.models import Job, Stage, Tracking, Wish
from tests.jobs.making import THEN, make_job


def make(owner: str, minute: int, stage: Stage = Stage.NONE, **changes: Any) -> Job:
    return make_job(owner=owner, stage=stage, asked=THEN + timedelta(minutes=minute), **changes)


def there(owner: str, count: int, **changes: Any) -> list[Job]:
    return [make(owner, number, Stage.SUBMITTED, **changes) for number in range(count)]


def test_without_limits_nobody_waits() -> None:
    assert in_line([make("ada", minute) for minute in range(5)], LineLimits()) == {}


def test_a_user_with_as_many_as_may_be_waits_and_others_do_not() -> None:
    first, second, other = make("ada", 1), make("ada", 2), make("bob", 3)
    waiting = in_line([*there("ada", 2), second, other, first], LineLimits(jobs_per_user=2))
    assert {name: row.place for name, row in waiting.items()} == {first.id: 1, second.id: 2}
    assert waiting[first.id].text == (
        "Waits in the gateway: 2 of your jobs are at local, as many as may be at once. "
        "Place 1 in line."
    )


def test_who_has_fewest_there_goes_first() -> None:
    many = [make("ada", minute) for minute in range(4)]
    one = make("bob", 9)
    waiting = in_line([*there("ada", 2), *many, one], LineLimits(jobs=3))
    assert one.id not in waiting
    assert [waiting[job.id].place for job in many] == [1, 2, 3, 4]


def test_a_place_that_is_free_is_given_to_the_oldest() -> None:
    jobs = [make("ada", minute) for minute in (3, 1, 2)]
    waiting = in_line(jobs, LineLimits(jobs_per_user=1))
    assert [waiting.get(job.id) and waiting[job.id].place for job in jobs] == [2, None, 1]


def test_who_gives_up_waits_for_nothing() -> None:
    for wish in (Wish.CANCEL, Wish.STOP):
        job = make("ada", 1, wish=wish)
        assert in_line([*there("ada", 1), job], LineLimits(jobs_per_user=1)) == {}


@pytest.mark.parametrize("stage", [Stage.STAGED, Stage.UNCERTAIN, Stage.SUBMITTED])
def test_what_may_be_over_there_counts(stage: Stage) -> None:
    job = make("ada", 2)
    assert set(in_line([make("ada", 1, stage), job], LineLimits(jobs_per_user=1))) == {job.id}


def test_processors_of_all_elements_count() -> None:
    array = make("ada", 1, resources={"cpus_per_task": 2}, tasks=6)
    assert cpus_of(array) == 12
    assert in_line([array], LineLimits(cpus_per_user=4)) == {}, "alone it may be of any size"
    small = make("ada", 2, resources={"cpus_per_task": 1})
    waiting = in_line([array, small], LineLimits(cpus_per_user=4))
    assert "12 processors, and with this one's 1" in waiting[small.id].text


def test_far_places_are_told_roughly() -> None:
    texts = [InLine(place=place, why="w").text.rpartition(". ")[2] for place in (20, 21, 99, 4321)]
    assert texts == [
        "Place 20 in line.",
        "More than 20 go first.",
        "More than 90 go first.",
        "More than 4000 go first.",
    ]


_ROWS = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(0, 50), st.sampled_from(list(Stage)[:4])),
    max_size=30,
)


@given(rows=_ROWS, total=st.integers(0, 6), each=st.integers(0, 4))
def test_limits_hold_and_nobody_waits_without_need(
    rows: list[tuple[str, int, Stage]], total: int, each: int
) -> None:
    jobs = [make(*row) for row in rows]
    waiting = in_line(jobs, LineLimits(jobs=total, jobs_per_user=each))
    over = [job for job in jobs if job.id not in waiting]
    new = [job for job in over if job.attempt.stage is Stage.NONE]
    for job in new:
        assert not total or len(over) <= total
        assert not each or sum(one.owner == job.owner for one in over) <= each
    for job in jobs:
        if job.id in waiting:
            full = total and len(over) >= total
            assert full or (each and sum(one.owner == job.owner for one in over) >= each)
    assert sorted(row.place for row in waiting.values()) == list(range(1, len(waiting) + 1))


def test_what_has_ended_and_whose_directory_is_away_keeps_nobody_waiting() -> None:
    ended = make("ada", 1, Stage.SUBMITTED, results_wait_since=THEN)
    assert in_line([ended, make("ada", 2)], LineLimits(jobs=1)) == {}


def test_what_is_lost_keeps_nobody_waiting() -> None:
    lost = make("ada", 1, Stage.SUBMITTED, tracking=Tracking.LOST, tasks=4)
    for limits in (LineLimits(jobs=1), LineLimits(tasks=2), LineLimits(cpus_per_user=1)):
        assert in_line([lost, make("ada", 2)], limits) == {}
    unsure = lost.with_attempt(tracking=Tracking.UNCONFIRMED)
    assert in_line([unsure, make("ada", 2)], LineLimits(jobs_per_user=1)) != {}
