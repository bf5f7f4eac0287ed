"""The new-fit form as the documents that a program would send.

A form has texts under flat names; what they mean is decided by the schemas of the API and by no
other rule. A text that is no number stays a text, so that the schema says so.

=========================  =========================================================================
names                      mean
=========================  =========================================================================
``tab``                    ``curve``, ``json``, ``script`` or ``mine``
``data_*``, ``x``, ``dy_*``  data and columns of a curve; ``mask`` counts rows from 1
``formula``                ``library``, ``peaks`` or ``expression``, with the fields of each
``p.N.FIELD``              the parameters; see `Row`
``f.N.name``, ``.digest``  uploaded files of a script
``fit``, ``o.METHOD.NAME``  the method, and the options of each
``r.NAME``                 resources by Slurm's names
``x.NAME``, ``lines``      what is added to the script; see `gateway.problems.form_expert`
``after``, ``after_kind``  ids of the jobs that it runs after, and how they have to end
``campaign``, ``grid`` ..    many fits in one job; see `gateway.problems.form_campaign`
=========================  =========================================================================
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from gateway.errors import InvalidError
from gateway.jobs.dependencies import SINGLETON
from gateway.problems.form_campaign import campaign_document
from gateway.problems.form_expert import expert_document
from gateway.problems.form_numbers import number
from gateway.records import Document

Values = Mapping[str, str]
ROWS = 100
FILES = 200
CARRIED = ("elements", "pack", "throttle", "start")
"""What a form cannot show: it is kept as it was when a job is run again."""

_RANGE = re.compile(r"([0-9]{1,7})(?:\s*(?:-|to|:)\s*([0-9]{1,7}))?")
_OTHER = re.compile(r"([A-Za-z_]\w*)\s*=\s*([0-9]{1,3})")
_DEFAULT_ENTRY = "model.py"


@dataclass(frozen=True, kw_only=True)
class Row:
    """A line of the table of parameters."""

    name: str
    value: str = ""
    """Empty: to be guessed from the data."""

    role: str = "fit"
    """``fit``, ``fixed`` or ``tied``."""

    low: str = ""
    high: str = ""
    mean: str = ""
    std: str = ""
    tie: str = ""


@dataclass(frozen=True, kw_only=True)
class UploadedFile:
    """A file that the gateway has already, under the name it has beside the model."""

    name: str
    digest: str


def read_rows(values: Values) -> list[Row]:
    """Read the table of parameters."""
    names = [field.name for field in fields(Row)]
    return [
        Row(**{name: values.get(f"p.{index}.{name}", "").strip() for name in names})
        for index in range(ROWS)
        if values.get(f"p.{index}.name")
    ]


def write_rows(rows: list[Row]) -> dict[str, str]:
    """Write the table of parameters under the names of the form."""
    return {
        f"p.{index}.{name}": text
        for index, row in enumerate(rows)
        for name, text in vars(row).items()
    }


def read_files(values: Values) -> list[UploadedFile]:
    """Read which files a script has; one that is ticked to go is left out."""
    return [
        UploadedFile(name=values[f"f.{index}.name"], digest=values[f"f.{index}.digest"])
        for index in range(FILES)
        if values.get(f"f.{index}.name")
        and values.get(f"f.{index}.digest")
        and not values.get(f"f.{index}.drop")
    ]


def write_files(files: list[UploadedFile]) -> dict[str, str]:
    """Write the files of a script under the names of the form."""
    return {
        f"f.{index}.{name}": text
        for index, file in enumerate(files)
        for name, text in vars(file).items()
    }


def problem_document(values: Values, rows_of_table: int | None = None) -> Document:
    """Write a form as a problem.

    Parameters
    ----------
    rows_of_table
        How many rows were read of the data, where that is known.

    Raises
    ------
    InvalidError
        For a text that has a grammar of the form's own: row ranges, arguments.
    """
    kind = values.get("tab", "curve")
    parts = {"curve": _curve, "json": _json, "script": _script}
    if kind not in parts:
        raise InvalidError.at("/tab", f"{kind[:40]!r} is no kind of problem")
    content = _curve(values, rows_of_table) if kind == "curve" else parts[kind](values)
    document = {"name": problem_name(values), "type": kind, kind: content}
    if values.get("etag"):
        # Only the form that edits a problem has words of the problem; else they are the job's.
        document |= {"tags": split_words(values.get("tags", "")), "notes": values.get("notes", "")}
    return document


def problem_name(values: Values) -> str:
    """Name a problem: by its title, else by its file."""
    files = ("data_name", "json_name", "entry")
    candidates = [values.get("title", ""), *(values.get(name, "") for name in files)]
    return next((text.strip() for text in candidates if text.strip()), "Curve")


def job_document(values: Values, problem: Document | None) -> Document:
    """Write a form as a job."""
    kind = values.get("kind") or "fit"
    document: Document = {
        "kind": kind,
        "options": _options(values, kind),
        "mode": values.get("mode") or "fit",
        "shake": bool(values.get("shake")),
        "resources": _resources(values),
        "title": values.get("title", "").strip(),
        "notes": values.get("notes", ""),
        "tags": split_words(values.get("tags", "")),
        **_carried(values),
        **campaign_document(values),
        **expert_document(values),
    }
    if problem is not None:
        document["problem"] = problem
    if values.get("seed", "").strip():
        document["seed"] = number(values["seed"])
    if (simulated := _simulated(values, str(document["mode"]))) is not None:
        document["simulate"] = simulated
    ending = values.get("after_kind") or "afterok"
    if (jobs := values.get("after", "").replace(",", " ").split()) or ending == SINGLETON:
        document["after"] = {"kind": ending, "jobs": jobs}
    for name in ("cluster", "proposal", "parent"):
        if values.get(name):
            document[name] = values[name]
    return document


def _simulated(values: Values, mode: str) -> Document | None:
    noise = values.get("noise", "").strip()
    if values.get("simulate") or mode == "simulate":
        return {"noise_percent": number(noise) if noise else None}
    if noise:
        detail = "nothing is simulated that could have this noise: tick Simulate, or leave it empty"
        raise InvalidError.at("/simulate/noise_percent", detail)
    return None


def split_words(text: str) -> list[str]:
    """Read words with commas between."""
    return [word.strip() for word in text.split(",") if word.strip()]


def row_ranges(text: str, rows: int | None = None) -> list[list[int]]:
    """Read rows counted from 1 as half-open ranges counted from 0.

    >>> row_ranges("1-3, 40")
    [[0, 3], [39, 40]]

    Raises
    ------
    InvalidError
        Naming the part that is no row or range, or that the table does not have.
    """
    ranges = []
    for part in re.split(r"[,;\n]", text):
        if not part.strip():
            continue
        found = _RANGE.fullmatch(part.strip())
        first = int(found[1]) if found else 0
        last = int(found[2] or first) if found else 0
        if not 1 <= first <= last:
            raise InvalidError.at(
                "/curve/mask", f"{part.strip()[:40]!r} is no row or range of rows: write 1-3, 40"
            )
        if rows is not None and last > rows:
            raise InvalidError.at("/curve/mask", f"there is no row {last}: the data have {rows}")
        ranges.append([first - 1, last])
    return ranges


def _curve(values: Values, rows_of_table: int | None = None) -> Document:
    if values.get("data_digest"):
        name = values.get("data_name") or "data.dat"
        data = {"digest": values["data_digest"], "name": name}
    else:
        data = {"text": values.get("data_text", "")}
    return {
        "data": data,
        "columns": _columns(values),
        "mask": row_ranges(values.get("mask", ""), rows_of_table),
        **formula_document(values),
        "parameters": [_parameter(row) for row in read_rows(values) if row.value],
    }


def _columns(values: Values) -> Document:
    rule = values.get("dy_from") or "column"
    dy: Document = {"from": rule}
    if rule == "column":
        dy["column"] = number(values.get("dy_column", ""))
    elif rule in ("constant", "percent"):
        dy["value"] = number(values.get("dy_value", ""))
    dx = values.get("dx", "")
    return {
        "x": number(values.get("x", "0")),
        "y": number(values.get("y", "1")),
        "dy": dy,
        "dx": number(dx) if dx else None,
        "others": other_columns(values.get("others", "")),
    }


def other_columns(text: str) -> dict[str, int]:
    """Read further variables; columns are counted from 1 here and from 0 in a document.

    >>> other_columns("x2 = 3")
    {'x2': 2}
    """
    found = {}
    for part in split_words(text):
        match = _OTHER.fullmatch(part)
        if match is None:
            raise InvalidError.at(
                "/curve/columns/others", f"{part[:40]!r} is not NAME = number of a column: x2 = 3"
            )
        found[match[1]] = int(match[2]) - 1
    return found


def formula_document(values: Values) -> Document:
    """Write the function or the expression of a form."""
    chosen = values.get("formula") or "library"
    if chosen == "expression":
        return {"expression": values.get("expression", "").strip()}
    if chosen == "peaks":
        peaks: Document = {"peaks": number(values.get("peaks", ""))}
        return {
            "function": peaks | {name: values.get(name, "") for name in ("shape", "background")}
        }
    return {"function": values.get("function", "")}


def _parameter(row: Row) -> Document:
    document: Document = {
        "name": row.name,
        "value": number(row.value),
        "fit": row.role != "fixed",
    }
    if row.role == "tied":
        return {**document, "tie": row.tie}
    if row.low or row.high:
        document["bounds"] = [number(end) if end else None for end in (row.low, row.high)]
    if row.mean or row.std:
        prior = {"mean": row.mean, "std": row.std}
        document["prior"] = {name: number(text) for name, text in prior.items() if text}
    return document


def _json(values: Values) -> Document:
    if not values.get("json_digest"):
        raise InvalidError.at("/json/file", "choose the JSON file that bumps wrote")
    name = values.get("json_name") or "problem.json"
    python = values.get("json_python") or None
    return {"file": {"digest": values["json_digest"], "name": name}, "python": python}


def _script(values: Values) -> Document:
    files = read_files(values)
    if not files:
        raise InvalidError.at("/script/files", "choose the model script and what it reads")
    try:
        args = shlex.split(values.get("args", ""))
    except ValueError as error:
        raise InvalidError.at("/script/args", f"the arguments cannot be read: {error}") from error
    return {
        "entry": values.get("entry") or default_entry([file.name for file in files]),
        "files": [vars(file) for file in files],
        "args": args,
    }


def default_entry(names: list[str]) -> str:
    """Say which file is the model, when nobody does."""
    scripts = [name for name in names if name.endswith(".py")]
    return _DEFAULT_ENTRY if _DEFAULT_ENTRY in scripts or not scripts else scripts[0]


def _options(values: Values, kind: str) -> Document:
    method = values.get("fit", "") if kind == "fit" else kind
    prefix = f"o.{method}."
    options: Document = {"fit": method} if kind == "fit" else {}
    for name, text in values.items():
        if name.startswith(prefix) and text.strip():
            options[name.removeprefix(prefix)] = number(text)
    return options


def _resources(values: Values) -> Document:
    found: Document = {
        name.removeprefix("r."): text.strip()
        for name, text in values.items()
        if name.startswith("r.") and text.strip()
    }
    if "mail_type" in found:
        found["mail_type"] = split_words(found["mail_type"])
    for tick in ("exclusive", "mpi"):
        if tick in found:
            found[tick] = True
    return found


def _carried(values: Values) -> dict[str, Any]:
    if not values.get("carried"):
        return {}
    try:
        document = json.loads(values["carried"])
    except ValueError as error:
        raise InvalidError.at("/elements", f"the elements cannot be read: {error}") from error
    return {name: document[name] for name in CARRIED if name in document}
