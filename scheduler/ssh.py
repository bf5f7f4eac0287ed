"""A shell on a login node: one SSH connection per account, and a few programs on it.

Whatever may hang is watched from outside (`scheduler.deadlines`): a server that stops answering
closes the line after its time, and never holds up who waits for it.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from scheduler.deadlines import WATCHDOG
from scheduler.hosts import SSHRoute
from scheduler.pacing import DOORS, Breaker, Doors, jitter
from scheduler.remote import GO, remote_command
from scheduler.shell import (
    ShellCutError,
    ShellTimeoutError,
    ShellUnavailableError,
    Tail,
    check_argv,
    last_line,
)
from scheduler.ssh_line import (
    FAILURES,
    TICK_S,
    Channel,
    ChannelRefusedError,
    HostKeyError,
    Line,
    SignInError,
    check_identities,
    dial,
)

_GRACE_S = 5.0
_PIECE_BYTES = 1 << 15
_NOISE_BYTES = 1 << 20


class _StaleError(ShellUnavailableError):
    """A connection had died while nobody used it."""


class SSHShell:
    """One account on one cluster.

    It connects when a program is to be started, and stays connected. While it is too early to try
    again after a failure, `start` says so at once.
    """

    def __init__(
        self,
        name: str,
        route: SSHRoute,
        doors: Doors = DOORS,
        jitter: Callable[[], float] = jitter,
    ) -> None:
        """Know the way; nothing is sent yet.

        Parameters
        ----------
        doors
            Who counts the attempts at each host, over all shells of this process.
        jitter
            Draws numbers between 0 and 1, which spread the attempts.
        """
        self.name = name
        self._route = route
        self.breaker = Breaker(doors, [hop.address for hop in route.hops], jitter)
        self._connecting = threading.Lock()
        self._line: Line | None = None
        self._slots = threading.Condition()
        self._streams: list[SSHStream] = []
        self._starting = 0
        self._last = ""
        self._changed_key = ""

    def start(self, argv: Sequence[str]) -> SSHStream:
        """Start a program on the login node, connecting first where that is needed.

        Raises
        ------
        HostKeyError, SignInError, ShellUnavailableError
            If nothing was started.
        ShellCutError
            If the line was cut at the moment of starting.
        """
        check_argv(argv)
        token = secrets.token_hex(16)
        command = remote_command(argv, token)
        self._take_slot()
        try:
            stream = self._open(command, token)
            with self._slots:
                self._streams.append(stream)
        finally:
            with self._slots:
                self._starting -= 1
        return stream

    def close(self) -> None:
        """Close the connection, and so all streams on it."""
        with self._connecting:
            line, self._line = self._line, None
        with self._slots:
            streams, self._streams = self._streams, []
        if line:
            line.kill()
        for stream in streams:
            stream.close()

    def _take_slot(self) -> None:
        deadline = time.monotonic() + self._route.start_s
        with self._slots:
            while True:
                self._streams = [one for one in self._streams if not one.closed]
                if len(self._streams) + self._starting < self._route.channels:
                    self._starting += 1
                    return
                if time.monotonic() > deadline:
                    raise ShellUnavailableError(
                        f"{self.name}: {self._route.channels} programs run on this connection "
                        "already; close one, or raise channels in the cluster's settings"
                    )
                self._slots.wait(TICK_S)

    def _open(self, command: str, token: str) -> SSHStream:
        line, fresh = self._connect()
        try:
            return self._begin(line, command, token)
        except _StaleError as error:
            # It died while nobody used it. Nothing was started, so once more is safe.
            if fresh:
                self.breaker.failed()
                self._last = str(error)
                raise
            return self._begin(self._connect()[0], command, token)

    def _begin(self, line: Line, command: str, token: str) -> SSHStream:
        try:
            with WATCHDOG.watch(self._route.start_s, line.give_up):
                channel = line.transport.open_session(timeout=self._route.start_s * 2)
                channel.settimeout(TICK_S)
                channel.exec_command(command)
        except ChannelRefusedError as error:
            raise ShellUnavailableError(
                f"{self.name}: {line.where} refuses another channel ({error.text}): its "
                "MaxSessions is reached; lower channels in the cluster's settings below it"
            ) from error
        except FAILURES as error:
            raise self._not_begun(line, error) from error
        stream = SSHStream(self.name, line, channel)
        try:
            stream.begin(token.encode(), self._route.start_s)
        except ShellUnavailableError:
            stream.close()
            raise
        return stream

    def _not_begun(self, line: Line, error: Exception) -> ShellUnavailableError:
        where, why = line.where, str(error) or "it closed the line"
        if line.late:
            self.breaker.failed()
            self._last = (
                f"{self.name}: {where} took the connection and did not start a program within "
                f"{self._route.start_s:g} s; is the login node overloaded?"
            )
            return ShellUnavailableError(self._last)
        if line.alive:
            return ShellUnavailableError(
                f"{self.name}: {where} lets the account in and runs no command for it ({why}); "
                "see ForceCommand and the account's shell there"
            )
        line.kill()
        return _StaleError(f"{self.name}: {where} cut the line before anything was started: {why}")

    def _connect(self) -> tuple[Line, bool]:
        """Give the connection, and whether it was made just now."""
        with self._connecting:
            if self._line and self._line.alive:
                return self._line, False
            if self._line:
                self._line.kill()
                self._line = None
            if self._changed_key:
                raise HostKeyError(self._changed_key)
            check_identities(self.name, self._route)
            if wait_s := self.breaker.knock():
                last = (
                    self._last or f"{self.name}: it was tried a moment ago, and again is too often"
                )
                raise ShellUnavailableError(f"{last}; next attempt in {wait_s:.0f} s")
            self._line = self._attempt()
            self.breaker.succeeded()
            self._last = ""
            return self._line, True

    def _attempt(self) -> Line:
        try:
            return dial(self.name, self._route)
        except ShellUnavailableError as error:
            self.breaker.failed(refused=isinstance(error, SignInError | HostKeyError))
            self._last = str(error)
            if isinstance(error, HostKeyError):
                self._changed_key = self._last
            raise


class SSHStream:
    """A program on a login node, in a channel of its own.

    It is ended by the end of its input: sshd does not end the programs of a closed channel.
    """

    def __init__(self, name: str, line: Line, channel: Channel) -> None:
        self._name = name
        self._line = line
        self._channel = channel
        self._tail = Tail()
        self._lost = ""
        self._sending = threading.Lock()

    @property
    def closed(self) -> bool:
        """Whether it takes no place on the connection any more."""
        return self._channel.closed

    def begin(self, token: bytes, seconds: float) -> None:
        """Skip what start-up files print, and have the program started."""
        noise = b""
        deadline = time.monotonic() + seconds
        while token not in noise:
            if len(noise) > _NOISE_BYTES:
                raise self._not_reached("for all that its start-up files print", noise)
            try:
                piece = self.receive(_PIECE_BYTES, max(0.0, deadline - time.monotonic()))
            except ShellTimeoutError:
                raise self._not_reached(
                    f"within {seconds:g} s; do its start-up files or its home directory hang?",
                    noise,
                ) from None
            except ShellCutError as error:
                raise _StaleError(str(error)) from error
            if not piece:
                raise self._not_reached(
                    "and ended; is the account enabled, with a shell that runs commands?", noise
                )
            noise += piece
        self.send(GO, seconds)

    def _not_reached(self, why: str, noise: bytes) -> ShellUnavailableError:
        said = last_line(noise.decode(errors="replace")) or self._said()
        return ShellUnavailableError(
            f"{self._name}: the account's login shell did not come to our command {why}{said}"
        )

    def send(self, data: bytes, timeout_s: float) -> None:
        """Hand all of *data* to the program."""
        deadline = time.monotonic() + timeout_s
        sent = 0
        with self._sending, WATCHDOG.watch(timeout_s + _GRACE_S, self._line.give_up):
            while sent < len(data):
                if self._lost:
                    raise ShellCutError(self._lost)
                if self._channel.closed or self.exit_code() is not None:
                    raise self._torn("it reads no more")
                try:
                    sent += self._channel.send(data[sent : sent + _PIECE_BYTES])
                except TimeoutError:
                    self._take_errors()
                    if time.monotonic() > deadline:
                        raise self._torn(f"not within {timeout_s:g} s") from None
                except FAILURES as error:
                    raise self._torn("it reads no more") from error

    def receive(self, max_bytes: int, timeout_s: float) -> bytes:
        """Take what the program printed; empty when it has ended."""
        deadline = time.monotonic() + timeout_s
        with WATCHDOG.watch(timeout_s + _GRACE_S, self._line.give_up):
            while True:
                if self._lost:
                    raise ShellCutError(self._lost)
                try:
                    data = self._channel.recv(max_bytes)
                    self._take_errors()
                except TimeoutError:
                    self._take_errors()
                    if time.monotonic() >= deadline:
                        raise ShellTimeoutError(
                            f"{self._name}: the program did not answer within {timeout_s:g} s"
                            f"{self._said()}"
                        ) from None
                except FAILURES as error:
                    raise self._cut(str(error)) from error
                else:
                    return data or self._end()

    def _end(self) -> bytes:
        # Without the server's word that it ended it was the line that ended.
        if self._channel.eof_received or self.exit_code() is not None:
            return b""
        raise self._cut("the line ended")

    def _cut(self, why: str) -> ShellCutError:
        self._lost = self._lost or (
            f"{self._name}: the line to {self._line.where} was cut ({why}); "
            "what was asked may have been done"
        )
        return ShellCutError(self._lost)

    def _torn(self, why: str) -> ShellCutError:
        if not self._line.alive:
            return self._cut(why)
        self._lost = (
            f"{self._name}: the program did not take all that was sent: {why}{self._said()}"
        )
        self._close_channel()
        return ShellCutError(self._lost)

    def _said(self) -> str:
        return last_line(self.stderr_tail())

    def _take_errors(self) -> None:
        with suppress(*FAILURES):
            while self._channel.recv_stderr_ready():
                self._tail.add(self._channel.recv_stderr(_PIECE_BYTES))

    def stderr_tail(self) -> str:
        """Say what the program printed last on standard error."""
        self._take_errors()
        return self._tail.text()

    def exit_code(self) -> int | None:
        """Say how the program ended; None while it runs, and if a signal or a cut ended it."""
        return self._channel.exit_status if self._channel.exit_status >= 0 else None

    def close(self) -> None:
        """End the program's input and output, and with them the program."""
        self._lost = self._lost or f"{self._name}: the program was ended by the gateway"
        self._close_channel()

    def _close_channel(self) -> None:
        with WATCHDOG.watch(_GRACE_S, self._line.give_up), suppress(*FAILURES):
            self._channel.close()
