"""A program is started with exactly its arguments, talked to in bytes, and ended for good."""

from __future__ import annotations

import hashlib
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from scheduler.base import SchedulerError
from scheduler.shell import (
    TAIL_BYTES,
    LocalShell,
    ShellCutError,
    ShellTimeoutError,
    ShellUnavailableError,
    Stream,
)
from tests.helpers import eventually
from tests.scheduler.streams import ECHO, HOSTILE, SHOW_ARGV, read_all, read_exactly, received_argv

SH = "/bin/sh"


@pytest.fixture
def shell() -> Iterator[LocalShell]:
    shell = LocalShell()
    yield shell
    shell.close()


def sh(shell: LocalShell, script: str) -> Stream:
    return shell.start([SH, "-c", script])


def test_what_is_sent_comes_back_byte_for_byte(shell: LocalShell) -> None:
    stream = shell.start(["/bin/cat"])
    data = bytes(range(256)) * 16 * 1024
    sender = threading.Thread(target=stream.send, args=(data, 10))
    sender.start()
    back = read_exactly(stream, len(data))
    sender.join(10)
    assert hashlib.sha256(back).digest() == hashlib.sha256(data).digest()


@pytest.mark.parametrize("word", HOSTILE)
def test_an_argument_arrives_as_it_is(shell: LocalShell, word: str) -> None:
    stream = shell.start([sys.executable, "-c", SHOW_ARGV, word, "after"])
    assert received_argv(stream) == [os.fsencode(word), b"after"]


@pytest.mark.parametrize("argv", [[], ["cat"], ["./cat"], [""], ["~/cat"]])
def test_a_program_without_an_absolute_path_is_refused(shell: LocalShell, argv: list[str]) -> None:
    with pytest.raises(SchedulerError, match="absolute path"):
        shell.start(argv)


def test_an_argument_with_a_null_byte_is_refused_by_its_place(shell: LocalShell) -> None:
    with pytest.raises(SchedulerError, match="argument 1 of /bin/cat has a null byte"):
        shell.start(["/bin/cat", "a\0b"])


def test_a_program_that_is_not_there_was_not_started(shell: LocalShell, tmp_path: Path) -> None:
    with pytest.raises(ShellUnavailableError, match=r"cannot run /nowhere/agent: No such file"):
        shell.start(["/nowhere/agent"])
    plain = tmp_path / "plain"
    plain.write_text("not a program")
    with pytest.raises(ShellUnavailableError, match="Permission denied"):
        shell.start([str(plain)])


def test_the_gateways_secrets_stay_out_of_the_program(
    shell: LocalShell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEWAY_SECRET_KEY", "canary")
    monkeypatch.setenv("PYTHONPATH", "/canary")
    seen = read_all(shell.start(["/usr/bin/env"])).decode()
    assert "canary" not in seen
    assert "PATH=/usr" in seen


def test_an_ended_program_gives_what_it_printed_and_then_nothing(shell: LocalShell) -> None:
    stream = sh(shell, "printf out; echo 'no such partition' >&2; exit 3")
    assert read_all(stream) == b"out"
    assert stream.receive(10, 5) == b""
    assert eventually(lambda: stream.exit_code() == 3)
    assert stream.stderr_tail() == "no such partition\n"


def test_silence_is_a_timeout_and_the_answer_still_comes(shell: LocalShell) -> None:
    stream = sh(shell, "echo thinking >&2; read line; echo $line")
    assert eventually(lambda: "thinking" in stream.stderr_tail())
    with pytest.raises(ShellTimeoutError, match=r"within 0.1 s \(thinking\)"):
        stream.receive(10, 0.1)
    stream.send(b"late\n", 5)
    assert stream.receive(10, 5) == b"late\n"


def test_a_program_that_does_not_read_cannot_hold_us(shell: LocalShell) -> None:
    stream = sh(shell, "sleep 60")
    begun = time.monotonic()
    with pytest.raises(ShellCutError, match="did not take all that was sent"):
        stream.send(bytes(10_000_000), 0.3)
    assert time.monotonic() - begun < 5
    with pytest.raises(ShellCutError, match="did not take all"):
        stream.send(b"more of a torn message", 5)


def test_sending_to_an_ended_program_is_a_cut_that_says_why(shell: LocalShell) -> None:
    stream = sh(shell, "echo 'disk quota exceeded' >&2")
    read_all(stream)
    with pytest.raises(ShellCutError, match=r"reads no more \(disk quota exceeded\)"):
        stream.send(bytes(1_000_000), 5)


def test_a_talkative_standard_error_neither_blocks_nor_fills_memory(shell: LocalShell) -> None:
    complain = "import sys; sys.stderr.write('é' * 5_000_000); print('done')"
    stream = shell.start([sys.executable, "-c", complain])
    assert stream.receive(10, 20) == b"done\n"
    assert len(stream.stderr_tail()) <= TAIL_BYTES
    assert stream.stderr_tail().endswith("éé")


def test_closing_ends_a_program_that_does_not_want_to(shell: LocalShell) -> None:
    stream = sh(shell, "trap '' TERM; sleep 600 & echo $$ $!; wait; wait; sleep 600")
    pids = [int(word) for word in stream.receive(100, 5).split()]
    stream.close()
    stream.close()
    assert stream.exit_code() == -9
    assert eventually(lambda: not any(alive(pid) for pid in pids))
    with pytest.raises(ShellCutError, match="ended by the gateway"):
        stream.receive(1, 1)
    with pytest.raises(ShellCutError, match="ended by the gateway"):
        stream.send(b"x", 1)


def test_a_program_that_ends_with_its_input_is_let_end(shell: LocalShell, tmp_path: Path) -> None:
    stream = sh(shell, f"cat; echo tidied > {tmp_path}/tidied")
    stream.close()
    assert (tmp_path / "tidied").read_text() == "tidied\n"
    assert stream.exit_code() == 0


def test_closing_frees_a_thread_that_receives(shell: LocalShell) -> None:
    stream = shell.start(["/bin/cat"])
    heard: list[Exception] = []

    def listen() -> None:
        try:
            stream.receive(1, 60)
        except ShellCutError as error:
            heard.append(error)

    thread = threading.Thread(target=listen)
    thread.start()
    stream.close()
    thread.join(5)
    assert not thread.is_alive()
    assert len(heard) <= 1


def test_closed_streams_leave_no_open_files(shell: LocalShell) -> None:
    shell.start(["/bin/cat"]).close()
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        shell.start(["/bin/cat"]).close()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_shell_that_is_closed_ends_all_it_started(shell: LocalShell) -> None:
    streams = [shell.start(ECHO) for _ in range(3)]
    shell.close()
    assert all(stream.exit_code() is not None for stream in streams)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
