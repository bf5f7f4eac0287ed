"""Expressions: what they mean, what they refuse, and that numpy agrees."""

from __future__ import annotations

import inspect
import math
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from bumps.curve import Curve
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import special

from gateway.problems import syntax
from gateway.problems.expression import (
    ExpressionError,
    evaluate,
    helpers,
    parameters,
    parse,
    to_python,
    value_of,
)
from gateway.problems.functions import FUNCTIONS
from tests.problems import nist


def run_numpy(text: str, x: list[float], values: Mapping[str, float]) -> list[float]:
    """Evaluate the source that would stand in model.py."""
    expression = parse(text)
    scope: dict[str, object] = {"np": np, "special": special}
    with np.errstate(all="ignore"):
        for source in helpers(expression):
            exec(source, scope)  # noqa: S102 - our own source, as model.py would run it
        scope.update({name: np.float64(value) for name, value in values.items()})
        scope["x"] = np.asarray(x, dtype=float)
        result = eval(to_python(expression), scope)  # noqa: S307
        column = np.broadcast_to(np.asarray(result, dtype=float), (len(x),))
    return [float(value) for value in column]


@pytest.mark.parametrize("name", sorted(nist.MODELS))
def test_a_nist_model_gives_the_certified_sum_of_squares(name: str) -> None:
    data = nist.read(name)
    expression = parse(data.model, ("x", "x2"))
    assert parameters(expression) == tuple(sorted(data.values)) or set(
        parameters(expression)
    ) == set(data.values)
    theory = evaluate(expression, data.x, {**data.values, "x2": data.x2})
    wanted = [math.log(y) for y in data.y] if name == "Nelson" else data.y
    total = math.fsum((a - b) ** 2 for a, b in zip(wanted, theory, strict=True))
    # Lanczos1 is exact data: its certified sum, 1.4e-25, is below the rounding of the values.
    assert total == pytest.approx(data.sum_of_squares, rel=1e-8, abs=1e-20)


def test_all_27_nist_models_are_there() -> None:
    assert len(nist.MODELS) == 27


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("-2^2", -4.0),
        ("2^3^2", 512.0),
        ("2^-1", 0.5),
        ("8/4/2", 1.0),
        ("7-4-2", 1.0),
        ("2*-3", -6.0),
        ("+3", 3.0),
        ("1.5e-1*.5E+1", 0.75),
        ("2*[1+(2)]", 6.0),
        ("(1<2)*3 + (2<=1)*5", 3.0),
        ("where(2>1, 4, 5)", 4.0),
        ("max(1, 2) - min(1, 2)", 1.0),
        ("log(e) + log10(100) + cos(pi)", 2.0),
        ("arctan2(1, 1)*4/pi + asin(1)*2/pi", 2.0),
        ("sqrt(abs(-9)) + erf(0) + erfc(0)", 4.0),
    ],
)
def test_an_expression_means_what_mathematics_says(text: str, value: float) -> None:
    assert value_of(parse(text), {}) == pytest.approx(value)
    assert run_numpy(text, [1.0], {}) == pytest.approx([value])


