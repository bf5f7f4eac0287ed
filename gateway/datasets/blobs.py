"""Files by their content: one copy on disk for the same bytes, named by its SHA-256.

A file is visible under its digest only when it is whole and on the disk, so a name that was handed
out can be trusted after any crash. Its time of change says when it was last wanted: a content that
nothing names is removed when that is long ago (`gateway.datasets.garbage`). Who hands a name out
renews that time first, under a lock that the removal takes alone.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO

from gateway.disk import create, require_space, told_when_full
from gateway.errors import NotFoundError, TooLargeError

_DIGEST = re.compile(r"[0-9a-f]{64}")
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Blob:
    """A stored content."""

    digest: str
    """SHA-256, lower-case hexadecimal."""

    size: int


class BlobStore:
    """The folder of contents, two levels deep: ``ab/abcdef...``."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._root.mkdir(parents=True, exist_ok=True, mode=0o700)

    def path(self, digest: str) -> Path:
        """Say where a content lies.

        Raises
        ------
        NotFoundError
            When there is no such content, or the text is no digest.
        """
        if not _DIGEST.fullmatch(digest):
            raise NotFoundError(f"{digest[:80]!r} is not a SHA-256 digest")
        path = self._place(digest)
        if not path.is_file():
            raise NotFoundError(f"no file with the digest {digest}: upload it first")
        return path

    @property
    def root(self) -> Path:
        """Where contents lie, and uploads that have not ended."""
        return self._root

    def has(self, digest: str) -> bool:
        """Whether a content is here."""
        return _DIGEST.fullmatch(digest) is not None and self._place(digest).is_file()

    def keep(self, *digests: str) -> bool:
        """Say that contents are wanted, so that they are not removed now; False if one is missing.

        To be asked before a record is written that names them.
        """
        with self._lock(fcntl.LOCK_SH):
            renewed = [self._renew(digest) for digest in digests]
        return all(renewed)

    def _renew(self, digest: str) -> bool:
        if not _DIGEST.fullmatch(digest):
            return False
        try:
            os.utime(self._place(digest))
        except FileNotFoundError:
            return False
        return True

    def size(self, digest: str) -> int:
        """Say how many bytes a content has."""
        return self.path(digest).stat().st_size

    def read(self, digest: str) -> bytes:
        """Read a content whole."""
        return self.path(digest).read_bytes()

    def open(self, digest: str) -> BinaryIO:
        """Open a content for reading."""
        return self.path(digest).open("rb")

    def put(self, content: bytes, admit: Callable[[Blob], object] | None = None) -> Blob:
        """Keep bytes; the same bytes again cost nothing. *admit* as for `add`."""
        blob = Blob(digest=hashlib.sha256(content).hexdigest(), size=len(content))
        if not self.keep(blob.digest):
            return self.add([content], limit_bytes=len(content), admit=admit)
        if admit is not None:
            admit(blob)
        return blob

    def add(
        self,
        chunks: Iterable[bytes],
        *,
        limit_bytes: int,
        admit: Callable[[Blob], object] | None = None,
    ) -> Blob:
        """Keep what comes, up to a limit.

        Parameters
        ----------
        admit
            Asked when all is on the disk and nobody sees it yet; what it raises keeps it out.

        Raises
        ------
        TooLargeError
            When more than *limit_bytes* come; nothing is kept.
        NoSpaceError
            When the disk is nearly full; nothing is kept.
        """
        unfinished = self._root / f".{secrets.token_hex(8)}.part"
        try:
            with told_when_full():
                blob = self._receive(chunks, unfinished, limit_bytes)
                if admit is not None:
                    admit(blob)
                self._show(unfinished, self._place(blob.digest))
        finally:
            unfinished.unlink(missing_ok=True)
        return blob

    def take(self, path: Path, admit: Callable[[Blob], object]) -> Blob:
        """Keep a file of this folder that is whole, without copying it; *admit* as for `add`."""
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            size = file.tell()
        blob = Blob(digest=digest, size=size)
        admit(blob)
        os.utime(path)
        self._show(path, self._place(digest))
        return blob

    def _receive(self, chunks: Iterable[bytes], path: Path, limit_bytes: int) -> Blob:
        digest = hashlib.sha256()
        size = 0
        with os.fdopen(create(path), "wb") as file:
            for chunk in chunks:
                size += len(chunk)
                if size > limit_bytes:
                    raise TooLargeError(
                        f"the file has more than {limit_bytes} bytes, the most that this site takes"
                    )
                require_space(self._root, len(chunk))
                digest.update(chunk)
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        return Blob(digest=digest.hexdigest(), size=size)

    def _show(self, unfinished: Path, place: Path) -> None:
        place.parent.mkdir(exist_ok=True, mode=0o700)
        with self._lock(fcntl.LOCK_SH):
            unfinished.replace(place)
        _sync_folder(place.parent)

    # ---- what nothing names

    def folders(self) -> Iterator[Path]:
        """Give the folders that contents lie in."""
        yield from sorted(self._root.glob("[0-9a-f][0-9a-f]"))

    def remove_unwanted(self, digest: str, before: float) -> int | None:
        """Remove a content that was last wanted before a time; answer its size.

        None when it was wanted since, is gone, or when somebody hands a name out just now.
        """
        place = self._place(digest)
        try:
            with self._lock(fcntl.LOCK_EX | fcntl.LOCK_NB):
                status = place.stat()
                if status.st_mtime >= before:
                    return None
                place.unlink()
        except (BlockingIOError, FileNotFoundError):
            return None
        return status.st_size

    def remove_unfinished(self, before: float) -> None:
        """Remove what uploads left that were killed before a time."""
        for path in self._root.glob(".*.part"):
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < before:
                    path.unlink()

    @contextmanager
    def nothing_removed(self) -> Iterator[None]:
        """Let no content be removed meanwhile; new ones may come."""
        with self._lock(fcntl.LOCK_SH):
            yield

    @contextmanager
    def _lock(self, how: int) -> Iterator[None]:
        # A handle of its own each time: threads that share one would share the lock.
        handle = os.open(self._root / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, how)
            yield
        finally:
            os.close(handle)

    def _place(self, digest: str) -> Path:
        return self._root / digest[:2] / digest


def read_chunks(stream: IO[bytes], size: int = _CHUNK_BYTES) -> Iterable[bytes]:
    """Read a stream to its end, a piece at a time."""
    while chunk := stream.read(size):
        yield chunk


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
