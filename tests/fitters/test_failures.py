"""Each way to fail has its own verdict, and says where in the user's own file."""

from pathlib import Path
from typing import Any

import pytest

from .job_folder import LINE, JobFolder, make_job


def failed(job: JobFolder, code: str) -> Any:
    job.run()
    result = job.result()
    assert result["status"] == "failed", result["verdict"]
    assert result["verdict"]["code"] == code, result["verdict"]
    assert job.events()[-1]["status"] == "failed"
    assert "result.0.json" in job.manifest()
    return result


def line_of(model: str, text: str) -> int:
    return next(n for n, line in enumerate(model.splitlines(), 1) if text in line)


@pytest.mark.parametrize(
    ("model", "kind", "words", "line"),
    [
        ("import no_such_module\n", "ModuleNotFoundError", "'no_such_module' is installed", 1),
        ("x = 1\nthis is not sound python\n", "SyntaxError", "not valid Python", 2),
        ("x = 1\n", "ValueError", "does not define 'problem'", None),
        ("open('gone.dat')\n", "FileNotFoundError", "no file 'gone.dat'", 1),
        ("\n\n1 / 0\n", "ZeroDivisionError", "line 3", 3),
        ("import sys\nsys.exit('bye')\n", "SystemExit", "exit('bye')", 2),
    ],
)
def test_a_script_that_does_not_load_says_where(
    tmp_path: Path, model: str, kind: str, words: str, line: int | None
) -> None:
    result = failed(make_job(tmp_path / "job", model), "load_error")
    assert words in result["verdict"]["text"]
    assert result["error"]["type"] == kind
    if line:
        assert (result["error"]["file"], result["error"]["line"]) == ("model.py", line)


def test_an_error_in_a_helper_names_the_helper(tmp_path: Path) -> None:
    files = {"lib/helper.py": "def f():\n    raise KeyError('angle')\n", "lib/__init__.py": ""}
    job = make_job(tmp_path / "job", "from lib.helper import f\nf()\n", files=files)
    error = failed(job, "load_error")["error"]
    assert (error["file"], error["line"], error["type"]) == ("lib/helper.py", 2, "KeyError")


def test_a_problem_that_is_something_else_is_a_load_error(tmp_path: Path) -> None:
    result = failed(make_job(tmp_path / "job", "problem = 3\n"), "load_error")
    assert "FitProblem" in result["verdict"]["text"]


def test_a_problem_without_parameters_is_told_from_others(tmp_path: Path) -> None:
    model = LINE.replace("model.m.range(0, 10)\nmodel.b.range(-5, 5)\n", "")
    result = failed(make_job(tmp_path / "job", model), "no_parameters")
    assert "range" in result["verdict"]["text"]


def test_a_model_that_raises_is_blamed_with_its_line(tmp_path: Path) -> None:
    model = LINE.replace("    return m * x + b", "    raise RuntimeError('no beam')")
    result = failed(make_job(tmp_path / "job", model, fit="amoeba"), "model_error")
    assert result["error"]["message"] == "no beam"
    assert result["error"]["line"] == line_of(model, "no beam")
    assert "model.py" in result["verdict"]["text"]


@pytest.mark.parametrize("method", ["lm", "amoeba", "de", "dream", "newton"])
def test_a_model_that_raises_everywhere_but_at_its_start_is_blamed(
    tmp_path: Path, method: str
) -> None:
    model = LINE.replace(
        "    return m * x + b",
        "    if (m, b) != (1, 0):\n        raise RuntimeError('only there')\n    return m * x + b",
    )
    job = make_job(tmp_path / "job", model, fit=method)
    result = failed(job, "model_error")
    assert result["error"]["message"] == "only there"
    # bumps logs a traceback for every failing evaluation; only the first are printed.


