"""Try a model here before it waits in a queue there: in a folder with just what will be sent."""

from __future__ import annotations

import difflib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bumps_remote.errors import UsageError
from bumps_remote.files import Bundle
from bumps_remote.journal import LocalFile
from bumps_remote.submission import Wanted
from bumps_remote.text import clean, clean_line
from bumps_remote.transport import Document, Notice

VARIABLE = "BUMPS_REMOTE_CHECK"
PYTHON_VARIABLE = "BUMPS_REMOTE_PYTHON"
_OFF = frozenset({"off", "no", "false", "0"})
_CHECKER = Path(__file__).with_name("checker.py")
_TIMEOUT_S = 60.0
_ELEMENTS_S = 20.0
_SHOWN = 3
_NAMED = 12
_PLAIN, _REFERENCE = ("bumps.", "refl1d.", "sasmodels."), "Reference"
_RUNS = "who loads it runs what is in it"
_TELLING = ("bumps", "numpy", "refl1d", "sasmodels")
"""Libraries with which results change."""

_ALL_THE_SAME = "--unchecked submits it all the same"


def check_model(wanted: Wanted, notice: Notice) -> Mapping[str, str]:
    """Load a model, evaluate it once, and answer the versions it was loaded with.

    Of an array it is evaluated with the file of each element, too, while there is time. Where no
    bumps is, and where a library is missing that may well be there, nothing is said against it.

    Raises
    ------
    UsageError
        When it cannot be loaded, its chi-square is not finite, or it starts out of bounds.
    """
    bundle = wanted.bundle
    if os.environ.get(VARIABLE, "").lower() in _OFF:
        return {}
    python = os.environ.get(PYTHON_VARIABLE) or sys.executable
    if python == sys.executable and importlib.util.find_spec("bumps") is None:
        return {}
    if bundle.type == "json" and not _is_plain(bundle, wanted):
        notice(f"not checked here: {clean_line(bundle.entry, 80)} holds more than data: {_RUNS}")
        return {}
    found = _report(bundle, wanted, python)
    if found is None:
        notice("not checked here: the model took longer than a minute")
        return {}
    if missing := found.get("missing"):
        notice(f"not checked here: there is no {clean_line(missing, 80)} beside bumps-remote")
        return {}
    _judge(found, wanted)
    _judge_names(found, wanted.campaign or {})
    _judge_elements(found.get("elements") or {}, wanted, notice)
    return {str(name): str(version) for name, version in found["versions"].items()}


