"""One problem in memory, many data files: a JSON problem for each."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bumps_remote.array import Element, labels
from bumps_remote.errors import UsageError
from bumps_remote.files import Bundle, find_files, measured
from bumps_remote.live import ENTRY, bundle_of, checked_texts, keep, read_back
from bumps_remote.text import clean_line

_CURVE = "bumps.curve.Curve"
_COLUMNS = 3
_INSTEAD = (
    "pass a function that makes the problem of each file, as in map(make, files, ...), or the "
    "path of a script"
)


def live_elements(model: Any, files: Sequence[str | Path]) -> tuple[Bundle, tuple[Element, ...]]:
    """Make a JSON problem of each file.

    Parameters
    ----------
    model
        A FitProblem of one Curve, whose x, y and dy each file replaces by its three columns; or a
        function that takes a path and gives a FitProblem.

    Raises
    ------
    UsageError
        When a file or a problem is not as it must be.
    """
    paths = [path for text in files for path in find_files(str(text), Path.cwd(), "map")]
    if hasattr(model, "nllf"):
        texts = _with_each(model, paths)
    elif callable(model):
        texts = checked_texts([_made(model, path) for path in paths])
    else:
        raise UsageError(
            f"map: the first argument must be a script, a FitProblem or a function that makes one "
            f"of a file, not {type(model).__name__}"
        )
    elements = tuple(
        Element(label=label, replaces=ENTRY, file=measured(ENTRY, keep(text)))
        for label, text in zip(labels(paths), texts, strict=True)
    )
    return bundle_of(texts[0]), elements


def _made(make: Callable[[Path], Any], path: Path) -> Any:
    problem = make(path)
    if not hasattr(problem, "nllf"):
        raise UsageError(
            f"map: the function must give a FitProblem; of {clean_line(path.name)} it made "
            f"{type(problem).__name__}"
        )
    return problem


def _with_each(problem: Any, paths: Sequence[Path]) -> list[str]:
    (base,) = checked_texts([problem])
    document = json.loads(base)
    models = document["object"]["models"]
    if len(models) != 1 or models[0].get("__class__") != _CURVE:
        kinds = ", ".join(clean_line(model.get("__class__")) for model in models)
        raise UsageError(
            f"map: only the data of a problem of one Curve can be replaced, this one has {kinds}: "
            f"{_INSTEAD}"
        )
    tables = [_columns(path) for path in paths]
    texts = []
    for table in tables:
        for name, values in zip(("x", "y", "dy"), table, strict=True):
            models[0][name]["values"] = values
            models[0][name]["dtype"] = "float64"
        texts.append(json.dumps(document, allow_nan=False, separators=(",", ":")))
    start = [[float(value) for value in problem.getp()]]
    for path, table, seen in zip(
        paths, tables, read_back(texts, [start] * len(texts)), strict=True
    ):
        _check(problem, path, len(table[0]), seen)
    return texts


def _columns(path: Path) -> list[list[float]]:
    import numpy as np

    try:
        table = np.loadtxt(path, ndmin=2)
    except (ValueError, OSError) as error:
        raise UsageError(f"map: {clean_line(path)} cannot be read as columns: {error}") from error
    if table.shape[1] != _COLUMNS:
        raise UsageError(
            f"map: {clean_line(path)} has {table.shape[1]} columns, not x, y and dy: {_INSTEAD}"
        )
    if not np.isfinite(table).all() or not (table[:, 2] > 0).all():
        raise UsageError(
            f"map: {clean_line(path)}: every number must be finite, and every dy positive"
        )
    return [[float(value) for value in column] for column in table.T]


def _check(problem: Any, path: Path, points: int, seen: dict[str, Any]) -> None:
    wrong = seen.get("error") or "; ".join(seen.get("lost", []))
    if not wrong and (seen["labels"] != list(problem.labels()) or seen["points"] != points):
        wrong = "it comes out as another problem"
    if not wrong and not math.isfinite(seen["nllf"][0]):
        wrong = f"the model gives {seen['nllf'][0]} at its start"
    if wrong:
        raise UsageError(f"map: with {clean_line(path)} {clean_line(wrong)}: {_INSTEAD}")
