"""A real sshd: programs arrive as they are meant, a few on one connection."""

from __future__ import annotations

import hashlib
import os
import threading
from pathlib import Path

import pytest

from scheduler.base import SchedulerError
from scheduler.shell import (
    TAIL_BYTES,
    ShellCutError,
    ShellUnavailableError,
)
from scheduler.ssh import SSHShell
from tests.helpers import eventually, processes
from tests.scheduler import streams
from tests.scheduler.sshd import Account, Connect, SSHServer, sshd
from tests.scheduler.streams import (
    HOSTILE,
    SHOW_ARGV,
    read_all,
    read_exactly,
    received_argv,
)

CAT = ("/bin/cat",)
PYTHON = "/usr/bin/python3"
SH = "/bin/sh"
ECHO = (PYTHON, *streams.ECHO[1:])


def test_megabytes_come_back_byte_for_byte(shell: SSHShell) -> None:
    stream = shell.start(CAT)
    data = os.urandom(1 << 20) * 7 + bytes(range(256))
    sender = threading.Thread(target=stream.send, args=(data, 30))
    sender.start()
    back = read_exactly(stream, len(data))
    sender.join(10)
    assert hashlib.sha256(back).digest() == hashlib.sha256(data).digest()


def test_hostile_arguments_arrive_as_they_are(shell: SSHShell) -> None:
    stream = shell.start([PYTHON, "-c", SHOW_ARGV, *HOSTILE])
    assert received_argv(stream) == [os.fsencode(word) for word in HOSTILE]


@pytest.mark.parametrize("login_shell", ["/bin/sh", "/bin/tcsh"])
def test_hostile_arguments_arrive_behind_any_login_shell(
    shell: SSHShell, user: Account, login_shell: str
) -> None:
    user.change_shell(login_shell)
    try:
        stream = shell.start([PYTHON, "-c", SHOW_ARGV, *HOSTILE])
        assert received_argv(stream) == [os.fsencode(word) for word in HOSTILE]
    finally:
        user.change_shell("/bin/bash")


@pytest.mark.parametrize(
    "bashrc",
    [
        "echo Welcome to Stampede3; printf 'no line end'; echo warning >&2",
        "(sleep 0.2; printf x >&2) & set -xv; printf '\\0\\377'; cat /bin/true",
        "printf() { echo mine; }; read() { :; }; export BASH_ENV=/x ENV=/x IFS=e",
    ],
)
def test_what_start_up_files_print_is_no_answer(
    shell: SSHShell, user: Account, bashrc: str
) -> None:
    user.bashrc(bashrc)
    try:
        stream = shell.start(ECHO)
        stream.send(b"4711\n", 5)
        assert read_exactly(stream, 5) == b"4711\n"
        assert received_argv(shell.start([PYTHON, "-c", SHOW_ARGV, "a e", "\n"])) == [b"a e", b"\n"]
    finally:
        user.bashrc("")


def test_start_up_files_that_wait_are_an_error_that_says_so(
    connect: Connect, server: SSHServer, user: Account
) -> None:
    shell = connect(server.hop(user), start_s=1.0)
    echo = shell.start(CAT)
    user.bashrc("echo which account do you charge?; cat > /dev/null")
    try:
        with pytest.raises(ShellUnavailableError, match=r"home directory hang\? \(which account"):
            shell.start(["/usr/bin/touch", str(user.home / "touched")])
    finally:
        user.bashrc("")
    echo.send(b"still here", 5)
    assert read_exactly(echo, 10) == b"still here"
    assert not (user.home / "touched").exists()


def test_start_up_files_that_print_without_end_are_an_error(shell: SSHShell, user: Account) -> None:
    user.bashrc("yes")
    try:
        with pytest.raises(ShellUnavailableError, match=r"all that its start-up files print \(y"):
            shell.start(CAT)
    finally:
        user.bashrc("")
    assert eventually(lambda: not processes("yes", environment=f"HOME={user.home}"))


def test_start_up_files_that_end_the_shell_are_an_error_with_their_words(
    shell: SSHShell, user: Account
) -> None:
    user.bashrc("echo 'your account has expired' >&2; exit 1")
    try:
        with pytest.raises(ShellUnavailableError, match=r"enabled.*\(your account has expired\)"):
            shell.start(CAT)
    finally:
        user.bashrc("")


def test_an_account_without_a_shell_is_an_error_with_its_words(
    shell: SSHShell, user: Account
) -> None:
    user.change_shell("/usr/sbin/nologin")
    try:
        with pytest.raises(ShellUnavailableError, match="account is currently not available"):
            shell.start(CAT)
    finally:
        user.change_shell("/bin/bash")


