"""How the scripts of fits that are compared are not the same, line by line."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from gateway.datasets.blobs import BlobStore
from gateway.jobs.compared import Comparison, Member

_TEXT_BYTES = 200_000
_LINES = 3_000
"""Of longer scripts no differences are looked for: that may take long."""

_SHOWN = 400
_ROUND = 2


@dataclass(frozen=True, kw_only=True)
class Change:
    """What is another in one script than in the reference's of that name."""

    number: int
    """Of the member, counted from 1."""

    name: str
    lines: tuple[str, ...]
    """As ``diff -u`` writes them; empty when the scripts are too long to be held against."""

    more: int = 0
    """How many lines follow that are not given."""

    @property
    def added(self) -> int:
        """How many lines the reference does not have."""
        return sum(line.startswith("+") for line in self.lines)

    @property
    def removed(self) -> int:
        """How many lines only the reference has."""
        return sum(line.startswith("-") for line in self.lines)


def changes_of(comparison: Comparison, blobs: BlobStore) -> tuple[Change, ...]:
    """Hold each Python file against that of the reference, where both have one of its name."""
    first = _scripts(comparison.reference)
    found = enumerate(comparison.members[1:], start=2)
    return tuple(
        change for number, member in found for change in _changes(number, first, member, blobs)
    )


def _changes(
    number: int, first: Mapping[str, str], member: Member, blobs: BlobStore
) -> Iterator[Change]:
    for name, digest in _scripts(member).items():
        if name not in first or digest == first[name]:
            continue
        texts = [_text(blobs, kept) for kept in (first[name], digest)]
        if any(text is None for text in texts):
            yield Change(number=number, name=name, lines=())
            continue
        lines = tuple(_differences(*(text or [] for text in texts)))
        yield Change(
            number=number, name=name, lines=lines[:_SHOWN], more=max(0, len(lines) - _SHOWN)
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
