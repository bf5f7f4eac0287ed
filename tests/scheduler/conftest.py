"""Schedulers to keep the promises, and jobs to keep them with."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from scheduler.connect import connect
from scheduler.local import stop_executor
from scheduler.processes import holders
from tests.scheduler.site import Site


@pytest.fixture(params=["local", "local in bubblewrap"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    """A scheduler with two processors, and a place for its jobs."""
    sandbox = "bwrap" if request.param == "local in bubblewrap" else "none"
    with_limits = {"cpus": 2, "kill_wait_s": 2.0, "sandbox": sandbox, "log_limit_bytes": 100_000}
    site = Site(
        scheduler=connect("local", {"state_directory": tmp_path / "state", **with_limits}),
        base=tmp_path / "jobs",
        state=tmp_path / "state",
        python=sys.executable,
    )
    yield site
    end_all(site)


def end_all(site: Site) -> None:
    """End the executor of a site, and all that its jobs left running."""
    stop_executor(site.state)
    for lock in (site.state / "jobs").glob("*/lock.*"):
        for pid in holders(lock):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
