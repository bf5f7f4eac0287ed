"""The events of a task: one JSON object a line, for whoever watches."""

from __future__ import annotations

import os
import time
from pathlib import Path

from .files import to_json
from .memory import most_memory


class Events:
    """Appends events to ``events.<task>.jsonl``.

    Each event is one call of ``write`` on a file opened for appending, so that the workers of one
    task may share the file: their lines never mix.
    """

    def __init__(self, path: Path, element: int | None = None) -> None:
        self.path = path
        self.element = element

    def __call__(self, event: str, **members: object) -> None:
        """Write one event; numbers that are not finite become null."""
        if event == "step":
            # A site may measure nothing.
            members["max_rss_bytes"] = most_memory()
        document = {"t": round(time.time(), 3), "event": event, "element": self.element, **members}
        handle = os.open(
            self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
        )
        try:
            os.write(handle, (to_json(document) + "\n").encode())
        finally:
            os.close(handle)

    def message(self, level: str, text: str) -> None:
        """Write a message for the user: ``info``, ``warning`` or ``error``."""
        self("message", level=level, text=text)

    def of(self, element: int) -> Events:
        """Write to the same file for one element."""
        return Events(self.path, element)
