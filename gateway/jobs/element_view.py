"""The elements of an array as the pages show them: a cell each, while they run and afterwards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gateway.jobs.models import ElementProgress
from gateway.jobs.page_words import status_word, verdict_word
from gateway.jobs.result_view import ElementView

WAITING = "waiting"


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One element in the grid."""

    index: int
    label: str
    """Its name; empty where that is only its number."""

    word: str
    tone: str = ""
    chisq: float | None = None
    part: float | None = None
    """How much of its steps is done, from 0 to 1; None when it does not run or nobody knows."""

    text: str = ""
    """What it says of its end, or what went wrong."""

    t: float = 0.0
    """When it last told anything."""

    has_result: bool = False


@dataclass(frozen=True, kw_only=True)
class Grid:
    """All elements, and how many there are of each sort."""

    cells: tuple[Cell, ...]
    counts: Mapping[str, int]

    @property
    def version(self) -> list[object]:
        """What changes when the grid does."""
        return [dict(self.counts), max((cell.t for cell in self.cells), default=0.0)]


def running_grid(labels: Sequence[str], told: Mapping[int, ElementProgress]) -> Grid:
    """Show the elements of a job that has not ended, by what they told."""
    return _grid([_running_cell(index, name, told.get(index)) for index, name in enumerate(labels)])


def ended_grid(labels: Sequence[str], elements: Sequence[ElementView]) -> Grid:
    """Show the elements of a job that has ended, by their results; some may have left none."""
    by_index = {element.index: element for element in elements}
    return _grid(
        [_ended_cell(index, name, by_index.get(index)) for index, name in enumerate(labels)]
    )


def _grid(cells: list[Cell]) -> Grid:
    return Grid(cells=tuple(cells), counts=Counter(cell.word for cell in cells))


def _running_cell(index: int, label: str, told: ElementProgress | None) -> Cell:
    label = _name(index, label)
    if told is None:
        return Cell(index=index, label=label, word=WAITING, tone="idle")
    part = None
    if not told.ended and told.steps and told.steps > 0:
        part = min(1.0, max(0.0, told.step / told.steps))
    word = told.status
    return Cell(
        index=index,
        label=label,
        word=word,
        tone=status_word(word).tone if told.ended else "",
        chisq=told.chisq,
        part=part,
        text=told.text,
        t=told.t,
    )


def _ended_cell(index: int, label: str, element: ElementView | None) -> Cell:
    label = _name(index, label)
    if element is None:
        return Cell(index=index, label=label, word="no result", tone="bad")
    result = element.result
    word = verdict_word(result.code) if result.code else status_word(result.status)
    return Cell(
        index=index,
        label=label,
        word=word.text,
        tone=word.tone,
        chisq=result.chisq,
        text=result.text,
        has_result=True,
    )


def _name(index: int, label: str) -> str:
    return "" if label == str(index) else label
