"""What a task says of its memory: what its processes share is there once, the rest for each."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from fitters.memory import Workers

from .job_folder import LINE, JobFolder, make_job, slow_line

MIB = 1 << 20
SHARED, OWN, CPUS = 256, 48, 4
FILLS = f"shared = b'1' * ({SHARED} << 20)\nown = []\n" + slow_line(0.0015).replace(
    "    import time", f"    own or own.append(b'2' * ({OWN} << 20))\n    import time"
)
"""A large problem, of which each process that evaluates it makes something of its own."""


def test_the_workers_of_a_fit_do_not_count_its_problem_again(tmp_path: Path) -> None:
    job = make_job(tmp_path / "job", FILLS, fit="de", options={"steps": 2}, run={"cpus": CPUS})
    job.run()
    most = job.result()["usage"]["max_rss_bytes"] / MIB
    assert SHARED + CPUS * OWN < most < 3 * SHARED + CPUS * OWN
    assert job.result()["cpus"] == CPUS
    assert job.events_named("step")[-1]["max_rss_bytes"] / MIB > SHARED


def test_the_workers_of_an_array_do_not_count_its_libraries_again(tmp_path: Path) -> None:
    model = f"own = b'2' * ({OWN} << 20)\n" + LINE
    make_job(tmp_path / "one", model).run()
    rows: list[dict[str, Any]] = [
        {"label": str(index), "files": {}, "args": None, "start": []} for index in range(CPUS)
    ]
    make_job(tmp_path / "all", model, elements=rows, pack=CPUS, run={"cpus": CPUS}).run()
    one, most = (
        JobFolder(tmp_path / name).result()["usage"]["max_rss_bytes"] / MIB
        for name in ("one", "all")
    )
    assert one + (CPUS - 1) * OWN < most < one + (CPUS - 1) * (one + OWN) / 2


def test_what_the_system_does_not_tell_is_not_known() -> None:
    seen = Workers()
    dead = os.fork()
    if not dead:
        os._exit(0)
    os.waitid(os.P_PID, dead, os.WEXITED | os.WNOWAIT)
    seen.look([dead], now=True)
    assert seen.most_bytes == 0, "it has nothing any more"
    os.waitpid(dead, 0)
    seen.look([dead, os.getpid()])
    assert seen.most_bytes == 0, "it is too early to look again"
    for process in (dead, os.getpid()):
        seen.look([process], now=True)
        assert seen.most_bytes is None
