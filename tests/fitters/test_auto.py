"""What the ``auto`` method promises, on problems whose answer is known."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fitters.auto import AUTO_OPTIONS, AutoResult, run_auto

from . import far_problems, nist
from .far_problems import FAR_PROBLEMS, reference

QUICK = ["Misra1a", "BoxBOD", "Rat43", "MGH17", "MGH10", "Bennett5", "Nelson", "Eckerle4"]
ROOT = Path(__file__).resolve().parents[2]


def quiet(**_: object) -> None:
    """Report nothing."""


def never() -> bool:
    return False


def fit(problem: Any, seed: int = 1, **options: object) -> AutoResult:
    return run_auto(problem, options, quiet, never, seed)


def curve_problem(
    model: Callable[..., Any], x: Any, y: Any, bounds: tuple[float, float], **start: float
) -> Any:
    from bumps.names import Curve, FitProblem

    curve = Curve(model, x, y, np.full(np.shape(y), 0.1), **start)
    for parameter in curve.pars.values():
        parameter.range(*bounds)
    return FitProblem(curve)


@pytest.mark.parametrize("name", QUICK)
def test_a_nist_set_is_solved_from_its_far_start(name: str) -> None:
    result = fit(nist.make_problem(name))
    assert nist.digits(name, result.x) >= 6
    assert result.converged


@pytest.mark.slow
@pytest.mark.parametrize("name", nist.MODELS)
def test_every_nist_set_is_solved_from_its_far_start(name: str) -> None:
    solve_in_time(nist.make_problem(name), name)


@pytest.mark.slow
@pytest.mark.parametrize("name", QUICK)
def test_a_set_without_weights_is_solved_from_its_far_start(name: str) -> None:
    solve_in_time(nist.make_problem(name, weighted=False), name)


def solve_in_time(problem: Any, name: str) -> None:
    began = time.process_time()
    result = fit(problem, seed=2)
    assert nist.digits(name, result.x) >= 4
    assert result.converged
    assert time.process_time() - began < 60  # one core, however busy the machine is


@pytest.mark.parametrize("name", ["Misra1a", "Gauss1", "Thurber", "MGH09"])
def test_the_uncertainties_are_the_certified_ones(name: str) -> None:
    result = fit(nist.make_problem(name))
    assert result.dx == pytest.approx(nist.read_dataset(name).deviations, rel=1e-4)
    assert result.covariance is not None
    assert np.sqrt(np.diag(result.covariance)) == pytest.approx(result.dx)


def check_far(name: str, seed: int) -> AutoResult:
    far = FAR_PROBLEMS[name]
    expected, cost = reference(far)
    problem = far.make()
    result = fit(problem, seed)
    assert result.nllf <= cost + 1e-6 * abs(cost) + 1e-7
    assert result.converged
    assert result.code == ("at_limit" if far.at_limit else "converged")
    assert result.dx is not None
    best = far_problems.in_order(far, problem.labels(), np.array(result.x), expected)
    spread = far_problems.in_order(far, problem.labels(), np.array(result.dx), np.array(result.dx))
    assert np.max(np.abs(best - expected) / spread) < 1e-2
    return result


@pytest.mark.parametrize("name", [name for name in FAR_PROBLEMS if name != "reflectivity fringes"])
def test_a_problem_outside_the_suite_is_solved_with_the_same_settings(name: str) -> None:
    check_far(name, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "seed"), [(name, 2 + index % 3) for index, name in enumerate(FAR_PROBLEMS)]
)
def test_other_seeds_find_the_same(name: str, seed: int) -> None:
    check_far(name, seed)


def test_a_seed_gives_the_same_result_twice() -> None:
    first, second = (fit(FAR_PROBLEMS["poisson counts"].make(), seed=5) for _ in range(2))
    assert first.x == second.x
    assert first.text == second.text
    assert first.evaluations == second.evaluations


def test_a_parameter_at_its_limit_is_named() -> None:
    problem = FAR_PROBLEMS["decay at a limit"].make()
    result = fit(problem)
    assert result.x[problem.labels().index("c")] == 0.0
    assert "c sits at its lower limit 0" in result.text


def test_parameters_that_the_data_do_not_determine_are_named() -> None:
    def model(x: Any, a: float, b: float, c: float) -> Any:
        return a * b * np.exp(-c * x)

    x = np.linspace(0, 3, 30)
    problem = curve_problem(model, x, 6 * np.exp(-x), (-np.inf, np.inf), a=1.0, b=1.0, c=3.0)
    result = fit(problem)
    labels = problem.labels()
    assert "do not determine a, b" in result.text
    assert result.covariance is None
    assert result.dx is not None
    assert np.isinf(result.dx[labels.index("a")])
    assert result.dx[labels.index("c")] < 1
    assert result.x[labels.index("a")] * result.x[labels.index("b")] == pytest.approx(6)


def test_mirror_images_are_told_and_the_nearest_to_the_start_is_taken() -> None:
    def model(x: Any, width: float, center: float) -> Any:
        return 5 * np.exp(-0.5 * ((x - center) / width) ** 2)

    x = np.linspace(-5, 5, 60)
    y = model(x, 1.3, 0.7)
    problem = curve_problem(model, x, y, (-10.0, 10.0), width=-0.2, center=-3.0)
    result = fit(problem)
    assert result.x == pytest.approx([0.7, -1.3])
    assert "Several minima" in result.text


def test_a_poor_fit_is_told() -> None:
    x = np.linspace(0, 10, 50)
    problem = curve_problem(lambda x, a: a + 0 * x, x, 10 * np.sin(x), (-50.0, 50.0), a=1.0)
    result = fit(problem)
    assert result.converged
    assert "Reduced chi-square is" in result.text


def test_a_start_without_a_value_is_left() -> None:
    def model(x: Any, a: float, b: float) -> Any:
        return a * np.log(b + x)

    x = np.linspace(1, 9, 40)
    problem = curve_problem(model, x, 2 * np.log(5 + x), (-20.0, 20.0), a=1.0, b=-15.0)
    assert fit(problem).x == pytest.approx([2, 5])


def test_a_model_that_raises_here_and_there_is_fitted() -> None:
    def model(x: Any, a: float, b: float) -> Any:
        if b < 0:
            raise ZeroDivisionError("b is negative")
        return a * np.sqrt(b + x)

    x = np.linspace(1, 9, 40)
    problem = curve_problem(model, x, 2 * np.sqrt(5 + x), (-np.inf, np.inf), a=1.0, b=100.0)
    assert fit(problem).x == pytest.approx([2, 5])


def test_a_model_without_any_value_is_told_with_its_error() -> None:
    def model(x: Any, a: float) -> Any:
        raise OverflowError(f"too large at {a} for {len(x)} points")

    result = fit(curve_problem(model, np.arange(5.0), np.ones(5), (-1.0, 1.0), a=0.5))
    assert not result.converged
    assert result.code == "model_error"
    assert "OverflowError: too large at" in result.text
    assert result.dx is None


def test_a_constraint_is_kept() -> None:
    def model(x: Any, a: float, b: float) -> Any:
        return a + b * x

    from bumps.names import Curve, FitProblem

    x = np.linspace(0, 1, 20)
    curve = Curve(model, x, 3 + 2 * x, np.full(20, 0.1), a=1.0, b=5.0)
    curve.a.range(-10, 10)
    curve.b.range(-10, 10)
    problem = FitProblem(curve, constraints=[curve.b > curve.a])
    result = fit(problem)
    a, b = result.x
    assert b >= a
    assert a == pytest.approx(2.6, abs=0.1)  # the best with b = a, where the constraint ends


def test_a_gaussian_prior_counts() -> None:
    x = np.linspace(0, 1, 20)
    problem = curve_problem(lambda x, a: a + 0 * x, x, np.full(20, 4.0), (-10.0, 10.0), a=1.0)
    next(iter(problem.models)).a.pmp(100)
    next(iter(problem.models)).a.dev(0.1 / np.sqrt(20), mean=2.0)
    problem.model_reset()
    assert fit(problem).x == pytest.approx([3.0])


def test_bounds_are_never_left() -> None:
    seen: list[tuple[float, float]] = []

    def model(x: Any, a: float, b: float) -> Any:
        seen.append((a, b))
        return a * np.exp(-b * x)

    x = np.linspace(0, 5, 30)
    problem = curve_problem(model, x, 9 * np.exp(-2 * x), (0.0, 5.0), a=1.0, b=4.0)
    result = fit(problem)
    low, high = np.min(seen), np.max(seen)
    assert (low, high) == (0.0, 5.0)
    assert result.x[0] == 5.0
    assert result.code == "at_limit"


def test_progress_is_told_every_second_and_by_phase() -> None:
    def slow(x: Any, a: float, b: float) -> Any:
        time.sleep(0.001)  # the cost of a real model
        return a * np.exp(-b * x)

    told: list[tuple[float, dict[str, Any]]] = []
    x = np.linspace(0, 5, 30)
    problem = curve_problem(slow, x, 9 * np.exp(-2 * x), (0.0, 50.0), a=1.0, b=40.0)
    run_auto(problem, {}, lambda **k: told.append((time.monotonic(), k)), never, 1)
    times = [at for at, _ in told]
    assert max(np.diff(times)) < 1
    assert [k["phase"] for _, k in told][-1] == "covariance"
    assert {k["phase"] for _, k in told} == {"search", "polish", "covariance"}
    assert all(0 <= k["step"] <= k["steps"] for _, k in told)
    costs = [k["nllf"] for _, k in told]
    assert costs == sorted(costs, reverse=True)
    assert len(told[-1][1]["best"]) == 2


@pytest.mark.parametrize("name", ["Gauss1", "reflectivity fringes", "poisson counts", "likelihood"])
@pytest.mark.parametrize("after", [1, 300, 2500])
def test_a_stop_keeps_the_best_so_far(name: str, after: int) -> None:
    far = FAR_PROBLEMS.get(name)
    problem = far.make() if far else nist.make_problem(name)
    start = problem.nllf()
    asked = count()
    result = run_auto(problem, {}, quiet, lambda: next(asked) >= after, 1)
    assert result.code == "stopped"
    assert not result.converged
    assert result.evaluations <= after + 2  # the start, and the one that was refused
    assert result.nllf <= start
    assert problem.getp() == pytest.approx(result.x)
    assert problem.nllf() == pytest.approx(result.nllf)


def test_the_time_limit_ends_it() -> None:
    began = time.monotonic()
    result = fit(FAR_PROBLEMS["reflectivity fringes"].make(), time=0.5 / 3600)
    assert result.code == "time_limit"
    assert time.monotonic() - began < 2


def test_without_starts_the_nearest_minimum_is_taken() -> None:
    result = fit(nist.make_problem("Misra1a"), starts=0)
    assert [stage.name for stage in result.stages][:3] == ["start", "lm", "linear parameters"]
    assert "starts" not in [stage.name for stage in result.stages]
    assert nist.digits("Misra1a", result.x) >= 8


def test_stages_tell_where_the_evaluations_went() -> None:
    result = fit(nist.make_problem("BoxBOD"))
    assert sum(stage.evaluations for stage in result.stages) == result.evaluations
    assert all(stage.nllf_after <= stage.nllf_before for stage in result.stages)


def test_options_have_defaults_within_their_ranges() -> None:
    for option in AUTO_OPTIONS:
        assert isinstance(option.default, int | float)
        assert option.minimum is None or option.default >= option.minimum
        assert option.above is None or option.default > option.above
        assert option.maximum is None or option.default <= option.maximum


def test_the_declaration_needs_the_standard_library_alone() -> None:
    code = "import sys, fitters.auto; sys.exit('numpy' in sys.modules or 'bumps' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
