"""A deadline is kept even when what it is for does nothing at all."""

from __future__ import annotations

import threading
import time

import pytest

from scheduler.deadlines import Watchdog, within
from tests.helpers import eventually


def test_work_in_time_gives_its_answer_or_its_error() -> None:
    assert within(5, lambda: 42, "answer") == 42
    with pytest.raises(ZeroDivisionError):
        within(5, lambda: 1 // 0, "error")


def test_late_work_is_left_alone() -> None:
    held = threading.Event()
    begun = time.monotonic()
    with pytest.raises(TimeoutError, match=r"held: not within 0\.05 s"):
        within(0.05, lambda: held.wait(30), "held")
    assert time.monotonic() - begun < 5
    held.set()
    assert eventually(lambda: "held" not in [one.name for one in threading.enumerate()])


def test_what_takes_too_long_is_shut_once_and_what_is_in_time_never() -> None:
    dog, shut = Watchdog(), []
    with dog.watch(30, lambda: shut.append("long")):
        with dog.watch(0.05, lambda: shut.append("short")):
            assert eventually(lambda: shut == ["short"])
        with dog.watch(30, lambda: shut.append("quick")):
            pass
    with dog.watch(0.05, lambda: shut.append("later")):
        assert eventually(lambda: shut == ["short", "later"])


def test_one_that_hangs_while_it_shuts_holds_up_no_other() -> None:
    dog, held, shut = Watchdog(), threading.Event(), []

    def hang() -> None:
        held.wait(30)

    with dog.watch(0.02, hang), dog.watch(0.05, lambda: shut.append(1)):
        assert eventually(lambda: shut == [1])
    held.set()
