"""A problem in memory is sent only if bumps's own JSON brings it out the same."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bumps.names import PDF, Curve, FitProblem, Parameter
from bumps_remote import Connection
from bumps_remote.errors import UnreachableError, UsageError
from bumps_remote.live import checked_texts, is_live, live_bundle
from bumps_remote.live_array import live_elements
from bumps_remote.transport import Patience

from tests.client.site import TOKEN, Misbehaving, Reply, serve_submissions

X = np.linspace(0, 10, 30)
Y = 2.5 * X + 1 + 0.3 * (-1.0) ** np.arange(30)


def make_line(
    source: str = "def line(x, m, b):\n    return m * x + b\n",
    x: Any = X,
    y: Any = Y,
    dy: Any = None,
    **places: Any,
) -> Any:
    """Make a problem as a notebook does: its function is of no file."""
    made: dict[str, Any] = {"__name__": "__main__", "np": np}
    exec(source, made)  # noqa: S102 - as a cell of a notebook is run
    model = Curve(made["line"], x, y, np.full(len(x), 0.3) if dy is None else dy, m=1, b=0)
    model.m.range(0, 10)
    model.b.range(-5, 5)
    return FitProblem(model, **places)


def model_of(problem: Any) -> Any:
    (model,) = problem.models
    return model


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "bumps-remote"


def kept(state: Path) -> list[Path]:
    return list((state / "problems").glob("*")) if (state / "problems").exists() else []


def refused(problem: Any) -> str:
    with pytest.raises(UsageError) as caught:
        live_bundle(problem)
    return str(caught.value)


def test_a_curve_is_written_with_the_python_of_its_function() -> None:
    problem = make_line()
    before = problem.getp().tolist()
    bundle = live_bundle(problem)
    (file,) = bundle.files
    document = json.loads(Path(file.path).read_text())
    assert (bundle.type, bundle.entry) == ("json", "problem.json")
    assert bundle.python == f"{sys.version_info.major}.{sys.version_info.minor}"
    assert document["object"]["__class__"] == "bumps.fitproblem.FitProblem"
    assert Path(file.path).stat().st_mode & 0o077 == 0
    assert problem.getp().tolist() == before


def test_the_same_problem_made_anew_is_the_same_text() -> None:
    first, again = checked_texts([make_line(), make_line()])
    (other,) = checked_texts([make_line("def line(x, m, b):\n    return m * x + 2 * b\n")])
    assert first == again
    assert len({first, other}) == 2


def test_ties_and_constraints_go_along() -> None:
    problem = make_line()
    model = model_of(problem)
    model.b.equals(model.m / 5 - 1)
    (text,) = checked_texts([FitProblem(model, constraints=[model.m < 9])])
    document = json.loads(text)
    assert len(document["object"]["constraints"]) == 1
    assert "bumps.parameter.Expression" in text


# ---- what would be lost


@dataclass
class Own:
    """A model of the user's own, as bumps writes dataclasses: by name."""

    slope: Parameter

    def parameters(self) -> dict[str, Parameter]:
        return {"slope": self.slope}

    def numpoints(self) -> int:
        return 10

    def nllf(self) -> float:
        return float((self.slope.value - 2) ** 2)

    def update(self) -> None:
        """Nothing to do."""


def test_a_class_of_ones_own_is_not_there_on_the_cluster() -> None:
    said = refused(FitProblem(Own(slope=Parameter(1, name="slope").range(0, 5))))
    assert "Own" in said
    assert "Send the script that makes it instead" in said


def test_a_function_of_a_module_that_lies_here_is_not_there_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_shapes.py").write_text("def line(x, m, b):\n    return m * x + b\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    said = refused(make_line("from own_shapes import line\n"))
    assert "No module named 'own_shapes'" in said
    assert "Send the script that makes it instead, with its files" in said


def test_a_shared_parameter_that_becomes_two_is_found_out_away_from_the_start() -> None:
    shared = Parameter(2.0, name="shared").range(0, 5)

    class Shape:
        """A model of a library: no dataclass, so it is pickled whole with its parameter."""

        def __init__(self, parameter: Any) -> None:
            self.parameter = parameter

        def __call__(self, x: Any, m: float) -> Any:
            return m * x + self.parameter.value

    model = Curve(Shape(shared), X, Y, 0.3 * np.ones(30), m=1)
    model.m.range(0, 10)
    other = PDF(lambda shared: (shared - 1) ** 2, shared=shared)
    said = refused(FitProblem([model, other]))
    assert "does not come out the same from bumps's JSON: its negative log likelihood" in said


@pytest.mark.parametrize(
    ("problem", "said"),
    [
        (object(), "a bumps FitProblem is needed, or the path of a script, not object"),
        (["model.py"], "not list"),
    ],
)
def test_what_is_no_problem_is_refused_by_its_type(problem: Any, said: str) -> None:
    assert said in refused(problem)


def test_a_problem_without_parameters_is_told_how_to_get_some() -> None:
    problem = make_line()
    for parameter in (model_of(problem).m, model_of(problem).b):
        parameter.fixed = True
    problem.model_reset()
    assert "give at least one a range" in refused(problem)


def test_a_model_that_gives_nan_is_not_sent() -> None:
    said = refused(make_line("def line(x, m, b):\n    return m * x + b + np.nan\n"))
    assert "the model gives" in said


