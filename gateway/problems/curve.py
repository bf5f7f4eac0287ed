"""A curve: its document checked against its data, evaluated, previewed.

`resolve` gives what everything else needs; `gateway.problems.curve_script` writes model.py of it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from gateway.errors import FieldError, InvalidError, NotFoundError
from gateway.problems import library
from gateway.problems.columns import Table
from gateway.problems.expression import (
    Expression,
    ExpressionError,
    cost,
    evaluate,
    parameters,
    parse,
)
from gateway.problems.guess import guess
from gateway.problems.library import CurveFunction
from gateway.problems.models import (
    CurveDocument,
    CurveParameter,
    FileRef,
    PeakSum,
    ReadBlob,
)
from gateway.problems.parameters import check_parameters, start_values
from gateway.problems.selection import Curve, select
from gateway.problems.tables import read_table

PREVIEW_POINTS = 500
LINE_POINTS = 200
PREVIEW_WORK = 3_000_000
"""Operations that a preview may cost: about a third of a second."""
SMEAR_STEPS = tuple(k / 2 for k in range(-6, 7))
"""Where a theory is sampled within its resolution, in standard deviations."""
PARAMETER_LIMIT = 100


@dataclass(frozen=True, kw_only=True)
class ResolvedCurve:
    """A curve document with its data read, its formula parsed, its parameters complete."""

    document: CurveDocument
    table: Table
    data: Curve
    expression: Expression
    title: str
    warnings: tuple[str, ...]

    @property
    def values(self) -> dict[str, float]:
        """The start values, ties applied."""
        return start_values(self.document.parameters)

    @property
    def dof(self) -> int:
        """Points and priors less fitted parameters, as bumps counts."""
        free = [parameter for parameter in self.document.parameters if parameter.free]
        return sum(self.data.used) + sum(p.prior is not None for p in free) - len(free)


def resolve(
    document: CurveDocument,
    read_blob: ReadBlob,
    pointer: str = "/curve",
    table: Table | None = None,
) -> ResolvedCurve:
    """Check a document against its data and complete its parameters.

    Parameters
    ----------
    table
        The data, where somebody has read them already.

    Raises
    ------
    InvalidError
        With every field that is wrong.
    """
    if table is None:
        table = read_table(data_of(document, read_blob, pointer), f"{pointer}/data")
    data = select(table, document.columns, document.mask, pointer)
    expression, function = formula(document, pointer)
    complete = replace(
        document, parameters=_complete(document, expression, function, data, pointer)
    )
    warnings = check_parameters(complete.parameters, f"{pointer}/parameters")
    curve = ResolvedCurve(
        document=complete,
        table=table,
        data=data,
        expression=expression,
        title=function.title if function else "Curve",
        warnings=(*table.warnings, *data.warnings, *warnings),
    )
    return _check_points(curve, pointer)


def data_of(document: CurveDocument, read_blob: ReadBlob, pointer: str = "/curve") -> str | bytes:
    """Give the data as they were given."""
    if not isinstance(document.data, FileRef):
        return document.data
    try:
        return read_blob(document.data.digest)
    except NotFoundError as error:
        raise InvalidError.at(
            f"{pointer}/data/digest",
            f"there is no file {document.data.digest}; upload it first (POST /files)",
        ) from error


def formula(
    document: CurveDocument, pointer: str = "/curve"
) -> tuple[Expression, CurveFunction | None]:
    """Find the formula: one of the library, a sum of peaks, or an expression."""
    if document.expression is not None:
        try:
            return parse(document.expression, ("x", *document.columns.others)), None
        except ExpressionError as error:
            raise InvalidError.at(f"{pointer}/expression", str(error)) from error
    if isinstance(document.function, PeakSum):
        spec = document.function
        function = library.peak_sum(spec.peaks, spec.shape, spec.background)
        return function.expression, function
    try:
        function = library.find(document.function or "")
    except KeyError as error:
        raise InvalidError.at(f"{pointer}/function", str(error.args[0])) from error
    return function.expression, function


def _complete(
    document: CurveDocument,
    expression: Expression,
    function: CurveFunction | None,
    data: Curve,
    pointer: str,
) -> tuple[CurveParameter, ...]:
    """Put the parameters in the order of the formula; guess what a library function lacks."""
    wanted = [p.name for p in function.parameters] if function else list(parameters(expression))
    given = {parameter.name: parameter for parameter in document.parameters}
    _check_names(document.parameters, wanted, function is not None, pointer)
    missing = [name for name in wanted if name not in given]
    if function and missing:
        kept = data.kept()
        values = guess(function, kept.x, kept.y, kept.dy)
        bounds = {p.name: p.bounds for p in function.parameters}
        for name in missing:
            limits = None if bounds[name] == (None, None) else bounds[name]
            given[name] = CurveParameter(name=name, value=values[name], bounds=limits)
    return tuple(given[name] for name in wanted)


def _check_names(
    given: Sequence[CurveParameter], wanted: Sequence[str], can_guess: bool, pointer: str
) -> None:
    errors = []
    seen: set[str] = set()
    for index, parameter in enumerate(given):
        where = f"{pointer}/parameters/{index}/name"
        if parameter.name not in wanted:
            known = ", ".join(wanted) or "none"
            detail = f"the function has no parameter {parameter.name!r}; it has {known}"
            errors.append(FieldError(pointer=where, detail=detail))
        elif parameter.name in seen:
            errors.append(FieldError(pointer=where, detail=f"{parameter.name!r} is given twice"))
        seen.add(parameter.name)
    missing = [name for name in wanted if name not in seen]
    if missing and not can_guess:
        detail = f"no start value for {', '.join(missing)}; give each parameter of the expression"
        errors.append(FieldError(pointer=f"{pointer}/parameters", detail=detail))
    if len(wanted) > PARAMETER_LIMIT:
        detail = f"{len(wanted)} parameters; at most {PARAMETER_LIMIT} are taken"
        errors.append(FieldError(pointer=f"{pointer}/expression", detail=detail))
    if errors:
        raise InvalidError(errors)


def _check_points(curve: ResolvedCurve, pointer: str) -> ResolvedCurve:
    free = [parameter.name for parameter in curve.document.parameters if parameter.free]
    points = sum(curve.data.used)
    if not free:
        raise InvalidError.at(
            f"{pointer}/parameters", "no parameter is fitted; set fit to true for at least one"
        )
    if curve.dof < 0:
        raise InvalidError.at(
            f"{pointer}/parameters",
            f"{len(free)} parameters are fitted to {points} points; "
            "fix some, give priors, or use more points",
        )
    if curve.dof > 0:
        return curve
    note = f"{len(free)} fitted parameters and {points} points: chi-square says nothing"
    return replace(curve, warnings=(*curve.warnings, note))


def theory(expression: Expression, data: Curve, values: Mapping[str, float]) -> list[float]:
    """Compute the curve at every row, averaged over the resolution where there is one."""
    columns: dict[str, float | Sequence[float]] = {**values, **data.others}
    if data.dx is None:
        return evaluate(expression, data.x, columns)
    steps = len(SMEAR_STEPS)
    nodes = [x + dx * s for x, dx in zip(data.x, data.dx, strict=True) for s in SMEAR_STEPS]
    wide = {
        name: [v for v in value for _ in range(steps)] if isinstance(value, Sequence) else value
        for name, value in columns.items()
    }
    samples = evaluate(expression, nodes, wide)
    positive = all(x > 0 for x in data.x)
    weights = [math.exp(-0.5 * s * s) for s in SMEAR_STEPS]
    result = []
    for row in range(len(data.x)):
        at = slice(row * steps, (row + 1) * steps)
        pairs = zip(nodes[at], samples[at], weights, strict=True)
        # q is never negative: a resolution that reaches below zero is cut there.
        kept = [(value, weight) for node, value, weight in pairs if node > 0 or not positive]
        total = math.fsum(weight for _, weight in kept)
        result.append(math.fsum(value * weight for value, weight in kept) / total)
    return [value if math.isfinite(value) else math.nan for value in result]


def chisq(curve: ResolvedCurve, values: Mapping[str, float] | None = None) -> float:
    """Compute chi-square over degrees of freedom as ``bumps`` reports it; nan where undefined."""
    values = values or curve.values
    data = curve.data.kept()
    curve_y = theory(curve.expression, data, values)
    total = math.fsum(
        ((value - y) / dy) ** 2 for value, y, dy in zip(curve_y, data.y, data.dy, strict=True)
    )
    for parameter in curve.document.parameters:
        if parameter.free and parameter.prior:
            distance = values[parameter.name] - parameter.prior.mean
            total += (distance / parameter.prior.std) ** 2
    return total / curve.dof if curve.dof > 0 else math.nan


def preview(curve: ResolvedCurve) -> dict[str, Any]:
    """Give what a browser draws: the data, the start curve, chi-square at the start.

    At most 500 rows, evenly taken; ``null`` where a number is not finite, and for chi-square where
    computing it for all rows would take too long.
    """
    data = curve.data
    stride = max(1, math.ceil(len(data.x) / PREVIEW_POINTS))
    rows = slice(None, None, stride)
    shown = Curve(
        x=data.x[rows],
        y=data.y[rows],
        dy=data.dy[rows],
        dx=None if data.dx is None else data.dx[rows],
        others={name: values[rows] for name, values in data.others.items()},
        used=data.used[rows],
    )
    values = curve.values
    each = cost(curve.expression) * (1 if data.dx is None else len(SMEAR_STEPS))
    affordable = each * sum(data.used) <= PREVIEW_WORK
    return {
        "rows": len(data.x),
        "points": sum(data.used),
        "x": _plain(shown.x),
        "y": _plain(shown.y),
        "dy": _plain(shown.dy),
        "dx": None if shown.dx is None else _plain(shown.dx),
        "mask": [not used for used in shown.used],
        "start": _plain(theory(curve.expression, shown, values)),
        "line": _line(curve, values),
        "chisq": _plain([chisq(curve, values)])[0] if affordable else None,
        "dof": curve.dof,
        "x_label": axis_label(curve.table, curve.document.columns.x, "x"),
        "y_label": axis_label(curve.table, curve.document.columns.y, "y"),
        "warnings": list(curve.warnings),
    }


def _line(curve: ResolvedCurve, values: Mapping[str, float]) -> dict[str, Any] | None:
    """Draw a smooth start curve between few points, where x alone decides it."""
    kept = curve.data.kept()
    if curve.data.others or curve.data.dx is not None:
        return None
    low, high = min(kept.x), max(kept.x)
    share = [k / (LINE_POINTS - 1) for k in range(LINE_POINTS)]
    if low > 0 and high > 20 * low:
        x = [low * (high / low) ** s for s in share]
    else:
        x = [low + (high - low) * s for s in share]
    return {"x": x, "y": _plain(evaluate(curve.expression, x, values))}


def axis_label(table: Table, column: int, fallback: str) -> str:
    """Name an axis by the header of its column."""
    name, unit = table.names[column], table.units[column]
    if name.startswith("column "):
        return fallback
    return f"{name} ({unit})" if unit else name


def _plain(values: Sequence[float]) -> list[float | None]:
    return [value if math.isfinite(value) else None for value in values]
