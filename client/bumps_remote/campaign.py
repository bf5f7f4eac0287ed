"""One model from many starts, or with parameters held at each of several values."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bumps_remote.errors import UsageError
from bumps_remote.text import clean_line

Grid = Mapping[str, Sequence[float]]
Starts = int | Sequence[Mapping[str, float]]
MOST = 1_000_000
_SPAN = 3
_DIGITS = 12


def make_campaign(grid: Grid | None, starts: Starts | None) -> dict[str, Any] | None:
    """Write what POST /jobs takes as campaign; None when there is none.

    Raises
    ------
    UsageError
        When both are given, or one is empty.
    """
    if grid is None and starts is None:
        return None
    if grid is not None and starts is not None:
        raise UsageError("give a grid or starts, not both")
    if grid is not None:
        if not grid:
            raise UsageError("grid: of which parameter? Give its values: {'m': [1, 2, 3]}")
        return {"grid": {name: [float(value) for value in grid[name]] for name in grid}}
    if isinstance(starts, int):
        return {"random": starts}
    return {"starts": [{name: float(row[name]) for name in row} for row in starts or ()]}


def read_grid(texts: Iterable[str]) -> dict[str, list[float]]:
    """Read ``NAME=VALUE,VALUE`` and ``NAME=LOW:HIGH:COUNT``.

    >>> read_grid(["m=1,2.5", "b=0:0.3:4"])
    {'m': [1.0, 2.5], 'b': [0.0, 0.1, 0.2, 0.3]}

    Raises
    ------
    UsageError
        Naming what cannot be read.
    """
    found: dict[str, list[float]] = {}
    for text in texts:
        name, sign, values = text.rpartition("=")
        if not sign or not name.strip():
            raise UsageError(f"--grid: {clean_line(text, 80)!r} is not NAME=VALUE,VALUE...")
        if name in found:
            raise UsageError(f"--grid: {clean_line(name, 80)} is given twice: put it into one")
        found[name.strip()] = _values(values, text)
    return found


def _values(values: str, text: str) -> list[float]:
    parts = values.split(":")
    if len(parts) != _SPAN:
        return [_number(part, f"--grid {text}") for part in values.split(",")]
    low, high = (_number(part, f"--grid {text}") for part in parts[:2])
    if not parts[2].isdigit() or not 1 < int(parts[2]) <= MOST:
        raise UsageError(
            f"--grid: {clean_line(text, 80)!r}: the third number says how many values, 2 or more"
        )
    count = int(parts[2])
    step = (high - low) / (count - 1)
    # 0.1 * 3 is written as somebody would type it.
    return [float(f"{low + index * step:.{_DIGITS}g}") for index in range(count)]


def read_starts(text: str) -> Starts:
    """Read how many random starts, or a file: names, then a line of values for each start.

    Raises
    ------
    UsageError
        Naming the file and the line.
    """
    if text.isdigit():
        return int(text)
    path = Path(text)
    try:
        content = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"--from-starts: {clean_line(text, 80)!r} is neither a number nor a file of starts: "
            f"{error}"
        ) from error
    lines = [line for line in content.splitlines() if line.strip() and line[0] != "#"]
    if len(lines) < 2:
        raise UsageError(
            f"--from-starts: {clean_line(path.name)} has no line of names and none below"
        )
    rows = [_cells(line) for line in lines]
    return [
        _start(rows[0], row, f"{path.name}, start {count}") for count, row in enumerate(rows[1:], 1)
    ]


def _cells(line: str) -> list[str]:
    for sign in (",", "\t", ";"):
        if sign in line:
            return [cell.strip() for cell in next(csv.reader([line], delimiter=sign))]
    return line.split()


def _start(names: Sequence[str], cells: Sequence[str], where: str) -> dict[str, float]:
    if len(cells) != len(names) or len(set(names)) < len(names):
        raise UsageError(
            f"--from-starts: {clean_line(where)}: {len(cells)} values for {len(set(names))} names"
        )
    named = zip(names, cells, strict=True)
    return {name: _number(cell, f"--from-starts {where}") for name, cell in named if cell}


def _number(text: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UsageError(f"{clean_line(where, 120)}: {clean_line(text, 40)!r} is no finite number")
    return value


def count_of(campaign: Mapping[str, Any]) -> int:
    """Say how many fits a campaign has.

    >>> count_of({"grid": {"m": [1, 2], "b": [0, 1, 2]}}), count_of({"random": 5})
    (6, 5)
    """
    if "grid" in campaign:
        return math.prod(len(values) for values in campaign["grid"].values())
    return int(campaign.get("random") or len(campaign.get("starts", ())))
