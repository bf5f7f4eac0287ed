"""Expert mode in the new-fit form: what is added to the script, as fields and as a document.

=============  =====================================================================================
names          mean
=============  =====================================================================================
``x.NAME``     a further directive, by Slurm's name with ``_``; those without a value are ticked
``lines``      shell lines before the fit
=============  =====================================================================================
"""

from __future__ import annotations

from collections.abc import Mapping

from gateway.jobs.expert import MORE, Additions, written
from gateway.records import Document

PREFIX = "x."
_LINES = "lines"


def expert_document(values: Mapping[str, str]) -> Document:
    """Write what is added as a part of a job; empty when nothing is.

    >>> expert_document({"x.exclude": " node3 ", "x.begin": "", "lines": "module load gcc"})
    {'expert': {'directives': {'exclude': 'node3'}, 'lines': 'module load gcc'}}
    """
    directives = {
        name.removeprefix(PREFIX): _value(name.removeprefix(PREFIX), text.strip())
        for name, text in values.items()
        if name.startswith(PREFIX) and text.strip()
    }
    lines = values.get(_LINES, "").rstrip()
    found = {"directives": directives, "lines": lines}
    given = {name: part for name, part in found.items() if part}
    return {"expert": given} if given else {}


def _value(name: str, text: str) -> str | bool:
    return True if name in MORE and MORE[name].is_flag else text


def expert_fields(request: Document) -> dict[str, str]:
    """Fill in what a job has added to its script."""
    expert = request.get("expert") or {}
    found = {f"{PREFIX}{name}": _text(value) for name, value in _directives(expert).items()}
    return {**found, _LINES: expert.get("lines") or ""}


def _directives(expert: Document) -> Document:
    return dict(expert.get("directives") or {})


def _text(value: object) -> str:
    return "yes" if value is True else str(value or "")


def expert_choices(values: Mapping[str, str], allowed: Additions) -> Document:
    """Say which fields there are: what may be added, and what stands there all the same."""
    names = [name for name in MORE if name in allowed.directives or values.get(f"{PREFIX}{name}")]
    has_lines = allowed.lines or bool(values.get(_LINES))
    return {
        "expert": [(name, written(name), MORE[name]) for name in names],
        "expert_lines": has_lines,
        "expert_open": any(
            text for name, text in values.items() if name == _LINES or name.startswith(PREFIX)
        ),
    }
