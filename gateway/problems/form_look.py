"""Look at a form while it is filled: what was read, what is wrong, what would run.

Nothing is kept here; the same documents, schemas and checks serve as for the API.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from gateway.accounts.models import Identity
from gateway.errors import FieldError, InvalidError
from gateway.jobs.campaign import Known
from gateway.jobs.models import ProblemRef
from gateway.jobs.prepare import NO_PROBLEM, ProblemForJob
from gateway.problems import library
from gateway.problems.columns import Table
from gateway.problems.curve import (
    PREVIEW_POINTS,
    ResolvedCurve,
    axis_label,
    formula,
    preview,
    resolve,
)
from gateway.problems.curve_script import ENTRY
from gateway.problems.examine import Examined
from gateway.problems.expression import ExpressionError, parameters, parse
from gateway.problems.form_filling import FormValues, number_text
from gateway.problems.form_reading import (
    Row,
    Values,
    default_entry,
    formula_document,
    other_columns,
    problem_document,
    read_files,
    read_rows,
    write_rows,
)
from gateway.problems.guess_expression import guess_expression
from gateway.problems.known import known_parameters
from gateway.problems.library_parts import BACKGROUNDS, PEAK_LIMIT, SHAPES
from gateway.problems.models import (
    CurveDocument,
    Document,
    ReadBlob,
    content_json,
    digest_of,
)
from gateway.problems.present import present_table
from gateway.problems.schemas import load_document
from gateway.problems.selection import select
from gateway.problems.service import Found, data_reader
from gateway.problems.tables import read_table
from gateway.services import Gateway

_HEAD = 8
_GUESSED_UNASKED = 4
"""Parameters of an expression that are guessed while somebody types; more take a second or two."""


@dataclass(kw_only=True)
class Look:
    """What is known of a form."""

    values: FormValues
    errors: list[FieldError] = field(default_factory=list)
    table: dict[str, Any] | None = None
    curve: dict[str, Any] | None = None
    """What a browser draws; the data alone while the formula is not right."""

    document: Document | None = None
    """The problem, when nothing is wrong with it."""

    examined: Examined | None = None
    found: Found | None = None
    """A problem of one's own, chosen as it is."""

    @property
    def rows(self) -> list[Row]:
        """The table of parameters."""
        return read_rows(self.values)

    @property
    def typed_rows(self) -> list[int]:
        """Which lines of the table are parameters of the document."""
        return [index for index, row in enumerate(self.rows) if row.value]


def look_at_problem(
    services: Gateway, who: Identity, values: Values, *, guess: bool = False
) -> Look:
    """Look at the problem of a form.

    Parameters
    ----------
    guess
        Forget the start values that were typed, and find others.
    """
    look = Look(values=dict(values))
    tab = values.get("tab", "curve")
    try:
        if tab == "mine":
            _look_at_own(services, who, look)
        elif tab == "curve":
            _look_at_curve(services, who, look, guess=guess)
        else:
            look.values |= _entry(look.values)
            look.document = load_document(problem_document(values))
            look.examined = services.problems.examine(who, look.document)
    except InvalidError as error:
        look.errors.extend(error.errors)
        look.document = None
    return look


def problem_for_job(look: Look) -> ProblemForJob:
    """Say what a job that is only previewed needs of a problem that is not kept yet."""
    document = look.document
    if document is None:
        return ProblemForJob(ref=NO_PROBLEM, job={}, files={}, n_parameters=None, n_points=None)
    examined = look.examined
    # Before anything is kept: earlier jobs of a problem that says the same tell how long it takes.
    digest = (
        digest_of(content_json(replace(document, content=examined.content))) if examined else ""
    )
    ref = ProblemRef(id=None, version=0, name=document.name, type=document.type, digest=digest)
    bundle = examined.bundle if examined else None
    job: dict[str, Any] = {"type": "script", "entry": ENTRY, "args": [], "python": None}
    if bundle is not None:
        job = {
            "type": bundle.type,
            "entry": bundle.entry,
            "args": list(bundle.args),
            "python": bundle.python,
        }
    free = [row for row in look.rows if row.role == "fit"]
    return ProblemForJob(
        ref=ref,
        job=job,
        files={},
        n_parameters=examined.n_parameters if examined else len(free),
        n_points=examined.n_points if examined else (look.curve or {}).get("points"),
        known=_known(document, examined),
    )


