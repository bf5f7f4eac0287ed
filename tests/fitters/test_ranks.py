"""Ranks of one fit, started by a real MPI: one does all that is seen, the others only evaluate."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import eventually, processes

from .job_folder import JobFolder, make_job, slow_line

MPIEXEC = Path(sys.executable).parent / "mpiexec"
SHORT = {"samples": 100, "burn": 5}
LONG = {"samples": 100_000}
TELLING = slow_line(0.002).replace(
    "    time.sleep",
    "    import os\n\n    rank = os.environ.get('PMI_RANK')\n"
    "    open('../by', 'a').write(f'{rank}\\n')\n    time.sleep",
)
"""Each evaluation notes the rank that made it."""

IN_RANK_1 = 'import os\n\nif os.environ["PMI_RANK"] == "1":\n    '
DIES = "    if m != 1 and os.environ['PMI_RANK'] == '1':\n        os.abort()\n    return m * x"


def job_of(path: Path, model: str, ranks: int, **options: Any) -> JobFolder:
    return make_job(path, model, fit="dream", options=options, run={"cpus": ranks, "ranks": ranks})


@contextmanager
def started(job: JobFolder, ranks: int = 2) -> Iterator[subprocess.Popen[bytes]]:
    with (
        (job.path / "stdout.0.txt").open("wb") as out,
        subprocess.Popen(
            [MPIEXEC, "-n", str(ranks), *job.argv()],
            cwd=job.path, env={**os.environ, "RANKS_OF": str(job.path)}, stdout=out, stderr=out,
        ) as process,
    ):  # fmt: skip
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def environ(pid: int) -> str:
    return Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace")


def kill(job: JobFolder, signal_name: str, *ranks: int) -> None:
    """Signal ranks alone: not the launcher, and not the processes that evaluate for a rank."""
    found = processes("driver.pyz", environment=f"RANKS_OF={job.path}\0")
    mine = [process for process in found if process.words[0] == sys.executable]
    for rank in ranks:
        first, *_ = (p for p in mine if f"PMI_RANK={rank}\0" in environ(p.pid))
        os.kill(first.pid, getattr(signal, signal_name))


def run(job: JobFolder, ranks: int = 2) -> tuple[int, str]:
    with started(job, ranks) as process:
        code = process.wait(60)
    return code, (job.path / "stdout.0.txt").read_text()


def test_two_ranks_give_what_one_gives_and_both_evaluate(tmp_path: Path) -> None:
    alone = make_job(tmp_path / "alone", TELLING, fit="dream", options=SHORT)
    alone.run()
    job = job_of(tmp_path / "job", TELLING, 2, **SHORT)
    code, said = run(job)
    assert code == 0, said
    result, expected = job.result(), alone.result()
    assert result["parameters"] == expected["parameters"]
    assert result["chisq"] == expected["chisq"]
    assert (len(job.events_named("start")), len(job.events_named("end"))) == (1, 1)
    assert (job.path / "manifest.0.json").exists()
    by = (job.path / "by").read_text().split()
    assert by.count("0") > 40
    assert by.count("1") > 40


def test_a_stop_reaches_rank_0_by_a_file_and_keeps_everything(tmp_path: Path) -> None:
    job = job_of(tmp_path / "job", slow_line(0.002), 2, **LONG)
    with started(job) as process:
        eventually(lambda: job.events_named("step") or process.poll() is not None)
        (job.path / "stop.0").touch()
        assert process.wait(20) == 0
    result = job.result()
    assert (result["status"], result["verdict"]["code"]) == ("stopped", "stopped")
    assert result["resumable"] is True
    assert "out/session.h5" in job.manifest()


def test_all_ranks_asked_to_end_is_a_stop_too(tmp_path: Path) -> None:
    job = job_of(tmp_path / "job", slow_line(0.002), 2, **LONG)
    with started(job) as process:
        eventually(lambda: job.events_named("step") or process.poll() is not None)
        # As scancel does it: to each rank, not to the launcher alone.
        kill(job, "SIGTERM", 0, 1)
        assert process.wait(20) != 0
    assert job.result()["status"] == "stopped"
    assert job.result()["resumable"] is True


@pytest.mark.parametrize(
    ("model", "code", "said"),
    [
        (slow_line(0.002).replace("y = ", f"{IN_RANK_1}raise OSError('no disk')\ny = "),
         "load_error", "no disk"),
        (slow_line(0.002).replace("x = ", "import os\n\nx = ", 1).replace("    return m * x", DIES),
         "model_error", "died"),
        (slow_line(0.002).replace("model = ", f"{IN_RANK_1}y = y + 1\nmodel = "),
         "fit_error", "another problem"),
    ],
)  # fmt: skip
def test_a_rank_that_cannot_go_on_says_why(
    tmp_path: Path, model: str, code: str, said: str
) -> None:
    job = job_of(tmp_path / "job", model, 2, **SHORT)
    status, output = run(job)
    assert status == 0, output
    verdict = job.result()["verdict"]
    assert verdict["code"] == code
    assert verdict["text"].startswith("Rank 1")
    assert said in verdict["text"]


def test_a_rank_that_is_killed_ends_the_job(tmp_path: Path) -> None:
    job = job_of(tmp_path / "job", slow_line(0.002), 2, **LONG)
    with started(job) as process:
        eventually(lambda: job.events_named("step") or process.poll() is not None)
        kill(job, "SIGKILL", 1)
        assert process.wait(20) != 0


@pytest.mark.parametrize("wanted", [1, 3])
def test_ranks_that_do_not_all_meet_begin_nothing(tmp_path: Path, wanted: int) -> None:
    job = job_of(tmp_path / "job", TELLING, 2, **SHORT)
    code, said = run(job, wanted)
    assert code == 4
    assert f"{wanted} of 2 ranks met" in said
    assert job.events() == []
    assert not (job.path / "result.0.json").exists()