def test_paths_are_no_problems() -> None:
    assert [is_live(model) for model in ("m.py", Path("m.py"), make_line())] == [False, False, True]


# ---- on its way


def test_it_is_sent_with_its_name_and_nothing_of_it_stays_here(
    site: Misbehaving, state: Path
) -> None:
    serve_submissions(site)
    with Connection(site.url, TOKEN) as connection:
        connection.submit(make_line(name="a line"), fit="lm")

    problem = site.asked("POST", "/problems")[0].json
    assert (problem["type"], problem["name"]) == ("json", "a line")
    assert problem["json"]["python"] == f"{sys.version_info.major}.{sys.version_info.minor}"
    assert site.asked("POST", "/jobs")[0].json["title"] == "a line"
    assert kept(state) == []


def test_a_submission_cut_short_goes_on_with_the_problem_made_anew(
    site: Misbehaving, state: Path
) -> None:
    serve_submissions(site)
    whole = site.routes["POST", "/jobs"]
    site.on("POST", "/jobs", Reply(status=503), whole)
    with Connection(site.url, TOKEN, patience=Patience(total_s=0.01)) as connection:
        with pytest.raises(UnreachableError):
            connection.submit(make_line(), fit="lm")
        assert len(kept(state)) == 1
        connection.submit(make_line(), fit="lm")

    first, second = site.asked("POST", "/jobs")
    assert (first.key, first.body) == (second.key, second.body)
    assert kept(state) == []


def test_new_makes_another_job_of_it(site: Misbehaving, state: Path) -> None:
    serve_submissions(site)
    whole = site.routes["POST", "/problems"]
    site.on("POST", "/problems", Reply(status=503), whole)
    with Connection(site.url, TOKEN, patience=Patience(total_s=0.01)) as connection:
        with pytest.raises(UnreachableError):
            connection.submit(make_line(), fit="lm")
        connection.submit(make_line(), fit="lm", new=True)

    assert len(site.asked("POST", "/jobs")) == 1
    assert kept(state) == []


@pytest.mark.parametrize("words", [{"args": ["x"]}, {"data": ["a.dat"]}, {"replace": "a.dat"}])
def test_words_for_scripts_are_refused(site: Misbehaving, words: Any) -> None:
    serve_submissions(site)
    with Connection(site.url, TOKEN) as connection, pytest.raises(UsageError, match="for scripts"):
        connection.submit(make_line(), fit="lm", **words)


# ---- over many files


def data_file(folder: Path, name: str, slope: float, columns: int = 3) -> Path:
    rows = np.array([[x, slope * x + 1, 0.1][:columns] for x in range(12)])
    np.savetxt(folder / name, rows)
    return folder / name


def texts_of(elements: Any) -> list[Any]:
    return [json.loads(Path(element.file.path).read_text()) for element in elements]


def test_each_file_gives_the_curve_its_data(tmp_path: Path) -> None:
    for slope in (1, 2):
        data_file(tmp_path, f"s{slope}.dat", slope)
    problem = make_line()

    bundle, elements = live_elements(problem, [str(tmp_path / "s*.dat")])

    curves = [text["object"]["models"][0] for text in texts_of(elements)]
    assert [element.label for element in elements] == ["s1", "s2"]
    assert {element.replaces for element in elements} == {bundle.entry}
    assert [curve["y"]["values"][2] for curve in curves] == [3.0, 5.0]
    assert len(curves[0]["x"]["values"]) == len(curves[0]["dy"]["values"]) == 12
    assert problem.model_points() == 30


def test_a_function_makes_the_problem_of_each_file(tmp_path: Path) -> None:
    paths = [data_file(tmp_path, f"s{slope}.dat", slope, 2) for slope in (1, 2)]

    def make(path: Path) -> Any:
        x, y = np.loadtxt(path).T
        return make_line(x=x, y=y)

    _, elements = live_elements(make, paths)

    found = [text["object"]["models"][0]["y"]["values"][1] for text in texts_of(elements)]
    assert found == [2.0, 3.0]
    with pytest.raises(UsageError, match=r"of s1\.dat it made NoneType"):
        live_elements(lambda _path: None, paths)


def test_a_file_that_does_not_fit_is_named(tmp_path: Path) -> None:
    two = data_file(tmp_path, "two.dat", 1, 2)
    (tmp_path / "words.dat").write_text("no numbers\n")
    (tmp_path / "zero.dat").write_text("1 2 0\n2 3 0.1\n")
    problem = make_line()
    for path, said in (
        (two, r"two\.dat has 2 columns, not x, y and dy: pass a function"),
        (tmp_path / "words.dat", r"words\.dat cannot be read as columns"),
        (tmp_path / "zero.dat", "every dy positive"),
        (tmp_path / "none.dat", r"map: there is no file .*none\.dat"),
    ):
        with pytest.raises(UsageError, match=said):
            live_elements(problem, [path])
    three = data_file(tmp_path, "three.dat", 1)
    several = FitProblem([model_of(problem), model_of(make_line())])
    with pytest.raises(UsageError, match=r"only the data of a problem of one Curve"):
        live_elements(several, [three])
    with pytest.raises(UsageError, match="or a function that makes one of a file, not int"):
        live_elements(7, [three])