@pytest.mark.parametrize(
    ("text", "column", "words"),
    [
        ("__import__('os').system('touch CANARY')", 12, "not understood"),
        ("__import__(1)", 1, "no function '__import__'"),
        ("(1).__class__", 4, "'.' is not understood"),
        ("x.real", 2, "'.' is not understood"),
        ("__class__", 1, "cannot be a parameter"),
        ("_hidden*x", 1, "cannot be a parameter"),
        ("lambda: 1", 7, "not understood"),
        ("lambda*x", 1, "cannot be a parameter"),
        ("eval(x)", 1, "no function 'eval'"),
        ("sine(x)", 1, "did you mean 'sin'"),
        ("exp", 1, "write exp(...)"),
        ("sin(x, 2)", 1, "takes 1 arguments, not 2"),
        ("where(x, 2)", 1, "where(x < a, b, c)"),
        ("2x", 2, "write *"),
        ("2(x)", 2, "an operator is expected"),
        ("a b", 3, "an operator is expected"),
        ("0,5*x", 2, "a comma only separates"),
        ("(0,5)*x", 3, "a comma only separates"),
        ("y*x", 1, "cannot be a parameter"),
        ("a = x", 3, "only the right side"),
        ("a == x", 3, "compare with"),
        ("1 < x < 2", 7, "compare two values"),
        ("x;x", 2, "one expression"),
        ("x\nimport", 3, "an operator is expected"),
        ("a\N{MULTIPLICATION SIGN}x", 2, "MULTIPLICATION SIGN"),
        ("a\N{MINUS SIGN}x", 2, "write -"),
        ("\N{CYRILLIC SMALL LETTER A}*x", 1, "CYRILLIC SMALL LETTER A"),
        ("\N{FULLWIDTH LATIN SMALL LETTER E}xp(x)", 1, "FULLWIDTH LATIN SMALL LETTER E"),
        ("x\N{RIGHT-TO-LEFT OVERRIDE}", 2, "RIGHT-TO-LEFT OVERRIDE"),
        ("x\0", 2, "not understood"),
        ("\N{ARABIC-INDIC DIGIT ONE}*x", 1, "ARABIC-INDIC DIGIT ONE"),
        ("", 1, "the expression ends"),
        ("(x", 3, "')' is expected"),
        ("[x)", 3, "']' is expected"),
        ("x)", 2, "an operator is expected"),
        ("1e999", 1, "too large"),
        ("f" * 65, 1, "more than 64"),
    ],
)
def test_what_is_not_understood_is_refused_with_its_column(
    text: str, column: int, words: str
) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse(text)
    assert words in str(caught.value)
    assert caught.value.column == column


@pytest.mark.parametrize(
    "text",
    [
        "(" * 1_000_000,
        "(" * 1999,
        "-" * 1999,
        "2**" * 600 + "2",
        "exp(" * 400 + "x",
        "x+" * 999 + "x",
        "[" * 61 + "x" + "]" * 61,
        "9" * 5000,
    ],
    ids=["1 MB", "parentheses", "minus", "powers", "calls", "sum", "brackets", "digits"],
)
def test_an_endless_expression_is_refused_at_once(text: str) -> None:
    start = time.thread_time()
    with pytest.raises(ExpressionError):
        parse(text)
    assert time.thread_time() - start < 0.5


def test_a_tower_of_powers_costs_nothing() -> None:
    start = time.thread_time()
    assert math.isnan(evaluate(parse("9**9**9**9*x"), [1.0], {})[0])
    assert to_python(parse("9**9**9**9*x")) == "np.inf * x"
    assert time.thread_time() - start < 0.5


@pytest.mark.parametrize(
    "text",
    ["1/0*x", "x/(1/0)", "(-8)**(1/3) + x", "1/(1/0) + x", "0**-1 + x", "log(0)*x", "sqrt(-1)+x"],
)
def test_constants_that_python_cannot_compute_are_written_as_what_they_are(text: str) -> None:
    ours = evaluate(parse(text), [2.0], {})[0]
    numpy = run_numpy(text, [2.0], {})[0]
    assert ours == numpy if math.isfinite(numpy) else math.isnan(ours)


def test_no_parameter_can_take_a_name_that_curve_or_model_py_uses() -> None:
    def line(x: float, a: float) -> float:
        return a * x

    curve = Curve(line, [1.0], [1.0], [1.0])
    names = {name for name in dir(curve) if not name.startswith("_")} - {"a", "x"}
    assert names | set(inspect.signature(Curve).parameters) - {"kwargs", "x"} <= syntax.RESERVED


