"""Files on this host: written whole, and read without trusting what lies in a job directory.

A job may put anything into its directory: links to other people's files, pipes that never answer,
files of a terabyte. So every component of a path is opened relative to its parent's descriptor and
follows no link, and only regular files with one name are read.
"""

from __future__ import annotations

import itertools
import os
import re
import secrets
import stat
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath

from scheduler.base import FileEntry, Reading, SchedulerError, StagedFile
from scheduler.put import beneath, put

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_PLAIN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_MAX_DEPTH = 32
_CHUNK_BYTES = 1 << 20
_MOST_NAMES = 1_000_000
"""Looked at in one directory."""

_LISTING_S = 15.0
"""Half of how long the gateway waits for an answer from a login node."""

_LISTING_BYTES = 24 << 20
"""Of all paths together, so that a listing fits into a frame however they are written in it."""

_OLD_S = 86_400.0
"""After which nobody is making a directory any more."""

_ENTRY_BYTES = 40
_LEAST_FOLDERS = 1_000
_PATH_CHARACTERS = 500


def write_whole(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Write a file that readers, and a host that loses its power, see whole or not at all."""
    unfinished = _written(path, content, mode)
    unfinished.replace(path)
    sync_folder(path.parent)


def _written(path: Path, content: bytes, mode: int) -> Path:
    """Write a file durably, under a name that nobody else takes."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    handle = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(handle, "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    return unfinished


def link_whole(path: Path, content: bytes) -> bool:
    """Write a file unless its name is taken, whole from the first moment; False if it was."""
    unfinished = _written(path, content, 0o600)
    try:
        os.link(unfinished, path, follow_symlinks=False)
    except FileExistsError:
        return False
    finally:
        unfinished.unlink()
        sync_folder(path.parent)
    return True


def sync_folder(folder: Path) -> None:
    """Make the names in a directory durable."""
    handle = os.open(folder, _FOLDER)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def stage(directory: Path, files: tuple[StagedFile, ...]) -> None:
    """Make a job directory, checked and whole; one that is there already is left as it is.

    Raises
    ------
    SchedulerError
        If it cannot be made: two files want one name, the disk is full, a source has changed ...
    """
    try:
        _stage(directory, files)
    except OSError as error:
        raise SchedulerError(f"{directory} cannot be made: {error}") from error


def _stage(directory: Path, files: tuple[StagedFile, ...]) -> None:
    if directory.is_dir():
        return
    directory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    sweep_parts(directory)
    # A name of its own: an agent whose line was cut may still be making the same directory.
    part = directory.with_name(f".{directory.name}.{secrets.token_hex(8)}.part")
    part.mkdir(mode=0o700)
    try:
        _fill(part, files)
        try:
            part.rename(directory)
        except OSError:
            if not directory.is_dir():  # else another was the first, with a whole one
                raise
        sync_folder(directory.parent)
    finally:
        with suppress(OSError, SchedulerError):
            remove_tree(part)


def _fill(part: Path, files: tuple[StagedFile, ...]) -> None:
    folders = {PurePosixPath()}
    for file in files:
        path = beneath(file.path)
        for folder in reversed([one for one in path.parents if one not in folders]):
            (part / folder).mkdir(mode=0o700)
            folders.add(folder)
        put(file, part / path)
    for folder in folders:
        sync_folder(part / folder)


def sweep_parts(directory: Path) -> None:
    """Remove what stagings of a directory left that were cut long ago; others may go on yet."""
    name = re.escape(directory.name)
    left = re.compile(rf"\.{name}\.[0-9a-f]{{16}}\.part|{name}\.part")
    with suppress(OSError):
        for path in directory.parent.iterdir():
            if left.fullmatch(path.name):
                with suppress(OSError, SchedulerError):
                    if time.time() - path.lstat().st_mtime > _OLD_S:
                        remove_tree(path)


def names_in(folder: Path) -> list[str]:
    """List the names in a directory of our own."""
    return [path.name for path in folder.iterdir()]


@contextmanager
def opened_beneath(directory: Path, path: str) -> Iterator[int | None]:
    """Open a regular file with one name beneath a directory; None when there is none."""
    handle = None
    with suppress(OSError, ValueError):
        handle = _open_beneath(directory, PurePosixPath(path))
    try:
        yield handle
    finally:
        if handle is not None:
            os.close(handle)


def _open_beneath(directory: Path, path: PurePosixPath) -> int | None:
    if path.is_absolute() or ".." in path.parts or not path.parts:
        return None
    folder = os.open(directory, _FOLDER)
    try:
        for name in path.parts[:-1]:
            inner = os.open(name, _FOLDER, dir_fd=folder)
            os.close(folder)
            folder = inner
        # Looked at before it is opened: opening some devices already does something.
        if not _is_plain(os.stat(path.name, dir_fd=folder, follow_symlinks=False)):
            return None
        handle = os.open(path.name, _PLAIN, dir_fd=folder)
    finally:
        os.close(folder)
    if not _is_plain(os.fstat(handle)):
        os.close(handle)
        return None
    return handle


def _is_plain(status: os.stat_result) -> bool:
    return stat.S_ISREG(status.st_mode) and status.st_nlink == 1


def read_beneath(directory: Path, path: str, offset: int, limit_bytes: int) -> bytes | None:
    """Read part of a regular file; a negative *offset* counts from its end."""
    with opened_beneath(directory, path) as handle:
        if handle is None:
            return None
        if offset < 0:
            offset = max(0, os.fstat(handle).st_size + offset)
        parts, missing = [], limit_bytes
        while missing > 0 and (part := os.pread(handle, min(missing, _CHUNK_BYTES), offset)):
            parts.append(part)
            offset += len(part)
            missing -= len(part)
        return b"".join(parts)


def read_all(
    wanted: Iterable[Reading], budget_bytes: int
) -> Iterator[tuple[Reading, bytes | None]]:
    """Read parts of files until there is too much; what cannot be read is left out."""
    for reading in wanted:
        if budget_bytes <= 0:
            return
        limit_bytes = min(reading.limit_bytes, budget_bytes)
        try:
            content = read_beneath(
                Path(reading.directory), reading.path, reading.offset, limit_bytes
            )
        except OSError:
            continue  # who reads it alone gets the error
        budget_bytes -= len(content or b"")
        if budget_bytes <= 0 and limit_bytes < reading.limit_bytes:
            return  # there may be more of it
        yield reading, content


def list_beneath(directory: Path, limit: int, keep: str = "") -> list[FileEntry]:
    """List what lies beneath a directory, at most *limit* entries, without following links.

    With *keep*, only what lies at the top under such a name, and beneath it. What would take too
    long, or too many bytes to say, is one more entry: ``FOLDER/...``, which is no regular file.
    """
    entries: list[FileEntry] = []
    waiting, folders, room = [PurePosixPath()], max(limit, _LEAST_FOLDERS), _LISTING_BYTES
    until = time.monotonic() + _LISTING_S
    while waiting and len(entries) < limit:
        folder = waiting.pop()
        if time.monotonic() > until:
            return [*_sorted(entries), _named(f"{folder}/...")]
        most = limit - len(entries)
        # One more than there is room for, to tell what is cut from what just fits.
        found = _scan(directory, folder, most + 1, keep if not folder.parts else "")
        for name, status in found[:most]:
            path = folder / name
            if stat.S_ISDIR(status.st_mode) and len(path.parts) < _MAX_DEPTH and folders > 0:
                waiting.append(path)
                folders -= 1
                continue
            entries.append(_entry(path, status))
            room -= len(entries[-1].path.encode()) + _ENTRY_BYTES
            if room <= 0:
                return [*_sorted(entries), _named(f"{folder}/...")]
        if len(found) > most and len(entries) < limit:
            entries.append(_named(f"{folder}/..."))
    return _sorted(entries[:limit])


def _sorted(entries: list[FileEntry]) -> list[FileEntry]:
    return sorted(entries, key=lambda entry: entry.path)


def _entry(path: PurePosixPath, status: os.stat_result) -> FileEntry:
    text = str(path)
    # A line end, a control character, no UTF-8, or more than anybody keeps: named, never opened.
    if not text.isprintable() or len(text) > _PATH_CHARACTERS:
        return _named(text, status.st_size)
    return FileEntry(path=text, size=status.st_size, regular=_is_plain(status))


def _named(text: str, size: int = 0) -> FileEntry:
    if not text.isprintable():
        text = text[:_PATH_CHARACTERS].encode("unicode_escape", "surrogatepass").decode("ascii")
    return FileEntry(path=text[:_PATH_CHARACTERS], size=size, regular=False)


def _scan(
    top: Path, folder: PurePosixPath, limit: int, keep: str = ""
) -> list[tuple[str, os.stat_result]]:
    try:
        handle = os.open(top, _FOLDER)
    except OSError:
        return []
    try:
        for name in folder.parts:
            inner = os.open(name, _FOLDER, dir_fd=handle)
            os.close(handle)
            handle = inner
        found = []
        with os.scandir(handle) as scan:
            for entry in itertools.islice(scan, _MOST_NAMES):
                if keep and not re.fullmatch(keep, entry.name):
                    continue
                found.append((entry.name, entry.stat(follow_symlinks=False)))
                if len(found) >= limit:
                    break
    except OSError:  # replaced by something else while it was read, or not for us to read
        return []
    else:
        return found
    finally:
        os.close(handle)


def remove_tree(directory: Path) -> None:
    """Remove a directory however deep it is nested; one that is not there is no error."""
    try:
        top = os.open(directory, _FOLDER)
    except FileNotFoundError:
        return
    except NotADirectoryError:
        raise SchedulerError(f"{directory} is not a directory, so it is not removed") from None
    try:
        while _empty_once(top):
            pass
    finally:
        os.close(top)
    directory.rmdir()
    sync_folder(directory.parent)


def _empty_once(top: int) -> bool:
    """Remove what can be removed at the top, and lift up what lies one level deeper."""
    left = False
    for name in os.listdir(top):
        with suppress(FileNotFoundError):  # somebody else removes it, too
            if not stat.S_ISDIR(os.stat(name, dir_fd=top, follow_symlinks=False).st_mode):
                os.unlink(name, dir_fd=top)
                continue
            try:
                os.rmdir(name, dir_fd=top)
            except OSError:
                left = True
                _lift(top, name)
    return left


def _lift(top: int, name: str) -> None:
    """Move a directory's content one level up, so that depth needs no recursion."""
    # A job may take its own rights away from a directory; lstat has said that it is no link.
    os.chmod(name, 0o700, dir_fd=top)
    inner = os.open(name, _FOLDER, dir_fd=top)
    try:
        for child in os.listdir(inner):  # noqa: PTH208 - a descriptor, which Path cannot hold
            if stat.S_ISDIR(os.stat(child, dir_fd=inner, follow_symlinks=False).st_mode):
                lifted = f".{secrets.token_hex(16)}"
                os.chmod(child, 0o700, dir_fd=inner)  # who may not write in it may not move it
                os.rename(child, lifted, src_dir_fd=inner, dst_dir_fd=top)
            else:
                os.unlink(child, dir_fd=inner)
    finally:
        os.close(inner)


def used_bytes(directory: Path, most_entries: int = 100_000) -> int:
    """Measure what a directory takes on the disk; holes in files take nothing."""
    total, seen, waiting = 0, 0, [PurePosixPath()]
    while waiting and seen < most_entries:
        folder = waiting.pop()
        for name, status in _scan(directory, folder, most_entries - seen):
            seen += 1
            total += status.st_blocks * 512
            if stat.S_ISDIR(status.st_mode):
                waiting.append(folder / name)
    return total


def open_log(directory: Path, name: str, *, append: bool) -> int:
    """Open a file for what a job prints, unless something strange lies there under its name.

    Raises
    ------
    OSError
        If it cannot be made, or is a link, a pipe, a device or a file with a second name.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_APPEND
    folder = os.open(directory, _FOLDER)
    try:
        handle = os.open(name, flags, 0o600, dir_fd=folder)
    finally:
        os.close(folder)
    if not _is_plain(os.fstat(handle)):
        os.close(handle)
        raise OSError(f"{name} is no plain file with one name")
    if not append:
        os.ftruncate(handle, 0)
    return handle
