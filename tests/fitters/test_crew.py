"""The workers of a task: a dead one is blamed on the element that it had begun, and on no other."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from fitters.crew import Crew

dying_forks: list[int] = []
"""How a fork ends, each entry once; kept by the parent before it forks."""


@pytest.fixture(scope="module", autouse=True)
def _forks_can_die() -> None:
    """Let the next forked process end before it does anything; there is no way to unregister."""

    def begin() -> None:
        if dying_forks:
            os._exit(dying_forks[0])

    os.register_at_fork(after_in_child=begin, after_in_parent=lambda: dying_forks.clear())


class Team:
    """A crew whose elements leave a file each, and whose workers can be killed when idle."""

    def __init__(
        self,
        folder: Path,
        count: int,
        *,
        do: Callable[[int], None] = lambda _index: None,
        each_round: Callable[[], None] = lambda: None,
        cpus: int = 1,
    ) -> None:
        self.failures: dict[int, str] = {}
        self.killed = 0
        self._folder = folder
        self._do = do
        self._each_round = each_round
        self.crew = Crew(
            self._one, self._failed, list(range(count)), cpus=cpus, stopping=self._round
        )

    def _one(self, index: int) -> None:
        with (self._folder / "done.txt").open("a") as file:
            file.write(f"{index}\n")
        self._do(index)

    def _failed(self, index: int, text: str) -> None:
        self.failures[index] = text

    def _round(self) -> bool:
        self._each_round()
        return False

    def kill_idle_once(self) -> None:
        """Kill the workers that wait for an element, and see them dead but not yet buried."""
        if self.killed:
            return
        idle = [worker.process for worker in self.crew.workers if worker.element is None]
        for process in idle:
            os.kill(process, signal.SIGKILL)
            os.waitid(os.P_PID, process, os.WEXITED | os.WNOWAIT)
        self.killed = len(idle)

    def done(self) -> list[int]:
        return [int(line) for line in (self._folder / "done.txt").read_text().split()]


@pytest.mark.parametrize("cpus", [1, 2])
def test_an_element_given_to_a_worker_that_died_idle_is_done_by_another(
    tmp_path: Path, cpus: int
) -> None:
    team = Team(tmp_path, 4, each_round=lambda: team.kill_idle_once(), cpus=cpus)

    team.crew.run()

    assert team.killed > 0
    assert team.failures == {}
    assert sorted(team.done()) == [0, 1, 2, 3]


def test_so_it_is_when_a_child_of_a_model_holds_the_pipe_of_the_dead_worker(
    tmp_path: Path,
) -> None:
    hold, end = os.pipe()

    def leave_a_child(index: int) -> None:
        if index == 0 and os.fork() == 0:
            os.close(end)
            os.read(hold, 1)
            os._exit(0)

    team = Team(tmp_path, 3, do=leave_a_child, each_round=lambda: team.kill_idle_once())
    try:
        team.crew.run()
    finally:
        os.close(end)
        os.close(hold)

    assert team.killed == 1
    assert team.failures == {}
    assert team.done() == [0, 1, 2]


def test_an_element_whose_worker_never_begins_is_given_out_twice_and_no_more(
    tmp_path: Path,
) -> None:
    ends = iter([7, 9, None, None])

    def before_a_fork() -> None:
        if not team.crew.workers and (end := next(ends)) is not None:
            dying_forks.append(end)

    team = Team(tmp_path, 2, each_round=before_a_fork)

    team.crew.run()

    assert list(team.failures) == [0]
    assert "died twice before it began, the last time by exit code 9" in team.failures[0]
    assert team.done() == [1]


def test_an_element_that_was_begun_is_never_done_again(tmp_path: Path) -> None:
    def crash(index: int) -> None:
        if index == 1:
            os.kill(os.getpid(), signal.SIGKILL)

    team = Team(tmp_path, 3, do=crash)

    team.crew.run()

    assert list(team.failures) == [1]
    assert "SIGKILL" in team.failures[1]
    assert team.done() == [0, 1, 2]
