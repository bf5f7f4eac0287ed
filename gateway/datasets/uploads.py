"""Uploads that go on where a line was cut, as tus 1.0 has them (https://tus.io).

What has come lies on the disk, and its size says how far an upload got: nothing is lost by a cut
line or a restart, and nothing is sent twice. Unfinished ones are named like those of `BlobStore`,
whose sweep removes what nobody went on with for a day. What has come counts among what its user
keeps.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from gateway.accounts.models import Identity
from gateway.datasets.partial import BYTES, mark, partial_files
from gateway.datasets.service import Files, check_file_name
from gateway.disk import create, require_space, told_when_full
from gateway.errors import ConflictError, LockedError, NotFoundError, TooLargeError
from gateway.ids import is_id, new_id
from gateway.settings import LimitSettings
from gateway.texts import size_text

MOST_AT_ONCE = 20
"""Unfinished uploads of one user."""

REST_S = 3600.0
"""Who has that many and begins another loses the one that nobody has sent to for longest, if it
has rested for so long: no page lists them, so nobody could choose."""


@dataclass(frozen=True, kw_only=True)
class Upload:
    """A file on its way."""

    id: str
    name: str
    size: int
    """Of the whole file."""

    offset: int = 0
    """So many bytes have come."""

    digest: str = ""
    """SHA-256 of the whole file, when it is kept."""


class Uploads:
    """Files that come in pieces."""

    def __init__(self, files: Files, root: Path, limits: LimitSettings) -> None:
        self._files = files
        self._root = root
        self._limits = limits

    def start(self, who: Identity, name: str, size: int) -> Upload:
        """Announce a file.

        Raises
        ------
        TooLargeError
            For a file that this site takes from nobody.
        QuotaError
            When the user keeps too much with it, and with what has come of others.
        ConflictError
            When too many of the user's uploads have not ended, and somebody sends to all.
        """
        path = check_file_name(name, "/name")
        if size > self._limits.file_bytes:
            raise TooLargeError(
                f"the file has {size_text(size)}; at most {size_text(self._limits.file_bytes)} "
                "are taken"
            )
        self._files.require_room(who.user, size)
        self._require_few(who)
        upload = Upload(id=new_id(), name=path, size=size)
        with told_when_full():
            require_space(self._root, size)
            self._write(who, upload)
            os.close(create(self._bytes(who, upload.id)))
        return upload if size else self.append(who, upload.id, 0, ())

    def _require_few(self, who: Identity) -> None:
        """See that a user may begin one more."""
        touched: dict[str, float] = {}
        for path in partial_files(self._root, who.user):
            with suppress(FileNotFoundError):  # it has just ended
                one = path.name.rpartition("-")[2].removesuffix(BYTES)
                touched[one] = path.stat().st_mtime
        if len(touched) < MOST_AT_ONCE:
            return
        oldest = min(touched, key=touched.__getitem__)
        if time.time() - touched[oldest] < REST_S:
            raise ConflictError(
                f"{len(touched)} of your uploads have not ended: go on with one, delete one, or "
                "begin this when nothing has been sent to one of them for an hour"
            )
        self._forget(who, oldest)

    def get(self, who: Identity, id: str) -> Upload:
        """Say how far an upload got.

        Raises
        ------
        NotFoundError
            When the user has no such upload, or nobody went on with it for a day.
        """
        try:
            known = Upload(**json.loads(self._about(who, id).read_bytes()))
            offset = known.size  # what is kept whole has no bytes of its own any more
            if not known.digest or self._bytes(who, id).exists():
                offset = self._bytes(who, id).stat().st_size
        except FileNotFoundError:
            raise _gone(id) from None
        return Upload(**{**asdict(known), "offset": offset})

    def append(self, who: Identity, id: str, offset: int, chunks: Iterable[bytes]) -> Upload:
        """Add what comes; the last piece makes it a file.

        Raises
        ------
        ConflictError
            When another number of bytes is here than *offset*.
        LockedError
            When an earlier request still sends, or has just ended it.
        TooLargeError
            When more comes than was announced.
        QuotaError
            When there is no room for the rest; what has come stays for a day.
        """
        upload = self.get(who, id)
        if upload.digest and not self._bytes(who, id).exists():
            return self._same(upload, offset)
        with told_when_full(), self._alone(self._bytes(who, id)) as handle:
            here = self._same(self.get(who, id), offset)
            if rest := here.size - here.offset:
                self._files.require_room(who.user, rest)
            try:  # what is missing here was dropped meanwhile, which waits for nobody
                os.utime(self._about(who, id))
                self._receive(handle, here, chunks)
                return self._finish(who, id)
            except FileNotFoundError:
                self._about(who, id).unlink(missing_ok=True)
                raise _gone(id) from None

    def drop(self, who: Identity, id: str) -> None:
        """Forget an upload; a file that it made stays."""
        self.get(who, id)
        self._forget(who, id)

    def _forget(self, who: Identity, id: str) -> None:
        self._bytes(who, id).unlink(missing_ok=True)
        self._about(who, id).unlink(missing_ok=True)

    def _finish(self, who: Identity, id: str) -> Upload:
        """Make a file of what is whole, unless an earlier request has done so."""
        # The digest is written before the bytes move: whoever asks after a crash between the two
        # finds them whole, and ends the upload once more.
        upload, path = self.get(who, id), self._bytes(who, id)
        if upload.offset < upload.size or (upload.digest and not path.exists()):
            return upload

        def note(digest: str) -> None:
            self._write(who, Upload(**{**asdict(upload), "digest": digest}))

        self._files.take(who, upload.name, path, note)
        return self.get(who, id)

    @staticmethod
    def _same(upload: Upload, offset: int) -> Upload:
        if upload.offset != offset:
            raise ConflictError(f"{upload.offset} bytes are here, not {offset}: go on from there")
        return upload

    @contextmanager
    def _alone(self, path: Path) -> Iterator[int]:
        try:
            handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        except FileNotFoundError:
            raise LockedError("this upload has just ended: ask for it again") from None
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield handle
        except BlockingIOError:
            raise LockedError("an earlier request still sends this file: ask again soon") from None
        finally:
            os.close(handle)

    def _receive(self, handle: int, upload: Upload, chunks: Iterable[bytes]) -> None:
        """Write what comes; what came before a line was cut stays."""
        size = upload.offset
        try:
            for chunk in chunks:
                size += len(chunk)
                if size > upload.size:
                    raise TooLargeError(
                        f"the file was announced with {upload.size} bytes: more came"
                    )
                require_space(self._root, len(chunk))
                _write_all(handle, chunk)
        finally:
            os.fsync(handle)

    def _write(self, who: Identity, upload: Upload) -> None:
        path = self._about(who, upload.id)
        fresh = path.with_name(f".{new_id()}.part")
        fresh.write_text(json.dumps(asdict(upload)), encoding="utf-8")
        fresh.replace(path)

    def _about(self, who: Identity, id: str) -> Path:
        return self._root / f".upload-{mark(who.user)}-{_checked(id)}.json.part"

    def _bytes(self, who: Identity, id: str) -> Path:
        return self._root / f".upload-{mark(who.user)}-{_checked(id)}{BYTES}"


def _write_all(handle: int, chunk: bytes) -> None:
    rest = memoryview(chunk)
    while rest:
        rest = rest[os.write(handle, rest) :]


def _gone(id: str) -> NotFoundError:
    return NotFoundError(f"no upload {id[:40]!r} of yours: begin it again")


def _checked(id: str) -> str:
    if not is_id(id):
        raise NotFoundError(f"{id[:40]!r} is no id of an upload")
    return id
