"""What bumps itself makes of our files, and we of what bumps would do."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from .job_folder import LINE, JobFolder, make_job

READ = """
import json, sys
from bumps.webview.server.state_hdf5_backed import State
state = State()
state.read_session_file(sys.argv[1])
problem, fitting = state.problem.fitProblem, state.fitting
item = state.history.list()[-1]
print(json.dumps({
    "x": dict(zip(problem.labels(), problem.getp())), "chisq": problem.chisq(),
    "method": fitting.method, "draws": getattr(fitting.fit_state, "draws", None),
    "rows": list(fitting.convergence.shape), "label": item["label"], "text": item["chisq_str"],
    "active": state.shared.active_history == item["name"],
    "uncertainty": item["has_uncertainty"], "resumable": state.shared.resumable,
}))
"""

DIRECT = """
import json, sys
import numpy as np
seed, method, options = int(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3])
np.random.seed(seed)
from bumps.fitproblem import load_problem
from bumps.fitters import fit
problem = load_problem("model.py", args=[])
result = fit(problem, method=method, **options)
print(json.dumps({"labels": list(result.labels), "x": list(result.x), "dx": list(result.dx),
                  "chisq": result.chisq}))
"""


def python(code: str, *args: str, cwd: Path) -> Any:
    done = subprocess.run(
        [sys.executable, "-c", code, *args], cwd=cwd, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("method", ["lm", "amoeba", "de", "newton", "dream", "auto"])
def test_bumps_opens_the_session(tmp_path: Path, method: str) -> None:
    options = {"samples": 2000} if method == "dream" else {}
    job = make_job(tmp_path / "job", fit=method, options=options)
    job.run()
    result = job.result()
    seen = python(READ, str(job.out / "session.h5"), cwd=tmp_path)
    assert seen["x"] == {p["label"]: pytest.approx(p["value"]) for p in result["parameters"]}
    assert seen["chisq"] == pytest.approx(result["chisq"])
    assert seen["label"] == f"Fit complete: {method}"
    assert seen["active"] is True
    assert seen["uncertainty"] is (method == "dream")
    assert seen["resumable"] == (method if method in {"dream", "de"} else None)
    if method == "dream":
        assert seen["draws"] > 1500
        assert seen["rows"][1] == 6


@pytest.mark.parametrize("method", ["lm", "amoeba", "de", "newton", "dream"])
def test_a_fit_equals_the_same_fit_by_bumps(tmp_path: Path, method: str) -> None:
    options = {"samples": 2000} if method == "dream" else {}
    job = make_job(tmp_path / "job", fit=method, options=options, run={"seed": 7})
    job.run()
    direct = python(DIRECT, "7", method, json.dumps(options), cwd=job.data)
    parameters = job.result()["parameters"]
    assert [p["label"] for p in parameters] == direct["labels"]
    assert [p["value"] for p in parameters] == direct["x"]
    assert job.result()["chisq"] == direct["chisq"]
    assert [p["uncertainty"] for p in parameters] == pytest.approx(direct["dx"])


@pytest.mark.parametrize("method", ["amoeba", "de", "dream", "auto"])
def test_the_same_seed_gives_the_same_result(tmp_path: Path, method: str) -> None:
    def run(name: str, seed: int) -> JobFolder:
        options = {"samples": 1000} if method == "dream" else {}
        job = make_job(
            tmp_path / name, fit=method, options=options, run={"seed": seed, "shake": True}
        )
        job.run()
        return job

    first, again, other = run("1", 1), run("2", 1), run("3", 2)
    assert first.result()["parameters"] == again.result()["parameters"]
    assert first.result()["parameters"] != other.result()["parameters"]
    if method == "dream":
        assert first.read("out/traces.json") == again.read("out/traces.json")


def test_the_parameter_file_starts_bumps_at_the_result(tmp_path: Path) -> None:
    job = make_job(tmp_path / "job")
    job.run()
    code = (
        "import json\nfrom bumps.fitproblem import load_problem, load_pars\n"
        "p = load_problem('model.py'); load_pars(p, '../out/fit.par')\n"
        "print(json.dumps([list(p.getp()), p.chisq()]))"
    )
    values, chisq = python(code, cwd=job.data)
    assert values == [pytest.approx(p["value"], rel=1e-14) for p in job.result()["parameters"]]
    assert chisq == pytest.approx(job.result()["chisq"])


def bumps(*words: str, cwd: Path) -> list[float]:
    """Run the command of bumps; give each chi-square that it prints."""
    done = subprocess.run(
        [Path(sys.executable).with_name("bumps"), *words],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return [float(text) for text in re.findall(r"(?:chisq|cost) ([0-9.]+)\(", done.stdout)]


def test_the_command_of_bumps_opens_the_session_and_goes_on_from_it(tmp_path: Path) -> None:
    job = make_job(tmp_path / "job", fit="dream", options={"samples": 1000})
    job.run()
    reached = pytest.approx(job.result()["chisq"], abs=1e-3)
    session = "--read-session=../out/session.h5"
    assert bumps("model.py", "--chisq", cwd=job.data) != [reached]
    assert bumps(session, "--chisq", cwd=job.data) == [reached]
    more = ("--batch", "--resume", "--fit=dream", "--samples=100", "--burn=0", "--export=../more")
    assert bumps(session, *more, cwd=job.data)[-1] == reached
    assert (job.path / "more" / "model.par").is_file()


def test_the_command_of_bumps_takes_the_parameter_file(tmp_path: Path) -> None:
    job = make_job(tmp_path / "job")
    job.run()
    reached = pytest.approx(job.result()["chisq"], abs=1e-3)
    words = ("model.py", "--batch", "--fit=lm", "--steps=1")
    begun_anew = bumps(*words, "--export=../anew", cwd=job.data)
    begun_there = bumps(*words, "--export=../there", "--pars=../out/fit.par", cwd=job.data)
    assert begun_anew[0] > 100
    assert begun_there[0] == reached


SEVERED = LINE.replace(
    "problem = FitProblem(model)",
    "class Own(Curve):\n    pass\n\n\nmodel = Own(line, x, y, 0.3 * np.ones(30), m=1, b=0)\n"
    "model.m.range(0, 10)\nproblem = FitProblem(model)",
)


def test_a_problem_that_json_would_lose_is_saved_in_another_way(tmp_path: Path) -> None:
    job = make_job(tmp_path / "job", SEVERED)
    job.run()
    assert job.result()["status"] == "done"
    seen = python(READ, str(job.out / "session.h5"), cwd=tmp_path)
    assert list(seen["x"]) == ["m"]


def saved_problem(folder: Path) -> str:
    """The line as bumps's own JSON."""
    code = (
        "import json\nfrom bumps.fitproblem import load_problem\n"
        "from bumps.serialize import serialize\n"
        "print(json.dumps(serialize(load_problem('model.py'))))"
    )
    return json.dumps(python(code, cwd=folder))


