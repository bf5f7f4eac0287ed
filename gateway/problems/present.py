"""Problems, tables and functions as they are read."""

from __future__ import annotations

import math
from typing import Any

from gateway.problems.columns import Table
from gateway.problems.library import FUNCTIONS
from gateway.problems.library_parts import BACKGROUNDS, PEAK_LIMIT, SHAPES
from gateway.problems.models import FitProblem
from gateway.problems.service import Found
from gateway.problems.store import KeptVersion
from gateway.records import Document, time_text

API = "/api/v1/problems"
_HEAD = 20
_DX = 3


def present(found: Found) -> Document:
    """Write a problem with one of its versions."""
    problem, kept = found.problem, found.kept
    own = f"{API}/{problem.id}"
    return {
        **present_item(problem),
        "owner": problem.owner,
        "notes": problem.notes,
        "cloned_from": problem.cloned_from,
        "versions": problem.version,
        **present_version(kept),
        "links": {"self": own, "export": f"{own}/export.zip", "page": f"/problems/{problem.id}"},
    }


def present_version(kept: KeptVersion) -> Document:
    """Write what belongs to one version."""
    return {
        "version": kept.version.number,
        "digest": kept.version.digest,
        "document": dict(kept.version.document),
        "classification": kept.version.classification,
        "warnings": list(kept.version.warnings),
        "labels": list(kept.labels),
        "n_parameters": kept.n_parameters,
        "n_points": kept.n_points,
        "details": kept.details,
        "files": kept.bundle.files,
    }


def present_item(problem: FitProblem) -> Document:
    """Write a problem as it stands in a list."""
    return {
        "id": problem.id,
        "name": problem.name,
        "type": problem.type,
        "tags": list(problem.tags),
        "created": time_text(problem.created),
        "updated": time_text(problem.updated),
        "version": problem.version,
        "digest": problem.digest,
    }


def present_table(table: Table) -> Document:
    """Write what was read of a text, with its first rows."""
    rows = [[column[row] for column in table.columns] for row in range(min(_HEAD, table.rows))]
    return {
        "names": list(table.names),
        "units": list(table.units),
        "rows": table.rows,
        "head": [[value if math.isfinite(value) else None for value in row] for row in rows],
        "warnings": list(table.warnings),
        "suggested": _suggest(table),
    }


def _suggest(table: Table) -> Document:
    """Suggest what the columns mean: x, y, dy, dx, as the files of the field have them."""
    width = len(table.names)
    dy: Document = {"from": "column", "column": 2} if width > 2 else {"from": "sqrt"}
    if width <= 2 and any(value < 0 for value in table.columns[-1]):
        dy = {"from": "percent", "value": 5.0}
    return {"x": 0, "y": 1 if width > 1 else 0, "dy": dy, "dx": _DX if width > _DX else None}


def present_functions() -> Document:
    """Write the library of curve functions."""
    return {
        "items": [
            {
                "name": function.name,
                "title": function.title,
                "group": function.group,
                "formula": function.formula,
                "help": function.help,
                "parameters": [_parameter(item) for item in function.parameters],
            }
            for function in FUNCTIONS.values()
        ],
        "peaks": {"most": PEAK_LIMIT, "shapes": list(SHAPES), "backgrounds": list(BACKGROUNDS)},
    }


def _parameter(parameter: Any) -> Document:
    return {
        "name": parameter.name,
        "label": parameter.label,
        "unit": parameter.unit,
        "value": parameter.value,
        "bounds": list(parameter.bounds),
    }
