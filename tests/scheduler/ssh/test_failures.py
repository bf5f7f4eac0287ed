"""Each failure of a line is told apart, holds nobody up, and says what to do."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from scheduler.shell import (
    ShellCutError,
    ShellTimeoutError,
    ShellUnavailableError,
)
from scheduler.ssh import SSHShell
from tests.helpers import eventually, free_port
from tests.scheduler import streams
from tests.scheduler.sshd import Account, Clock, Connect, SSHServer, sshd
from tests.scheduler.streams import (
    read_all,
    read_exactly,
)

CAT = ("/bin/cat",)
PYTHON = "/usr/bin/python3"
SH = "/bin/sh"
ECHO = (PYTHON, *streams.ECHO[1:])
others: list[threading.Thread] = []
"""Connections that other tests keep for the whole run, when a test begins."""


@pytest.fixture(autouse=True)
def others_stay() -> None:
    """Leave the connections of others out."""
    others.clear()
    others.extend(transports())


def test_a_host_that_refuses_is_told_apart(
    connect: Connect, user: Account, server: SSHServer
) -> None:
    login = replace(server.hop(user), port=free_port())
    with pytest.raises(ShellUnavailableError, match=r"alpha: 127.0.0.1:.* refuses connections"):
        connect(login).start(CAT)


def test_a_name_that_nobody_knows_is_told_apart(
    connect: Connect, user: Account, server: SSHServer
) -> None:
    login = replace(server.hop(user), host="login.invalid")
    with pytest.raises(ShellUnavailableError, match=r"name of login.invalid:.* is not known"):
        connect(login).start(CAT)


@pytest.mark.parametrize("greeting", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b""])
def test_what_is_no_ssh_server_is_told_apart(
    connect: Connect, user: Account, server: SSHServer, greeting: bytes
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        login = replace(server.hop(user), port=other.getsockname()[1])

        def answer() -> None:
            peer, _ = other.accept()
            with peer:
                peer.sendall(greeting)

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(ShellUnavailableError, match="does not greet us as an SSH server"):
            connect(login).start(CAT)
        thread.join(5)


def test_a_host_that_says_nothing_does_not_hold_us(
    connect: Connect, user: Account, server: SSHServer
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        login = replace(server.hop(user), port=mute.getsockname()[1])
        shell = connect(login, connect_s=0.5)
        begun = time.monotonic()
        with pytest.raises(ShellUnavailableError, match="did not answer in time; is it up"):
            shell.start(CAT)
        assert time.monotonic() - begun < 2
        assert eventually(lambda: not ssh_threads())


def ssh_threads() -> list[str]:
    """Name the threads that connect."""
    return [one.name for one in threading.enumerate() if one.name.startswith("ssh to")]


def test_a_frozen_server_does_not_hold_us(connect: Connect, base: Path, user: Account) -> None:
    with sshd(base / "frozen", [user]) as server:
        shell = connect(server.hop(user), start_s=2.0)
        stream, full = shell.start(ECHO), shell.start(ECHO)
        server.freeze()
        begun = time.monotonic()
        with pytest.raises(ShellTimeoutError, match=r"did not answer within 0.2 s"):
            stream.receive(1, 0.2)
        with pytest.raises(ShellCutError, match=r"did not take all that was sent: not within 0.2"):
            full.send(bytes(30_000_000), 0.2)
        with pytest.raises(ShellUnavailableError, match="did not start a program within 2 s"):
            shell.start(CAT)
        with pytest.raises(ShellCutError, match="was cut"):
            stream.receive(1, 5)
        with pytest.raises(ShellUnavailableError, match=r"within 2 s; .*; next attempt in 1 s"):
            shell.start(CAT)
        assert time.monotonic() - begun < 10
        assert eventually(lambda: not transports())


def test_a_server_frozen_at_any_moment_does_not_hold_us(
    connect: Connect, base: Path, user: Account, clock: Clock
) -> None:
    with sshd(base / "freezing", [user]) as server:
        shell = connect(server.hop(user), connect_s=1.0, start_s=1.0)
        for delay_s in (0.0, 0.03, 0.06, 0.09, 0.13):
            clock.now += 1000
            freezer = threading.Timer(delay_s, server.freeze)
            freezer.start()
            begun = time.monotonic()
            with pytest.raises(ShellUnavailableError):
                use_until_it_fails(shell)
            # Limits of three seconds in all; a call without one would hang for minutes.
            assert time.monotonic() - begun < 10
            freezer.join(5)
            server.thaw()
            shell.close()
        assert eventually(lambda: not transports() and not ssh_threads())
        assert eventually(lambda: answers(shell, clock))


def use_until_it_fails(shell: SSHShell) -> None:
    stream = shell.start(ECHO)
    try:
        while True:
            stream.send(b"x", 1)
            read_exactly(stream, 1, 0.5)
    except ShellTimeoutError:
        shell.start(CAT)


def answers(shell: SSHShell, clock: Clock) -> bool:
    clock.now += 1000  # a busy machine may need more than one attempt
    try:
        return shell.start(["/bin/echo", "in"]).receive(10, 5) == b"in\n"
    except ShellUnavailableError:
        return False


def transports() -> list[threading.Thread]:
    """List the threads that serve a connection of the test that runs."""
    served = [one for one in threading.enumerate() if "Transport" in type(one).__name__]
    return [one for one in served if one not in others]


def test_a_line_cut_in_the_middle_is_uncertain_and_the_next_one_is_good(
    connect: Connect, base: Path, user: Account
) -> None:
    with sshd(base / "cut", [user]) as server:
        shell = connect(server.hop(user))
        noted = user.home / "noted"
        stream = shell.start([SH, "-c", f"cat > {noted}; echo done >> {noted}"])
        stream.send(b"asked ", 5)
        eventually(lambda: noted.exists() and noted.read_text() == "asked ")
        server.cut()
        with pytest.raises(ShellCutError, match=r"was cut \(.*what was asked may have been done"):
            stream.receive(1, 10)
        with pytest.raises(ShellCutError, match="was cut"):
            stream.send(b"x", 5)
        assert eventually(lambda: noted.read_text() == "asked done\n")
        assert read_all(shell.start(["/bin/echo", "again"])) == b"again\n"


def test_a_line_cut_at_any_moment_leaves_a_truth_and_no_thread(
    connect: Connect, base: Path, user: Account, clock: Clock
) -> None:
    seen: set[str] = set()
    with sshd(base / "any", [user]) as server:
        shell = connect(server.hop(user))
        for delay_s in (0.0, 0.01, 0.03, 0.06, 0.1, 0.15, 0.2, 0.3):
            clock.now += 100
            cutter = threading.Timer(delay_s, server.cut)
            cutter.start()
            try:
                stream = shell.start(ECHO)
                for _ in range(10_000):
                    stream.send(b"x" * 1000, 5)
                    read_exactly(stream, 1000, 5)
            except (ShellCutError, ShellUnavailableError) as error:
                seen.add(type(error).__name__)
            cutter.join(5)
            shell.close()
        assert seen
        assert seen <= {"ShellCutError", "ShellUnavailableError", "_StaleError", "SignInError"}
    assert eventually(lambda: not transports())


def test_a_host_that_is_down_is_asked_ever_more_seldom(
    connect: Connect, user: Account, server: SSHServer, clock: Clock
) -> None:
    knocks = 0
    with socket.create_server(("127.0.0.1", 0)) as door:
        door.setblocking(False)
        shell = connect(replace(server.hop(user), port=door.getsockname()[1]), connect_s=0.05)
        states = []
        for _ in range(600):
            with pytest.raises(ShellUnavailableError):
                shell.start(CAT)
            with contextlib.suppress(BlockingIOError):
                while True:
                    door.accept()[0].close()
                    knocks += 1
            states.append(shell.breaker.state)
            clock.now += 1
    assert 8 <= knocks <= 20
    assert states[0] == "closed"
    assert states[-1] == "open"


def test_a_host_that_comes_back_is_found_by_one_probe(
    connect: Connect, base: Path, user: Account, clock: Clock
) -> None:
    with sshd(base / "back", [user]) as server:
        server.stop()
        shell = connect(server.hop(user))
        while shell.breaker.state == "closed":
            with pytest.raises(ShellUnavailableError):
                shell.start(CAT)
            clock.now += 10
        assert shell.breaker.state == "open"
        server.start()
        with pytest.raises(ShellUnavailableError, match=r"refuses connections.*next attempt in"):
            shell.start(CAT)
        clock.now += 61
        assert shell.breaker.state == "half-open"
        assert read_all(shell.start(["/bin/echo", "in"])) == b"in\n"
        assert shell.breaker.state == "closed"
