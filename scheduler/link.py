"""One agent at the other end of a shell: started when it is needed, kept, started again when lost.

A question that may be asked twice is asked again, once, when the line it went over was an old one:
lines die while nobody talks. What may not be done twice is never sent again, whatever happened.
Questions are numbered, and each answer says which it is of: a line that is out of step is given up.
"""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from scheduler.base import SchedulerError, SchedulerUnavailableError
from scheduler.faults import CRASH_VARIABLES
from scheduler.frames import Frame, FrameError, read_frame
from scheduler.shell import Shell, ShellCutError, ShellTimeoutError, Stream
from scheduler.ship import agent_shipment

_START_S = 30.0
_SEND_S = 60.0
_ANSWER_S = 30.0
_FRESH_S = 5.0
_CHUNK_BYTES = 1 << 20
_UNREADABLE = (LookupError, TypeError, ValueError)
_NOISE_BYTES = 1 << 20
"""How much a login shell may print before the agent speaks."""


class LinkError(SchedulerUnavailableError):
    """The agent was lost before it had answered; what was asked may have been done."""


@dataclass(frozen=True, kw_only=True)
class AgentConfig:
    """What an agent must know of its site."""

    base: str
    """Where job directories lie, absolute, on a file system that compute nodes see."""

    python: str = "/usr/bin/python3"
    """On the login node, absolute: 3.10 or later, no packages needed."""

    programs: str = ""
    """The directory of sbatch and its kin; empty to look in the usual places."""

    slurm_conf: str = ""
    """Where slurm.conf lies, if that must be said."""

    command_timeout_s: float = 60.0
    """How long one command of Slurm may take."""

    private: bool = False
    """Whether the base must be one that only its own account, and root, can change."""


def _nothing() -> Iterable[Frame]:
    return ()