def test_the_source_names_nothing_but_numpy_and_what_the_user_may_name() -> None:
    source = to_python(parse("where(x<=a, voigt(x, b, c, d, f), erf(x)) ^ -pi"))
    assert source == ("np.where(x <= a, voigt(x, b, c, d, f), special.erf(x)) ** -np.pi")


_NUMBERS = st.floats(min_value=0.01, max_value=20.0).map(lambda value: f"{value:.4g}")
_NAMES = st.sampled_from(["x", "a", "b", "pi", "e"])
_ONE = sorted(name for name, function in FUNCTIONS.items() if function.arity == 1)


_SHAPES = (
    *(f"({{0}}) {sign} ({{1}})" for sign in ("+", "-", "*", "/", "**", "^")),
    # In parentheses as a whole: beside a sum of comparisons there would be three in a row.
    *(f"(({{0}}) {sign} ({{1}}))" for sign in ("<", "<=", ">", ">=")),
    *(f"({{0}} {sign} {{1}})" for sign in ("+", "-", "*", "/", "**")),
    *("-{0}", "-({0})", "min({0}, {1})", "max({0}, {1})", "atan2({0}, {1})"),
    *("where({0}, {1}, {2})", "where(({0}) < ({1}), {2}, {1})"),
    *(f"{name}({{0}})" for name in _ONE),
)


def _grow(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.builds(str.format, st.sampled_from(_SHAPES), inner, inner, inner)


EXPRESSIONS = st.recursive(st.one_of(_NUMBERS, _NAMES), _grow, max_leaves=12)
X = [-3.0, -0.5, 0.0, 0.25, 1.0, 7.5]


@given(EXPRESSIONS, st.floats(-5, 5), st.floats(0.01, 5))
@settings(max_examples=400, deadline=None)
def test_numpy_computes_what_the_gateway_shows(text: str, a: float, b: float) -> None:
    expression = parse(text)
    values = {"a": a, "b": b}
    ours = evaluate(expression, X, values)
    theirs = run_numpy(text, X, values)
    # Where a change in the fourteenth digit of what goes in moves the result, digits are lost.
    moved = evaluate(
        expression,
        [value * (1 + 1e-13) for value in X],
        {name: value * (1 - 1e-13) for name, value in values.items()},
    )
    for mine, numpys, shaken in zip(ours, theirs, moved, strict=True):
        steady = math.isfinite(shaken) == math.isfinite(mine)
        assume(steady)
        if not math.isfinite(numpys) or not math.isfinite(mine):
            assert math.isfinite(numpys) == math.isfinite(mine)
            continue
        lost = abs(shaken - mine)
        assume(lost <= 1e-6 * abs(mine) + 1e-12)
        assert mine == pytest.approx(numpys, rel=1e-9, abs=1e-9 + 1e3 * lost)


@given(st.text(max_size=80))
@settings(max_examples=500, deadline=None)
def test_any_text_is_an_expression_or_an_error(text: str) -> None:
    try:
        expression = parse(text)
    except ExpressionError as error:
        column = error.column
    else:
        column = 1
        names = parameters(expression)
        assert len(evaluate(expression, X, dict.fromkeys(names, 1.0))) == len(X)
    assert 1 <= column <= len(text) + 1


@given(st.text(alphabet="x ab12.+-*/^<>()[],exp", max_size=60))
@settings(max_examples=500, deadline=None)
def test_likely_text_never_crashes(text: str) -> None:
    try:
        expression = parse(text)
    except ExpressionError:
        return
    values = dict.fromkeys(parameters(expression), 0.0)
    assert len(evaluate(expression, X, values)) == len(X)
    assert len(run_numpy(text, X, values)) == len(X)


def test_nothing_was_written_by_a_hostile_expression(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for text in (
        "__import__('os').system('touch CANARY')",
        'exec(\'open("CANARY", "w")\')',
        "open(CANARY, w)",
        "().__class__.__bases__[0].__subclasses__()",
    ):
        with pytest.raises(ExpressionError):
            parse(text)
    assert list(tmp_path.iterdir()) == []
