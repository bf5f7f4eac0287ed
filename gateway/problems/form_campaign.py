"""Many fits in one job, as the form has them: texts that people type, and the document.

=================  ================================================================================
names              mean
=================  ================================================================================
``campaign``       ``random``, ``starts`` or ``grid``; empty: one fit
``random_starts``  how many
``starts``         a line of names, then a line of values for each start
``grid``           a line for each parameter: ``m: 1, 2, 3`` or ``m: 0 to 10 in 11``
``pack``           elements in a task; empty: the gateway chooses
``throttle``       so many tasks at once, at most; empty: as many as there is room for
=================  ================================================================================
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from gateway.errors import InvalidError
from gateway.jobs.campaign import MOST
from gateway.problems.form_numbers import number
from gateway.records import Document

_SPAN = re.compile(r"(\S+)\s+to\s+(\S+)\s+in\s+([0-9]{1,7})")
_DIGITS = 12
WAYS = ("random", "starts", "grid")


def campaign_document(values: Mapping[str, str]) -> Document:
    """Write what a form says of a campaign, for the document of its job.

    Raises
    ------
    InvalidError
        For a line that cannot be read.
    """
    way = values.get("campaign", "")
    if not way:
        return {}
    if way not in WAYS:
        raise InvalidError.at("/campaign", f"{way[:40]!r} is no way to make several fits")
    read = {"random": _random, "starts": _starts, "grid": _grid}[way]
    pack, throttle = (values.get(name, "").strip() for name in ("pack", "throttle"))
    return {
        "campaign": {way: read(values)},
        "pack": number(pack) if pack else None,
        **({"throttle": number(throttle)} if throttle else {}),
    }


def _random(values: Mapping[str, str]) -> Any:
    return number(values.get("random_starts", ""))


def _starts(values: Mapping[str, str]) -> list[Document]:
    lines = [line for line in values.get("starts", "").splitlines() if line.strip()]
    if not lines:
        return []
    names = _cells(lines[0])
    if len(set(names)) < len(names):
        raise InvalidError.at("/campaign/starts", "a parameter has two columns: make them one")
    rows = []
    for count, line in enumerate(lines[1:], 1):
        cells = _cells(line)
        if len(cells) != len(names):
            text = f"start {count} has {len(cells)} values, and there are {len(names)} names"
            raise InvalidError.at(f"/campaign/starts/{count - 1}", text)
        named = zip(names, cells, strict=True)
        rows.append({name: number(cell) for name, cell in named if cell})
    return rows


def _cells(line: str) -> list[str]:
    """Split a line at its tabs or commas, so that a name may have blanks; else at blanks.

    >>> _cells("Si interface, m"), _cells("1  2")
    (['Si interface', 'm'], ['1', '2'])
    """
    for sign in ("\t", ",", ";"):
        if sign in line:
            return [cell.strip() for cell in line.split(sign)]
    return line.split()


def _grid(values: Mapping[str, str]) -> Document:
    found: Document = {}
    for line in values.get("grid", "").splitlines():
        if not line.strip():
            continue
        name, sign, text = line.rpartition(":") if ":" in line else line.partition("=")
        name = name.strip()
        if not sign or not name:
            raise InvalidError.at("/campaign/grid", f"{line.strip()[:60]!r} is not NAME: values")
        if name in found:
            raise InvalidError.at(f"/campaign/grid/{name}", f"{name} has two lines: make them one")
        found[name] = _values(name, text.strip())
    return found


def _values(name: str, text: str) -> list[Any]:
    """Read values, or evenly spaced ones from one to another.

    >>> _values("m", "1, 2.5"), _values("m", "0 to 0.3 in 4")
    ([1, 2.5], [0.0, 0.1, 0.2, 0.3])
    """
    span = _SPAN.fullmatch(text)
    if span is None:
        return [number(part) for part in re.split(r"[,;\s]+", text) if part]
    low, high, count = number(span[1]), number(span[2]), int(span[3])
    if isinstance(low, str) or isinstance(high, str) or not 1 < count <= MOST:
        detail = f"{text[:60]!r} is not LOW to HIGH in COUNT, with at least 2 values: 0 to 10 in 11"
        raise InvalidError.at(f"/campaign/grid/{name}", detail)
    step = (high - low) / (count - 1)
    if not math.isfinite(step):
        raise InvalidError.at(f"/campaign/grid/{name}", f"{text[:60]!r} has no finite values")
    # 0.1 * 3 is written as somebody would type it.
    return [float(f"{low + index * step:.{_DIGITS}g}") for index in range(count)]


def campaign_fields(request: Mapping[str, Any]) -> dict[str, str]:
    """Write the campaign of a job into the fields of the form."""
    campaign = request.get("campaign") or {}
    way = next((name for name in WAYS if name in campaign), "")
    if not way:
        return {}
    texts: dict[str, Callable[[Any], str]] = {"random": str, "starts": _rows, "grid": _lines}
    field = "random_starts" if way == "random" else way
    return {
        "campaign": way,
        "pack": str(request.get("pack", 1) or ""),
        "throttle": str(request.get("throttle") or ""),
        field: texts[way](campaign[way]),
    }


def _rows(rows: list[Mapping[str, float]]) -> str:
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = [", ".join(names)]
    lines += [", ".join(_text(row.get(name)) for name in names) for row in rows]
    return "\n".join(lines)


def _lines(grid: Mapping[str, list[float]]) -> str:
    return "\n".join(f"{name}: {', '.join(map(_text, row))}" for name, row in grid.items())


def _text(value: float | None) -> str:
    return "" if value is None else repr(value).removesuffix(".0")
