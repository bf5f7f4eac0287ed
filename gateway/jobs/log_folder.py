"""Where the gateway keeps what jobs printed, up to a limit for each log."""

from __future__ import annotations

import os
from pathlib import Path

from gateway.disk import require_space, told_when_full
from scheduler.files import remove_tree


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


def _cut_mark(path: Path) -> Path:
    return path.with_suffix(".cut")
