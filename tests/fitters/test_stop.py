"""A stop keeps everything and comes soon; a kill leaves a checkpoint."""

import json
import os
import resource
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.helpers import eventually

from .job_folder import JobFolder, make_job, slow_line

SIGNALS = [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1]
LONG = {
    "dream": {"samples": 100000},
    "de": {"steps": 100000, "xtol": 0, "ftol": 0},
    "amoeba": {"steps": 100000, "xtol": 0, "ftol": 0},
    "lm": {"steps": 100000, "starts": 100000},
    "newton": {"steps": 100000, "starts": 100000},
    "auto": {"starts": 10000},
}


def wait_for_steps(job: JobFolder, process: subprocess.Popen[bytes], events: int = 1) -> None:
    eventually(lambda: len(job.events_named("step")) >= events or process.poll() is not None)
    assert process.poll() is None, (job.path / "stdout.0.txt").read_text()


def cpu_s(process: int) -> float:
    """CPU time of a running process, from the fields utime and stime of proc(5)."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def children_cpu_s() -> float:
    """CPU time of all children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.parametrize("number", SIGNALS)
def test_each_signal_keeps_everything(tmp_path: Path, number: signal.Signals) -> None:
    job = make_job(tmp_path / "job", slow_line(0.002), fit="dream", options=LONG["dream"])
    with job.started() as process:
        wait_for_steps(job, process, events=2)
        begun = time.monotonic()
        process.send_signal(number)
        code = process.wait(20)
        assert time.monotonic() - begun < 2.5
    assert code == (143 if number is signal.SIGTERM else 0)
    result = job.result()
    assert (result["status"], result["verdict"]["code"]) == ("stopped", "stopped")
    assert result["resumable"] is True
    assert {"out/session.h5", "out/fit.par", "out/traces.json"} <= set(job.manifest())
    assert job.events()[-1]["status"] == "stopped"


@pytest.mark.parametrize("method", list(LONG))
def test_each_method_stops_between_two_evaluations(tmp_path: Path, method: str) -> None:
    model = slow_line(0.15).replace(
        "    time.sleep",
        "    open('../begun', 'a').write(f'{time.monotonic()}\\n')\n    time.sleep",
    )
    job = make_job(tmp_path / "job", model, fit=method, options=LONG[method])
    before = children_cpu_s()
    with job.started() as process:
        wait_for_steps(job, process)
        used_at_signal = cpu_s(process.pid)
        begun = time.monotonic()
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 143
    used = children_cpu_s() - before - used_at_signal
    # A generation of dream or de is 20 evaluations, 3 s: it is not waited for. At most the
    # covariance (3 evaluations), the curve and the value are found after the stop.
    times = [float(line) for line in (job.path / "begun").read_text().split()]
    after = sum(moment > begun for moment in times)
    assert after <= 6
    # The 2 s of the contract, by what a busy machine does not stretch: with twelve processes on two
    # cores the same stop takes 2.6 s by the clock.
    assert used + 0.15 * after < 2.0
    result = job.result()
    assert result["status"] == "stopped"
    assert result["chisq"] <= result["start_chisq"]
    assert all(parameter["value"] is not None for parameter in result["parameters"])


def test_a_stop_before_the_first_step_keeps_the_start(tmp_path: Path) -> None:
    job = make_job(tmp_path / "job", slow_line(0.3), fit="dream")
    with job.started() as process:
        eventually(lambda: job.events_named("start"))
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 143
    result = job.result()
    assert result["status"] == "stopped"
    assert [p["value"] for p in result["parameters"]] == [p["start"] for p in result["parameters"]]


@pytest.mark.parametrize("method", ["dream", "auto"])
def test_a_stop_at_the_end_of_the_wall_time_says_so(tmp_path: Path, method: str) -> None:
    job = make_job(
        tmp_path / "job",
        slow_line(0.002),
        fit=method,
        options=LONG[method],
        run={"time_limit_s": 5.0},
    )
    with job.started() as process:
        wait_for_steps(job, process)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
    result = job.result()
    assert result["verdict"]["code"] == "time_limit"
    assert "The time of the job ran out after" in result["verdict"]["text"]
    assert "asked" not in json.dumps([result["verdict"], result["convergence"]])


def test_the_option_time_ends_a_fit_by_itself(tmp_path: Path) -> None:
    options = {**LONG["dream"], "time": 1 / 3600}
    job = make_job(tmp_path / "job", slow_line(0.002), fit="dream", options=options)
    job.run()
    result = job.result()
    assert (result["status"], result["verdict"]["code"]) == ("stopped", "time_limit")
    assert result["resumable"] is True