def test_a_flood_of_tracebacks_is_cut(tmp_path: Path) -> None:
    model = LINE.replace(
        "    return m * x + b",
        "    if m > 2.4:\n        raise RuntimeError('too steep')\n    return m * x + b",
    )
    job = make_job(tmp_path / "job", model, fit="de", options={"steps": 30})
    done = job.run()
    assert 0 < done.stderr.count("too steep") <= 6
    messages = [event["text"] for event in job.events_named("message")]
    assert any("The model failed on" in text and "line 11" in text for text in messages), messages


def test_nan_at_the_start_names_the_start(tmp_path: Path) -> None:
    model = LINE.replace("    return m * x + b", "    return m * x + b + np.log(-m)")
    result = failed(make_job(tmp_path / "job", model), "nan")
    assert "m=1" in result["verdict"]["text"]


def test_a_start_out_of_bounds_is_moved_and_told(tmp_path: Path) -> None:
    model = LINE.replace("m=1, b=0", "m=20, b=0")
    job = make_job(tmp_path / "job", model)
    job.run()
    assert job.result()["status"] == "done"
    texts = [event["text"] for event in job.events_named("message")]
    assert any("m starts at 20" in text and "moved to 10" in text for text in texts)


def test_a_parameter_at_its_bound_is_flagged(tmp_path: Path) -> None:
    model = LINE.replace("model.m.range(0, 10)", "model.m.range(0, 2)")
    job = make_job(tmp_path / "job", model, fit="amoeba")
    job.run()
    result = job.result()
    assert result["verdict"]["code"] == "at_limit"
    limits = {p["label"]: p["at_limit"] for p in result["parameters"]}
    assert limits == {"m": "high", "b": None}


def test_too_few_steps_are_not_called_converged(tmp_path: Path) -> None:
    job = make_job(tmp_path / "job", fit="amoeba", options={"steps": 5})
    job.run()
    result = job.result()
    assert (result["status"], result["verdict"]["code"]) == ("done", "not_converged")
    assert result["convergence"]["converged"] is False


def test_too_few_samples_are_not_called_converged(tmp_path: Path) -> None:
    job = make_job(tmp_path / "job", fit="dream", options={"samples": 200, "burn": 0})
    job.run()
    result = job.result()
    assert result["verdict"]["code"] == "not_converged"
    assert "R-hat" in result["verdict"]["text"] or "independent" in result["verdict"]["text"]


def test_a_fit_that_did_not_move_says_so(tmp_path: Path) -> None:
    model = LINE.replace("    return m * x + b", "    return 0 * x")
    job = make_job(tmp_path / "job", model)
    job.run()
    assert job.result()["verdict"]["code"] == "at_start"


def test_a_session_that_cannot_be_written_does_not_cost_the_result(tmp_path: Path) -> None:
    model = LINE.replace(
        "problem = FitProblem(model)",
        "import os\nos.mkdir('../out/session.h5')\nos.mkdir('../out/session.h5/x')\n"
        "problem = FitProblem(model)",
    )
    job = make_job(tmp_path / "job", model, fit="amoeba")
    job.run()
    assert job.result()["status"] == "done"
    assert any("Saving the session" in event["text"] for event in job.events_named("message"))


def test_wrong_start_values_are_refused(tmp_path: Path) -> None:
    result = failed(make_job(tmp_path / "job", start=[1.0, 2.0, 3.0]), "load_error")
    assert "3 values" in result["verdict"]["text"]


def test_options_that_do_not_fit_the_problem_are_refused(tmp_path: Path) -> None:
    job = make_job(tmp_path / "job", fit="dream", options={"pop": 3})
    result = failed(job, "fit_error")
    assert "6 chains" in result["verdict"]["text"]


def test_an_unknown_kind_is_answered_with_those_there_are(tmp_path: Path) -> None:
    job = make_job(tmp_path / "job", kind="magic")
    assert "dummy" in failed(job, "fit_error")["verdict"]["text"]


def test_an_unknown_mode_is_refused(tmp_path: Path) -> None:
    result = failed(make_job(tmp_path / "job", run={"mode": "guess"}), "fit_error")
    assert "check" in result["verdict"]["text"]
