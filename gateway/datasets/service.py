"""The verbs of files and datasets."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable
from typing import BinaryIO

from gateway.accounts.models import Identity
from gateway.datasets.blobs import Blob, BlobStore
from gateway.datasets.garbage import digests_in
from gateway.datasets.models import Dataset, FileRef
from gateway.datasets.store import DatasetStore
from gateway.errors import FieldError, InvalidError, NotFoundError
from gateway.records import to_document
from gateway.settings import Settings

_NAME_BYTES = 200


class Files:
    """Uploaded files and closed datasets, each of one owner."""

    def __init__(self, store: DatasetStore, blobs: BlobStore, settings: Settings) -> None:
        self._store = store
        self._blobs = blobs
        self._settings = settings

    def add(self, identity: Identity, name: str, chunks: Iterable[bytes]) -> FileRef:
        """Keep an uploaded file; the same bytes again are the same digest."""
        path = check_file_name(name, "/name")
        blob = self._blobs.add(chunks, limit_bytes=self._settings.limits.file_bytes)
        return self._remember(identity.user, path, blob)

    def put(self, owner: str, name: str, content: bytes) -> FileRef:
        """Keep bytes of our own making for a user."""
        return self._remember(owner, name, self._blobs.put(content))

    def _remember(self, owner: str, path: str, blob: Blob) -> FileRef:
        ref = FileRef(path=path, digest=blob.digest, size=blob.size)
        self._store.add_file(owner, ref)
        return ref

    def owns(self, user: str, digest: str) -> bool:
        """Whether a user has this content, which stays now: knowing a digest is not enough."""
        return self._store.file(user, digest) is not None and self._blobs.keep(digest)

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
