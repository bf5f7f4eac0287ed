"""The table of parameters for people and other programs: text, CSV, JSON and LaTeX."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence

from gateway.jobs.concise import plain, plus_minus
from gateway.jobs.result_view import ElementView, ParameterRow, ResultsView, interval_text

_COLUMNS = ("parameter", "value", "uncertainty", "low", "high", "start", "at_limit", "mean",
            "median", "low_68", "high_68", "low_95", "high_95")  # fmt: skip
_MORE_FIXED = "more fixed ones, in parameters.json"
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_TEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
        **{sign: "\\" + sign for sign in "&%$#_{}"}}  # fmt: skip
Cell = str | float | int | None


def safe_cell(value: Cell) -> Cell:
    """Keep a spreadsheet from taking a text for a formula; numbers are no texts.

    >>> safe_cell("=1+1"), safe_cell(-1.5), safe_cell("b1")
    ("'=1+1", -1.5, 'b1')
    """
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def to_csv(results: ResultsView) -> str:
    """Write the parameters as CSV (RFC 4180), with all digits; an array has a row for each."""
    text = io.StringIO()
    writer = csv.writer(text)
    head = ("element", "label", "status", "chisq") if results.elements else ()
    held = [*map(_held, results.fixed), *([_MORE_FIXED] if results.fixed_left_out else [])]
    writer.writerow((*head, *held, *_COLUMNS))
    if results.result:
        writer.writerows(_csv_row((), row.label, row) for row in results.result.parameters)
    for item in results.elements:
        values = _csv_held(item, results)
        start = (item.index, item.result.label, item.result.status, item.result.chisq, *values)
        rows = item.rows or {"": ParameterRow(label="", value=None)}
        writer.writerows(_csv_row(start, name, row) for name, row in rows.items())
    return text.getvalue()


def _held(name: str) -> Cell:
    return safe_cell(f"fixed {name}")


def _csv_held(item: ElementView, results: ResultsView) -> list[Cell]:
    """Give what an element held, and how much of it has no column."""
    held = item.result.fixed
    values: list[Cell] = [held.get(name) for name in results.fixed]
    if results.fixed_left_out:
        values.append(len(held) - sum(name in held for name in results.fixed))
    return values


def _csv_row(start: Sequence[Cell], name: str, row: ParameterRow) -> list[Cell]:
    return [safe_cell(cell) for cell in (*start, name, *_values(row))]


def _values(row: ParameterRow) -> list[Cell]:
    return [
        *(row.value, row.uncertainty, *row.bounds, row.start, row.at_limit, row.mean, row.median),
        *(row.interval_68 or (None, None)),
        *(row.interval_95 or (None, None)),
    ]


def to_text(results: ResultsView) -> str:
    """Write the parameters for a mail or a notebook: columns of text, as the page shows them."""
    if results.elements:
        names = [*results.fixed, *results.labels]
        rows = [["element", "χ²", *map(_word, names)]]
        rows += [_text_element(item, results) for item in results.elements]
    else:
        found = results.result.parameters if results.result else ()
        intervals = any(row.interval_68 for row in found)
        rows = [["parameter", "value", *(["68 %", "95 %"] if intervals else []), "bounds", ""]]
        rows += [_text_row(row, intervals=intervals) for row in found]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        + "\n"
        for row in rows
    )


def _text_row(row: ParameterRow, *, intervals: bool) -> list[str]:
    told = [interval_text(row.interval_68), interval_text(row.interval_95)] if intervals else []
    bounds = "open" if row.bounds == (None, None) else interval_text(row.bounds)
    limit = f"at its {'lower' if row.at_limit == 'low' else 'upper'} bound" if row.at_limit else ""
    return [_word(row.label), row.concise, *told, bounds, limit]


def _word(text: str) -> str:
    r"""Keep a name on its line, and from speaking to a terminal.

    >>> _word("a\tb\x1b[31m")
    'a b\ufffd[31m'
    """
    return "".join(sign if sign.isprintable() else "\ufffd" for sign in " ".join(text.split()))


def _text_element(item: ElementView, results: ResultsView) -> list[str]:
    head = [_word(item.result.label or str(item.index)), plain(item.result.chisq, 4)]
    held = [plain(item.result.fixed.get(name)) for name in results.fixed]
    fitted = [row.concise if (row := item.row(name)) else "" for name in results.labels]
    return [*head, *held, *fitted]


def to_json(results: ResultsView) -> str:
    """Write the parameters as JSON, with all digits."""
    if not results.elements:
        rows = results.result.parameters if results.result else ()
        return json.dumps([_json_row(row.label, row) for row in rows], indent=1)
    return json.dumps([_json_element(item) for item in results.elements], indent=1)


def _json_element(item: ElementView) -> dict[str, object]:
    return {
        "element": item.index,
        "label": item.result.label,
        "status": item.result.status,
        "chisq": item.result.chisq,
        **({"fixed": dict(item.result.fixed)} if item.result.fixed else {}),
        "parameters": [_json_row(name, row) for name, row in item.rows.items()],
    }


def _json_row(name: str, row: ParameterRow) -> dict[str, Cell]:
    columns = zip(_COLUMNS, (name, *_values(row)), strict=True)
    return {column: value for column, value in columns if value not in (None, "")}


def to_latex(results: ResultsView) -> str:
    """Write the parameters as a LaTeX table."""
    if results.elements:
        names = [*results.fixed, *results.labels]
        head = " & ".join(["Element", r"$\chi^2$", *map(tex, names)])
        body = [_tex_element(item, results) for item in results.elements]
        columns = "lr" + "r" * len(names)
    else:
        head, columns = "Parameter & Value", "lr"
        rows = results.result.parameters if results.result else ()
        body = [f"{tex(row.label)} & {_tex_value(row)}" for row in rows]
    lines = "".join(f"  {line} \\\\\n" for line in body)
    said = f"% {results.left_out}\n" if results.left_out else ""
    return (
        f"{said}\\begin{{tabular}}{{{columns}}}\n  \\hline\n  {head} \\\\\n  \\hline\n"
        f"{lines}  \\hline\n\\end{{tabular}}\n"
    )


def _tex_element(item: ElementView, results: ResultsView) -> str:
    chisq = "" if item.result.chisq is None else f"{item.result.chisq:.4g}"
    held = [
        f"${item.result.fixed[n]:.10g}$" if n in item.result.fixed else "" for n in results.fixed
    ]
    fitted = [_tex_value(row) if (row := item.row(name)) else "" for name in results.labels]
    return " & ".join([tex(item.result.label or str(item.index)), chisq, *held, *fitted])


def _tex_value(row: ParameterRow) -> str:
    value, error, exponent = plus_minus(row.value, row.uncertainty)
    if not error:
        return f"${value}$" if row.value is not None else ""
    body = f"{value} \\pm {error}"
    return f"$({body}) \\times 10^{{{exponent}}}$" if exponent else f"${body}$"


def tex(text: str) -> str:
    r"""Write a text so that LaTeX prints it as it is.

    >>> tex(r"b_1 & 50%")
    'b\\_1 \\& 50\\%'
    """
    return "".join(_TEX.get(sign, sign) for sign in " ".join(text.split()))


FORMATS: dict[str, tuple[str, Callable[[ResultsView], str]]] = {
    "txt": ("text/plain", to_text),
    "csv": ("text/csv", to_csv),
    "json": ("application/json", to_json),
    "tex": ("application/x-tex", to_latex),
}
"""By the ending of the file: its media type, and what writes it."""
