"""The verbs of files and datasets."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO

from gateway.accounts.models import Identity
from gateway.datasets.blobs import Blob, BlobStore
from gateway.datasets.garbage import digests_in
from gateway.datasets.models import Dataset, FileRef
from gateway.datasets.partial import partial_bytes
from gateway.datasets.store import DatasetStore
from gateway.errors import FieldError, InvalidError, NotFoundError, QuotaError
from gateway.records import to_document
from gateway.settings import Settings
from gateway.texts import size_text

_NAME_BYTES = 200
_DAY_S = 24 * 3600


class Files:
    """Uploaded files and closed datasets, each of one owner."""

    def __init__(self, store: DatasetStore, blobs: BlobStore, settings: Settings) -> None:
        self._store = store
        self._blobs = blobs
        self._settings = settings

    def add(self, identity: Identity, name: str, chunks: Iterable[bytes]) -> FileRef:
        """Keep an uploaded file; the same bytes again are the same digest, and cost nothing.

        Raises
        ------
        TooLargeError
            For a file that this site takes from nobody.
        QuotaError
            When the user keeps too much with it.
        NoSpaceError
            When the disk is nearly full.
        """
        path = check_file_name(name, "/name")
        refs: list[FileRef] = []

        def admit(blob: Blob) -> None:
            refs.append(self._remember(identity.user, path, blob))

        self._blobs.add(chunks, limit_bytes=self._settings.limits.file_bytes, admit=admit)
        return refs[0]

    def take(self, who: Identity, name: str, path: Path, note: Callable[[str], None]) -> None:
        """Keep a file that has come in pieces; errors as for an upload at once.

        Parameters
        ----------
        path
            Where it lies, beside the contents; it is not there any more afterwards.
        note
            Told its digest before it moves.
        """

        def admit(blob: Blob) -> None:
            self._remember(who.user, name, blob, path)
            note(blob.digest)

        self._blobs.take(path, admit)

    def put(self, owner: str, name: str, content: bytes) -> FileRef:
        """Keep bytes of our own making for a user; errors as for an upload."""
        blob = self._blobs.put(content, admit=lambda blob: self._remember(owner, name, blob))
        return FileRef(path=name, digest=blob.digest, size=blob.size)

    def _remember(self, owner: str, path: str, blob: Blob, ended: Path | None = None) -> FileRef:
        """Count a file among what its owner keeps, before anybody can see it."""
        ref = FileRef(path=path, digest=blob.digest, size=blob.size)
        allowed = self._settings.limits.bytes_per_user
        if allowed:  # 0 would be no limit
            allowed = max(1, allowed - partial_bytes(self._blobs.root, owner, but=ended))
        if not self._store.add_file(owner, ref, allowed):
            raise self._too_much(owner, f"with the {size_text(blob.size)} of {path[:80]!r} ")
        return ref

    def require_room(self, owner: str, more: int = 0) -> None:
        """See that a user may keep more: anything, or so many bytes.

        Raises
        ------
        QuotaError
            When there is as much as this site allows.
        """
        allowed = self._settings.limits.bytes_per_user
        if not allowed:
            return
        kept = self._store.usage(owner).total + partial_bytes(self._blobs.root, owner)
        if kept + max(more, 1) > allowed:
            raise self._too_much(owner, f"with {size_text(more)} more " if more else "")

    def _too_much(self, owner: str, more: str) -> QuotaError:
        used, limits = self._store.usage(owner), self._settings.limits
        days = limits.unused_files_s / _DAY_S
        come = partial_bytes(self._blobs.root, owner)
        parts = f", uploads that have not ended {size_text(come)}" if come else ""
        return QuotaError(
            f"{more}you would keep more than the {size_text(limits.bytes_per_user)} that this site "
            f"allows: your results have {size_text(used.results)}, your files "
            f"{size_text(used.files)}{parts}. Delete jobs that you no longer need, which frees "
            f"their results at once; files that no problem and no job needs go after {days:g} days"
        )

    def owns(self, user: str, digest: str) -> bool:
        """Whether a user has this content, which stays now: knowing a digest is not enough."""
        return self._store.file(user, digest) is not None and self._blobs.keep(digest)

    def find(self, who: Identity, digest: str) -> FileRef:
        """Say that a user has this content, which stays now, so it need not be sent again.

        Raises
        ------
        NotFoundError
            When it is not theirs, or not here any more.
        """
        ref = self._store.file(who.user, digest)
        if ref is None or not self._blobs.keep(digest):
            raise NotFoundError(f"you have no file with the digest {digest[:64]}: upload it first")
        return ref

    def keep(self, record: object) -> None:
        """Let the contents that a record names stay; to be asked before it is written once more."""
        self._blobs.keep(*digests_in(json.dumps(to_document(record))))

    def read(self, user: str, digest: str, pointer: str = "/digest") -> bytes:
        """Read a content that a user has.

        Raises
        ------
        InvalidError
            Naming *pointer*, when the user has no such file.
        """
        if not self.owns(user, digest):
            raise InvalidError(
                [
                    FieldError(
                        pointer=pointer,
                        detail=f"you have no file with the digest {digest[:64]}: upload it first",
                    )
                ]
            )
        return self._blobs.read(digest)

    def content(self, digest: str) -> bytes:
        """Read a content that the caller has already allowed."""
        return self._blobs.read(digest)

    def beginning(self, digest: str, most_bytes: int) -> bytes:
        """Read the first bytes of a content that the caller has already allowed."""
        with self._blobs.open(digest) as file:
            return file.read(most_bytes)

    def size(self, digest: str) -> int:
        """Say how many bytes such a content has."""
        return self._blobs.size(digest)

    def dataset(self, id: str) -> Dataset:
        """Read a dataset that the caller has already allowed."""
        return self._store.get(id)

    def delete_dataset(self, id: str) -> None:
        """Forget a dataset; one that is gone is no error. Its contents may serve others."""
        try:
            self._store.delete(self._store.get(id))
        except NotFoundError:
            return

    def open(self, ref: FileRef) -> BinaryIO:
        """Open a file of a dataset that somebody may see."""
        return self._blobs.open(ref.digest)


def check_file_name(name: str, pointer: str) -> str:
    """Take a plain relative name, composed (NFC); refuse anything that could leave its folder.

    >>> check_file_name("data/a.dat", "/name")
    'data/a.dat'
    """
    text = unicodedata.normalize("NFC", name)
    parts = text.split("/")
    wrong = (
        not text
        or not text.isprintable()
        or "\\" in text
        or ":" in text
        or len(text.encode()) > _NAME_BYTES
        or any(part in ("", ".", "..") or part != part.strip() for part in parts)
    )
    if wrong:
        raise InvalidError.at(
            pointer,
            f"{name[:80]!r} cannot be a file name: use a plain relative name of at most "
            f"{_NAME_BYTES} bytes, without '..', '\\' or ':'",
        )
    return text
