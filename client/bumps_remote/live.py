"""A bumps FitProblem in memory, sent as bumps's own JSON: only if it comes out the same.

That JSON loses some problems without a word: a shared parameter becomes two, a class of a notebook
is not there on another computer. So it is read back in a Python of its own, without the files that
lie here, and compared, before it goes anywhere. Only this module and `bumps_remote.like_bumps`
import bumps, and only when they are asked to.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from bumps_remote.config import private_folder, problems_folder, state_folder, write_private
from bumps_remote.errors import UsageError
from bumps_remote.files import Bundle, measured
from bumps_remote.text import clean, clean_line

ENTRY = "problem.json"
_SAME = 1e-9
_PARTS = (0.1, -0.1, 0.7, -0.7)
Seen = dict[str, Any]
_CHECK_S = 600
_INSTEAD = "Send the script that makes it instead, with its files: submit('model.py', fit=...)"
_CHECK = """
import json, logging, sys, warnings
out, sys.stdout = sys.stdout, sys.stderr
logging.disable(logging.ERROR)
import numpy as np
from bumps.serialize import deserialize

def facts(text, points):
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            problem = deserialize(json.loads(text))
            problem.model_reset()
            seen = {"labels": list(problem.labels()), "dof": float(problem.dof),
                    "points": int(problem.model_points()),
                    "x": [float(value) for value in problem.getp()], "nllf": []}
            for point in points if len(points[0]) == len(seen["x"]) else []:
                problem.setp(np.array(point, "d"))
                seen["nllf"].append(float(problem.nllf()))
        except Exception as error:
            seen = {"error": f"{type(error).__name__}: {error}"}
    lost = [str(item.message) for item in said]
    seen["lost"] = [text for text in lost if text.startswith(("Error restoring", "Error loading"))]
    return seen

out.write(json.dumps([facts(**json.loads(line)) for line in sys.stdin]))
"""


class LostError(UsageError):
    """bumps's JSON would not bring the problem out the same elsewhere: its script would."""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What must be the same of a problem after a journey."""

    labels: tuple[str, ...]
    dof: float
    points: int
    x: tuple[float, ...]
    nllf: tuple[float, ...]
    """At the start and beside it: a constraint may have been cut off from its parameters."""

    @classmethod
    def of(cls, problem: Any) -> Facts:
        """Look at a problem that lives here, and leave it as it was."""
        import numpy as np

        x = tuple(float(value) for value in problem.getp())
        try:
            nllf = []
            for point in probes(problem):
                problem.setp(np.array(point, "d"))
                nllf.append(float(problem.nllf()))
        finally:
            problem.setp(np.array(x, "d"))
        return cls(
            labels=tuple(problem.labels()),
            dof=float(problem.dof),
            points=int(problem.model_points()),
            x=x,
            nllf=tuple(nllf),
        )

    def differences(self, other: Facts) -> Iterator[str]:
        """Say what is not the same, in words."""
        if self.labels != other.labels:
            before, after = len(self.labels), len(other.labels)
            yield (
                f"{before} fitted parameters become {after}"
                if before != after
                else ("its fitted parameters come out in another order or with other names")
            )
        if self.dof != other.dof:
            yield f"{self.dof:g} degrees of freedom become {other.dof:g}"
        if self.points != other.points:
            yield f"{self.points} points become {other.points}"
        if len(self.x) == len(other.x) and not all(map(_same, self.x, other.x)):
            yield "its start values change"
        if len(self.nllf) == len(other.nllf):
            pairs = zip(self.nllf, other.nllf, strict=True)
            if wrong := next((pair for pair in pairs if not _same(*pair)), None):
                yield f"its negative log likelihood {wrong[0]:.9g} becomes {wrong[1]:.9g}"


def probes(problem: Any) -> list[list[float]]:
    """Choose points at which a problem is compared: its start, and some within its bounds."""
    low, high = ([float(value) for value in ends] for ends in problem.bounds())
    start = [float(value) for value in problem.getp()]
    return [start, *([*map(partial(_between, part), start, low, high)] for part in _PARTS)]


def _between(part: float, start: float, low: float, high: float) -> float:
    """Go a part of the way to the upper bound, or to the lower one if it is negative."""
    end = high if part > 0 else low
    if not math.isfinite(end):
        return start + part * (abs(start) or 1.0)
    return start + abs(part) * (end - start)


def is_live(model: object) -> bool:
    """Whether something is a problem in memory rather than a path."""
    return not isinstance(model, str | os.PathLike)


def live_bundle(problem: Any) -> Bundle:
    """Write a problem as JSON, make sure that it survives that, and keep it for its submission.

    Raises
    ------
    UsageError
        When it is no FitProblem, or does not come out the same: what to send instead.
    """
    (text,) = checked_texts([problem])
    return bundle_of(text)


