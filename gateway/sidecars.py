"""A JSON file beside each record of the store, so that the store can be built again from files.

They lie in the gateway's own state directory, never in a job's: a user could write there. Several
processes write them, and each may be held up between its change of the store and its file. So each
version is a file of its own, ``ID.VERSION.json``, and the newest one counts; a deleted record has
``ID.deleted.json``, which counts more than any version. Whoever has written one removes what it has
made old, itself included. Nobody waits for a lock, and a kill at any point only leaves an old file.
"""

from __future__ import annotations

import json
import os
import secrets
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import structlog

from gateway.disk import create, told_when_full
from gateway.errors import NoSpaceError
from gateway.records import Document

_DELETED = "deleted"
_SUFFIX = ".json"
_PART = ".part"
_UNFINISHED_S = 24 * 3600.0
_log = structlog.get_logger("sidecars")


class Unfinished:
    """A sidecar that is on the disk, and that nobody sees yet."""

    def __init__(self, path: Path, place: Path) -> None:
        self._path = path
        self._place = place

    def keep(self) -> None:
        """Let it be seen."""
        with told_when_full():
            self._path.replace(self._place)

    def take_back(self) -> None:
        """Remove it although it was kept; one that has made it old stays."""
        self._place.unlink(missing_ok=True)

    def discard(self) -> None:
        """Remove it, unless it was kept."""
        self._path.unlink(missing_ok=True)


