"""How often a cluster is asked: by an injected clock, never by waiting."""

from __future__ import annotations

from itertools import pairwise

import pytest

from gateway.jobs.pace import Pace, PaceLimits

SLURM = PaceLimits(least_s=15.0, most_s=120.0, calls_per_minute=6)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def questions(pace: Pace, clock: Clock, seconds: float, *, changed: bool = False) -> list[float]:
    """Look ten times a second, ask when due, and answer when that was."""
    begun, times = clock.now, []
    while clock.now - begun < seconds:
        if pace.due():
            times.append(clock.now - begun)
            pace.asked(changed=changed)
        clock.now = round(clock.now + 0.1, 1)
    return times


def test_the_first_question_is_asked_at_once(clock: Clock) -> None:
    assert Pace(SLURM, clock).due()


def test_while_things_change_it_keeps_its_least_distance(clock: Clock) -> None:
    times = questions(Pace(SLURM, clock), clock, 120, changed=True)

    assert times == pytest.approx([15 * n for n in range(8)], abs=1)


def test_while_nothing_changes_it_slows_down_to_the_greatest_distance(clock: Clock) -> None:
    times = questions(Pace(SLURM, clock), clock, 3600)
    pauses = [later - earlier for earlier, later in pairwise(times)]

    assert pauses[0] == pytest.approx(22.5, abs=0.2)
    assert [round(pause, 1) for pause in pauses] == sorted(round(pause, 1) for pause in pauses)
    assert pauses[-1] == pytest.approx(120, abs=0.2)


def test_a_change_makes_it_quick_again(clock: Clock) -> None:
    pace = Pace(SLURM, clock)
    questions(pace, clock, 1800)
    clock.now += 120
    pace.asked(changed=True)
    clock.now += 14.9
    assert not pace.due()
    clock.now += 0.2
    assert pace.due()


def test_an_end_seen_in_the_files_pulls_the_next_question_forward(clock: Clock) -> None:
    pace = Pace(SLURM, clock)
    pace.asked(changed=False)
    clock.now += 2
    pace.hurry()

    times = questions(pace, clock, 30)

    # The scheduler may not know of the end at once, so it is asked a few times more.
    assert times == pytest.approx([0.3, 1.3, 4.3], abs=0.25)


def test_nothing_is_asked_in_a_hurry_once_the_end_is_known(clock: Clock) -> None:
    pace = Pace(SLURM, clock)
    pace.asked(changed=True)
    pace.hurry()
    clock.now += 0.4
    assert pace.due()
    pace.asked(changed=True)
    pace.settle()

    assert questions(pace, clock, 20)[0] == pytest.approx(15.0, abs=0.25)


def test_an_end_every_twelve_seconds_is_known_at_once_within_the_calls_of_a_minute(
    clock: Clock,
) -> None:
    pace = Pace(SLURM, clock)
    late: list[float] = []
    for _ in range(50):
        pace.sooner()
        questions(pace, clock, 6)
        pace.hurry()
        ended = clock.now
        while not pace.due():
            clock.now = round(clock.now + 0.1, 1)
        late.append(clock.now - ended)
        pace.asked(changed=True)
        pace.settle()
        clock.now = max(clock.now, ended + 6)

    assert max(late) < 5


def test_a_beginning_pulls_a_question_forward_only_while_many_are_left(clock: Clock) -> None:
    pace = Pace(SLURM, clock)
    pace.asked(changed=False)
    pace.sooner()
    assert questions(pace, clock, 5) == pytest.approx([0.3], abs=0.15)
    pace.asked(changed=False)
    pace.sooner()
    assert questions(pace, clock, 5) == []


def test_a_storm_of_ends_does_not_exceed_the_calls_of_a_minute(clock: Clock) -> None:
    pace = Pace(SLURM, clock)
    asked: list[float] = []
    for _ in range(3000):
        pace.hurry()
        if pace.due():
            pace.asked(changed=True, calls=2)
            asked += [clock.now, clock.now]
        clock.now = round(clock.now + 0.1, 1)

    assert len(asked) > 20
    assert all(sum(1 for t in asked if t0 <= t < t0 + 60) <= 6 for t0 in asked)


def test_calls_for_something_else_take_from_the_same_minute(clock: Clock) -> None:
    pace = Pace(SLURM, clock)
    pace.spend(5)
    assert pace.due()
    pace.asked(changed=True)
    pace.hurry()
    assert questions(pace, clock, 59) == []
    assert questions(pace, clock, 5)[0] == pytest.approx(1.0, abs=0.25)


def test_what_is_urgent_goes_past_the_ceiling_once_in_five_seconds(clock: Clock) -> None:
    pace = Pace(SLURM, clock)
    pace.spend(6)
    asked: list[float] = []
    for _ in range(300):
        pace.hurry()
        assert not pace.due(), "what is not urgent waits"
        if pace.due(urgent=True):
            asked.append(clock.now - 1000)
            pace.asked(changed=True)
        clock.now = round(clock.now + 0.1, 1)

    assert asked == pytest.approx([0, 5, 10, 15, 20, 25], abs=0.5)


def test_on_ones_own_host_each_round_asks(clock: Clock) -> None:
    local = Pace(PaceLimits(least_s=0.0, most_s=0.0, calls_per_minute=0), clock)

    assert len(questions(local, clock, 10)) == pytest.approx(100, abs=1)


def test_where_calls_are_not_counted_each_beginning_pulls_a_question_forward(clock: Clock) -> None:
    pace = Pace(PaceLimits(least_s=15.0, most_s=120.0, calls_per_minute=0), clock)
    for _ in range(8):
        pace.asked(changed=False)
        pace.sooner()
        assert questions(pace, clock, 1) == pytest.approx([0.3], abs=0.15)
