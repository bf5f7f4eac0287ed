"""How far the elements of an array have got is known while it runs, whichever tasks run and end."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis as redis_client

from gateway.jobs.element_view import ended_grid, running_grid
from gateway.jobs.follow import Follower, Running
from gateway.jobs.live_store import LiveStore
from gateway.jobs.log_folder import LogFolder
from gateway.jobs.models import ElementProgress, Job
from gateway.jobs.reported import elements_told_of, fold_elements
from gateway.jobs.result_view import ElementView, read_result
from scheduler.base import Scheduler
from scheduler.connect import connect
from scheduler.local import stop_executor
from tests.jobs.making import make_job


@pytest.fixture
def scheduler(tmp_path: Path) -> Iterator[Scheduler]:
    state = tmp_path / "state"
    yield connect("local", {"state_directory": state, "cpus": 1})
    stop_executor(state)


@pytest.fixture
def live(redis: redis_client.Redis) -> LiveStore:
    return LiveStore(redis, 600)


class Array:
    """A job directory in which tasks tell of their elements."""

    def __init__(self, tmp_path: Path, live: LiveStore, scheduler: Scheduler, size: int) -> None:
        self.directory = tmp_path / "array"
        self.directory.mkdir()
        self.job: Job = make_job(elements=size, tasks=size, directory=str(self.directory))
        self.live, self.scheduler = live, scheduler
        self.follower = Follower(live, LogFolder(tmp_path / "logs", 10_000))
        self.t = 0.0

    def tell(self, index: int, event: str, **members: Any) -> None:
        self.t += 1
        line = json.dumps({"t": self.t, "event": event, "element": index, **members})
        with (self.directory / f"events.{index}.jsonl").open("a") as file:
            file.write(line + "\n")

    def follow(self, running: list[int], ended: list[int] | None = None) -> bool:
        asked = Running(job=self.job, running=running, ended=ended or [])
        (look,) = self.follower.look([asked])
        return self.follower.follow(self.scheduler, look)

    @property
    def told(self) -> dict[int, ElementProgress]:
        return self.live.elements(self.job.id)

    @property
    def count(self) -> tuple[int, int | None]:
        progress = self.live.progress(self.job.id)
        return (progress.step, progress.steps) if progress else (0, None)


@pytest.fixture
def array(tmp_path: Path, live: LiveStore, scheduler: Scheduler) -> Array:
    return Array(tmp_path, live, scheduler, 3)


def test_an_element_goes_from_start_over_steps_to_its_end(array: Array) -> None:
    array.tell(0, "start", steps=10, chisq=9.0)
    array.follow([0])
    assert array.told == {0: ElementProgress(t=1, steps=10, chisq=9.0)}
    array.tell(0, "step", step=4, steps=10, chisq=2.0)
    array.tell(1, "start", steps=None, chisq=None)
    array.follow([0, 1])
    assert (array.told[0].step, array.told[0].chisq, array.count) == (4, 2.0, (0, 3))
    array.tell(0, "end", status="done", chisq=1.0)
    array.tell(1, "message", level="error", text="no such file")
    array.tell(1, "end", status="failed", chisq=None)
    assert not array.follow([0, 1])
    assert (array.told[0].status, array.told[1].status) == ("done", "failed")
    assert (array.told[1].text, array.count) == ("no such file", (2, 3))


def test_what_a_task_told_last_is_read_though_it_has_ended_meanwhile(array: Array) -> None:
    array.tell(0, "start")
    array.follow([0])
    array.tell(0, "end", status="done", chisq=1.0)
    array.follow([1], ended=[0])
    assert array.told[0].status == "done"


def test_the_end_of_the_last_element_may_be_that_of_the_job(array: Array) -> None:
    for index in range(3):
        array.tell(index, "end", status="done", chisq=1.0)
    assert array.follow([0, 1, 2])
    assert array.count == (3, 3)
    assert not array.follow([0, 1, 2])  # nothing new


def test_a_task_that_begins_once_more_is_followed_once_more(array: Array) -> None:
    array.tell(0, "end", status="stopped", chisq=2.0)
    array.follow([], ended=[0])
    array.follow([], ended=[0])
    assert array.count == (1, 3)
    array.tell(0, "start", steps=5, chisq=2.0)
    array.follow([0])
    assert (array.told[0].status, array.count) == ("running", (0, 3))
    array.tell(0, "end", status="done", chisq=1.0)
    array.follow([], ended=[0])
    assert (array.told[0].status, array.count) == ("done", (1, 3))


def test_of_many_tasks_each_has_its_turn(
    tmp_path: Path, live: LiveStore, scheduler: Scheduler
) -> None:
    array = Array(tmp_path, live, scheduler, 200)
    for index in range(200):
        array.tell(index, "start")
    running, ended = list(range(150)), list(range(150, 200))
    for _ in range(6):
        array.follow(running, ended)
    assert sorted(array.told) == list(range(200))


def test_the_curves_of_elements_leave_the_stream_to_other_news(array: Array) -> None:
    array.tell(0, "start")
    for _ in range(5):
        array.tell(0, "curve", model=0, x=[1], y=[1], dy=[1], theory=[1])
    array.follow([0])
    assert [event for _, event, _ in array.live.events(array.job.id, "0", 1)] == ["start"]
    assert array.live.curves(array.job.id) == []


@pytest.mark.parametrize(
    "event",
    [
        {"event": "start", "element": 3},
        {"event": "start", "element": -1},
        {"event": "start", "element": True},
        {"event": "start", "element": "0"},
        {"event": "start", "element": None},
        {"event": "start"},
    ],
)
def test_events_of_elements_that_there_are_not_are_nobodys(event: dict[str, Any]) -> None:
    assert elements_told_of([{"t": 1.0, **event}], 3) == []


def test_an_end_that_nobody_knows_is_a_failure() -> None:
    end = {"t": 2.0, "event": "end", "element": 0, "status": "<b>", "chisq": "much"}
    assert fold_elements([end], {}, 1) == {0: ElementProgress(t=2.0, status="failed", chisq=None)}


def test_very_many_events_of_an_array_hold_nobody_up(
    tmp_path: Path, live: LiveStore, scheduler: Scheduler
) -> None:
    array = Array(tmp_path, live, scheduler, 200)
    ends = "".join(f'{{"t":1,"event":"end","element":{n % 200}}}\n' for n in range(5_000))
    for task in range(200):
        (array.directory / f"events.{task}.jsonl").write_text(ends)
    begun = time.monotonic()
    array.follow(list(range(200)))
    assert {state.status for state in array.told.values()} == {"failed"}
    array.follower.finish(scheduler, array.job)
    assert time.monotonic() - begun < 15.0  # at each event once for each element: 42
    assert (len(array.told), array.count) == (200, (200, 200))


def test_lines_that_are_too_many_for_one_look_are_read_in_the_next(array: Array) -> None:
    for step in range(1, 2_501):
        array.tell(0, "step", step=step)
    steps = []
    for _ in range(4):
        array.follow([0])
        steps.append(array.told[0].step)
    assert steps == [1_000, 2_000, 2_500, 2_500]


def test_the_grid_holds_every_element_once_whatever_it_told() -> None:
    told = {
        1: ElementProgress(t=5, step=2, steps=8),
        2: ElementProgress(t=6, status="done", chisq=1.5),
    }
    grid = running_grid(["0", "sample", "2", "3"], told)
    assert [cell.word for cell in grid.cells] == ["waiting", "running", "done", "waiting"]
    assert [cell.label for cell in grid.cells] == ["", "sample", "", ""]
    assert (grid.cells[1].part, grid.cells[2].part, grid.cells[2].chisq) == (0.25, None, 1.5)
    assert grid.counts == {"waiting": 2, "running": 1, "done": 1}


def test_an_element_without_a_result_is_not_left_out() -> None:
    result = read_result({"status": "done", "verdict": {"code": "at_limit", "text": "At b."}})
    grid = ended_grid(["0", "1"], [ElementView(index=1, result=result)])
    assert [(cell.word, cell.tone, cell.has_result) for cell in grid.cells] == [
        ("no result", "bad", False),
        ("at limit", "warn", True),
    ]