def json_job(path: Path, text: str, **problem: Any) -> JobFolder:
    wanted = {"type": "json", "entry": "problem.json", **problem}
    return make_job(path, files={"problem.json": text}, problem=wanted)


def test_a_json_problem_is_fitted_like_its_script(tmp_path: Path) -> None:
    script = make_job(tmp_path / "script")
    script.run()
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    job = json_job(tmp_path / "job", saved_problem(script.data), python=here)
    job.run()
    assert job.result()["parameters"] == script.result()["parameters"]


def test_a_function_of_another_python_is_refused_before_it_is_loaded(tmp_path: Path) -> None:
    job = json_job(tmp_path / "job", saved_problem(make_job(tmp_path / "s").data), python="2.7")
    job.run()
    verdict = job.result()["verdict"]
    assert verdict["code"] == "load_error"
    assert "saved by Python 2.7" in verdict["text"]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("bumps.curve.Curve", "bumps.curve.NoSuchCurve", "NoSuchCurve"),
        ('"x":', '"no_such_field":', "Curve"),
        ('"pickle": "', '"pickle": "AAAA', "function"),
        ("{", "", "JSON"),
        ("{", "[{", "JSON"),
    ],
)
def test_a_json_problem_that_lost_a_part_is_refused(
    tmp_path: Path, old: str, new: str, words: str
) -> None:
    text = saved_problem(make_job(tmp_path / "s").data)
    assert old in text
    job = json_job(tmp_path / "job", text.replace(old, new, 1))
    job.run()
    verdict = job.result()["verdict"]
    assert verdict["code"] == "load_error"
    assert words in verdict["text"]
