"""Zip files of what is kept, written piece by piece: a large one needs no memory."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Mapping

from gateway.datasets.blobs import BlobStore, read_chunks

_EPOCH = (1980, 1, 1, 0, 0, 0)


class _Pipe(io.RawIOBase):
    """Collects what a zip writer writes, to be sent piece by piece."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        """Say that it can be written."""
        return True

    def write(self, data: object) -> int:
        """Keep a piece."""
        piece = bytes(data)  # type: ignore[call-overload]  # a buffer of some kind
        self._pieces.append(piece)
        return len(piece)

    def take(self) -> bytes:
        """Hand out what came since the last time."""
        taken, self._pieces = b"".join(self._pieces), []
        return taken


def write_zip(
    blobs: BlobStore, contents: Mapping[str, str], texts: Mapping[str, bytes] | None = None
) -> Iterator[bytes]:
    """Write a zip file, the same bytes each time.

    Parameters
    ----------
    contents
        Digests of what is kept, by the names that they have in it.
    texts
        What stands before them.
    """
    pipe = _Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in sorted((texts or {}).items()):
            archive.writestr(_entry(name), text)
            yield pipe.take()
        for name, digest in sorted(contents.items()):
            with (
                archive.open(_entry(name), "w", force_zip64=True) as target,
                blobs.open(digest) as source,
            ):
                for chunk in read_chunks(source):
                    target.write(chunk)
                    yield pipe.take()
    yield pipe.take()


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _EPOCH)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o600 << 16
    return entry
