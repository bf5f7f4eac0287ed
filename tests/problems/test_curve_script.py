"""The curve as model.py: plain bumps computes what the gateway shows."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.problems.curve import chisq, preview
from gateway.problems.curve_script import data_file, model_script
from gateway.problems.library import BACKGROUNDS, FUNCTIONS, SHAPES, peak_sum
from gateway.problems.models import CurveParameter, PeakSum, Prior
from gateway.problems.selection import Choice, Uncertainty
from tests.problems import nist
from tests.problems.making import load, model_of, noisy, resolved, text_of

COLUMN = Uncertainty(rule="column", column=2)
LINE_DATA = "0 1.1 0.1\n1 2.9 0.1\n2 5.2 0.2\n3 7.1 0.1\n4 8.8 0.3\n"


def parameter(name: str, value: float, **more: object) -> CurveParameter:
    return CurveParameter(name=name, value=value, **more)  # type: ignore[arg-type] # test shorthand


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_every_function_of_the_library_has_the_chisq_of_bumps(name: str, tmp_path: Path) -> None:
    function = FUNCTIONS[name]
    x, y, dy = noisy(function, function.defaults)
    start = [
        parameter(p.name, p.value * 1.07, bounds=None if p.bounds == (None, None) else p.bounds)
        for p in function.parameters
        if p.value * 1.07 <= (p.bounds[1] or float("inf"))
    ]
    curve = resolved(text_of(x, y, dy), *start, function=name)
    problem = load(curve, tmp_path)
    assert problem.chisq() == pytest.approx(chisq(curve), rel=1e-9)
    assert problem.dof == curve.dof
    assert set(problem.labels()) == set(function.defaults)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("background", BACKGROUNDS)
def test_every_sum_of_peaks_has_the_chisq_of_bumps(
    shape: str, background: str, tmp_path: Path
) -> None:
    function = peak_sum(3, shape, background)
    x, y, dy = noisy(function, function.defaults)
    spec = PeakSum(peaks=3, shape=shape, background=background)
    start = [parameter(p.name, p.value * 1.02) for p in function.parameters]
    curve = resolved(text_of(x, y, dy), *start, function=spec)
    assert load(curve, tmp_path).chisq() == pytest.approx(chisq(curve), rel=1e-9)


@pytest.mark.parametrize(
    "dy",
    [
        COLUMN,
        Uncertainty(rule="constant", value=0.25),
        Uncertainty(rule="percent", value=5),
        Uncertainty(rule="sqrt"),
    ],
    ids=lambda dy: dy.rule,
)
def test_every_rule_for_dy_has_the_chisq_of_bumps(dy: Uncertainty, tmp_path: Path) -> None:
    start = [parameter("a", 1.0), parameter("b", 1.8)]
    curve = resolved(LINE_DATA, *start, dy=dy, expression="a + b*x", mask=((1, 2),))
    problem = load(curve, tmp_path)
    assert problem.model_points() == 4
    assert problem.chisq() == pytest.approx(chisq(curve), rel=1e-12)
    assert preview(curve)["chisq"] == chisq(curve)


def test_sqrt_gives_a_count_of_zero_the_uncertainty_one(tmp_path: Path) -> None:
    curve = resolved(
        "0 0\n1 4\n2 9\n", parameter("a", 5.0), dy=Uncertainty(rule="sqrt"), expression="a"
    )
    assert list(model_of(load(curve, tmp_path)).dy) == [1.0, 2.0, 3.0]
    assert any("y = 0" in warning for warning in curve.warnings)


@pytest.mark.parametrize("name", sorted(nist.MODELS))
def test_every_nist_problem_starts_with_the_chisq_of_bumps(name: str, tmp_path: Path) -> None:
    data = nist.read(name)
    others = {"x2": 2} if data.x2 else {}
    columns = [data.x, data.y, *([data.x2] if data.x2 else [])]
    start = [parameter(key, value) for key, value in data.values.items()]
    choice = Choice(x=0, y=1, dy=Uncertainty(rule="constant", value=0.5), others=others)
    curve = resolved(text_of(*columns), *start, columns=choice, expression=data.model)
    assert load(curve, tmp_path).chisq() == pytest.approx(chisq(curve), rel=1e-9)


def test_resolution_is_averaged_as_in_model_py(tmp_path: Path) -> None:
    rows = "".join(f"{q / 100} {1 / (1 + q)} 0.05 {0.004 + q / 900}\n" for q in range(1, 30))
    choice = Choice(x=0, y=1, dy=COLUMN, dx=3)
    start = [parameter("a", 1.0), parameter("c", 0.09), parameter("w", 0.05)]
    curve = resolved(rows, *start, columns=choice, expression="gaussian(x, a, c, w)/sqrt(x)")
    sharp = resolved(rows, *start, dy=COLUMN, expression="gaussian(x, a, c, w)/sqrt(x)")
    assert load(curve, tmp_path).chisq() == pytest.approx(chisq(curve), rel=1e-9)
    assert chisq(curve) != pytest.approx(chisq(sharp), rel=0.01)


def test_resolution_and_a_second_variable_go_together(tmp_path: Path) -> None:
    rows = "".join(f"{k} {k * 1.5} 0.5 0.3 {k % 3}\n" for k in range(-4, 12))
    choice = Choice(x=0, y=1, dy=COLUMN, dx=3, others={"temperature": 4})
    start = [parameter("a", 1.0), parameter("b", 0.2)]
    text = "a*x + b*x^2*temperature"
    curve = resolved(rows, *start, columns=choice, expression=text)
    assert load(curve, tmp_path).chisq() == pytest.approx(chisq(curve), rel=1e-9)


def test_bounds_become_ranges_of_bumps(tmp_path: Path) -> None:
    curve = resolved(
        LINE_DATA,
        parameter("a", 1.0, bounds=(-5.0, 5.0)),
        parameter("b", 1.8, bounds=(0.0, None)),
        expression="a + b*x",
    )
    problem = load(curve, tmp_path)
    assert problem.bounds().tolist() == [[-5.0, 0.0], [5.0, float("inf")]]
    assert problem.chisq() == pytest.approx(chisq(curve), rel=1e-12)


@pytest.mark.parametrize("bounds", [None, (0.0, 4.0), (0.0, None)])
def test_a_normal_prior_counts_in_chisq_and_dof(
    bounds: tuple[float | None, float | None] | None, tmp_path: Path
) -> None:
    curve = resolved(
        LINE_DATA,
        parameter("a", 1.3, prior=Prior(mean=1.0, std=0.1), bounds=bounds),
        parameter("b", 1.8),
        expression="a + b*x",
    )
    problem = load(curve, tmp_path)
    assert problem.dof == curve.dof == 5 + 1 - 2
    assert problem.chisq() == pytest.approx(chisq(curve), rel=1e-12)


def test_ties_are_expressions_of_bumps(tmp_path: Path) -> None:
    curve = resolved(
        LINE_DATA,
        parameter("a", 9.0, tie="exp(c) + abs(-b)/2 - min(b, c)^2"),
        parameter("b", 9.0, tie="2*c"),
        parameter("c", 0.8),
        expression="a + b*x + 0*c",
    )
    problem = load(curve, tmp_path)
    assert problem.labels() == ["c"]
    assert problem.chisq() == pytest.approx(chisq(curve), rel=1e-12)
    problem.setp([0.7])
    model = model_of(problem)
    assert model.b.value == pytest.approx(1.4)
    again = {"c": 0.7, "b": 1.4, "a": model.a.value}
    assert problem.chisq() == pytest.approx(chisq(curve, again), rel=1e-12)


def test_a_fixed_parameter_stays_what_it_is(tmp_path: Path) -> None:
    curve = resolved(
        LINE_DATA, parameter("a", 1.0, fit=False), parameter("b", 2.0), expression="a + b*x"
    )
    problem = load(curve, tmp_path)
    assert problem.labels() == ["b"]
    assert model_of(problem).a.value == 1.0


def test_a_formula_without_x_is_a_level(tmp_path: Path) -> None:
    curve = resolved(LINE_DATA, parameter("a", 5.0), expression="2*a")
    problem = load(curve, tmp_path)
    assert model_of(problem).theory().shape == (5,)
    assert problem.chisq() == pytest.approx(chisq(curve), rel=1e-12)


def test_dividing_by_zero_during_a_fit_is_infinite_and_no_error(tmp_path: Path) -> None:
    curve = resolved(LINE_DATA, parameter("a", 1.0), parameter("b", 2.0), expression="x^a/b")
    problem = load(curve, tmp_path)
    problem.setp([-0.5, 0.0])
    assert not problem.chisq() < 1e100


def test_text_of_the_user_cannot_become_code(tmp_path: Path) -> None:
    evil = '"""\nimport os; os.system("touch CANARY") #'
    header = "# x('+__import__('os').system('touch CANARY')+') y]\"\"\" z\\'\n"
    curve = resolved(
        header + LINE_DATA, parameter("a", 1.0), parameter("b", 2.0), expression="a +\n b*x"
    )
    script = model_script(curve)
    imported = [node for node in ast.walk(ast.parse(script)) if isinstance(node, ast.Import)]
    assert [name.name for node in imported for name in node.names] == ["numpy"]
    load(curve, tmp_path)
    text = data_file(curve.data, [evil, "Å"])
    assert text.isascii()
    assert all(line.startswith("#") for line in text.splitlines()[:3])
    assert not (tmp_path / "CANARY").exists()
    assert not Path("CANARY").exists()


def test_the_bundle_runs_with_plain_bumps(tmp_path: Path) -> None:
    function = FUNCTIONS["voigt"]
    x, y, dy = noisy(function, function.defaults)
    curve = resolved(text_of(x, y, dy), function="voigt")
    load(curve, tmp_path)
    command = [sys.executable, "-m", "bumps", "model.py", "--batch", "--fit=lm", "--export=out"]
    done = subprocess.run(
        [*command, "--parallel=1"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "MPLBACKEND": "Agg"},
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = dict(
        line.rsplit(maxsplit=1) for line in (tmp_path / "out/model.par").read_text().splitlines()
    )
    assert float(found["center"]) == pytest.approx(10.0, abs=0.05)
