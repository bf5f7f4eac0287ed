"""What the fit says: an event for who watches, a line in ``log.txt`` for later."""

from __future__ import annotations

import logging
import time
from pathlib import Path

from .base import Report

MOST_TRACEBACKS = 3
"""bumps logs a traceback for every failing evaluation: a broken model would fill the disk."""


class Log:
    """Tells the user something, twice."""

    def __init__(self, path: Path, report: Report) -> None:
        self._path = path
        self._report = report

    def __call__(self, level: str, text: str) -> None:
        """Tell it: ``info``, ``warning`` or ``error``."""
        self._report("message", level=level, text=text)
        self.note(f"{level}: {text}" if level != "info" else text)

    def note(self, text: str) -> None:
        """Write it down only."""
        stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
        with self._path.open("a", encoding="utf-8") as file:
            file.write("".join(f"{stamp} {line}\n" for line in text.splitlines()))


class FewTracebacks(logging.Filter):
    """Lets the first few tracebacks of failing evaluations through."""

    def __init__(self) -> None:
        super().__init__()
        self._seen = 0

    def filter(self, record: logging.LogRecord) -> bool:
        """Say whether to print a record."""
        if not str(record.msg).startswith("Traceback"):
            return True
        self._seen += 1
        if self._seen == MOST_TRACEBACKS:
            record.msg = f"{record.msg}\n(further tracebacks of the model are not printed)"
        return self._seen <= MOST_TRACEBACKS


def limit_tracebacks() -> None:
    """Print at most a few tracebacks of failing evaluations in this process."""
    handler = logging.StreamHandler()
    handler.addFilter(FewTracebacks())
    root = logging.getLogger()
    for old in [old for old in root.handlers if any(type(f) is FewTracebacks for f in old.filters)]:
        root.removeHandler(old)
    root.addHandler(handler)
