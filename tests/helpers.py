"""What tests of all rooms share: waiting without sleeping, a free port, a look at processes."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
_FIRST_PAUSE_S = 0.02
_LONGEST_PAUSE_S = 0.25


def eventually(
    look: Callable[[], T],
    *,
    within_s: float = 30.0,
    every_s: float | None = None,
    what: str | Callable[[], str] = "",
) -> T:
    """Ask until the answer is true, and give it; fail after a time.

    Parameters
    ----------
    every_s
        The pause between two looks; None for one that grows with the time that was waited.
    what
        What is waited for, in words, or what tells it when it did not come.
    """
    began = time.monotonic()
    while not (answer := look()):
        waited_s = time.monotonic() - began
        if waited_s > within_s:
            words = what() if callable(what) else what or look
            raise AssertionError(f"not within {within_s} s: {words}; last seen: {answer!r}")
        time.sleep(_pause_s(waited_s) if every_s is None else every_s)
    return answer


def _pause_s(waited_s: float) -> float:
    """Say how long to rest: a look costs the gateway what others wait for, a tenth costs nobody."""
    return min(_LONGEST_PAUSE_S, max(_FIRST_PAUSE_S, waited_s / 10))


def free_port() -> int:
    """Find a port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def started(argv: Sequence[str], **options: Any) -> Iterator[subprocess.Popen[Any]]:
    """Run a program beside a test; it ends with the block at the latest.

    Parameters
    ----------
    options
        As `subprocess.Popen` takes them.
    """
    with subprocess.Popen(argv, **options) as process:
        try:
            yield process
        finally:
            process.kill()


@dataclass(frozen=True, kw_only=True)
class Process:
    """A process of this host, as it was seen."""

    pid: int
    words: tuple[str, ...]
    """Its command line."""

    @property
    def line(self) -> str:
        """Its command line as a text."""
        return " ".join(self.words)


def processes(*marks: str, environment: str = "") -> list[Process]:
    """List the processes whose command line has all marks in it, in the order of their ids.

    Parameters
    ----------
    environment
        What the environment that they were started with must have in it, such as ``HOME=/x``.
    """
    return [
        process
        for process in _all()
        if all(mark in process.line for mark in marks)
        if not environment or environment in _environment(process.pid)
    ]


def _all() -> Iterator[Process]:
    for pid in sorted(int(path.name) for path in Path("/proc").glob("[0-9]*")):
        try:
            line = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue  # it has ended since
        words = line.decode(errors="replace").removesuffix("\0").split("\0")
        yield Process(pid=pid, words=tuple(words))


def _environment(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace")
    except OSError:
        return ""