def bundle_of(text: str) -> Bundle:
    """Keep a problem's JSON as the only file of a bundle."""
    path = keep(text)
    return Bundle(
        type="json",
        entry=ENTRY,
        files=(measured(ENTRY, path),),
        folder=path.parent,
        python=python_of(text),
    )


def keep(text: str) -> Path:
    """Put a text where a submission that is cut short finds it again; the journal deletes it."""
    private_folder(state_folder())
    path = problems_folder() / f"{hashlib.sha256(text.encode()).hexdigest()}.json"
    write_private(path, text)
    return path


def checked_texts(problems: Sequence[Any]) -> list[str]:
    """Write problems as JSON that comes out the same in a Python that knows nothing of this one."""
    texts = [_serialized(problem) for problem in problems]
    points = [probes(problem) for problem in problems]
    for problem, seen in zip(problems, read_back(texts, points), strict=True):
        _compare(Facts.of(problem), seen)
    return texts


def python_of(text: str) -> str | None:
    """Say which Python the pickled functions in a JSON need; None when there are none."""
    if '"Callable"' not in text:
        return None
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def _serialized(problem: Any) -> str:
    if not all(hasattr(problem, name) for name in ("getp", "labels", "nllf", "models")):
        raise UsageError(
            f"a bumps FitProblem is needed, or the path of a script, not {type(problem).__name__}"
        )
    if not len(problem.getp()):
        raise UsageError(
            "the problem has no parameters to fit: give at least one a range, as in "
            "model.a.range(0, 10)"
        )
    try:
        from bumps.serialize import serialize

        document = _with_plain_ids(serialize(problem))
        return json.dumps(document, allow_nan=False, separators=(",", ":"))
    except ImportError as error:
        raise UsageError(f"bumps is not installed beside this program: {error}") from error
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        reason = clean_line(error, 300)
        raise LostError(f"bumps's JSON cannot hold this problem ({reason}).\n{_INSTEAD}") from error


def _with_plain_ids(document: dict[str, Any]) -> dict[str, Any]:
    """Name the shared parameters by content and number: bumps's ids are random.

    The same problem must be known again when it is submitted once more after a crash.
    """
    numbers = {name: f"p{number}" for number, name in enumerate(document["references"])}
    plain: dict[str, Any] = _renamed(document, numbers)
    content = json.dumps(plain, sort_keys=True)
    ids = {name: str(uuid5(NAMESPACE_OID, f"{name} {content}")) for name in numbers.values()}
    return {**plain, **_renamed({name: plain[name] for name in ("object", "references")}, ids)}


def _renamed(node: Any, ids: dict[str, str]) -> Any:
    if isinstance(node, dict):
        return {ids.get(key, key): _renamed(value, ids) for key, value in node.items()}
    if isinstance(node, list):
        return [_renamed(value, ids) for value in node]
    return ids.get(node, node) if isinstance(node, str) else node


def read_back(texts: Sequence[str], points: Sequence[Sequence[Sequence[float]]]) -> list[Seen]:
    """Load problems in a Python of its own, away from our files and modules.

    Parameters
    ----------
    points
        Where each problem is evaluated.
    """
    asked = [{"text": text, "points": some} for text, some in zip(texts, points, strict=True)]
    environment = {name: text for name, text in os.environ.items() if name != "PYTHONPATH"}
    with tempfile.TemporaryDirectory(prefix="bumps-remote-") as folder:
        done = subprocess.run(
            [sys.executable, "-c", _CHECK],
            input="".join(f"{json.dumps(one)}\n" for one in asked),
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=_CHECK_S,
            check=False,
        )
    if done.returncode:
        said = clean(done.stderr.strip()[-1000:])
        raise LostError(
            f"a Python that read the problem back ended with {done.returncode}: {said}\n{_INSTEAD}"
        )
    found: list[Seen] = json.loads(done.stdout)
    return found


def _compare(before: Facts, seen: Seen) -> None:
    if seen.get("lost") or "error" in seen:
        causes = [*seen.get("lost", []), *([seen["error"]] if "error" in seen else [])]
        raise LostError(
            "the problem cannot be restored elsewhere from bumps's JSON: "
            f"{clean_line('; '.join(causes), 500)}\n"
            "A class or function of your own that lies in a file here, or was made in a notebook, "
            f"is not there on the cluster. {_INSTEAD}"
        )
    seen.pop("lost")
    lists = {name: tuple(seen[name]) for name in ("labels", "x", "nllf")}
    after = Facts(**{**seen, **lists})
    if different := list(before.differences(after)):
        raise LostError(
            "the problem does not come out the same from bumps's JSON: "
            f"{'; '.join(different)}.\n{_INSTEAD}"
        )
    if not math.isfinite(before.nllf[0]):
        raise UsageError(
            f"the model gives {before.nllf[0]} at its start: choose other start values first"
        )


def _same(before: float, after: float) -> bool:
    if math.isnan(before) or math.isnan(after):
        return math.isnan(before) and math.isnan(after)
    return math.isclose(before, after, rel_tol=_SAME, abs_tol=1e-300)
