"""Hosts are asked seldom enough that they ban nobody; the clock is the test's own."""

from __future__ import annotations

import pytest

from scheduler.pacing import Breaker, Doors


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def breaker(clock: Clock, doors: Doors | None = None, *, drawn: float = 0.0) -> Breaker:
    return Breaker(doors or Doors(clock=clock), ["login:22"], lambda: drawn)


def fail(one: Breaker) -> float:
    """Make one attempt that fails; answer the wait after it."""
    assert one.knock() == 0
    one.failed()
    return one.knock()


def test_the_wait_doubles_up_to_a_minute(clock: Clock) -> None:
    one = breaker(clock)
    waits = []
    for _ in range(9):
        waits.append(fail(one))
        clock.now += 1000
    assert waits == [1, 2, 4, 8, 60, 60, 60, 60, 60]


def test_a_wait_is_shortened_by_up_to_a_half(clock: Clock) -> None:
    assert fail(breaker(clock, drawn=1.0)) == 0.5
    assert fail(breaker(clock, drawn=0.5)) == 0.75


def test_five_failures_open_it_and_time_lets_one_probe_in(clock: Clock) -> None:
    one = breaker(clock)
    for _ in range(4):
        fail(one)
        clock.now += 100
    assert one.state == "closed"
    fail(one)
    assert one.state == "open"
    clock.now += 59
    assert one.knock() == pytest.approx(1)
    clock.now += 1
    assert one.state == "half-open"
    assert one.knock() == 0
    one.succeeded()
    assert one.state == "closed"


def test_a_failed_probe_closes_the_door_again(clock: Clock) -> None:
    one = breaker(clock)
    for _ in range(6):
        fail(one)
        clock.now += 61
    assert fail(one) == 60
    assert one.state == "open"


def test_a_refused_key_waits_for_five_minutes(clock: Clock) -> None:
    one = breaker(clock)
    assert one.knock() == 0
    one.failed(refused=True)
    assert one.knock() == 300


@pytest.mark.parametrize("succeeds", [True, False])
def test_no_account_makes_more_than_two_attempts_a_minute(clock: Clock, succeeds: bool) -> None:
    one = breaker(clock, drawn=1.0)
    times = []
    while clock.now < 600:
        if one.knock() == 0:
            times.append(clock.now)
            if succeeds:
                one.succeeded()
            else:
                one.failed()
        clock.now += 0.25
    assert len(times) > 9
    assert all(third - first >= 60 for first, third in zip(times, times[2:], strict=False))


def test_no_host_is_asked_more_than_twice_a_minute_by_all_that_fail(clock: Clock) -> None:
    doors = Doors(clock=clock)
    accounts = [breaker(clock, doors, drawn=1.0) for _ in range(20)]
    times = []
    while clock.now < 600:
        for one in accounts:
            if one.knock() == 0:
                times.append(clock.now)
                one.failed()
        clock.now += 0.5
    assert len(times) > 9
    assert all(third - first >= 60 for first, third in zip(times, times[2:], strict=False))


def test_many_accounts_may_connect_at_once_when_that_succeeds(clock: Clock) -> None:
    doors = Doors(clock=clock)
    for one in [breaker(clock, doors) for _ in range(20)]:
        assert one.knock() == 0
        one.succeeded()


def test_another_host_is_another_matter(clock: Clock) -> None:
    doors = Doors(clock=clock)
    for _ in range(2):
        one = Breaker(doors, ["a:22"], lambda: 1.0)
        assert one.knock() == 0
    assert Breaker(doors, ["a:22"], lambda: 1.0).knock() == 60
    assert Breaker(doors, ["b:22"], lambda: 1.0).knock() == 0
    # Over a machine that may not be asked nobody gets to one that may.
    assert Breaker(doors, ["a:22", "c:22"], lambda: 1.0).knock() == 60
    assert Breaker(doors, ["c:22"], lambda: 1.0).knock() == 0
