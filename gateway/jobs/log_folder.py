"""Where the gateway keeps what jobs printed, up to a limit for each log."""

from __future__ import annotations

import os
import struct
import time
from pathlib import Path

from gateway.disk import require_space, told_when_full
from scheduler.files import remove_tree

_TIMES = ".times"
_MARK = struct.Struct(">Qd")
"""An offset, and when what begins there was read."""

_PAUSE_S = 1.0
_LONG_PAUSE_S = 60.0
_MANY_BYTES = 1 << 19


class LogFolder:
    """Where the gateway keeps what jobs printed: the web process reads here, the worker writes."""

    def __init__(self, root: Path, limit_bytes: int) -> None:
        self._root = root
        self.limit_bytes = limit_bytes

    def path(self, id: str, attempt: int, stream: str, task: int) -> Path:
        """Say where one log lies."""
        return self._root / id[-2:] / id / str(attempt) / f"{stream}.{task}.txt"

    def append(self, path: Path, offset: int, content: bytes) -> None:
        """Add bytes that belong at an offset; the same bytes again change nothing.

        Raises
        ------
        NoSpaceError
            When the disk is nearly full.
        """
        with told_when_full():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            require_space(path.parent, len(content))
            handle = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
            try:
                os.pwrite(handle, content, offset)
            finally:
                os.close(handle)
            _note_time(path.with_suffix(_TIMES), offset)

    def mark_cut(self, path: Path, size: int) -> None:
        """Say at the end of a log, once, that there is more of it."""
        line = f"\n[cut here: {size} bytes of this log are kept; print less]\n"
        self.append(path, size, line.encode())
        _cut_mark(path).touch(mode=0o600)

    def is_cut(self, path: Path) -> bool:
        """Whether a job printed more into this log than is here; its size alone does not say."""
        return _cut_mark(path).exists()

    def remove(self, id: str) -> None:
        """Remove all logs of a job; no logs are no error."""
        remove_tree(self._root / id[-2:] / id)

    def times(self, path: Path) -> tuple[list[int], list[float]]:
        """Say from which offsets on a log was read when (Unix time), both ascending."""
        try:
            content = path.with_suffix(_TIMES).read_bytes()
        except FileNotFoundError:
            return [], []
        whole = len(content) - len(content) % _MARK.size
        marks = list(_MARK.iter_unpack(content[:whole]))
        return [offset for offset, _ in marks], [moment for _, moment in marks]

    def read(self, path: Path, offset: int, limit_bytes: int) -> tuple[int, bytes, int]:
        """Read from an offset, negative from the end; answer (offset, bytes, size of the log)."""
        try:
            with path.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                start = max(0, size + offset) if offset < 0 else min(offset, size)
                file.seek(start)
                return start, file.read(limit_bytes), size
        except FileNotFoundError:
            return 0, b"", 0


def _note_time(path: Path, offset: int) -> None:
    """Note that what begins at an offset was read now; the same bytes again change nothing."""
    moment = time.time()
    with path.open("ab+") as marks:
        size = marks.seek(0, os.SEEK_END)
        if size >= _MARK.size:
            marks.seek(size - size % _MARK.size - _MARK.size)
            last, noted = _MARK.unpack(marks.read(_MARK.size))
            pause_s = _PAUSE_S if size < _MANY_BYTES else _LONG_PAUSE_S
            if offset <= last or moment - noted < pause_s:
                return
        marks.write(_MARK.pack(offset, moment))


def _cut_mark(path: Path) -> Path:
    return path.with_suffix(".cut")
