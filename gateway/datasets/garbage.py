"""Remove contents that nothing names any more, a little at a time.

A record that names a content protects it: a problem with all its versions, a job with the plan of
each attempt, a dataset, in the store or in a file beside it (so a store that was lost and is not
yet built again costs nothing). Whatever looks like a digest in a record is a name. A pass lists
what was last wanted long ago, reads all records, and remembers what none of them names; what the
pass before had found unnamed as well is removed, unless somebody wanted it since. A record that is
written during a pass may be missed, so whoever writes one renews its contents first.

It may be killed at any point: the next pass begins afresh.
"""

from __future__ import annotations

import json
import re
import time
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from gateway.faults import crash_point

if TYPE_CHECKING:
    from gateway.datasets.blobs import BlobStore
    from gateway.datasets.store import DatasetStore

_HEX = re.compile(r"[0-9a-f]{64,}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_OWNER = re.compile(r'"owner":\s*"([^"\\]+)"')
_PLAN = re.compile(r'"plan":\s*"([0-9a-f]{64})"')
_HEAD = 16
"""Hexadecimal digits that a census knows a content by: two that agree in them are kept together."""

_FEW = 100
_PAUSE_S = 60.0
_UNFINISHED_S = 24 * 3600.0
REPORT = "swept.json"
"""What the last pass found, in the state directory."""

_log = structlog.get_logger("garbage")

Texts = Callable[[], Iterator[str]]
"""Go through the records of a room, each with its owner and all digests that it names."""


def digests_in(text: str) -> Iterator[str]:
    """Find all that looks like a digest.

    >>> list(digests_in('{"a": "' + "ab" * 32 + '", "b": "abc"}')) == ["ab" * 32]
    True
    """
    return (found for found in _HEX.findall(text) if len(found) == 64)


@dataclass(frozen=True, kw_only=True)
class Swept:
    """What one pass found and removed."""

    ended: float
    """Unix time."""

    kept: int
    kept_bytes: int
    removed: int
    removed_bytes: int
    forgotten: int
    """Uploads that users had made and that nothing of theirs names."""


class Census:
    """Contents that were last wanted before a time, and which of them are named.

    There may be millions, so each takes nine bytes.
    """

    def __init__(self, digests: Iterator[str]) -> None:
        self._heads = array("Q", sorted({int(digest[:_HEAD], 16) for digest in digests}))
        self._named = bytearray(len(self._heads))
        self._opened = bytearray(len(self._heads))

    def _index(self, digest: str) -> int | None:
        head = int(digest[:_HEAD], 16)
        index = bisect_left(self._heads, head)
        found = index < len(self._heads) and self._heads[index] == head
        return index if found else None

    def __contains__(self, digest: str) -> bool:
        return self._index(digest) is not None

    def name(self, digest: str) -> None:
        """Note that something names a content."""
        if (index := self._index(digest)) is not None:
            self._named[index] = 1

    def is_named(self, digest: str) -> bool:
        """Whether something names a content; one that is not listed is young, and stays."""
        index = self._index(digest)
        return index is None or bool(self._named[index])

    def open(self, digest: str) -> bool:
        """Say whether a plan is to be read: each that is listed once."""
        index = self._index(digest)
        if index is None:
            return True
        first = not self._opened[index]
        self._opened[index] = 1
        return first


@dataclass
class _Pass:
    """What one pass knows so far."""

    before: float
    old: list[str] = field(default_factory=list)
    kept: int = 0
    kept_bytes: int = 0
    uploads: set[tuple[str, str]] = field(default_factory=set)
    """Owner and digest of old uploads that nothing of that owner names, as far as was read."""


def _list_one(path: Path, state: _Pass) -> None:
    try:
        status = path.stat()
    except FileNotFoundError:  # another worker sweeps, too
        return
    state.kept += 1
    state.kept_bytes += status.st_size
    if status.st_mtime < state.before:
        state.old.append(path.name)


class Garbage:
    """Looks for what nothing names, in steps that hold up nobody."""

    def __init__(
        self,
        blobs: BlobStore,
        store: DatasetStore,
        texts: Sequence[Texts],
        report: Path,
        *,
        unused_s: float,
        every_s: float,
    ) -> None:
        self._blobs = blobs
        self._store = store
        self._texts = texts
        self._report = report
        self._unused_s = unused_s
        self._every_s = every_s
        self._running: Iterator[None] | None = None
        self._due = time.monotonic() + min(_PAUSE_S, every_s)
        self._unnamed: frozenset[str] = frozenset()
        self._unclaimed: frozenset[tuple[str, str]] = frozenset()

    def step(self, budget_s: float) -> None:
        """Go on with a pass for a while, or begin one when it is time."""
        until = time.monotonic() + budget_s
        if self._running is None:
            if time.monotonic() < self._due:
                return
            self._running = self.sweep()
            self._due = time.monotonic() + self._every_s
        running, self._running = self._running, None  # a pass that fails is not gone on with
        for _ in running:
            if time.monotonic() >= until:
                self._running = running
                return

    def sweep(self) -> Iterator[None]:
        """Make one pass; it may be left anywhere."""
        state = _Pass(before=time.time() - self._unused_s)
        yield from self._list_old(state)
        census = Census(iter(state.old))
        yield from self._list_uploads(state, census)
        for texts in self._texts:
            for text in texts():
                self._read(text, state, census)
                yield
        yield from self._remove(state, census)

    def _list_old(self, state: _Pass) -> Iterator[None]:
        self._blobs.remove_unfinished(time.time() - _UNFINISHED_S)
        for folder in self._blobs.folders():
            for number, path in enumerate(folder.iterdir()):
                if not _DIGEST.fullmatch(path.name):
                    continue
                _list_one(path, state)
                if number % _FEW == 0:
                    yield
            yield

    def _list_uploads(self, state: _Pass, census: Census) -> Iterator[None]:
        for number, (owner, digest, uploaded) in enumerate(self._store.uploads()):
            if uploaded < state.before and (digest in census or not self._blobs.has(digest)):
                state.uploads.add((owner, digest))
            if number % _FEW == 0:
                yield

    def _read(self, text: str, state: _Pass, census: Census) -> None:
        """Strike out what a record names, with what the plans in it name."""
        found = _OWNER.search(text)
        owner = found[1] if found else ""
        self._strike(owner, text, state, census)
        for plan in set(_PLAN.findall(text)):
            if census.open(plan) and self._blobs.has(plan):
                content = self._blobs.read(plan).decode("utf-8", "replace")
                self._strike(owner, content, state, census)

    def _strike(self, owner: str, text: str, state: _Pass, census: Census) -> None:
        for digest in digests_in(text):
            census.name(digest)
            state.uploads.discard((owner, digest))

    def _remove(self, state: _Pass, census: Census) -> Iterator[None]:
        unnamed = frozenset(digest for digest in state.old if not census.is_named(digest))
        unclaimed = frozenset(state.uploads)
        forgotten = removed = removed_bytes = 0
        for owner, digest in unclaimed & self._unclaimed:
            forgotten += self._store.forget_file(owner, digest, state.before)
            yield
        for digest in unnamed & self._unnamed:
            size = self._blobs.remove_unwanted(digest, state.before)
            if size is not None:
                crash_point("sweep-content-removed")
                removed += 1
                removed_bytes += size
            yield
        self._unnamed, self._unclaimed = unnamed, unclaimed
        swept = Swept(
            ended=time.time(),
            kept=state.kept - removed,
            kept_bytes=state.kept_bytes - removed_bytes,
            removed=removed,
            removed_bytes=removed_bytes,
            forgotten=forgotten,
        )
        write_report(self._report, swept)
        _log.info("swept", **asdict(swept))


def write_report(path: Path, swept: Swept) -> None:
    """Leave word of a pass, for whoever asks the doctor."""
    unfinished = path.with_name(f".{path.name}.part")
    unfinished.write_text(json.dumps(asdict(swept)), encoding="ascii")
    unfinished.replace(path)


def read_report(path: Path) -> Swept | None:
    """Read what the last pass left word of; None when there was none."""
    try:
        return Swept(**json.loads(path.read_text(encoding="ascii")))
    except FileNotFoundError:
        return None
