"""How the scripts of fits that are compared are not the same, line by line."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from gateway.datasets.blobs import BlobStore
from gateway.jobs.compared import Comparison, Member

_TEXT_BYTES = 200_000
_LINES = 3_000
"""Of longer scripts no differences are looked for: that may take long."""

_LINES_IN_ALL = 60_000
"""Of all that are held against each other: the worst of them take a few seconds."""

_SHOWN = 400
_ROUND = 2


@dataclass(frozen=True, kw_only=True)
class Change:
    """What is another in one script than in the reference's of that name."""

    number: int
    """Of the member, counted from 1."""

    name: str
    lines: tuple[str, ...] | None
    """As ``diff -u`` writes them: nothing where only the ends of lines are written otherwise.

    None when the scripts are too long to be held against each other.
    """

    added: int = 0
    """How many lines the reference does not have."""

    removed: int = 0
    """How many lines only the reference has."""

    more: int = 0
    """How many lines follow that are not given."""


def changes_of(comparison: Comparison, blobs: BlobStore) -> tuple[Change, ...]:
    """Hold each Python file against that of the reference, where both have one of its name."""
    first = _scripts(comparison.reference)
    pairs = (
        (number, name, (first[name], digest))
        for number, member in enumerate(comparison.members[1:], start=2)
        for name, digest in _scripts(member).items()
        if first.get(name, digest) != digest
    )
    return tuple(_changes(pairs, blobs))


def _changes(
    pairs: Iterable[tuple[int, str, tuple[str, str]]], blobs: BlobStore
) -> Iterator[Change]:
    left = _LINES_IN_ALL
    for number, name, (old, new) in pairs:
        before, after = _text(blobs, old), _text(blobs, new)
        length = len(before or ()) + len(after or ())
        if before is None or after is None or length > left:
            yield Change(number=number, name=name, lines=None)
            continue
        left -= length
        lines = tuple(_differences(before, after))
        yield Change(
            number=number,
            name=name,
            lines=lines[:_SHOWN],
            added=sum(line.startswith("+") for line in lines),
            removed=sum(line.startswith("-") for line in lines),
            more=max(0, len(lines) - _SHOWN),
        )


def _scripts(member: Member) -> dict[str, str]:
    return {
        file.path.removeprefix("data/"): file.digest
        for file in member.plan.files
        if file.path.startswith("data/") and file.path.endswith(".py")
    }


def _text(blobs: BlobStore, digest: str) -> list[str] | None:
    if not blobs.has(digest) or blobs.size(digest) > _TEXT_BYTES:
        return None
    lines = blobs.read(digest).decode("utf-8", "replace").splitlines()
    return lines if len(lines) <= _LINES else None


def _differences(old: list[str], new: list[str]) -> Iterator[str]:
    """Write the lines that differ, with few around them.

    >>> list(_differences(["a", "b", "c"], ["a", "x", "c"]))
    ['@@ -1,3 +1,3 @@', ' a', '-b', '+x', ' c']
    """
    lines = difflib.unified_diff(old, new, n=_ROUND, lineterm="")
    return (line for index, line in enumerate(lines) if index > 1)
