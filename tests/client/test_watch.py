"""The live view of a fit, on a real terminal."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from typing import Any

from tests.client.site import JOB_ID, NO_STREAM, Misbehaving, Reply, Shell, job_document

JOB = f"/jobs/{JOB_ID}"
EVIL = "a\x1b]0;x\x07[red]b\u202e"


def stream(*events: tuple[str, dict[str, Any]]) -> Reply:
    text = "".join(
        f"id: {n}\nevent: {name}\ndata: {json.dumps(data)}\n\n"
        for n, (name, data) in enumerate(events, 1)
    )
    return Reply(body=text.encode(), headers={"Content-Type": "text/event-stream"})


def on_a_terminal(shell: Shell, *words: str) -> tuple[int, str]:
    """Run the program with a terminal of its own; answer what it drew there."""
    ours, theirs = pty.openpty()
    drawn = b""
    with subprocess.Popen(
        [sys.executable, "-m", "bumps_remote.cli", *words],
        cwd=shell.work,
        env={**shell.environment, "TERM": "xterm-256color", "COLUMNS": "90", "LINES": "40"},
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
    ) as program:
        os.close(theirs)
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:  # how a terminal says that the other end is closed
                break
            if not piece:
                break
            drawn += piece
    os.close(ours)
    return program.returncode, drawn.decode()


def test_a_fit_is_drawn_while_it_runs(site: Misbehaving, shell: Shell) -> None:
    running = job_document(state="RUNNING", final=False, title=EVIL)
    steps = [
        {"step": n, "steps": 40, "chisq": 1000.0 / n, "best": [1.5, n], "phase": "search"}
        for n in range(1, 31)
    ]
    site.on("GET", JOB, Reply(body=running))
    site.on(
        "GET",
        f"{JOB}/events",
        stream(
            ("start", {"labels": ["slope", EVIL]}),
            ("job", running),
            *(("step", step) for step in steps),
            ("message", {"level": "warning", "text": f"look {EVIL}"}),
            ("job", job_document()),
        ),
        NO_STREAM,
    )
    log = {"text": f"from the log {EVIL}", "offset": 0, "next_offset": 9, "size": 9, "cut": False}
    site.on("GET", f"{JOB}/log", Reply(body=log))
    results = {"job": JOB_ID, "attempt": 1, "complete": True, "files": []}
    site.on("GET", f"{JOB}/results", Reply(body={**results, "results": []}))

    code, drawn = on_a_terminal(shell, "watch", JOB_ID)

    assert code == 0
    assert any("\u2800" < sign <= "\u28ff" for sign in drawn)  # the chart
    assert "search, step 30 of 40" in drawn
    assert "slope" in drawn
    assert "from the log" in drawn
    assert "look a" in drawn
    assert "Ctrl-C leaves; the job goes on" in drawn
    assert "\x1b]0;" not in drawn
    assert "\u202e" not in drawn
    assert "COMPLETED" in drawn