def _known(document: Document, examined: Examined | None) -> Known | None:
    content = replace(document, content=examined.content) if examined else document
    return known_parameters(content_json(content), examined.details if examined else {})


def _entry(values: Values) -> FormValues:
    """Choose the model among the files of a script, where nobody has, or it is gone."""
    names = [file.name for file in read_files(values)]
    if values.get("entry") in names or not names:
        return {}
    return {"entry": default_entry(names)}


def _look_at_own(services: Gateway, who: Identity, look: Look) -> None:
    chosen = look.values.get("problem", "")
    if not chosen:
        raise InvalidError.at("/problem", "choose one of your problems")
    look.found = services.problems.get(who, chosen)


def _look_at_curve(services: Gateway, who: Identity, look: Look, *, guess: bool) -> None:
    read = data_reader(services.files, who.user)
    if not (look.values.get("data_text", "").strip() or look.values.get("data_digest")):
        look.errors.append(
            FieldError(pointer="/curve/data", detail="paste the data, or choose a file")
        )
        _arrange(look, guess=guess)
        return
    digest = look.values.get("data_digest")
    table = read_table(read(digest) if digest else look.values["data_text"], "/curve/data")
    look.table = _table(table)
    look.values |= _columns(look.values, look.table)
    problem = None
    try:
        _arrange(look, guess=guess)
        problem = load_document(problem_document(look.values, table.rows))
        _draw(look, problem, table, read, guess=guess)
    finally:
        if look.curve is None:
            look.curve = _data_alone(look.values, table)


def _draw(look: Look, problem: Document, table: Table, read: ReadBlob, *, guess: bool) -> None:
    curve = problem.content
    if not isinstance(curve, CurveDocument):
        raise InvalidError.at("/tab", "this is no curve")
    rows = look.rows
    if curve.expression is not None and any(not row.value for row in rows):
        look.values |= write_rows(_guessed(curve, table, rows, guess=guess))
        problem = load_document(problem_document(look.values, table.rows))
        curve = problem.content
    resolved = resolve(curve, read, table=table)  # type: ignore[arg-type]  # the same kind as before
    look.values |= write_rows(_completed(look.rows, resolved))
    look.curve = with_places(preview(resolved))
    look.document = replace(problem, content=resolved.document)


def _arrange(look: Look, *, guess: bool) -> None:
    """Have a line of the table for each parameter of the formula, and no others."""
    old = {row.name: row for row in look.rows}
    rows = [old.get(name, Row(name=name)) for name in _names(look.values)]
    if guess:
        rows = [replace(row, value="") for row in rows]
    stale = [name for name in look.values if name.startswith("p.")]
    for name in stale:
        del look.values[name]
    look.values |= write_rows(rows)


def _names(values: Values) -> Sequence[str]:
    """Name the parameters of the formula that is chosen."""
    document = formula_document(values)
    if "expression" in document:
        return _expression_names(document["expression"], other_columns(values.get("others", "")))
    function = document["function"]
    if isinstance(function, dict):
        peaks, shape, background = (function[name] for name in ("peaks", "shape", "background"))
        if peaks not in range(1, PEAK_LIMIT + 1):
            detail = f"{peaks!r} is no number of peaks; give 1 to {PEAK_LIMIT}"
            raise InvalidError.at("/curve/function/peaks", detail)
        if shape not in SHAPES or background not in BACKGROUNDS:
            raise InvalidError.at("/curve/function/shape", "choose a shape and a background")
        return [item.name for item in library.peak_sum(peaks, shape, background).parameters]
    try:
        return [item.name for item in library.find(function).parameters]
    except KeyError as error:
        raise InvalidError.at("/curve/function", str(error.args[0])) from error


