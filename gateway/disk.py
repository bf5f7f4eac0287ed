"""Files that are whole or not there, and a disk that may be full."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.errors import NoSpaceError

_RESERVE = 0.02
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@contextmanager
def told_when_full() -> Iterator[None]:
    """Tell a full disk, which its administrator can mend, apart from what nobody expects.

    Raises
    ------
    NoSpaceError
        For a full disk, a used up quota of the account, or a file that grew too large.
    """
    try:
        yield
    except OSError as error:
        if not is_full(error):
            raise
        raise no_space(error) from error


def is_full(error: OSError) -> bool:
    """Whether an error says that the disk takes no more."""
    return error.errno in _FULL


def no_space(error: OSError) -> NoSpaceError:
    """Say that the disk takes no more."""
    return NoSpaceError(
        f"the gateway's disk takes no more ({error.strerror}), so nothing was kept: "
        "ask its administrator, and try again"
    )


def require_space(folder: Path, wanted_bytes: int) -> None:
    """See that files leave a part of the disk free, so that records can still be written.

    Raises
    ------
    NoSpaceError
        When it is nearly full.
    """
    disk = os.statvfs(folder)
    if disk.f_bavail * disk.f_frsize - wanted_bytes < disk.f_blocks * disk.f_frsize * _RESERVE:
        raise NoSpaceError(
            "the gateway's disk is nearly full, so nothing was kept: ask its administrator, and "
            "try again"
        )


def check_space(folder: Path) -> tuple[int, bool]:
    """Say how many bytes are free, and whether that is enough to write records."""
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize, disk.f_bavail > disk.f_blocks * _RESERVE


def create(path: Path) -> int:
    """Make a new file that only the gateway can read; answer its handle."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)


def make_folders(path: Path) -> None:
    """Make a folder and what is missing above it, all for the gateway alone."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    for folder in reversed(missing):
        folder.mkdir(mode=0o700, exist_ok=True)
