"""A large file gets there whole, wherever its line is cut and whoever dies."""

from __future__ import annotations

import hashlib
import os
import signal
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from bumps_remote.upload import LARGE

from tests.client.line import line_to
from tests.client.site import Misbehaving, Reply, Seen, Shell, make_shell, serve_submissions
from tests.live import Api, LiveGateway

SIZE = 3 * LARGE + 12_345
BLOCKS = 500_000
"""What is on its way when a line is cut may be sent twice, and so are all heads."""

MODEL = "from bumps.names import *\nproblem = None\n"
UPLOAD = "01J00000000000000000000009"
PLACE = f"/uploads/{UPLOAD}"
COMMAND = ("submit", "model.py", "--data=big.dat", "--check")


def big_file(shell: Shell) -> tuple[Path, str]:
    shell.write("model.py", MODEL)
    content = os.urandom(SIZE)
    path = shell.work / "big.dat"
    path.write_bytes(content)
    return path, hashlib.sha256(content).hexdigest()


def test_a_large_file_goes_on_over_three_cuts_and_a_command_that_was_killed(
    live: LiveGateway, tmp_path: Path
) -> None:
    name = f"u{uuid4().hex[:10]}"
    token = live.add_user(name)
    with line_to(live.port) as line:
        shell = make_shell(tmp_path, line.url, token)
        _, digest = big_file(shell)
        line.silent_after = LARGE + 1_000_000
        with shell.started(*COMMAND) as command:
            assert line.fell_silent.wait(60)
            command.send_signal(signal.SIGKILL)
        before = LARGE  # the second piece had not ended
        line.silent_after, line.sent = None, 0
        line.cuts = [1_000_000, 6_000_000, 12_000_000]

        done = shell.run(*COMMAND)
        sent, line.sent = line.sent, 0
        again = shell.run(*COMMAND, "--new")

    assert line.cuts == []
    assert "it goes on, and finds what it may have made" in done.err
    assert "going on with what is there" in done.err
    assert sent < SIZE - before + 3 * BLOCKS
    assert line.sent < BLOCKS, "a file that the server has was sent once more"
    assert Api(live, name).http.get(f"/files/{digest}").json()["size"] == SIZE
    assert done.out != again.out
    assert not list((shell.home / "state/bumps-remote/uploads").iterdir())


def serve_pieces(site: Misbehaving, digest: str, answers: list[int]) -> bytearray:
    """Take a file in pieces, and answer some of them badly."""
    here = bytearray()

    def about(status: int) -> Reply:
        ready = digest if len(here) == SIZE else ""
        body: dict[str, Any] = {"id": UPLOAD, "name": "big.dat", "size": SIZE}
        return Reply(status=status, body={**body, "offset": len(here), "digest": ready})

    def piece(seen: Seen) -> Reply:
        if answers and (status := answers.pop(0)):
            return Reply(status=status, body={"detail": "not now"}, headers={"Retry-After": "0"})
        assert int(seen.headers["Upload-Offset"]) == len(here)
        here.extend(seen.body)
        return Reply(status=204)

    site.on("POST", "/uploads", lambda _seen: about(201))
    site.on("GET", PLACE, lambda _seen: about(200))
    site.on("PATCH", PLACE, piece)
    return here


def test_a_server_that_is_busy_is_asked_how_much_is_there(site: Misbehaving, shell: Shell) -> None:
    serve_submissions(site)
    path, digest = big_file(shell)
    here = serve_pieces(site, digest, [423, 0, 409, 503])

    shell.run(*COMMAND)

    assert bytes(here) == path.read_bytes()
    assert len(site.asked("POST", "/uploads")) == 1
    assert len(site.asked("POST", "/jobs")) == 1


def test_an_upload_that_was_forgotten_there_begins_anew(site: Misbehaving, shell: Shell) -> None:
    serve_submissions(site)
    path, digest = big_file(shell)
    here = serve_pieces(site, digest, [])
    known = site.routes.pop(("GET", PLACE))
    said = shell.run(*COMMAND, code=6).err
    here.clear()
    assert "nothing at /uploads" in said

    site.on("GET", PLACE, Reply(status=404, body={"detail": "gone"}), known)
    shell.run(*COMMAND)

    assert bytes(here) == path.read_bytes()
    assert len(site.asked("POST", "/uploads")) == 2


@pytest.mark.parametrize(
    ("digest", "answers", "code", "said"),
    [
        ("0" * 64, [], 2, "has changed while it was being submitted: submit again"),
        ("", [507], 6, "not now"),
        ("", [503] * 99, 4, "0 bytes are there, and the same command goes on from them"),
    ],
)
def test_what_stands_in_the_way_is_said_and_no_job_is_made(
    site: Misbehaving, shell: Shell, digest: str, answers: list[int], code: int, said: str
) -> None:
    serve_submissions(site)
    _, right = big_file(shell)
    serve_pieces(site, digest or right, answers)

    assert said in shell.run(*COMMAND, code=code, BUMPS_REMOTE_PATIENCE="1").err
    assert not site.asked("POST", "/jobs")


def test_a_file_that_is_too_large_is_refused_before_it_is_sent(
    site: Misbehaving, shell: Shell
) -> None:
    serve_submissions(site)
    big_file(shell)
    site.on("POST", "/uploads", Reply(status=413, body={"detail": "at most 1 MB are taken"}))

    assert "at most 1 MB are taken" in shell.run(*COMMAND, code=6).err
    assert not site.asked("PATCH", PLACE)
