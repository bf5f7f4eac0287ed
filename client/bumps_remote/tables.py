"""Parameters of a fit, or of each element of an array, as a table."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from bumps_remote.array import summaries
from bumps_remote.numbers import number, with_uncertainty
from bumps_remote.text import clean, clean_line

_GAP = 2
_GOOD = frozenset({"converged", ""})
_CELL = 60


def results_tables(results: Iterable[Mapping[str, Any]], width: int) -> Iterator[Table | Text]:
    """Draw what came out of a job; the elements of all tasks of an array together.

    Parameters
    ----------
    width
        How many signs a line may have.
    """
    documents = [dict(result) for result in results]
    if elements := summaries(documents):
        yield from _elements(elements, width)
        return
    for result in documents:
        yield from result_tables(result)


def result_tables(result: Mapping[str, Any]) -> Iterator[Table | Text]:
    """Draw what came out of one fit."""
    if result.get("chisq") is not None:
        points, dof = result.get("points"), result.get("dof")
        counts = f"  ({points} points, {dof} degrees of freedom)" if points is not None else ""
        yield Text(f"chi² {number(result['chisq'], 8)}{counts}")
    if result.get("parameters"):
        yield _parameters(result["parameters"])
    error = result.get("error")
    if error:
        where = f"{error.get('file')}, line {error.get('line')}: " if error.get("file") else ""
        yield Text(clean(f"{where}{error.get('type')}: {error.get('message')}"), style="red")


def to_csv(results: Iterable[Mapping[str, Any]]) -> str:
    """Write the parameters with all their digits: a line for each element, or each parameter."""
    documents = [dict(result) for result in results]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if elements := summaries(documents):
        writer.writerows(_element_rows(elements))
    else:
        writer.writerow(["parameter", "value", "uncertainty"])
        for result in documents:
            for row in result.get("parameters") or []:
                cells = (_cell(row.get(what)) for what in ("value", "uncertainty"))
                writer.writerow([_safe(row.get("label")), *cells])
    return text.getvalue()


def _element_rows(elements: Sequence[Mapping[str, Any]]) -> Iterator[list[Any]]:
    every = [_by_label(element) for element in elements]
    names = _labels(every)
    columns = [column for name in names for column in (name, f"{name} uncertainty")]
    held = _labels(map(_fixed, elements))
    fixed = [f"fixed {name}" for name in held]
    yield ["index", "element", "status", "chisq", *map(_safe, fixed), *map(_safe, columns)]
    for element, rows in zip(elements, every, strict=True):
        cells = [
            _cell(rows.get(name, {}).get(what))
            for name in names
            for what in ("value", "uncertainty")
        ]
        head = [_cell(element.get("index")), _safe(_name(element)), _safe(element.get("status"))]
        at = [_cell(_fixed(element).get(name)) for name in held]
        yield [*head, _cell(element.get("chisq")), *at, *cells]


def _cell(value: object) -> object:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else ""


def _safe(text: object) -> str:
    """Keep a spreadsheet from taking what a job wrote for a formula."""
    line = clean_line("" if text is None else text, 200)
    return f"'{line}" if line.startswith(("=", "+", "-", "@")) else line


def _parameters(rows: Iterable[Mapping[str, Any]]) -> Table:
    table = _table("parameter", "value", "68 %", "")
    for row in rows:
        interval = row.get("interval_68")
        shown = " … ".join(number(end) for end in interval) if isinstance(interval, list) else ""
        limit = row.get("at_limit")
        table.add_row(
            Text(clean_line(row.get("label", ""))),
            Text(with_uncertainty(row.get("value"), row.get("uncertainty"))),
            Text(shown),
            Text(f"at its {clean_line(limit)} limit" if limit else "", style="yellow"),
        )
    return table


def _elements(elements: Sequence[Mapping[str, Any]], width: int) -> Iterator[Table | Text]:
    """Draw a line for each element: as many parameters as there is room for."""
    columns = [
        ("element", [_name(element) for element in elements]),
        ("status", [clean_line(element.get("status", "")) for element in elements]),
        ("chi²", [number(element.get("chisq")) for element in elements]),
    ]
    for name in _labels(map(_fixed, elements)):
        at = [number(_fixed(element).get(name)) for element in elements]
        columns.append((f"{clean_line(name, _CELL)} (fixed)", at))
    every = [_by_label(element) for element in elements]
    names = _labels(every)
    fitted = [
        (clean_line(name, _CELL), [_value(rows.get(name)) for rows in every]) for name in names
    ]
    remarks = [_remark(element) for element in elements]
    last = [("", remarks)] if any(remarks) else []
    left = width - sum(map(_width, columns)) - min(sum(map(_width, last)), width // 3)
    shown = 0
    while shown < len(fitted) and (left := left - _width(fitted[shown])) >= 0:
        shown += 1
    drawn = [*columns, *fitted[:shown], *last]
    table = _table(*(title for title, _ in drawn))
    for cells in zip(*(cells for _, cells in drawn), strict=True):
        table.add_row(*map(Text, cells))
    yield table
    if hidden := names[shown:]:
        more = ", ".join(clean_line(name, _CELL) for name in hidden[:5])
        yield Text(
            f"not shown for lack of room: {more}{' …' if len(hidden) > 5 else ''}; "
            "'bumps-remote results ID --csv' has them all",
            style="dim",
        )


def _table(*titles: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in titles:
        table.add_column(title)
    return table


def _width(column: tuple[str, list[str]]) -> int:
    return max(map(len, [column[0], *column[1]])) + _GAP


def _labels(every: Iterable[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(name for rows in every for name in rows))


def _by_label(element: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Find an element's parameters by their names; bumps lets several have the same."""
    rows: dict[str, Mapping[str, Any]] = {}
    seen: Counter[str] = Counter()
    for row in element.get("parameters") or []:
        if isinstance(row, Mapping):
            label = str(row.get("label"))
            seen[label] += 1
            rows[label if seen[label] == 1 else f"{label} ({seen[label]})"] = row
    return rows


def _fixed(element: Mapping[str, Any]) -> Mapping[str, Any]:
    """Give what an element of a grid held at which value."""
    found = element.get("fixed")
    return found if isinstance(found, Mapping) else {}


def _value(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return ""
    limit = "!" if row.get("at_limit") else ""
    return with_uncertainty(row.get("value"), row.get("uncertainty")) + limit


def _name(element: Mapping[str, Any]) -> str:
    label = element.get("label")
    return clean_line(element.get("index", "") if label in (None, "") else label, _CELL)


def _remark(element: Mapping[str, Any]) -> str:
    verdict = element.get("verdict") or {}
    return "" if verdict.get("code", "") in _GOOD else clean_line(verdict.get("text", ""), 200)
