"""Start values: from the guess a plain fit with bumps reaches the truth."""

from __future__ import annotations

import math
import time
from pathlib import Path

import pytest
from bumps.fitters import fit

from gateway.problems.curve import chisq
from gateway.problems.guess import guess
from gateway.problems.library import FUNCTIONS, SHAPES, CurveFunction, peak_sum
from gateway.problems.models import PeakSum
from tests.problems.making import grid, load, noisy, resolved, text_of

SHIFTS = (0.85, 1.2)


def shifted(function: CurveFunction, factor: float) -> dict[str, float]:
    """Move every parameter, the odd ones the other way, inside its bounds."""
    values = {}
    for index, p in enumerate(function.parameters):
        value = p.value * (factor if index % 2 else 2 - factor)
        high = p.bounds[1]
        values[p.name] = value if high is None else min(value, high)
    return values


def best_chisq(function: CurveFunction, factor: float, folder: Path) -> float:
    """Fit noisy data with lm from the guess."""
    x, y, dy = noisy(function, shifted(function, factor), seed=round(100 * factor))
    name = function.name if function.name in FUNCTIONS else _spec(function)
    problem = load(resolved(text_of(x, y, dy), function=name), folder)
    result = fit(problem, method="lm", verbose=False)
    problem.setp(result.x)
    return float(problem.chisq())


def _spec(function: CurveFunction) -> PeakSum:
    shape = next(shape for shape in SHAPES if shape in function.name)
    return PeakSum(peaks=function.peaks, shape=shape, background=function.name.rpartition(" ")[2])


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("factor", SHIFTS)
@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_lm_reaches_the_truth_from_the_guess(name: str, factor: float, tmp_path: Path) -> None:
    # 121 points: the standard deviation of chi-square over degrees of freedom is 0.13.
    assert best_chisq(FUNCTIONS[name], factor, tmp_path) < 1.45


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("peaks", [1, 2, 4, 6])
@pytest.mark.parametrize("shape", ["gaussian", "lorentzian"])
@pytest.mark.parametrize("background", ["none", "constant", "line", "exponential"])
def test_lm_finds_all_peaks_from_the_guess(
    peaks: int, shape: str, background: str, tmp_path: Path
) -> None:
    assert best_chisq(peak_sum(peaks, shape, background), 1.0, tmp_path) < 1.45


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("peaks", [1, 3])
def test_lm_finds_voigt_peaks_from_the_guess(peaks: int, tmp_path: Path) -> None:
    assert best_chisq(peak_sum(peaks, "voigt", "line"), 1.0, tmp_path) < 1.45


def test_a_dip_is_a_peak_with_negative_height() -> None:
    function = FUNCTIONS["gaussian"]
    truth = {"height": -20.0, "center": 7.0, "fwhm": 2.0, "background": 30.0}
    x, y, dy = noisy(function, truth)
    found = guess(function, x, y, dy)
    assert found["center"] == pytest.approx(7.0, abs=0.1)
    assert found["height"] == pytest.approx(-20.0, rel=0.1)


def test_a_narrow_peak_in_many_points_is_found() -> None:
    function = FUNCTIONS["gaussian"]
    truth = {"height": 50.0, "center": 13.2, "fwhm": 0.02, "background": 1.0}
    x, y, dy = noisy(function, truth, points=20_001)
    assert guess(function, x, y, dy)["center"] == pytest.approx(13.2, abs=0.02)


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
@pytest.mark.parametrize(
    ("x", "y"),
    [
        ([1.0], [1.0]),
        ([1.0, 1.0, 1.0], [2.0, 2.0, 2.0]),
        ([0.0, 1.0, 2.0], [0.0, 0.0, 0.0]),
        ([-3.0, -2.0, -1.0, 0.0], [-1.0, 5.0, -1e300, 1e300]),
        ([1e-300, 1e300], [1e-300, -1e300]),
        ([float(k) for k in range(50)], [(-1.0) ** k for k in range(50)]),
    ],
    ids=["one", "same", "zero", "huge", "span", "saw"],
)
def test_any_data_give_finite_start_values(name: str, x: list[float], y: list[float]) -> None:
    found = guess(FUNCTIONS[name], x, y)
    assert set(found) == set(FUNCTIONS[name].defaults)
    assert all(map(math.isfinite, found.values()))


def test_the_longest_guess_is_bounded() -> None:
    function = peak_sum(6, "voigt", "exponential")
    x = [k / 2000 for k in range(100_000)]
    y = [math.sin(value) * 50 + value for value in x]
    start = time.perf_counter()
    guess(function, x, y)
    assert time.perf_counter() - start < 10


def test_the_guess_respects_the_bounds_of_the_library() -> None:
    for function in FUNCTIONS.values():
        x = grid(function, 40)
        found = guess(function, x, [math.sin(3 * value) - 1 for value in x])
        for p in function.parameters:
            low, high = p.bounds
            assert low is None or found[p.name] >= low, (function.name, p.name)
            assert high is None or found[p.name] <= high, (function.name, p.name)


def test_the_guess_is_what_an_empty_form_gets() -> None:
    function = FUNCTIONS["exponential"]
    x, y, dy = noisy(function, function.defaults)
    assert chisq(resolved(text_of(x, y, dy), function="exponential")) < 1.5