class Link:
    """A way to ask an agent; threads take turns."""

    def __init__(self, shell: Shell, config: AgentConfig) -> None:
        self._shell = shell
        self._config = config
        self._lock = threading.RLock()
        self._stream: Stream | None = None
        self._rest = b""
        self._number = 0
        self._used = 0.0
        self.hello: dict[str, Any] = {}
        """What the agent said of itself when it was last started."""

    @property
    def name(self) -> str:
        """What to call the other end."""
        return self._shell.name

    def ask(
        self,
        document: dict[str, Any],
        parts: Callable[[], Iterable[Frame]] = _nothing,
        *,
        timeout_s: float = _ANSWER_S,
    ) -> Frame:
        """Ask what may be asked twice.

        Parameters
        ----------
        parts
            Gives what follows the question; called again when it is asked again.

        Raises
        ------
        SchedulerUnavailableError
            If nobody answered.
        SchedulerError
            If the agent says that it cannot be done.
        """
        with self._lock:
            was_open = self._stream is not None
            try:
                return self._exchange(document, parts, timeout_s)
            except LinkError as error:
                if not was_open or isinstance(error.__cause__, ShellTimeoutError):
                    raise
            return self._exchange(document, parts, timeout_s)

    def ask_once(
        self, document: dict[str, Any], take: Callable[[dict[str, Any]], None], *, timeout_s: float
    ) -> None:
        """Ask what may not be done twice, and take each answer until the last.

        Call `open` before, to tell a line that was lost already from one that is lost now.

        Parameters
        ----------
        take
            What it cannot read, as a KeyError or the like says, is the end of the line.
        timeout_s
            How long to wait for each answer.
        """
        with self._lock:
            with self._careful() as stream:
                self._send(stream, document)
                while not _is_last(answer := self._receive(stream, timeout_s)):
                    with self.reading():
                        take(answer.document)
            self._checked(answer)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Give the line up over an answer that cannot be read: the next may be none, either."""
        try:
            yield
        except _UNREADABLE as error:
            self.close()
            raise LinkError(f"{self.name}: an answer cannot be read: {error!r}") from error

    def open(self) -> dict[str, Any]:
        """Make sure that an agent answers; say what it says of itself."""
        with self._lock:
            if self._stream is None or time.monotonic() - self._used > _FRESH_S:
                self.ask({"verb": "ping"})
            return self.hello

    def close(self) -> None:
        """End the agent; the next question starts another."""
        with self._lock:
            self._drop()

    def _exchange(
        self, document: dict[str, Any], parts: Callable[[], Iterable[Frame]], timeout_s: float
    ) -> Frame:
        with self._careful() as stream:
            self._send(stream, document)
            for part in parts():
                stream.send(part.encode(), _SEND_S)
            answer = self._receive(stream, timeout_s)
        return self._checked(answer)

    def _send(self, stream: Stream, document: dict[str, Any]) -> None:
        self._number += 1
        stream.send(Frame(document={**document, "exchange": self._number}).encode(), _SEND_S)

    @contextmanager
    def _careful(self) -> Iterator[Stream]:
        """Give the line, and give it up when an exchange over it does not come to its end."""
        stream = self._stream or self._start()
        try:
            yield stream
        except (ShellCutError, FrameError) as error:
            self._drop()
            raise LinkError(f"{self.name}: the agent was lost: {error}") from error
        except BaseException:
            self._drop()
            raise
        self._used = time.monotonic()

    def _checked(self, answer: Frame) -> Frame:
        if "error" in answer.document:
            raise SchedulerError(f"{self.name}: {answer.document['error']}")
        return answer

    def _receive(self, stream: Stream, timeout_s: float) -> Frame:
        deadline = time.monotonic() + timeout_s

        def exactly(count: int) -> bytes:
            while len(self._rest) < count:
                self._rest += self._more(stream, deadline)
            piece, self._rest = self._rest[:count], self._rest[count:]
            return piece

        answer = read_frame(exactly)
        number = answer.document.pop("exchange", None)
        if number != self._number:
            raise FrameError(f"an answer to question {number!r} came, not to {self._number}")
        return answer

    def _more(self, stream: Stream, deadline: float) -> bytes:
        data = stream.receive(_CHUNK_BYTES, max(0.0, deadline - time.monotonic()))
        if not data:
            said = stream.stderr_tail().strip()[-500:]
            raise ShellCutError(f"it ended ({said or 'without a word'})")
        return data

    def _start(self) -> Stream:
        """Start an agent: wait for its word, send its code, tell it what it must know."""
        shipment, sentinel = agent_shipment(), secrets.token_hex(16)
        stream = self._shell.start(shipment.argv(self._config.python, sentinel))
        deadline = time.monotonic() + _START_S
        self._rest = b""
        try:
            self._skip_noise(stream, f"\n{sentinel}\n".encode(), deadline)
            hello = Frame(document=self._greeting())
            stream.send(shipment.content + hello.encode(), _START_S)
            answer = self._checked(self._receive(stream, _START_S))
        except (ShellCutError, FrameError) as error:
            stream.close()
            raise SchedulerUnavailableError(
                f"{self.name}: the agent did not start with {self._config.python}: {error}"
            ) from error
        except BaseException:
            stream.close()
            raise
        self._stream, self.hello = stream, answer.document
        return stream

    def _skip_noise(self, stream: Stream, sentinel: bytes, deadline: float) -> None:
        """Pass over whatever a login shell prints before the agent speaks."""
        while sentinel not in self._rest:
            if len(self._rest) > _NOISE_BYTES:
                raise FrameError(f"the login shell printed {len(self._rest)} bytes")
            self._rest += self._more(stream, deadline)
        self._rest = self._rest.partition(sentinel)[2]

    def _greeting(self) -> dict[str, Any]:
        crashes = {name: os.environ[name] for name in CRASH_VARIABLES if name in os.environ}
        return {
            "verb": "hello",
            "base": self._config.base,
            "programs": self._config.programs,
            "slurm_conf": self._config.slurm_conf,
            "private": self._config.private,
            "command_timeout_s": self._config.command_timeout_s,
            "variables": crashes,
        }

    def _drop(self) -> None:
        stream, self._stream = self._stream, None
        self._number = 0  # of the greeting, with which the next line begins
        if stream is not None:
            stream.close()


def _is_last(answer: Frame) -> bool:
    return bool(answer.document.get("done")) or "error" in answer.document
