"""Load a model where bumps is, and say what would go wrong there.

Its text is run in the folder of the model: ``python -c TEXT ENTRY START_JSON ARGS...``, so that no
module of ours is in the way of the model's. It evaluates the model once, and writes one JSON object
to the file that ``BUMPS_REMOTE_REPORT`` names.
"""

from __future__ import annotations

import json
import math
import os
import platform
import sys
import traceback
from importlib import metadata
from pathlib import Path
from typing import Any

NAMES = ("bumps", "numpy", "scipy", "numba", "h5py", "refl1d", "sasmodels", "scikit-learn")


def versions() -> dict[str, str]:
    """Give the versions of what a result may depend on."""
    there = {str(item.metadata["Name"]).lower(): item.version for item in metadata.distributions()}
    return {
        "python": platform.python_version(),
        **{name: there[name] for name in NAMES if name in there},
    }


def report(entry: str, start: list[float], args: list[str]) -> dict[str, Any]:
    """Load, put at its start, evaluate."""
    try:
        from bumps.fitproblem import load_problem
    except ImportError as error:
        return {"missing": str(getattr(error, "name", "") or error)}
    try:
        problem = load_problem(entry, args=args)
        if start:
            problem.setp(start)
        return _looked_at(problem)
    except ModuleNotFoundError as error:
        return {"missing": str(error.name)}
    except (Exception, SystemExit) as error:  # noqa: BLE001 - it is the user's model, and anything
        return {"error": _described(error)}


def _looked_at(problem: Any) -> dict[str, Any]:
    names, values = list(problem.labels()), [float(value) for value in problem.getp()]
    low, high = problem.bounds()
    outside = [
        {"label": str(label), "value": value, "bounds": [_plain(a), _plain(b)]}
        for label, value, a, b in zip(names, values, low, high, strict=True)
        if not a <= value <= b
    ]
    chisq = float(problem.chisq())
    return {
        "parameters": len(values),
        "chisq": chisq if math.isfinite(chisq) else None,
        "outside": outside,
    }


def _plain(value: Any) -> float | None:
    return float(value) if math.isfinite(value) else None


def _described(error: BaseException) -> dict[str, Any]:
    frames = traceback.extract_tb(error.__traceback__)
    here = Path.cwd().resolve()
    own = [frame for frame in frames if (here / frame.filename).resolve().is_relative_to(here)]
    own = [frame for frame in own if frame.filename != "<string>"]
    found: dict[str, Any] = {"type": type(error).__name__, "message": str(error)}
    if isinstance(error, SyntaxError):
        return {**found, "file": Path(error.filename or "").name, "line": error.lineno}
    if own:
        name = (here / own[-1].filename).resolve().relative_to(here)
        found |= {"file": name.as_posix(), "line": own[-1].lineno}
    return found


if __name__ == "__main__":
    found = {"versions": versions(), **report(sys.argv[1], json.loads(sys.argv[2]), sys.argv[3:])}
    Path(os.environ["BUMPS_REMOTE_REPORT"]).write_text(json.dumps(found), encoding="utf-8")
