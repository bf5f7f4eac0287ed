"""Load a model where bumps is, and say what would go wrong there.

Its text is run in the folder of the model: ``python -c TEXT ENTRY ASKED_JSON ARGS...``, so that no
module of ours is in the way of the model's. It evaluates the model once, then with the file of each
element while there is time, and writes one JSON object to the file that ``BUMPS_REMOTE_REPORT``
names: before the elements, too, since one of them may take for ever.
"""

from __future__ import annotations

import json
import math
import os
import platform
import shutil
import sys
import time
import traceback
from importlib import metadata
from importlib.util import find_spec
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
    if lacking := _lacking(entry):
        return {"missing": lacking}
    try:
        problem = load_problem(entry, args=args)
        if start:
            problem.setp(start)
        return _looked_at(problem)
    except ModuleNotFoundError as error:
        return {"missing": str(error.name)}
    except (Exception, SystemExit) as error:  # noqa: BLE001 - it is the user's model, and anything
        return {"error": _described(error)}


def _lacking(entry: str) -> str:
    """Name a library of a JSON problem that is not here: bumps would put nothing in its place."""
    text = Path(entry).read_text(encoding="utf-8") if entry.endswith(".json") else ""
    wanted = [name for name in ("refl1d", "sasmodels") if f'"{name}.' in text]
    return next((name for name in wanted if find_spec(name) is None), "")


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
        "labels": [str(name) for name in names],
        "others": _others(problem),
    }


def _others(problem: Any) -> list[str]:
    """Name the parameters that are not fitted and that a grid could hold all the same."""
    from bumps.parameter import Parameter, unique

    every = unique(problem.model_parameters())
    return [str(one.name) for one in every if isinstance(one, Parameter) and one.fittable]


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


def with_each(entry: str, asked: dict[str, Any], args: list[str]) -> dict[str, Any]:
    """Load it with the file of each element in its place."""
    end, tried, bad = time.monotonic() + asked["within_s"], 0, []
    for element in asked["elements"]:
        if time.monotonic() > end:
            break
        shutil.copyfile(element["path"], element["name"])
        found, tried = report(entry, asked["start"], args), tried + 1
        if "error" in found or found.get("chisq", 0.0) is None:
            bad.append({"label": element["label"], "error": found.get("error")})
    return {"tried": tried, "bad": bad}


def main() -> None:
    """Look, and write what was seen."""
    entry, asked, args = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3:]
    target = Path(os.environ["BUMPS_REMOTE_REPORT"])
    found = {"versions": versions(), **report(entry, asked["start"], args)}
    target.write_text(json.dumps(found), encoding="utf-8")
    if asked["elements"] and "parameters" in found:
        found["elements"] = with_each(entry, asked, args)
        unfinished = target.with_suffix(".part")
        unfinished.write_text(json.dumps(found), encoding="utf-8")
        unfinished.replace(target)


if __name__ == "__main__":
    main()
