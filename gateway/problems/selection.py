"""Choose from the columns what is fitted: x, y, dy, dx, other variables, and the rows left out."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from gateway.errors import FieldError, InvalidError
from gateway.problems.columns import NAMED_LINES, Table


@dataclass(frozen=True, kw_only=True)
class Uncertainty:
    """Where dy comes from: ``column``, ``constant``, ``percent`` (of y) or ``sqrt`` (of y)."""

    rule: str
    column: int = 0
    value: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Which columns mean what, counted from 0."""

    x: int
    y: int
    dy: Uncertainty
    dx: int | None = None
    others: Mapping[str, int] = field(default_factory=dict)
    """Further independent variables by their name in the expression."""


@dataclass(frozen=True, kw_only=True)
class Curve:
    """The data of a curve: every row that was read, and which of them are fitted."""

    x: tuple[float, ...]
    y: tuple[float, ...]
    dy: tuple[float, ...]
    dx: tuple[float, ...] | None
    others: Mapping[str, tuple[float, ...]]
    used: tuple[bool, ...]
    warnings: tuple[str, ...] = ()

    def kept(self) -> Curve:
        """Give the fitted rows alone."""
        if all(self.used):
            return self

        def keep(values: tuple[float, ...]) -> tuple[float, ...]:
            return tuple(v for v, used in zip(values, self.used, strict=True) if used)

        return Curve(
            x=keep(self.x),
            y=keep(self.y),
            dy=keep(self.dy),
            dx=None if self.dx is None else keep(self.dx),
            others={name: keep(values) for name, values in self.others.items()},
            used=(True,) * sum(self.used),
            warnings=self.warnings,
        )


def select(
    table: Table, choice: Choice, mask: Sequence[tuple[int, int]] = (), pointer: str = ""
) -> Curve:
    """Choose the columns of a table.

    Parameters
    ----------
    mask
        Half-open ranges of rows, counted from 0, that are not fitted.

    Raises
    ------
    InvalidError
        If a column does not exist, a fitted row has a cell that is no finite number, or an
        uncertainty is not positive. Rows are named by their line in the text.
    """
    _check_columns(table, choice, f"{pointer}/columns")
    used = _used(table.rows, mask, f"{pointer}/mask")
    _check_finite(table, choice, used, f"{pointer}/columns")
    y = table.columns[choice.y]
    dy, notes = _uncertainties(table, choice.dy, y, used, f"{pointer}/columns/dy")
    dx = None if choice.dx is None else table.columns[choice.dx]
    if dx is not None:
        where = f"{pointer}/columns/dx"
        _refuse(table, used, [value < 0 for value in dx], where, "the resolution is negative in")
    x = table.columns[choice.x]
    return Curve(
        x=x,
        y=y,
        dy=dy,
        dx=dx,
        others={name: table.columns[column] for name, column in choice.others.items()},
        used=tuple(used),
        warnings=(*notes, *_order_warnings(table, x, used)),
    )


def _check_columns(table: Table, choice: Choice, pointer: str) -> None:
    wanted = {"x": choice.x, "y": choice.y}
    if choice.dy.rule == "column":
        wanted["dy/column"] = choice.dy.column
    if choice.dx is not None:
        wanted["dx"] = choice.dx
    wanted.update({f"others/{name}": column for name, column in choice.others.items()})
    count = len(table.columns)
    errors = [
        FieldError(
            pointer=f"{pointer}/{role}",
            detail=f"there is no column {column}; the data have {count}, counted from 0",
        )
        for role, column in wanted.items()
        if not 0 <= column < count
    ]
    if choice.x == choice.y:
        errors.append(
            FieldError(pointer=f"{pointer}/y", detail=f"x and y are both column {choice.x}")
        )
    if errors:
        raise InvalidError(errors)


