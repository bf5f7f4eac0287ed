"""A stop keeps everything and comes soon; a kill leaves a checkpoint."""

import signal
import subprocess
import time
from pathlib import Path

import pytest

from .job_folder import JobFolder, eventually, make_job, slow_line

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
    job = make_job(tmp_path / "job", slow_line(0.15), fit=method, options=LONG[method])
    with job.started() as process:
        wait_for_steps(job, process)
        begun = time.monotonic()
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 143
        # A generation of dream takes 3 s here: it is not waited for.
        assert time.monotonic() - begun < 2.15
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


def test_a_stop_at_the_end_of_the_wall_time_says_so(tmp_path: Path) -> None:
    job = make_job(
        tmp_path / "job",
        slow_line(0.002),
        fit="dream",
        options=LONG["dream"],
        run={"time_limit_s": 5.0},
    )
    with job.started() as process:
        wait_for_steps(job, process)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
    assert job.result()["verdict"]["code"] == "time_limit"


def test_the_option_time_ends_a_fit_by_itself(tmp_path: Path) -> None:
    options = {**LONG["dream"], "time": 1 / 3600}
    job = make_job(tmp_path / "job", slow_line(0.002), fit="dream", options=options)
    job.run()
    result = job.result()
    assert (result["status"], result["verdict"]["code"]) == ("stopped", "time_limit")
    assert result["resumable"] is True