def _report(bundle: Bundle, wanted: Wanted, python: str) -> Document | None:
    with tempfile.TemporaryDirectory(prefix="bumps-remote-check-") as scratch:
        folder = Path(scratch) / "data"
        for file in bundle.files:
            target = folder / file.name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file.path, target)
        where = Path(scratch) / "report.json"
        program = _CHECKER.read_text(encoding="utf-8")
        words = [python, "-c", program, bundle.entry, json.dumps(_asked(wanted)), *bundle.args]
        try:
            done = subprocess.run(
                words,
                cwd=folder,
                env={**os.environ, "BUMPS_REMOTE_REPORT": str(where), "MPLBACKEND": "agg"},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return _read(where) if where.exists() else None
        except OSError as error:
            raise UsageError(f"{python}: {error.strerror}: set {PYTHON_VARIABLE} right") from error
        if not where.exists():
            last = clean(done.stderr.decode(errors="replace")).strip().splitlines()[-1:]
            raise UsageError(
                f"{bundle.entry} ended Python itself with {done.returncode} when it was loaded"
                f"{': ' if last else ''}{''.join(last)}; {_ALL_THE_SAME}"
            )
        return _read(where)


def _asked(wanted: Wanted) -> Document:
    """Say what is to be tried."""
    return {
        "start": [] if wanted.shake else list(wanted.start),
        "within_s": _ELEMENTS_S,
        "elements": [
            {"label": one.label, "name": one.replaces, "path": one.file.path}
            for one in wanted.elements
        ],
    }


def _read(path: Path) -> Document:
    found: Document = json.loads(path.read_text(encoding="utf-8"))
    return found


def _is_plain(bundle: Bundle, wanted: Wanted) -> bool:
    """Say whether JSON problems are data alone; bumps runs functions that are pickled in them."""
    classes: set[str] = set()

    def note(found: Document) -> Document:
        classes.add(str(found.get("__class__", _REFERENCE)))
        return found

    for file in (*bundle.files, *(one.file for one in wanted.elements)):
        _read_json(file, note)
    return all(name == _REFERENCE or name.startswith(_PLAIN) for name in classes)


def _read_json(file: LocalFile, note: Callable[[Document], Document]) -> None:
    try:
        json.loads(Path(file.path).read_bytes(), object_hook=note)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{clean_line(file.path)} is not JSON: {error}") from error


def _judge_elements(found: Document, wanted: Wanted, notice: Notice) -> None:
    """Say which files of an array cannot be fitted; one that can is reason enough to go."""
    bad, tried = found.get("bad") or [], found.get("tried") or 0
    said = "; ".join(
        f"{clean_line(row['label'], 60)}: {_why(row['error'])}" for row in bad[:_SHOWN]
    )
    more = f"; and {len(bad) - _SHOWN} more" if len(bad) > _SHOWN else ""
    if bad and len(bad) == len(wanted.elements):
        raise UsageError(f"no file of the array can be fitted: {said}{more}\n{_ALL_THE_SAME}")
    if bad:
        notice(f"{len(bad)} of {tried} files cannot be fitted, and will fail alone: {said}{more}")
    if tried < len(wanted.elements):
        notice(f"{tried} of {len(wanted.elements)} files were tried here")


def _why(error: Mapping[str, Any] | None) -> str:
    if error is None:
        return "chi-square is not finite: look for NaN and for uncertainties of 0"
    return clean_line(f"{error.get('type')}: {error.get('message')}", 200)


def _judge(found: Document, wanted: Wanted) -> None:
    entry = clean_line(wanted.bundle.entry, 80)
    if error := found.get("error"):
        where = entry
        if error.get("file"):
            where = f"{clean_line(error['file'], 80)}, line {error.get('line')}"
        what = clean_line(f"{error.get('type')}: {error.get('message')}", 500)
        hint = _lack(error)
        raise UsageError(f"{where}: {what}{hint}\n(tried here first; {_ALL_THE_SAME})")
    if not found.get("parameters") and wanted.mode == "fit" and not wanted.campaign:
        raise UsageError(f"{entry} has no parameters to fit: give one a range, as M.a.range(0, 1)")
    for row in [] if wanted.shake else found.get("outside") or []:
        low, high = row["bounds"]
        raise UsageError(
            f"{entry}: {clean_line(row['label'], 80)} starts at {row['value']:g}, out of its "
            f"bounds {_end(low, '-inf')} to {_end(high, 'inf')}: change one of them; "
            f"{_ALL_THE_SAME}"
        )
    if found.get("chisq") is None and not wanted.shake:
        raise UsageError(
            f"{entry}: chi-square is not finite at the start: look for NaN and for uncertainties "
            f"of 0 in the data; {_ALL_THE_SAME}"
        )


def _judge_names(found: Document, campaign: Mapping[str, Any]) -> None:
    """Say which names of a grid or of start values the model does not have."""
    labels = [str(name) for name in found.get("labels") or []]
    others = [str(name) for name in found.get("others") or []]
    asked = [("--grid", name, {*labels, *others}) for name in campaign.get("grid") or {}]
    starts = dict.fromkeys(name for start in campaign.get("starts") or () for name in start)
    asked += [("--from-starts", name, set(labels)) for name in starts]
    for option, name, known in asked:
        if name not in known:
            near = difflib.get_close_matches(name, sorted(known), n=1)
            hint = f"did you mean {near[0]!r}? It" if near else "it"
            more = " …" if len(labels) > _NAMED else ""
            raise UsageError(
                f"{option}: the model has no parameter {clean_line(name, 80)!r}: {hint} fits "
                f"{clean_line(', '.join(labels[:_NAMED]), 400)}{more}; {_ALL_THE_SAME}"
            )


def _lack(error: Mapping[str, Any]) -> str:
    """Say what a file that is not found wants."""
    if error.get("type") not in ("FileNotFoundError", "OSError"):
        return ""
    return "\nonly what stands under 'taking' goes there: if you have it, add it with --data FILE"


def _end(value: float | None, otherwise: str) -> str:
    return otherwise if value is None else f"{value:g}"


def differing(here: Mapping[str, str], there: Mapping[str, Any]) -> list[str]:
    """Say which versions are not the same where results depend on them.

    >>> differing({"bumps": "1.0.5", "python": "3.11.2"}, {"bumps": "1.0.4", "python": "3.11.7"})
    ['bumps 1.0.4 (here 1.0.5)']
    """
    found = [
        f"{name} {clean_line(there[name], 30)} (here {here[name]})"
        for name in _TELLING
        if name in here and name in there and here[name] != there[name]
    ]
    minors = [".".join(str(one.get("python", "")).split(".")[:2]) for one in (there, here)]
    if all(minors) and minors[0] != minors[1]:
        found.append(f"Python {clean_line(minors[0], 10)} (here {minors[1]})")
    return found
