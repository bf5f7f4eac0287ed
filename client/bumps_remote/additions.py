"""What is added to a batch script: any option of sbatch, and shell lines before the fit.

Options that every job may ask for are resources. The others, and the lines, are for those whom the
site's policy lets add them; the server says who may what.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bumps_remote.errors import UsageError
from bumps_remote.options import RESOURCES, read_text
from bumps_remote.text import clean_line

_SHORT = {
    "A": "account",
    "C": "constraint",
    "G": "gpus",
    "L": "licenses",
    "N": "nodes",
    "b": "begin",
    "c": "cpus_per_task",
    "m": "distribution",
    "n": "ntasks",
    "p": "partition",
    "q": "qos",
    "t": "time",
    "w": "nodelist",
    "x": "exclude",
}
"""Slurm's options of one letter."""

_FORM = re.compile(r"\s*(?:#\s*SBATCH\s+)?(--|-)?([A-Za-z][A-Za-z0-9_-]*)(?:\s*=\s*|\s+|$)(.*)")
_OUR = {long: short for short, long in RESOURCES.items()}


@dataclass(frozen=True, kw_only=True)
class Additions:
    """What is added to a script."""

    resources: Mapping[str, Any] = field(default_factory=dict)
    """By our names, such as ``cpus``."""

    directives: Mapping[str, Any] = field(default_factory=dict)
    """The other options, by Slurm's long names with ``_``."""

    lines: str = ""

    def given(self) -> dict[str, Any]:
        """Write them as `expert_of` takes them, with the resources."""
        rest = {"directives": dict(self.directives), "lines": self.lines}
        return {**self.resources, **{name: value for name, value in rest.items() if value}}


def expert_of(given: dict[str, Any]) -> dict[str, Any] | None:
    """Take what policy has to allow out of some options; None when it is not spoken of.

    >>> expert_of({"lines": "module load bumps", "cpus": 2}), expert_of({"samples": 2})
    ({'lines': 'module load bumps'}, None)
    """
    found = {name: given.pop(name) for name in ("directives", "lines") if name in given}
    if not found:
        return None
    return {name: value for name, value in found.items() if value}


def read_additions(
    options: Iterable[str] = (), lines: Iterable[str] = (), file: str | Path | None = None
) -> Additions:
    r"""Read options as they stand in scripts, and shell lines, one by one or from a file.

    >>> read_additions(["--gres=gpu:1", "#SBATCH -w node7", "contiguous"], ["module load bumps"])
    Additions(resources={'gres': 'gpu:1'}, directives={'nodelist': 'node7', 'contiguous': True}, lines='module load bumps')

    Raises
    ------
    UsageError
        For what has not the form of an option, or is given twice.
    """  # noqa: E501 - a doctest is one line
    resources: dict[str, Any] = {}
    directives: dict[str, Any] = {}
    for text in options:
        name, value = _read(text)
        place = resources if name in _OUR else directives
        key = _OUR.get(name, name)
        if key in place:
            raise UsageError(f"--sbatch: --{name.replace('_', '-')} is given twice")
        place[key] = value
    typed = list(lines)
    if typed and file is not None:
        raise UsageError("give --line, or --lines FILE, not both: put them all into the file")
    if file is not None:
        typed = [read_text(file)]
    return Additions(resources=resources, directives=directives, lines="\n".join(typed))


def _read(text: str) -> tuple[str, str | bool]:
    """Read one option, with or without dashes; one without a value is True."""
    found = _FORM.fullmatch(text)
    if not found:
        raise UsageError(
            f"--sbatch: {clean_line(text, 80)!r} is no option: give it as in a script, such as "
            "--sbatch gres=gpu:1"
        )
    dashes, name, value = found[1], found[2], found[3].strip()
    if len(name) == 1:
        if name not in _SHORT:
            raise UsageError(
                f"--sbatch: {dashes or '-'}{name} is not known here: give its long name"
            )
        name = _SHORT[name]
    return name.replace("-", "_"), value or True
