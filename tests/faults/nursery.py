"""Web server and worker as forks of one process that has imported everything.

``bumps-gateway run`` starts again what was killed, too, but each start costs a second of imports.
Here it costs milliseconds, so that a test can kill hundreds of times. ``python -m
tests.faults.nursery FOLDER``: the folder holds ``plan.json`` (which part is to crash where, read at
each fork) and gets ``pid.web`` and ``pid.worker``.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from gunicorn.app.wsgiapp import WSGIApplication

from gateway.run import gunicorn_arguments
from gateway.settings import load_settings
from gateway.worker import Worker
from gateway.wsgi import app as web_app
from scheduler.processes import die_with

_BREATH_S = 0.02


def take_plan(folder: Path, part: str) -> None:
    """Crash from now on where the plan says."""
    plan = json.loads((folder / "plan.json").read_text(encoding="utf-8"))
    os.environ["GATEWAY_CRASH_AT"] = plan.get(part, "")
    os.environ["GATEWAY_CRASH_LOG"] = str(folder / "crashes")


def serve(folder: Path) -> None:
    """Be the web server."""

    class Server(WSGIApplication):  # type: ignore[misc]  # gunicorn carries no types
        def load_config(self) -> None:
            super().load_config()
            self.cfg.set("post_fork", lambda _server, _worker: take_plan(folder, "web"))

    assert web_app is not None
    sys.argv = ["gunicorn", "--log-level", "error", *gunicorn_arguments(load_settings())]
    Server().run()


def work(_folder: Path) -> None:
    """Be the worker."""
    Worker(load_settings()).run()


PARTS: dict[str, Callable[[Path], None]] = {"web": serve, "worker": work}


def start(part: str, folder: Path) -> int:
    """Fork a part; answer its process id."""
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        os.setsid()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        die_with(parent)
        take_plan(folder, part)
        PARTS[part](folder)
        os._exit(0)
    unfinished = folder / f"pid.{part}.part"
    unfinished.write_text(str(pid), encoding="ascii")
    unfinished.replace(folder / f"pid.{part}")
    return pid


def main(folder: Path) -> None:
    """Start both, and again whichever ends."""
    die_with(os.getppid())

    def end(_number: int, _frame: FrameType | None) -> None:
        for pid in alive:
            os.kill(pid, signal.SIGTERM)
        os._exit(0)

    alive: dict[int, str] = {}
    signal.signal(signal.SIGTERM, end)
    alive |= {start(part, folder): part for part in PARTS}
    while True:
        pid, _ = os.waitpid(-1, 0)
        if part := alive.pop(pid, ""):
            time.sleep(_BREATH_S)
            alive[start(part, folder)] = part


if __name__ == "__main__":
    main(Path(sys.argv[1]))