def test_a_program_that_is_not_there_ends_with_the_reason(shell: SSHShell) -> None:
    stream = shell.start(["/nowhere/agent"])
    assert read_all(stream) == b""
    assert eventually(lambda: stream.exit_code() == 127)
    assert "/nowhere/agent: not found" in stream.stderr_tail()


def test_arguments_too_long_for_a_shell_are_refused_here(shell: SSHShell) -> None:
    with pytest.raises(SchedulerError, match="standard input"):
        shell.start([*CAT, "x" * 200_000])


def test_a_program_gets_the_end_of_its_input_and_its_code_is_told(shell: SSHShell) -> None:
    stream = shell.start([SH, "-c", "echo out; echo no such partition >&2; exit 3"])
    assert read_all(stream) == b"out\n"
    assert eventually(lambda: stream.exit_code() == 3)
    assert stream.stderr_tail() == "no such partition\n"
    with pytest.raises(ShellCutError, match=r"reads no more \(no such partition\)"):
        stream.send(bytes(10), 5)


def test_a_program_ends_with_its_stream(shell: SSHShell, user: Account) -> None:
    noted = user.home / "ended"
    stream = shell.start([SH, "-c", f"cat; echo > {noted}"])
    stream.close()
    stream.close()
    assert eventually(noted.exists)
    with pytest.raises(ShellCutError, match="ended by the gateway"):
        stream.receive(1, 1)


def test_a_talkative_standard_error_neither_blocks_nor_fills_memory(shell: SSHShell) -> None:
    complain = "import sys; sys.stderr.write('x' * 5_000_000 + 'end'); print('done')"
    stream = shell.start([PYTHON, "-c", complain])
    assert stream.receive(10, 20) == b"done\n"
    assert eventually(lambda: stream.stderr_tail().endswith("end"))
    assert len(stream.stderr_tail()) == TAIL_BYTES


def test_programs_share_one_connection(shell: SSHShell, server: SSHServer) -> None:
    before = set(server.connections)
    streams = [shell.start(ECHO) for _ in range(4)]
    for number, stream in enumerate(streams):
        stream.send(b"%d" % number, 5)
    assert [read_exactly(stream, 1) for stream in streams] == [b"0", b"1", b"2", b"3"]
    assert len(set(server.connections) - before) == 1


def test_one_program_more_than_allowed_waits_for_a_place(
    connect: Connect, server: SSHServer, user: Account
) -> None:
    shell = connect(server.hop(user), channels=2, start_s=0.5)
    first, _ = shell.start(CAT), shell.start(CAT)
    with pytest.raises(ShellUnavailableError, match="2 programs run on this connection already"):
        shell.start(CAT)
    threading.Timer(0.1, first.close).start()
    assert shell.start(["/bin/echo", "in"]).receive(10, 5) == b"in\n"


def test_ended_programs_take_no_place(connect: Connect, server: SSHServer, user: Account) -> None:
    shell = connect(server.hop(user), channels=2)
    for number in range(6):
        assert read_all(shell.start(["/bin/echo", str(number)])) == b"%d\n" % number


def test_a_site_with_few_sessions_is_told_apart_and_keeps_its_connection(
    connect: Connect, base: Path, user: Account
) -> None:
    with sshd(base / "few", [user], "MaxSessions 2") as server:
        shell = connect(server.hop(user))
        streams = [shell.start(ECHO), shell.start(ECHO)]
        with pytest.raises(ShellUnavailableError, match=r"refuses another channel.*MaxSessions"):
            shell.start(ECHO)
        for stream in streams:
            stream.send(b"x", 5)
            assert read_exactly(stream, 1) == b"x"
        streams[0].close()
        eventually(lambda: started_anyway(shell))
        assert shell.breaker.failures == 0


def started_anyway(shell: SSHShell) -> bool:
    try:
        return shell.start(["/bin/echo", "in"]).receive(10, 5) == b"in\n"
    except ShellUnavailableError:
        return False


def test_a_dead_idle_connection_is_made_again_unnoticed(
    connect: Connect, base: Path, user: Account
) -> None:
    with sshd(base / "idle", [user]) as server:
        shell = connect(server.hop(user))
        assert read_all(shell.start(["/bin/echo", "1"])) == b"1\n"
        server.cut()
        assert read_all(shell.start(["/bin/echo", "2"])) == b"2\n"


def test_a_process_that_was_forked_makes_its_own_connection(
    connect: Connect, server: SSHServer, user: Account
) -> None:
    shell = connect(server.hop(user))
    stream = shell.start(ECHO)
    read, write = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.write(write, shell.start(["/bin/echo", "child"]).receive(10, 10))
        finally:
            os._exit(0)
    os.close(write)
    os.waitpid(child, 0)
    with os.fdopen(read, "rb") as pipe:
        assert pipe.read() == b"child\n"
    stream.send(b"parent", 5)
    assert read_exactly(stream, 6) == b"parent"