def _check_finite(table: Table, choice: Choice, used: Sequence[bool], pointer: str) -> None:
    roles = {"x": choice.x, "y": choice.y, **choice.others}
    if choice.dx is not None:
        roles["dx"] = choice.dx
    if choice.dy.rule == "column":
        roles["dy"] = choice.dy.column
    for role, column in roles.items():
        if all(map(math.isfinite, table.columns[column])):
            continue
        _refuse(
            table,
            used,
            [not math.isfinite(value) for value in table.columns[column]],
            f"{pointer}/{role}",
            f"column {column} has no finite number in",
        )


def _used(rows: int, mask: Sequence[tuple[int, int]], pointer: str) -> list[bool]:
    used = [True] * rows
    for index, (start, stop) in enumerate(mask):
        if not 0 <= start < stop <= rows:
            raise InvalidError.at(
                f"{pointer}/{index}",
                f"rows {start} to {stop} are no range of the {rows} rows; "
                "give [first, behind the last], counted from 0",
            )
        used[start:stop] = [False] * (stop - start)
    if not any(used):
        raise InvalidError.at(pointer, "every row is left out; leave some to be fitted")
    return used


def _refuse(
    table: Table, used: Sequence[bool], wrong: Sequence[bool], pointer: str, what: str
) -> None:
    lines = [
        line
        for line, is_used, is_wrong in zip(table.lines, used, wrong, strict=True)
        if is_used and is_wrong
    ]
    if lines:
        shown = ", ".join(map(str, lines[:NAMED_LINES]))
        more = f" and {len(lines) - NAMED_LINES} more" if len(lines) > NAMED_LINES else ""
        raise InvalidError.at(
            pointer, f"{what} line {shown}{more}; mend these rows or leave them out by the mask"
        )


def _uncertainties(
    table: Table, rule: Uncertainty, y: Sequence[float], used: Sequence[bool], pointer: str
) -> tuple[tuple[float, ...], list[str]]:
    if rule.rule == "column":
        dy = table.columns[rule.column]
        _refuse(table, used, [not v > 0 for v in dy], pointer, "the uncertainty is not positive in")
        return dy, []
    if rule.rule != "sqrt" and not (math.isfinite(rule.value) and rule.value > 0):
        raise InvalidError.at(
            f"{pointer}/value", f"{rule.value} is no uncertainty; give a positive number"
        )
    if rule.rule == "constant":
        return (rule.value,) * len(y), []
    if rule.rule == "percent":
        _refuse(table, used, [v == 0 for v in y], pointer, "a percentage of y = 0 is 0 in")
        return tuple(abs(v) * rule.value / 100 for v in y), []
    _refuse(table, used, [v < 0 for v in y], pointer, "y has no square root in")
    zeros = sum(v == 0 and u for v, u in zip(y, used, strict=True))
    notes = [f"{zeros} rows with y = 0 got the uncertainty 1, as for one count"] if zeros else []
    return tuple(_root(v) for v in y), notes


def _root(value: float) -> float:
    if not math.isfinite(value) or value < 0:
        return math.nan
    return math.sqrt(value) or 1.0


def _order_warnings(table: Table, x: Sequence[float], used: Sequence[bool]) -> list[str]:
    rows = [(line, v) for line, v, u in zip(table.lines, x, used, strict=True) if u]
    steps = [(line, v - before) for (_, before), (line, v) in itertools.pairwise(rows)]
    if all(step > 0 for _, step in steps):
        return []
    found = []
    backward = _lines(steps, lambda step: step < 0)
    forward = _lines(steps, lambda step: step > 0)
    if backward and forward:
        fewer = min(backward, forward, key=len)
        found.append(f"x turns back at line {fewer[0]}: the rows are not in the order of x")
    double = len(rows) - len({v for _, v in rows})
    if double:
        found.append(f"{double} rows repeat the x of another row")
    return found


def _lines(steps: Sequence[tuple[int, float]], test: Callable[[float], bool]) -> list[int]:
    return [line for line, step in steps if test(step)]
