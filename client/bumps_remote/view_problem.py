"""What to send of a problem that a web view shows: its JSON, or the script that it came from.

The JSON says all that was changed in the view. Where it would lose something, the script goes with
the values as they are shown; but only if it makes the same problem as it lies there now.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from bumps_remote.connection import Connection
from bumps_remote.job import Job
from bumps_remote.live import Facts, LostError, probes
from bumps_remote.text import clean_line

_CHECK_S = 600
_CHECK = """
import contextlib, json, logging, sys
out, sys.stdout = sys.stdout, sys.stderr
logging.disable(logging.ERROR)
asked = json.load(sys.stdin)
if asked["plugin"] == "refl1d":
    with contextlib.suppress(ImportError):  # then it loads what bumps alone can load
        import refl1d.webview.server.cli
import numpy as np
from bumps.fitproblem import load_problem

problem = load_problem(asked["path"], args=asked["args"])
seen = {"labels": list(problem.labels()), "dof": float(problem.dof),
        "points": int(problem.model_points()),
        "bounds": [[float(end) for end in ends] for ends in problem.bounds()], "nllf": []}
for point in asked["points"] if len(asked["points"][0]) == len(seen["labels"]) else []:
    problem.setp(np.array(point, "d"))
    seen["nllf"].append(float(problem.nllf()))
out.write(json.dumps(seen))
"""


def submit_shown(connection: Connection, problem: Any, **wanted: Any) -> Job:
    """Submit a problem that is shown, as `Connection.submit` does.

    Raises
    ------
    LostError
        When neither its JSON nor its script would be the same problem there.
    """
    try:
        return connection.submit(problem, **wanted)
    except LostError as refused:
        path = _script_of(problem)
        if path is None:
            raise
        args = [str(word) for word in getattr(problem, "script_args", None) or ()]
        if said := _difference(problem, path, args):
            raise LostError(
                f"{refused}\nThe script {clean_line(path.name)} itself cannot go instead: {said}"
            ) from refused
    with tempfile.TemporaryDirectory(prefix="bumps-remote-") as folder:
        values = Path(folder) / "shown.par"
        values.write_text(_values(problem), encoding="utf-8")
        return connection.submit(path, args=args, pars=values, **wanted)


def _script_of(problem: Any) -> Path | None:
    text = getattr(problem, "script_path", None) or getattr(problem, "path", None)
    path = Path(text) if text else None
    return path if path is not None and path.suffix == ".py" and path.is_file() else None


def _difference(problem: Any, path: Path, args: list[str]) -> str:
    """Say how the script's problem differs from the one that is shown; empty if it does not."""
    points = probes(problem)
    plugin = "refl1d" if "refl1d" in sys.modules else ""
    asked = {"path": str(path), "args": args, "points": points, "plugin": plugin}
    done = subprocess.run(
        [sys.executable, "-c", _CHECK],
        input=json.dumps(asked),
        cwd=path.parent,
        capture_output=True,
        text=True,
        timeout=_CHECK_S,
        check=False,
    )
    if done.returncode:
        return f"it ends with {clean_line(done.stderr.strip().splitlines()[-1:], 300)}"
    seen = json.loads(done.stdout)
    bounds = [[float(end) for end in ends] for ends in problem.bounds()]
    here = Facts.of(problem)
    there = Facts(
        labels=tuple(seen["labels"]),
        dof=seen["dof"],
        points=seen["points"],
        x=here.x,  # the values that are shown go along
        nllf=tuple(seen["nllf"]),
    )
    said = list(here.differences(there))
    if not said and list(zip(*bounds, strict=True)) != list(zip(*seen["bounds"], strict=True)):
        said = ["its bounds were changed here"]
    return "; ".join(said)


def _values(problem: Any) -> str:
    """Write the values that are shown as a ``.par`` file has them."""
    return "".join(
        f"{' '.join(str(label).split())} {value:.17g}\n"
        for label, value in zip(problem.labels(), problem.getp(), strict=True)
    )
