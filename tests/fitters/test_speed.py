"""What the driver costs beside plain bumps, in processor time; ``python -m benchmarks`` measures.

The limits here are wide enough for a busy computer, and narrow enough for a library too many.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from .job_folder import JobFolder, make_job
from .test_elements import READS_DATA, make_campaign

ELEMENTS = 20
TIMES = 3
BUMPS = [sys.executable, "-m", "bumps", "model.py", "--batch", "--session=s.h5", "--parallel=1",
         "--seed=42", "--fit=lm"]  # fmt: skip
DRAWING = {"matplotlib", "plotly", "IPython", "PIL", "pandas", "sklearn"}


def cpu_s(command: Sequence[str], directory: Path) -> float:
    """Run a process, and give the processor time of it and of those that it waited for."""
    process = subprocess.Popen(command, cwd=directory, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_utime + usage.ru_stime


def bumps_cpu_s(job: JobFolder, times: int = 1) -> float:
    return min(cpu_s(BUMPS, job.data) for _ in range(times))


def test_an_element_of_an_array_costs_a_fifth_of_a_process_of_bumps(tmp_path: Path) -> None:
    slopes = [1 + index / 10 for index in range(ELEMENTS)]
    job = make_campaign(tmp_path / "job", READS_DATA, slopes)

    ours = cpu_s(job.argv(), job.path)

    assert job.result()["status"] == "done"
    assert 5 * ours < ELEMENTS * bumps_cpu_s(job)


def test_the_driver_costs_no_more_than_bumps_itself(tmp_path: Path) -> None:
    job = make_job(tmp_path / "job")

    ours = min(cpu_s(job.argv(), job.path) for _ in range(TIMES))

    assert job.result()["status"] == "done"
    assert ours < 1.2 * bumps_cpu_s(job, TIMES)


@pytest.mark.parametrize("method", ["lm", "dream"])
def test_a_fit_imports_nothing_that_draws(tmp_path: Path, method: str) -> None:
    job = make_job(
        tmp_path / "job", fit=method, options={"samples": 500} if method == "dream" else {}
    )
    command = [sys.executable, "-X", "importtime", "driver.pyz", "."]
    done = subprocess.run(command, cwd=job.path, capture_output=True, text=True, check=True)

    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}

    assert {"bumps", "gateway_driver"} <= imported
    assert not imported & DRAWING
