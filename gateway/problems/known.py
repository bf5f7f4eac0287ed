"""What is known of the parameters of a problem before anything of it runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.jobs.campaign import Known, KnownParameter


def known_parameters(document: Mapping[str, Any], details: Mapping[str, Any]) -> Known | None:
    """Give the parameters by name; None where only loading it tells, as of a script.

    Parameters
    ----------
    document
        The content of a problem as it is kept.
    details
        What was found out when it was looked at.
    """
    if document["type"] == "curve":
        rows = [row for row in document["curve"]["parameters"] if not row.get("tie")]
        return {row["name"]: _known(row, fitted=row.get("fit", True)) for row in rows}
    rows = details.get("parameters", []) if document["type"] == "json" else []
    found = {row["label"]: _known(row, fitted=True) for row in rows}
    # Of two with the same name nobody knows which is meant: loading it says so.
    return found if rows and len(found) == len(rows) else None


def _known(row: Mapping[str, Any], *, fitted: bool) -> KnownParameter:
    low, high = (row.get("bounds") or (None, None)) if fitted else (None, None)
    return KnownParameter(fitted=fitted, low=_end(low), high=_end(high))


def _end(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None