def _expression_names(text: str, others: dict[str, int]) -> Sequence[str]:
    if not text:
        raise InvalidError.at("/curve/expression", "type a formula in x and parameters")
    try:
        return parameters(parse(text, ("x", *others)))
    except ExpressionError as error:
        raise InvalidError.at("/curve/expression", str(error)) from error


def _guessed(curve: CurveDocument, table: Table, rows: list[Row], *, guess: bool) -> list[Row]:
    """Fill in what is empty of an expression."""
    expression, _ = formula(curve)
    data = select(table, curve.columns, curve.mask, "/curve").kept()
    found = dict.fromkeys((row.name for row in rows), 1.0)
    if guess or len(rows) <= _GUESSED_UNASKED:
        found = guess_expression(expression, data)
    return [row if row.value else replace(row, value=number_text(found[row.name])) for row in rows]


def _completed(rows: list[Row], resolved: ResolvedCurve) -> list[Row]:
    """Fill in what was guessed: start values, and the bounds of a function of the library."""
    known = {item.name: item for item in resolved.document.parameters}
    complete = []
    for row in rows:
        item = known[row.name]
        if row.value:
            complete.append(row)
            continue
        low, high = item.bounds or (None, None)
        complete.append(
            replace(
                row,
                value=number_text(item.value),
                low=row.low or number_text(low),
                high=row.high or number_text(high),
            )
        )
    return complete


def _table(table: Table) -> dict[str, Any]:
    return {**present_table(table), "lines": table.lines[:_HEAD]}


def _columns(values: Values, table: dict[str, Any]) -> FormValues:
    """Choose the columns as files of the field have them, where nobody has, or they are gone."""
    width = len(table["names"])
    chosen = {name: values.get(name, "") for name in ("x", "y", "dy_column", "dx")}
    fits = all(not text or (text.isdigit() and int(text) < width) for text in chosen.values())
    if fits and chosen["x"] and chosen["y"] and values.get("dy_from"):
        return {"dy_column": chosen["dy_column"] or str(min(2, width - 1))}
    suggested = table["suggested"]
    dy = suggested["dy"]
    return {
        "x": str(suggested["x"]),
        "y": str(suggested["y"]),
        "dx": number_text(suggested["dx"]),
        "dy_from": dy["from"],
        "dy_column": number_text(dy.get("column", min(2, width - 1))),
        "dy_value": number_text(dy.get("value")) or values.get("dy_value", ""),
    }


def _data_alone(values: Values, table: Table) -> dict[str, Any] | None:
    """Draw the data while there is no curve yet."""
    places = {name: values.get(name, "") for name in ("x", "y")}
    if not all(text.isdigit() and int(text) < len(table.columns) for text in places.values()):
        return None
    x, y = (int(places[name]) for name in ("x", "y"))
    points = [
        (row, table.columns[x][row], table.columns[y][row])
        for row in range(0, table.rows, _stride(table.rows))
    ]
    drawn = [point for point in points if all(map(math.isfinite, point))]
    return {
        "rows": table.rows,
        "points": table.rows,
        "at": [row for row, _, _ in drawn],
        "x": [one for _, one, _ in drawn],
        "y": [other for _, _, other in drawn],
        "dy": None,
        "dx": None,
        "mask": [False] * len(drawn),
        "start": None,
        "line": None,
        "chisq": None,
        "x_label": axis_label(table, x, "x"),
        "y_label": axis_label(table, y, "y"),
        "warnings": list(table.warnings),
    }


def with_places(shown: dict[str, Any]) -> dict[str, Any]:
    """Say of each point of a preview which row it is."""
    stride = _stride(shown["rows"])
    return {**shown, "at": [stride * index for index in range(len(shown["x"]))]}


def _stride(rows: int) -> int:
    """Say which rows a preview takes: every so many."""
    return max(1, math.ceil(rows / PREVIEW_POINTS))
