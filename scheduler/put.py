"""One file of a job directory that is being made: written durably, checked against its digest."""

from __future__ import annotations

import hashlib
import os
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from scheduler.base import SchedulerError, StagedFile

_CHUNK_BYTES = 1 << 20
_DIGESTS = 8
"""Contents whose digests are remembered: many jobs of one message share their driver."""


def beneath(path: PurePosixPath) -> PurePosixPath:
    """Take only what lies beneath a directory, whatever its name."""
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise SchedulerError(f"{str(path)!r} does not lie beneath its job directory")
    return path


def put(file: StagedFile, target: Path) -> None:
    """Write a file that is not there yet.

    Raises
    ------
    SchedulerError
        If its source has changed.
    OSError
        If it cannot be written.
    """
    handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as stream:
        if file.source is None:
            stream.write(file.content)
            found = _digest_of(file.content)
        else:
            found = _copy(Path(file.source), stream)
        os.fchmod(stream.fileno(), file.mode)
        stream.flush()
        os.fsync(stream.fileno())
    if found != file.sha256:
        raise SchedulerError(
            f"{file.path} arrived with SHA-256 {found}, not {file.sha256}: "
            "its source has changed since it was registered"
        )


@lru_cache(maxsize=_DIGESTS)
def _digest_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _copy(source: Path, target: BinaryIO) -> str:
    """Copy a file; answer the digest of what was copied."""
    digest = hashlib.sha256()
    with source.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            target.write(chunk)
            digest.update(chunk)
    return digest.hexdigest()
