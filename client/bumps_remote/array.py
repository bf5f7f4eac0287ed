"""One model, many data files: the elements of an array."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from bumps_remote.errors import UsageError
from bumps_remote.files import Bundle, find_files, measured
from bumps_remote.journal import LocalFile
from bumps_remote.text import clean_line

_CODE = frozenset({".py"})
_LABEL = 100
TASKS = 20
"""So many processes do an array, unless it is told how many elements each takes."""


@dataclass(frozen=True, kw_only=True)
class Element:
    """One element: what differs from the model as it is."""

    label: str
    replaces: str
    """Name, in the bundle, of the file whose place its own takes."""

    file: LocalFile

    def document(self) -> dict[str, Any]:
        """Write it for POST /jobs."""
        return {"label": self.label, "files": {self.replaces: self.file.digest}}


def make_elements(
    bundle: Bundle, files: Sequence[str | Path], replace: str | None = None
) -> tuple[Element, ...]:
    """Let each of some files take the place of the model's data file.

    Parameters
    ----------
    files
        Paths, or patterns such as ``data/*.dat``, which take all that they match.
    replace
        Name of the data file in the bundle; None if there is only one.

    Raises
    ------
    UsageError
        When a file is missing or comes twice, or it is not clear which one they replace.
    """
    root = bundle.folder
    paths = [path for text in files for path in find_files(str(text), root, "--array")]
    if not paths:
        raise UsageError("--array: which files? Give them after the model: --array data/*.dat")
    double = next((path for path, times in Counter(paths).items() if times > 1), None)
    if double is not None:
        raise UsageError(f"--array: {clean_line(double)} is given twice")
    target = _target(bundle, replace)
    return tuple(
        Element(label=label, replaces=target, file=measured(path.name, path))
        for path, label in zip(paths, labels(paths), strict=True)
    )


def _target(bundle: Bundle, replace: str | None) -> str:
    names = [file.name for file in bundle.files]
    data = [
        name for name in names if name != bundle.entry and PurePosixPath(name).suffix not in _CODE
    ]
    shown = ", ".join(clean_line(name, 80) for name in data[:10]) or "none"
    if replace is not None:
        name = PurePosixPath(replace).as_posix()
        if name not in names:
            raise UsageError(
                f"--replace: the model has no file {clean_line(replace, 80)!r}. Its data files "
                f"are: {shown}; --data adds one that was not found"
            )
        return name
    if len(data) != 1:
        raise UsageError(
            f"--array: which of the model's data files shall each file replace? Say it with "
            f"--replace NAME; they are: {shown}"
            + ("" if data else " (--data adds one that was not found in the script)")
        )
    return data[0]


def labels(paths: Sequence[Path]) -> list[str]:
    """Name elements after their files, as briefly as tells them apart.

    >>> labels([Path("/d/a/s1.dat"), Path("/d/b/s1.dat")])
    ['a/s1.dat', 'b/s1.dat']
    >>> labels([Path("/d/s1.dat"), Path("/d/s2.dat")])
    ['s1', 's2']
    """
    for name in (lambda p: p.stem, lambda p: p.name, lambda p: f"{p.parent.name}/{p.name}"):
        found = [clean_line(name(path), _LABEL) for path in paths]
        if len(set(found)) == len(found):
            return found
    return [clean_line(f"{index} {path.name}", _LABEL) for index, path in enumerate(paths)]


def choose_pack(count: int, pack: int | None) -> int:
    """Say how many elements one process does: what is asked, else few enough processes.

    >>> choose_pack(100, None), choose_pack(3, None), choose_pack(100, 50)
    (5, 1, 50)
    """
    if pack is None:
        return max(1, math.ceil(count / TASKS))
    if pack < 1:
        raise UsageError(f"--pack must be at least 1, not {pack}: elements for one process")
    return pack


def choose_throttle(throttle: int | None, *, several: bool) -> int | None:
    """Check how many processes may run at once.

    >>> choose_throttle(8, several=True), choose_throttle(None, several=False)
    (8, None)
    """
    if throttle is None:
        return None
    if not several:
        raise UsageError("--throttle belongs to --array, --grid or --from-starts: one fit is one")
    if throttle < 1:
        raise UsageError(f"--throttle must be at least 1, not {throttle}: processes at once")
    return throttle


def summaries(results: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Put the elements of all tasks of an array together, in their order."""
    rows = [row for result in results for row in result.get("elements") or []]
    return sorted(rows, key=lambda row: int(row.get("index") or 0))


def find_element(rows: Sequence[dict[str, Any]], which: str | int) -> int:
    """Find an element by its label, or else by its number; answer the number.

    >>> find_element([{"index": 0, "label": "s1"}, {"index": 1, "label": "s2"}], "s2")
    1

    Raises
    ------
    UsageError
        When there is none such, or several.
    """
    if not rows:
        raise UsageError("this job is no array: it has no elements")
    text = str(which)
    meant = [row for row in rows if str(row.get("label")) == text and isinstance(which, str)]
    meant = meant or [row for row in rows if str(row.get("index")) == text]
    if len(meant) == 1:
        return int(meant[0]["index"])
    known = ", ".join(clean_line(row.get("label", ""), 40) for row in rows[:8])
    raise UsageError(
        f"{len(meant)} elements are called {clean_line(text, 80)!r}: give a number from 0 to "
        f"{len(rows) - 1}, or a label ({known}{' …' if len(rows) > 8 else ''})"
    )
