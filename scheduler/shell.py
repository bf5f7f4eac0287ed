"""The way to the machine where a scheduler's commands are: start a program there, talk to it.

One program is started per connection and kept, since a new process or channel for each question
costs more than the question. What is asked in which words is not known here.

A shell says truly what may have happened. `ShellUnavailableError` means that nothing was started,
so asking again is safe. `ShellCutError` means that a program ran and the way to it was lost: what
was sent may have been done, or be done still, and only looking there tells.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import IO, Protocol

from scheduler.base import SchedulerError, SchedulerUnavailableError

TAIL_BYTES = 8192
"""How much of what a program says on its standard error is kept."""

_PATH = "/usr/local/bin:/usr/bin:/bin"
_KEPT = ("HOME", "LOGNAME", "USER", "SLURM_CONF", "TZ")
_GLANCE_S = 0.2
_END_S = 1.0


class ShellUnavailableError(SchedulerUnavailableError):
    """No program could be started over there; nothing was done."""


class ShellCutError(SchedulerUnavailableError):
    """The way to a running program was cut; what was sent may have been done."""


class ShellTimeoutError(ShellCutError):
    """A program said nothing in time; the way to it is still open, and it may answer later."""


class Stream(Protocol):
    """A program that runs over there: bytes to its standard input, bytes from its output.

    One thread may send while another receives. What the program says on standard error is taken
    from it while somebody sends or receives, so it never waits for us there.
    """

    def send(self, data: bytes, timeout_s: float) -> None:
        """Hand all of *data* to the program.

        Raises
        ------
        ShellCutError
            If it could not be handed over, whole and in time. The stream is closed then, because
            nobody knows how much of it arrived.
        """

    def receive(self, max_bytes: int, timeout_s: float) -> bytes:
        """Take what the program printed, waiting for the first byte; empty when it has ended.

        Raises
        ------
        ShellTimeoutError
            If nothing came in time. Receiving again is in order.
        ShellCutError
            If the way was cut, or the stream was closed.
        """

    def stderr_tail(self) -> str:
        """Say what the program printed last on standard error, at most `TAIL_BYTES` of it."""

    def exit_code(self) -> int | None:
        """Say how the program ended; None while that is not known.

        Ended by a signal it is minus the signal's number here, and never known from elsewhere.
        """

    def close(self) -> None:
        """End the program's input and output, and so the program; again is no error.

        Whoever writes the program must have it end with its input: over there nobody kills it.
        """


class Shell(Protocol):
    """A way to one account on one machine."""

    @property
    def name(self) -> str:
        """What to call it in messages."""

    def start(self, argv: Sequence[str]) -> Stream:
        """Start a program with exactly these arguments; the first is its absolute path.

        It runs in ``/`` or the home directory, in a session of its own: a program that it puts
        into another session outlives it.

        Raises
        ------
        ShellUnavailableError
            If nothing was started.
        ShellCutError
            If the way was cut at that moment: the program may run, and was told nothing.
        SchedulerError
            If no machine could start such a program.
        """

    def close(self) -> None:
        """Close the way and all streams on it; it opens again when somebody starts a program."""


def check_argv(argv: Sequence[str]) -> None:
    """Refuse what no machine could run.

    Raises
    ------
    SchedulerError
        If there is no program, its path is not absolute, or an argument has a null byte.
    """
    if not argv or not argv[0].startswith("/"):
        raise SchedulerError(
            f"the program to start must have an absolute path, not {list(argv[:1])!r}: "
            "what PATH means over there is not known"
        )
    for place, word in enumerate(argv):
        if "\0" in word:
            raise SchedulerError(f"argument {place} of {argv[0]} has a null byte: {word[:80]!r}")


class Tail:
    """The last bytes of something long."""

    def __init__(self, limit: int = TAIL_BYTES) -> None:
        self._limit = limit
        self._kept = b""
        self._lock = threading.Lock()

    def add(self, data: bytes) -> None:
        """Keep more, and let go what is too old."""
        with self._lock:
            self._kept = (self._kept + data)[-self._limit :]

    def text(self) -> str:
        """Read what is kept, whatever bytes it is made of."""
        with self._lock:
            return self._kept.decode("utf-8", errors="replace")


def last_line(text: str) -> str:
    r"""Quote the last thing that a program said, for the end of a message.

    >>> last_line("Loading modules\nPermission denied\n")
    ' (Permission denied)'
    >>> last_line("")
    ''
    """
    line = "".join(one for one in text.strip().rpartition("\n")[2] if one.isprintable())
    return f" ({line[:200]})" if line else ""


class LocalShell:
    """The machine that the gateway itself runs on."""

    def __init__(self, name: str = "local", environment: Mapping[str, str] | None = None) -> None:
        """Run programs here.

        Parameters
        ----------
        environment
            What programs get beyond ``PATH``, the account's name and home, ``TZ`` and
            ``SLURM_CONF``: the gateway's own variables hold secrets.
        """
        self.name = name
        own = {key: os.environ[key] for key in _KEPT if key in os.environ}
        self._environment = {"PATH": _PATH, "LANG": "C.UTF-8", **own, **(environment or {})}
        self._streams: list[LocalStream] = []
        self._lock = threading.Lock()

    def start(self, argv: Sequence[str]) -> LocalStream:
        """Start a program as a child of this process, in a session of its own."""
        check_argv(argv)
        try:
            process = subprocess.Popen(
                list(argv),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                cwd="/",
                env=self._environment,
                start_new_session=True,
            )
        except OSError as error:
            raise ShellUnavailableError(
                f"{self.name}: cannot run {argv[0]}: {error.strerror}; is the path right?"
            ) from error
        stream = LocalStream(self.name, process)
        with self._lock:
            self._streams = [one for one in self._streams if not one.closed] + [stream]
        return stream

    def close(self) -> None:
        """End all programs that were started here."""
        with self._lock:
            streams, self._streams = self._streams, []
        for stream in streams:
            stream.close()


class LocalStream:
    """A child process and its three pipes."""

    def __init__(self, name: str, process: subprocess.Popen[bytes]) -> None:
        if process.stdin is None or process.stdout is None or process.stderr is None:
            raise SchedulerError(f"{name}: a program was started without its three pipes")
        self._name = name
        self._process = process
        self._input, self._output, self._errors = process.stdin, process.stdout, process.stderr
        for pipe in (self._input, self._output, self._errors):
            os.set_blocking(pipe.fileno(), False)
        self._tail = Tail()
        self._lost = ""
        self.closed = False
        # Held while a pipe is used, so that nobody closes it and its number gets another meaning.
        self._sending = threading.Lock()
        self._receiving = threading.Lock()
        self._complaining = threading.Lock()

    def send(self, data: bytes, timeout_s: float) -> None:
        """Hand all of *data* to the program."""
        rest = memoryview(data)
        deadline = time.monotonic() + timeout_s
        with self._sending:
            while rest:
                if not self._ready(self._input, select.POLLOUT, deadline):
                    raise self._torn(f"not within {timeout_s:g} s")
                with suppress(BlockingIOError):
                    try:
                        rest = rest[os.write(self._input.fileno(), rest) :]
                    except OSError as error:
                        raise self._torn("it reads no more") from error

    def receive(self, max_bytes: int, timeout_s: float) -> bytes:
        """Take what the program printed; empty when it has ended."""
        deadline = time.monotonic() + timeout_s
        with self._receiving:
            while self._ready(self._output, select.POLLIN, deadline):
                with suppress(BlockingIOError):
                    return os.read(self._output.fileno(), max_bytes)
        raise ShellTimeoutError(
            f"{self._name}: the program did not answer within {timeout_s:g} s{self._said()}"
        )

    def _ready(self, pipe: IO[bytes], event: int, deadline: float) -> bool:
        """Wait until a pipe is ready, or too late, and take complaints meanwhile."""
        while True:
            if self._lost:
                raise ShellCutError(self._lost)
            poll = select.poll()
            poll.register(pipe.fileno(), event)
            if self._take_errors():
                poll.register(self._errors.fileno(), select.POLLIN)
            left_s = deadline - time.monotonic()
            ready = dict(poll.poll(max(0.0, min(left_s, _GLANCE_S)) * 1000))
            if pipe.fileno() in ready:
                return True
            if left_s <= 0:
                return False

    def _torn(self, why: str) -> ShellCutError:
        self._lost = (
            f"{self._name}: the program did not take all that was sent: {why}{self._said()}"
        )
        return ShellCutError(self._lost)

    def _said(self) -> str:
        return last_line(self.stderr_tail())

    def _take_errors(self) -> bool:
        """Keep what there is on standard error; False when nothing will come any more."""
        with self._complaining, suppress(BlockingIOError):
            while not self._errors.closed:
                data = os.read(self._errors.fileno(), 65536)
                if not data:
                    return False
                self._tail.add(data)
            return False
        return True

    def stderr_tail(self) -> str:
        """Say what the program printed last on standard error."""
        self._take_errors()
        return self._tail.text()

    def exit_code(self) -> int | None:
        """Say how the program ended; None while it runs."""
        return self._process.poll()

    def close(self) -> None:
        """Let the program end with its input, then end it and its group."""
        self._lost = f"{self._name}: the program was ended by the gateway"
        with self._sending:
            self._input.close()
        self._end()
        self._take_errors()
        with self._receiving, self._complaining:
            self._output.close()
            self._errors.close()
        self.closed = True

    def _end(self) -> None:
        for number in (0, signal.SIGTERM, signal.SIGKILL):
            if number:
                with suppress(ProcessLookupError):
                    os.killpg(self._process.pid, number)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_END_S)
                return