class Sidecars:
    """The sidecars of one kind of record, in folders by the last two signs of the id."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @contextmanager
    def prepared(self, id: str, version: int | str, document: Document) -> Iterator[Unfinished]:
        """Have a version on the disk before the store is changed, so that a full disk changes none.

        It is seen only when it is kept, and the caller removes with `tidy` what it has made old.

        Raises
        ------
        NoSpaceError
            When the disk takes no more.
        """
        unfinished = self._prepare(id, str(version), document)
        try:
            yield unfinished
        finally:
            unfinished.discard()

    def write(self, id: str, version: int, document: Document) -> None:
        """Write one, whole or not at all, and on the disk before this returns."""
        with self.prepared(id, version, document) as unfinished:
            unfinished.keep()
        self.tidy(id)

    def ensure(self, id: str, version: int, document: Document) -> None:
        """Write one of a record that has none: one that is there is as new, or newer."""
        if not self._marks(id):
            self.write(id, version, document)

    def bury(self, id: str, document: Document) -> None:
        """Say for good that a record was deleted, with what is to be known of it.

        Raises
        ------
        NoSpaceError
            When the disk takes no more; the record is not there any more all the same.
        """
        try:
            with self.prepared(id, _DELETED, document) as unfinished:
                unfinished.keep()
        except NoSpaceError:
            self.remove(id)
            raise
        self.tidy(id)

    def is_buried(self, id: str) -> bool:
        """Whether a record was deleted."""
        return self._place(id, _DELETED).exists()

    def cut_buried(self, id: str, name: str) -> None:
        """Take one thing out of what is known of a deleted record.

        Raises
        ------
        NoSpaceError
            When the disk takes no more; the file is as it was.
        """
        if not self.is_buried(id):
            return
        document = self._read(id, _DELETED)
        if document.pop(name, None) is not None:
            with self.prepared(id, _DELETED, document) as unfinished:
                unfinished.keep()

    def remove(self, id: str) -> None:
        """Remove all versions of a record that is not made again; none is no error."""
        for mark in self._marks(id):
            self._place(id, mark).unlink(missing_ok=True)

    def tidy(self, id: str) -> None:
        """Remove the versions that do not count any more."""
        marks = self._marks(id)
        for mark in marks - {_newest(marks)}:
            self._place(id, mark).unlink(missing_ok=True)

    def read(self, id: str) -> Document | None:
        """Read the newest version of one; None when there is none, or it was deleted."""
        while marks := self._marks(id):
            newest = _newest(marks)
            if newest == _DELETED:
                return None
            try:
                return self._read(id, newest)
            except FileNotFoundError:  # a newer one came meanwhile
                continue
        return None

    def __iter__(self) -> Iterator[tuple[str, Document]]:
        """Give the ids of all records that are not deleted, and their newest version.

        One that cannot be read is empty: it must not keep the others from being restored.
        """
        for name, newest in self._all():
            if newest != _DELETED and (document := self._readable(name, newest)) is not None:
                yield name, document

    def texts(self) -> Iterator[str]:
        """Give all records that are not deleted as they are written.

        Raises
        ------
        OSError
            When one cannot be read: what it names is not known then.
        """
        for name, newest in self._all():
            while newest not in ("", _DELETED):
                try:
                    yield self._place(name, newest).read_text(encoding="utf-8")
                    break
                except FileNotFoundError:
                    newest = _newest(self._marks(name))

    def files(self) -> Iterator[tuple[str, bytes]]:
        """Give the newest file of each record, deleted ones too: its place below the root."""
        for name, newest in self._all():
            while newest:
                place = self._place(name, newest)
                try:
                    yield place.relative_to(self._root).as_posix(), place.read_bytes()
                    break
                except FileNotFoundError:  # a newer one came meanwhile
                    newest = _newest(self._marks(name))

    def buried(self) -> Iterator[tuple[str, Document]]:
        """Give the ids of all deleted records, and what is known of them."""
        for name, newest in self._all():
            if newest == _DELETED:
                yield name, self._readable(name, newest) or {}

    def _readable(self, id: str, newest: str) -> Document | None:
        try:
            return self._read(id, newest) if newest == _DELETED else self.read(id)
        except (OSError, ValueError, TypeError) as error:
            _log.error("cannot be read", file=str(self._place(id, newest)), error=str(error))
            return {}

    def _read(self, id: str, mark: str) -> Document:
        return dict(json.loads(self._place(id, mark).read_text(encoding="utf-8")))

    def _all(self) -> Iterator[tuple[str, str]]:
        """List all ids, each with the mark of its newest file."""
        for folder in sorted(self._root.glob("[!.]*")):
            _remove_unfinished(folder)
            found: dict[str, set[str]] = defaultdict(set)
            for path in folder.glob(f"[!.]*{_SUFFIX}"):
                name, _, mark = path.name.removesuffix(_SUFFIX).rpartition(".")
                if name and _is_mark(mark):
                    found[name].add(mark)
            for name in sorted(found):
                if len(found[name]) > 1:  # its writer was killed, or came very late
                    self.tidy(name)
                yield name, _newest(found[name])

    def _marks(self, id: str) -> set[str]:
        """List what there is of one record: the numbers of versions, and whether it was deleted."""
        begin, cut = f"{id}.", slice(len(id) + 1, -len(_SUFFIX))
        try:
            # Not by glob: it makes a pattern of each id, which costs more than all else here.
            names = os.listdir(self._folder(id))  # noqa: PTH208 - nothing is done with paths
        except FileNotFoundError:
            return set()
        marks = {name[cut] for name in names if name.startswith(begin) and name.endswith(_SUFFIX)}
        return {mark for mark in marks if _is_mark(mark)}

    def _prepare(self, id: str, mark: str, document: Document) -> Unfinished:
        place = self._place(id, mark)
        path = place.with_name(f".{place.name}.{secrets.token_hex(4)}{_PART}")
        unfinished = Unfinished(path, place)
        with told_when_full():
            place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            try:
                with os.fdopen(create(path), "w", encoding="utf-8") as file:
                    # dump writes in tiny pieces
                    file.write(json.dumps(document, separators=(",", ":")))
                    file.flush()
                    os.fsync(file.fileno())
            except OSError:
                unfinished.discard()
                raise
        return unfinished

    def _folder(self, id: str) -> Path:
        return self._root / id[-2:]

    def _place(self, id: str, mark: str) -> Path:
        return self._folder(id) / f"{id}.{mark}{_SUFFIX}"


def _remove_unfinished(folder: Path) -> None:
    """Remove what writers left that were killed long ago."""
    oldest = time.time() - _UNFINISHED_S
    for path in folder.glob(f".*{_PART}"):
        with suppress(FileNotFoundError):  # finished just now
            if path.stat().st_mtime < oldest:
                path.unlink()


def _is_mark(text: str) -> bool:
    return text == _DELETED or (text.isascii() and text.isdigit())


def _newest(marks: set[str]) -> str:
    """Say which file counts.

    >>> _newest({"9", "10"}), _newest({"9", "deleted"}), _newest(set())
    ('10', 'deleted', '')
    """
    if _DELETED in marks:
        return _DELETED
    return max(marks, key=int, default="")
