"""The library of curve functions: complete, documented, consistent."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from gateway.problems.expression import evaluate, parameters
from gateway.problems.functions import FUNCTIONS as CALLABLE
from gateway.problems.library import BACKGROUNDS, FUNCTIONS, PEAK_LIMIT, SHAPES, find, peak_sum
from tests.problems.making import grid

DOCS = (Path(__file__).parents[2] / "docs" / "functions.rst").read_text(encoding="utf-8")


def test_there_are_more_functions_than_promised() -> None:
    assert len(FUNCTIONS) >= 35


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_a_function_is_whole(name: str) -> None:
    function = FUNCTIONS[name]
    assert set(parameters(function.expression)) == set(function.defaults)
    assert all(map(math.isfinite, evaluate(function.expression, grid(function), function.defaults)))
    for p in function.parameters:
        low, high = p.bounds
        assert low is None or low <= p.value
        assert high is None or p.value <= high


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_a_function_is_documented_with_its_formula_and_parameters(name: str) -> None:
    function = FUNCTIONS[name]
    assert f"``{name}``: {function.title}\n\n    ``{function.formula}``" in DOCS
    assert all(f"- ``{p.name}``: " in DOCS for p in function.parameters)


def test_every_function_of_expressions_is_documented() -> None:
    for name, function in CALLABLE.items():
        assert (f"``{function.help}``" if function.helper else f"``{name}") in DOCS


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("background", BACKGROUNDS)
def test_any_sum_of_peaks_is_within_the_limits_of_an_expression(
    shape: str, background: str
) -> None:
    for peaks in range(1, PEAK_LIMIT + 1):
        function = peak_sum(peaks, shape, background)
        assert set(parameters(function.expression)) == set(function.defaults)


def test_a_name_that_nobody_knows_is_answered_with_the_nearest() -> None:
    with pytest.raises(KeyError, match="guinier"):
        find("ginier")
