"""One fetch at a time into a folder, and room for what comes."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bumps_remote.config import private_folder, state_folder
from bumps_remote.errors import UsageError
from bumps_remote.text import clean_line, size_text

try:
    import fcntl
except ImportError:  # Windows has none
    fcntl = None  # type: ignore[assignment]  # asked before it is used


@contextmanager
def alone(folder: Path, notice: Callable[[str], None]) -> Iterator[None]:
    """Keep a folder to oneself; wait for whoever has it.

    The lock is a file of its own, as file systems of clusters lock no folders. The system takes it
    off when its holder ends, however that comes. Where no lock can be had everybody comes in at
    once: what came is checked in any case.
    """
    name = hashlib.sha256(str(folder.resolve()).encode("utf-8", "surrogateescape")).hexdigest()
    path = state_folder() / f"fetch-{name[:32]}.lock"
    waiting = f"another fetch writes into {clean_line(folder)}: waiting for it"
    handle = _take(path, lambda: notice(waiting)) if fcntl else None
    try:
        yield
    finally:
        if handle is not None:
            path.unlink(missing_ok=True)
            os.close(handle)


def _take(path: Path, wait: Callable[[], None]) -> int | None:
    """Make a lock, or wait for it; None where there is no place for it."""
    while True:
        try:
            private_folder(path.parent)
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError:
            return None
        kept = False
        try:
            _lock(handle, wait)
            kept = _is_at(handle, path)  # else its last holder has taken it away: it locks nothing
        finally:
            if not kept:
                os.close(handle)
        if kept:
            return handle


def _is_at(handle: int, path: Path) -> bool:
    """Say whether an open file is the one that a path names."""
    try:
        return os.path.samestat(os.fstat(handle), path.lstat())
    except FileNotFoundError:
        return False


def _lock(handle: int, wait: Callable[[], None]) -> None:
    with suppress(OSError):  # some file systems know no locks
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            wait()
            fcntl.flock(handle, fcntl.LOCK_EX)


def require_room(folder: Path, size: int) -> None:
    """See that so many bytes find room before any of them comes.

    Raises
    ------
    UsageError
        When they do not.
    """
    free = shutil.disk_usage(folder).free
    if size > free:
        raise UsageError(
            f"{clean_line(folder)}: {size_text(size)} are to come, and the disk has "
            f"{size_text(free)} left: make room, choose another folder with --output, or fetch "
            "single files with --only"
        )


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Say of which file it is that there is no more room for it.

    Raises
    ------
    UsageError
        When it cannot be written.
    """
    try:
        yield
    except OSError as error:
        raise UsageError(
            f"{path} cannot be written: {error.strerror or error}. Make room, or choose another "
            "folder with --output, and give the same command again"
        ) from error
