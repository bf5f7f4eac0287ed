"""Check, chisq, simulate; start values, shake; more CPUs than one."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from .job_folder import LINE, JobFolder, make_job, slow_line


def messages(job: JobFolder) -> str:
    return "\n".join(event["text"] for event in job.events_named("message"))


def evaluated(job: JobFolder) -> Any:
    job.run()
    result = job.result()
    assert result["status"] == "done", result["verdict"]
    return result


def test_check_loads_times_and_says_what_is_odd(tmp_path: Path) -> None:
    model = slow_line(0.02).replace(
        "model.m.range(0, 10)", "model.m.range(0, 10)\nmodel.m.name='b'"
    )
    result = evaluated(make_job(tmp_path / "job", model, run={"mode": "check"}))
    assert result["verdict"]["code"] == "checked"
    check = result["check"]
    assert 0.02 <= check["evaluation_s"] < 0.2
    assert check["models"] == ["bumps.curve.Curve"]
    assert [p["in_bounds"] for p in check["parameters"]] == [True, True]
    assert any("same name" in text for text in check["warnings"])


@pytest.mark.parametrize("start", [[], [0, 20]])
def test_check_flags_a_start_out_of_bounds(tmp_path: Path, start: list[float]) -> None:
    model = LINE if start else LINE.replace("m=1", "m=20")
    job = make_job(tmp_path / "job", model, run={"mode": "check"}, start=start)
    check = evaluated(job)["check"]
    rows = {p["label"]: (p["value"], p["in_bounds"]) for p in check["parameters"]}
    assert rows == {"m": (20, False), "b": (0, True)}
    assert "m starts at 20, outside its bounds 0 to 10: moved to 10." in check["warnings"]


def test_check_of_a_problem_without_parameters_is_a_warning(tmp_path: Path) -> None:
    model = LINE.replace("model.m.range(0, 10)\nmodel.b.range(-5, 5)\n", "")
    result = evaluated(make_job(tmp_path / "job", model, run={"mode": "check"}))
    assert any("no parameters" in text for text in result["check"]["warnings"])


def test_chisq_evaluates_at_the_given_start(tmp_path: Path) -> None:
    probe = make_job(tmp_path / "probe", run={"mode": "chisq"})
    labels = [p["label"] for p in evaluated(probe)["parameters"]]
    best = {"m": 2.5, "b": 1.0}
    job = make_job(tmp_path / "job", run={"mode": "chisq"}, start=[best[label] for label in labels])
    result = evaluated(job)
    assert result["verdict"]["code"] == "evaluated"
    assert result["chisq"] == pytest.approx(30 / 28)
    (curve,) = job.read("out/curves.json")["models"]
    assert curve["theory"] == pytest.approx(2.5 * np.linspace(0, 10, 30) + 1)
    assert curve["residuals"] == pytest.approx(-((-1.0) ** np.arange(30)))
    assert curve["kind"] == "curve"


def test_simulate_writes_data_with_the_noise_asked_for(tmp_path: Path) -> None:
    job = make_job(
        tmp_path / "job",
        LINE.replace("b=0", "b=3"),
        run={"mode": "simulate", "simulate": {"noise_percent": 10.0}},
    )
    result = evaluated(job)
    assert result["verdict"]["code"] == "simulated"
    assert "out/simulated-1.dat" in job.manifest()
    x, y, dy = np.loadtxt(job.out / "simulated-1.dat").T
    assert dy == pytest.approx(0.1 * (x + 3))
    assert 0.4 < np.mean(((y - x - 3) / dy) ** 2) < 2


def test_a_fit_of_simulated_data_finds_what_they_were_made_of(tmp_path: Path) -> None:
    run = {"simulate": {"noise_percent": None}, "shake": True}
    job = make_job(tmp_path / "job", run=run)
    result = evaluated(job)
    values = {p["label"]: p for p in result["parameters"]}
    for label, truth in {"m": 1, "b": 0}.items():
        found = values[label]
        assert abs(found["value"] - truth) < 4 * found["uncertainty"]
        assert found["start"] != truth
    assert 0.3 < result["chisq"] < 3


def test_a_model_of_several_curves_gives_each(tmp_path: Path) -> None:
    model = LINE.replace(
        "problem = FitProblem(model)",
        "other = Curve(line, x, y, 0.3 * np.ones(30), name='other', m=model.m, b=1)\n"
        "problem = FitProblem([model, other])",
    )
    job = make_job(tmp_path / "job", model)
    evaluated(job)
    labels = [curve["label"] for curve in job.read("out/curves.json")["models"]]
    assert labels == ["model 1", "other"]


def test_a_problem_without_a_curve_is_fitted_all_the_same(tmp_path: Path) -> None:
    model = (
        "from bumps.names import FitProblem\nfrom bumps.pdfwrapper import PDF\n\n\n"
        "def nllf(a, b):\n    return 0.5 * ((a - 1) ** 2 + (b + 2) ** 2 / 4)\n\n\n"
        "model = PDF(nllf, a=0, b=0)\nmodel.a.range(-10, 10)\nmodel.b.range(-10, 10)\n"
        "problem = FitProblem(model)\n"
    )
    job = make_job(tmp_path / "job", model, fit="dream", options={"samples": 20000})
    result = evaluated(job)
    values = {p["label"]: p for p in result["parameters"]}
    assert values["b"]["mean"] == pytest.approx(-2, abs=0.3)
    assert values["b"]["uncertainty"] == pytest.approx(2, rel=0.2)
    low, high = values["b"]["interval_95"]
    assert high - low == pytest.approx(8, rel=0.25)
    assert max(result["convergence"]["r_hat"]) < 1.1
    assert 100 < min(result["convergence"]["ess"]) < 20000
    assert "out/curves.json" not in job.manifest()
    histograms = job.read("out/histograms.json")
    assert len(histograms["edges"][0]) == len(histograms["counts"][0]) + 1


@pytest.mark.parametrize(
    ("method", "seconds", "cpus", "words"),
    [
        ("dream", 0.005, 2, "Uses 2 CPUs"),
        ("de", 0.005, 2, "Uses 2 CPUs"),
        ("dream", 0, 1, "sharing it out would take longer"),
        ("lm", 0.005, 1, "lm evaluates one point after the other"),
    ],
)
def test_only_as_many_cpus_are_used_as_help(
    tmp_path: Path, method: str, seconds: float, cpus: int, words: str
) -> None:
    options = {"dream": {"samples": 400, "burn": 5}, "de": {"steps": 15}}.get(method, {})
    model = slow_line(seconds) if seconds else LINE
    job = make_job(tmp_path / "job", model, fit=method, options=options, run={"cpus": 2})
    assert evaluated(job)["cpus"] == cpus
    assert words in messages(job)
    assert job.events_named("start")[0]["cpus"] == cpus


def test_two_cpus_give_the_result_of_one_in_less_time(tmp_path: Path) -> None:
    results = []
    for cpus in (1, 2):
        job = make_job(
            tmp_path / str(cpus),
            slow_line(0.01),
            fit="de",
            options={"steps": 10, "xtol": 0, "ftol": 0},
            run={"cpus": cpus},
        )
        results.append(evaluated(job))
    assert results[0]["parameters"] == results[1]["parameters"]
    assert results[0]["evaluations"] == results[1]["evaluations"]
    assert results[1]["time_s"] < 0.75 * results[0]["time_s"]


def test_a_model_that_kills_a_process_of_the_pool_is_blamed(tmp_path: Path) -> None:
    model = slow_line(0.003).replace(
        "    return m * x + b", "    import os\n    m > 2 and os._exit(9)\n    return m * x + b"
    )
    job = make_job(tmp_path / "job", model, fit="de", run={"cpus": 2})
    job.run()
    result = job.result()
    assert (result["status"], result["verdict"]["code"]) == ("failed", "model_error")
    assert "died" in result["verdict"]["text"]


def test_an_unpicklable_model_in_several_modules_uses_two_cpus(tmp_path: Path) -> None:
    model = slow_line(0.003).replace("def line", "from shapes import Shape\n\n\ndef straight")
    model = model.replace("Curve(line,", "Curve(Shape().line,")
    files = {
        "shapes.py": "import threading, time\n\n\nclass Shape:\n"
        "    def __init__(self):\n        self.lock = threading.Lock()\n\n"
        "    def line(self, x, m, b):\n        with self.lock:\n"
        "            time.sleep(0.003)\n        return m * x + b\n"
    }
    job = make_job(
        tmp_path / "job", model, fit="de", files=files, options={"steps": 15}, run={"cpus": 2}
    )
    result = evaluated(job)
    assert result["cpus"] == 2
    assert "without the problem" in messages(job)
    code = (
        "import sys\nfrom bumps.webview.server.state_hdf5_backed import State\n"
        "s = State()\ns.read_session_file(sys.argv[1])\n"
        "print(s.problem.fitProblem, s.fitting.method, len(s.fitting.convergence))"
    )
    seen = subprocess.run(
        [sys.executable, "-c", code, job.out / "session.h5"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert seen.stdout == "None de 15\n", seen.stderr
