"""An agent that answers as a test tells it to, whatever a real one would say."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from scheduler.frames import Frame, read_frame
from scheduler.shell import ShellCutError, Stream

Answers = Callable[[dict[str, Any]], Iterable[Frame]]
"""Says what comes back when a question has come."""


class FakeStream:
    """A line to such an agent; it ends when nothing more is to be said."""

    def __init__(self, argv: Sequence[str], answers: Answers) -> None:
        sentinel, size, _ = argv[-3:]
        self._code_bytes = int(size)
        self._answers = answers
        self._outgoing = f"\n{sentinel}\n".encode()
        self.closed = False

    def send(self, data: bytes, timeout_s: float) -> None:
        """Take a question, or the code and then the greeting."""
        del timeout_s
        data, self._code_bytes = data[self._code_bytes :], 0
        for answer in self._answers(read_frame(io.BytesIO(data).read).document):
            self._outgoing += answer.encode()

    def receive(self, max_bytes: int, timeout_s: float) -> bytes:
        """Give what was said."""
        del timeout_s
        if self.closed:
            raise ShellCutError("it is closed")
        piece, self._outgoing = self._outgoing[:max_bytes], self._outgoing[max_bytes:]
        return piece

    def stderr_tail(self) -> str:
        """Say nothing."""
        return ""

    def exit_code(self) -> int | None:
        """Say nothing of that, either."""
        return None

    def close(self) -> None:
        """End."""
        self.closed = True


class FakeShell:
    """Where such agents are started."""

    name = "fake"

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self.streams: list[FakeStream] = []

    def start(self, argv: Sequence[str]) -> Stream:
        """Start one."""
        self.streams.append(FakeStream(argv, self._answers))
        return self.streams[-1]

    def close(self) -> None:
        """End."""


def numbered(question: dict[str, Any], document: dict[str, Any], blob: bytes = b"") -> Frame:
    """Answer a question, with its number."""
    return Frame(document={**document, "exchange": question.get("exchange", 0)}, blob=blob)
