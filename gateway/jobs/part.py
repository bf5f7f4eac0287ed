"""What of an array runs once more, and what of it stays as it is.

A task runs again when one of its elements is not done. The others are left out of the new array,
which has holes instead: numbers of tasks and of elements mean what they meant before. What the
tasks left that stay becomes a part of the new results without being sent anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.datasets.models import Dataset, FileRef
from gateway.jobs.models import ElementProgress, Progress
from gateway.jobs.result_view import ResultsView

_OUT = "out/"


@dataclass(frozen=True, kw_only=True)
class Done:
    """What an attempt of an array has brought to its end."""

    chisq: Mapping[int, float | None]
    """Of each element that is done."""

    files: tuple[FileRef, ...]
    """All that the attempt left."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """How an array runs in part."""

    indices: tuple[int, ...] = ()
    """The tasks that run; empty: all."""

    staged: Mapping[str, str] = field(default_factory=dict)
    """Name below ``out/`` -> digest: results of elements that share a task with one that runs."""

    kept: tuple[FileRef, ...] = ()
    """What the tasks left that do not run."""

    elements: frozenset[int] = frozenset()
    """The elements of those."""


def done_of(results: ResultsView, dataset: Dataset) -> Done:
    """Say what an attempt has brought to its end, by its results."""
    ended = {one.index: one.result for one in results.elements if one.result.status == "done"}
    chisq = {index: result.numbers.get("chisq") for index, result in ended.items()}
    return Done(chisq=chisq, files=dataset.files)


def part_of(done: Done, elements: int, pack: int, before: int) -> Part:
    """Say which tasks run once more.

    Parameters
    ----------
    pack
        How many elements a task does now.
    before
        How many it did when that was done: where it is another number, each task runs.
    """
    folders = {str(index): index for index in done.chisq}
    own = [(ref, folders.get(_folder(ref.path))) for ref in done.files]
    kept_tasks = _tasks_done(done, elements, pack) if pack == before else frozenset()
    summaries = {f"result.{task}.json" for task in kept_tasks}
    return Part(
        indices=tuple(task for task in range(-(-elements // pack)) if task not in kept_tasks)
        if kept_tasks
        else (),
        staged={
            ref.path.removeprefix(_OUT): ref.digest
            for ref, index in own
            if index is not None and index // pack not in kept_tasks
        },
        kept=tuple(
            ref
            for ref, index in own
            if ref.path in summaries or (index is not None and index // pack in kept_tasks)
        ),
        elements=frozenset(index for index in done.chisq if index // pack in kept_tasks),
    )


def _tasks_done(done: Done, elements: int, pack: int) -> frozenset[int]:
    """Find the tasks of which nothing is left to do, and that said so."""
    paths = {ref.path for ref in done.files}
    return frozenset(
        task
        for task, first in enumerate(range(0, elements, pack))
        if all(index in done.chisq for index in range(first, min(first + pack, elements)))
        and f"result.{task}.json" in paths
    )


def _folder(path: str) -> str:
    return path.removeprefix(_OUT).partition("/")[0] if path.startswith(_OUT) else ""


def told(
    part: Part, done: Done, elements: int, t: float
) -> tuple[dict[int, ElementProgress], Progress | None]:
    """Say of the elements that stay what their tasks will not tell again.

    Parameters
    ----------
    t
        When that is, in seconds since 1970.
    """
    ended = {
        index: ElementProgress(t=t, status="done", chisq=done.chisq[index])
        for index in sorted(part.elements)
    }
    if not ended:
        return {}, None
    return ended, Progress(t=t, step=len(ended), steps=elements, chisq=None)


def busiest(staged: Mapping[str, str], indices: tuple[int, ...], elements: int, pack: int) -> int:
    """Say how many elements are left to do in the task that has most of them."""
    done = {name.partition("/")[0] for name in staged}
    tasks = indices or range(-(-elements // pack))
    return max(
        sum(
            str(index) not in done for index in range(task * pack, min(elements, (task + 1) * pack))
        )
        for task in tasks
    )
