"""Chi-square over two parameters of a grid: a table in which the valley is seen."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, islice

from gateway.jobs.result_view import ElementView

LEVELS = 6
"""Of colour: 0 is the worst, this the best."""

_MOST_VALUES = 60
"""Along a side: a table of more is none that anybody reads."""

_MOST_PAIRS = 28
Pair = tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class MapCell:
    """What came out at a pair of values; the best of several that differ in other parameters."""

    index: int
    """Of the element."""

    chisq: float | None
    level: int = 0
    best: bool = False


@dataclass(frozen=True, kw_only=True)
class GridMap:
    """A map of chi-square."""

    pairs: tuple[Pair, ...]
    """Which maps there are."""

    chosen: int
    columns: tuple[float, ...]
    rows: tuple[tuple[float, tuple[MapCell | None, ...]], ...]
    """The value of each row with its cells, None where no element is; the highest value first."""

    others: tuple[str, ...]
    """Parameters of the grid that are not on it: of each cell the best over them is shown."""

    @property
    def across(self) -> str:
        """The parameter from left to right."""
        return self.pairs[self.chosen][0]

    @property
    def down(self) -> str:
        """The parameter from below to above."""
        return self.pairs[self.chosen][1]


def map_of(elements: Sequence[ElementView], chosen: int) -> GridMap | None:
    """Draw the map of a pair of parameters; None where fewer than two have several values."""
    values = {
        name: found
        for name in dict.fromkeys(name for item in elements for name in item.result.fixed)
        if 1 < len(found := _values(elements, name)) <= _MOST_VALUES
    }
    pairs = tuple(islice(combinations(values, 2), _MOST_PAIRS))
    if not pairs:
        return None
    chosen = min(chosen, len(pairs) - 1)
    across, down = pairs[chosen]
    best = _best(elements, across, down)
    known = [item.result.chisq for item in best.values() if _is_positive(item.result.chisq)]
    cells = {place: _cell(item, [one for one in known if one]) for place, item in best.items()}
    return GridMap(
        pairs=pairs,
        chosen=chosen,
        columns=values[across],
        rows=tuple(
            (high, tuple(cells.get((wide, high)) for wide in values[across]))
            for high in reversed(values[down])
        ),
        others=tuple(name for name in values if name not in (across, down)),
    )


def _values(elements: Sequence[ElementView], name: str) -> tuple[float, ...]:
    fixed = (item.result.fixed.get(name) for item in elements)
    return tuple(sorted({value for value in fixed if value is not None}))


def _best(
    elements: Sequence[ElementView], across: str, down: str
) -> Mapping[tuple[float, float], ElementView]:
    found: dict[tuple[float, float], ElementView] = {}
    for item in elements:
        wide, high = item.result.fixed.get(across), item.result.fixed.get(down)
        if wide is None or high is None:
            continue
        before = found.get((wide, high))
        if before is None or _rank(item) < _rank(before):
            found[wide, high] = item
    return found


def _rank(item: ElementView) -> float:
    chisq = item.result.chisq
    return math.inf if chisq is None else chisq


def _is_positive(value: float | None) -> bool:
    return value is not None and 0 < value < math.inf


def _cell(item: ElementView, known: Sequence[float]) -> MapCell:
    chisq = item.result.chisq
    if chisq is None or not _is_positive(chisq):
        return MapCell(index=item.index, chisq=chisq)
    low, high = min(known), max(known)
    # In decades: the valley of a bad start is a hundred times as deep as that of a good one.
    part = math.log(chisq / low) / math.log(high / low) if high > low else 0.0
    return MapCell(
        index=item.index, chisq=chisq, level=LEVELS - round(part * LEVELS), best=chisq == low
    )
