"""Which tasks of an array run again, and what of it stays."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.datasets.models import FileRef
from gateway.jobs import ran
from gateway.jobs.part import Done, Part, busiest, part_of, told
from scheduler.directives import read_indices, write_indices
from tests.jobs.making import make_job


def ref(path: str) -> FileRef:
    return FileRef(path=path, digest=f"digest of {path}", size=1)


def done(elements: set[int], tasks: set[int]) -> Done:
    """Have elements that are done, and tasks that wrote their summary."""
    files = [ref(f"out/{index}/result.json") for index in sorted(elements)]
    files += [ref(f"result.{task}.json") for task in sorted(tasks)]
    return Done(chisq=dict.fromkeys(elements, 1.0), files=tuple(files))


def test_a_task_runs_again_when_one_of_its_elements_is_not_done() -> None:
    part = part_of(done({0, 1, 2, 4, 5, 6}, {0, 1, 2, 3}), elements=7, pack=2, before=2)
    assert part.indices == (1,)
    assert part.staged == {"2/result.json": "digest of out/2/result.json"}
    kept = {"out/0/result.json", "out/1/result.json", "result.0.json", "result.3.json"}
    assert {one.path for one in part.kept} >= kept
    assert part.elements == {0, 1, 4, 5, 6}
    assert busiest(part.staged, part.indices, 7, 2) == 1, "what is left of task 1"


def test_a_task_that_did_not_say_how_it_ended_runs_again() -> None:
    part = part_of(done({0, 1, 2, 3}, {1}), elements=4, pack=2, before=2)
    assert part.indices == (0,)
    assert sorted(part.staged) == ["0/result.json", "1/result.json"]


def test_tasks_with_other_elements_than_before_all_run() -> None:
    part = part_of(done({0, 1, 2}, {0, 1, 2}), elements=4, pack=2, before=1)
    assert (part.indices, part.kept) == ((), ())
    assert sorted(part.staged) == [f"{index}/result.json" for index in range(3)]


def test_what_stays_is_told_at_once() -> None:
    before = done({0, 2}, {0, 2})
    elements, progress = told(part_of(before, 3, 1, 1), before, 3, 7.0)
    assert {index: one.status for index, one in elements.items()} == {0: "done", 2: "done"}
    assert progress is not None
    assert (progress.step, progress.steps) == (2, 3)
    assert told(Part(), before, 3, 7.0) == ({}, None)


@given(st.sets(st.integers(0, 60)), st.integers(1, 60), st.integers(1, 9))
def test_each_element_is_done_once_and_only_once(ended: set[int], count: int, pack: int) -> None:
    ended = {index for index in ended if index < count}
    tasks = -(-count // pack)
    part = part_of(done(ended, set(range(tasks))), count, pack, pack)
    runs = {
        index
        for task in (part.indices or range(tasks))
        for index in range(task * pack, min(count, (task + 1) * pack))
    }
    staged = {int(name.partition("/")[0]) for name in part.staged}
    assert part.elements | runs == set(range(count)) or not part.indices
    assert not part.elements & runs or ended == set(range(count))
    assert runs - staged == set(range(count)) - ended or ended == set(range(count))


@given(st.sets(st.integers(0, 2000), min_size=1))
def test_indices_come_back_as_they_were(numbers: set[int]) -> None:
    assert read_indices(write_indices(numbers)) == tuple(sorted(numbers))


def test_a_part_counts_by_the_numbers_of_its_tasks() -> None:
    attempt = make_job(tasks=3, indices="3,17,40").attempt
    assert list(attempt.numbers) == [3, 17, 40]
    times = [(task, None, None) for task in attempt.numbers]
    assert ran.told(attempt, times)["elapsed_s"] is None
    begun = attempt.asked
    times_known = [(task, begun, begun) for task in attempt.numbers]
    assert ran.told(attempt, times_known)["elapsed_s"] == 0.0, "all that run are known"
    assert list(make_job(tasks=2).attempt.numbers) == [0, 1]
