"""Campaigns: one problem from many starts, or with parameters held at each of several values.

What is asked for becomes the elements of an array, with a small description of each, which
the fitter applies where the problem is loaded. Names and bounds that are known before are looked at
here, so that a slip of the pen costs no hour in a queue.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from gateway.errors import FieldError
from gateway.records import Document, is_number

TASKS = 20
"""So many tasks do an array of which nobody said how many elements a task takes."""

MOST = 1_000_000
_LABEL = 200
_SHOWN = 20
_SAME = 0.01
_KEPT = ("done", "stopped")


@dataclass(frozen=True, kw_only=True)
class KnownParameter:
    """What is known of a parameter before its problem is loaded."""

    fitted: bool = True
    low: float | None = None
    high: float | None = None
    """None: open, or not known."""


Known = Mapping[str, KnownParameter]


@dataclass(frozen=True, kw_only=True)
class Campaign:
    """What differs from element to element; one of the three."""

    random: int = 0
    """So many random starts, within bounds and priors."""

    starts: tuple[Mapping[str, float], ...] = ()
    """Start values by name; those that are not named are the problem's."""

    grid: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """Parameters, and the values at which each is held; all combinations."""

    @property
    def count(self) -> int:
        """How many elements there are."""
        if self.grid:
            return math.prod(len(values) for values in self.grid.values())
        return self.random or len(self.starts)

    @property
    def size(self) -> str:
        """Say how many, and where from."""
        if len(self.grid) > 1:
            lengths = " x ".join(str(len(values)) for values in self.grid.values())
            return f"{lengths} = {self.count} elements"
        return f"{self.count} elements"

    def elements(self) -> tuple[Document, ...]:
        """Write them out."""
        return tuple(
            {"label": label[:_LABEL], "files": {}, "args": None, "start": [], **own}
            for label, own in self._rows()
        )

    def _rows(self) -> Iterator[tuple[str, Document]]:
        if self.grid:
            for point in itertools.product(*self.grid.values()):
                fixed = dict(zip(self.grid, point, strict=True))
                label = ", ".join(f"{name}={_number(value)}" for name, value in fixed.items())
                yield label, {"fixed": fixed}
            return
        for index in range(self.random):
            yield f"start {index + 1}", {"shake": True}
        for index, values in enumerate(self.starts):
            yield f"start {index + 1}", {"values": dict(values)}


def campaign_errors(campaign: Campaign, known: Known | None, most: int) -> list[FieldError]:
    """Compare what is asked with the site and, where it is known, with the problem."""
    if campaign.count > most:
        text = f"{campaign.size} are more than this site takes in one job: at most {most}"
        return [FieldError(pointer="/campaign", detail=text)]
    if known is None:
        return []
    errors = [
        error
        for pointer, name, value in _given(campaign)
        if (error := _fault(pointer, name, value, known, every=bool(campaign.grid)))
    ]
    fitted = {name for name, parameter in known.items() if parameter.fitted}
    if fitted and fitted <= set(campaign.grid):
        text = "every fitted parameter is held: leave at least one to be fitted"
        errors.append(FieldError(pointer="/campaign/grid", detail=text))
    return list(dict.fromkeys(errors))


def _given(campaign: Campaign) -> Iterator[tuple[str, str, float]]:
    for name, values in campaign.grid.items():
        for index, value in enumerate(values):
            yield f"/campaign/grid/{_step(name)}/{index}", name, value
    for index, row in enumerate(campaign.starts):
        for name, value in row.items():
            yield f"/campaign/starts/{index}/{_step(name)}", name, value


def _fault(
    pointer: str, name: str, value: float, known: Known, *, every: bool
) -> FieldError | None:
    parameter = known.get(name)
    if parameter is None or not (every or parameter.fitted):
        names = [name for name, one in known.items() if every or one.fitted]
        shown = ", ".join(names[:_SHOWN]) + (" …" if len(names) > _SHOWN else "")
        what = "has" if every else "fits"
        text = f"the problem {what} no parameter {name[:80]!r}; it {what} {shown}"
        return FieldError(pointer=pointer.rpartition("/")[0] if every else pointer, detail=text)
    low = -math.inf if parameter.low is None else parameter.low
    high = math.inf if parameter.high is None else parameter.high
    if low <= value <= high:
        return None
    text = (
        f"{_number(value)} lies outside of the bounds {_number(low)} to {_number(high)} of {name}: "
        "widen them, or leave this value out"
    )
    return FieldError(pointer=pointer, detail=text)


def fit_pack(elements: int, pack: int | None, most_tasks: int) -> int:
    """Say how many elements a task does: what is asked, and more where the tasks would be too many.

    Parameters
    ----------
    pack
        What is asked; None: few enough tasks for a campaign of short fits.

    >>> fit_pack(100, None, 1000), fit_pack(3, None, 1000), fit_pack(2500, 1, 1000)
    (5, 1, 3)
    """
    wanted = pack or math.ceil(elements / TASKS)
    return max(1, wanted, math.ceil(elements / most_tasks))


def check_throttle(throttle: int | None, elements: int, tasks: int) -> list[FieldError]:
    """Refuse a limit on tasks at once that would limit nothing."""
    if throttle is None:
        return []
    if not elements:
        detail = f"{throttle} tasks at once, but one fit is one task: give elements or a campaign"
    elif throttle > tasks:
        detail = f"{throttle} at once are more than its tasks: at most {tasks}, or leave it out"
    else:
        return []
    return [FieldError(pointer="/throttle", detail=detail)]


def pack_warning(elements: int, asked: int | None, pack: int) -> str:
    """Say that more elements go to a task than was asked; empty where that is not so."""
    if asked is None or pack <= asked:
        return ""
    tasks = math.ceil(elements / pack)
    return (
        f"{elements} elements are more tasks than the cluster takes of one job: {pack} of them go "
        f"to each of {tasks} tasks, one after the other, and the time limit is for all {pack}."
    )


@dataclass(frozen=True, kw_only=True)
class Best:
    """The element with the least chi-square."""

    index: int
    label: str
    chisq: float
    same: int
    """How many others came as far, to one part in a hundred."""

    @property
    def text(self) -> str:
        """Name it.

        >>> Best(index=7, label="start 8", chisq=1.02, same=3).text
        'The least χ² is 1.02, of element 7 (start 8); 3 others come within 1 % of it.'
        """
        name = f"element {self.index} ({self.label})" if self.label else f"element {self.index}"
        others = {0: "no other comes", 1: "1 other comes"}.get(
            self.same, f"{self.same} others come"
        )
        return f"The least χ² is {self.chisq:.5g}, of {name}; {others} within 1 % of it."


def best_of(rows: Iterable[Mapping[str, object]]) -> Best | None:
    """Find the best of some elements: rows with index, label, status and chisq, of a stranger."""
    found = [row for row in rows if row.get("status") in _KEPT and is_number(row.get("chisq"))]
    if not found:
        return None
    values = [float(str(row["chisq"])) for row in found]
    least = min(values)
    row = found[values.index(least)]
    index = row.get("index")
    return Best(
        index=index if type(index) is int else 0,
        label=str(row.get("label") or "")[:_LABEL],
        chisq=least,
        same=sum(abs(value - least) <= _SAME * abs(least) for value in values) - 1,
    )


def _number(value: float) -> str:
    return repr(float(value)).removesuffix(".0")


def _step(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
