"""Write a curve as ``model.py`` and ``data.dat``: what a job runs and what a user downloads.

Everything in the text is written by us from checked values; text of the user appears only as a
number, as a name that is an identifier, or as an escaped string.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from gateway.problems.curve import SMEAR_STEPS, ResolvedCurve, axis_label
from gateway.problems.expression import helpers, to_bumps, to_python, uses
from gateway.problems.models import CurveParameter
from gateway.problems.parameters import parse_ties
from gateway.problems.selection import Curve

ENTRY = "model.py"
DATA = "data.dat"

_SMEAR = f'''
STEPS = np.linspace({SMEAR_STEPS[0]}, {SMEAR_STEPS[-1]}, {len(SMEAR_STEPS)})
WEIGHTS = np.exp(-0.5 * STEPS**2)


def smear(x, dx, theory):
    """Average a theory over a Gaussian of standard deviation dx; q is not taken below zero."""
    nodes = x[:, None] + dx[:, None] * STEPS
    weights = WEIGHTS * ((nodes > 0) | np.any(x <= 0))
    values = np.where(weights > 0, theory(nodes), 0.0)
    return np.sum(weights * values, axis=1) / np.sum(weights, axis=1)
'''


def data_file(data: Curve, names: Sequence[str] = ()) -> str:
    """Write the columns x, y, dy, dx and further ones; rows left out become comments."""
    columns = [data.x, data.y, data.dy]
    titles = ["x", "y", "dy"]
    if data.dx is not None:
        columns.append(data.dx)
        titles.append("dx")
    for name, values in data.others.items():
        columns.append(values)
        titles.append(name)
    lines = [f"# {ascii(name)[1:-1]}" for name in names]
    lines.append("# " + "  ".join(titles))
    for used, row in zip(data.used, zip(*columns, strict=True), strict=True):
        text = "  ".join(map(repr, row))
        lines.append(text if used else f"# left out: {text}")
    return "\n".join(lines) + "\n"


def model_script(curve: ResolvedCurve) -> str:
    """Write the model that plain ``bumps model.py`` fits."""
    ties = parse_ties(curve.document.parameters)
    special = any("special." in text for text in _formula_texts(curve))
    parts = [
        f'"""{curve.title}, fitted with bumps: bumps {ENTRY} --fit=lm --batch --export=fit"""',
        "",
        "import numpy as np",
        *(["from scipy import special"] if special else []),
        *(["from bumps import pmath"] if any("pmath." in t for t in _tie_texts(curve)) else []),
        "from bumps.names import Curve, FitProblem",
        "",
        *_loading(curve),
        *_definitions(curve),
        "",
        "",
        *_function(curve),
        "",
        "",
        *_model(curve),
        *(_limits(parameter) for parameter in curve.document.parameters if parameter.free),
        *(_tie_lines(curve) if ties else []),
        "",
        "problem = FitProblem(model)",
    ]
    return "\n".join(parts) + "\n"


def _formula_texts(curve: ResolvedCurve) -> list[str]:
    return [to_python(curve.expression), *helpers(curve.expression)]


def _columns(curve: ResolvedCurve) -> list[str]:
    dx = ["dx"] if curve.data.dx is not None else []
    return ["x", "y", "dy", *dx, *curve.data.others]


def _loading(curve: ResolvedCurve) -> list[str]:
    return [
        f"# The columns of {DATA}; rows left out of the fit are comments there.",
        f'{", ".join(_columns(curve))} = np.loadtxt("{DATA}", unpack=True, ndmin=2)',
    ]


def _definitions(curve: ResolvedCurve) -> list[str]:
    sources = helpers(curve.expression)
    if curve.data.dx is not None:
        sources.append(_SMEAR)
    return [line for source in sources for line in ("", "", source.strip())]


def _function(curve: ResolvedCurve) -> list[str]:
    names = [parameter.name for parameter in curve.document.parameters]
    state = [name for name in _columns(curve) if name not in ("x", "y", "dy")]
    arguments = ["x", *names, *(f"{name}=None" for name in state)]
    text = " ".join(curve.expression.text.split())
    return [
        *_call("def curve", arguments, ":"),
        *textwrap.wrap(f"y = {text}", 90, initial_indent="    # ", subsequent_indent="    #     "),
        "    # Numbers of numpy: 1/0 is inf for them, not an error that ends the fit.",
        *(f"    {name} = np.float64({name})" for name in names),
        '    with np.errstate(all="ignore"):',
        f"        return {_value(curve)}",
    ]


def _value(curve: ResolvedCurve) -> str:
    if curve.data.dx is not None:
        columns = {name: f"{name}[:, None]" for name in curve.data.others}
        body = _vector(curve, to_python(curve.expression, columns))
        return f"smear(x, dx, lambda x: {body})"
    return _vector(curve, to_python(curve.expression))


def _vector(curve: ResolvedCurve, body: str) -> str:
    # A formula without x gives one number; bumps wants one for each point.
    return body if uses(curve.expression, "x") else f"np.full_like(x, {body})"


def _model(curve: ResolvedCurve) -> list[str]:
    choice = curve.document.columns
    labels = [axis_label(curve.table, choice.x, "x"), axis_label(curve.table, choice.y, "y")]
    state = [name for name in _columns(curve) if name not in ("x", "y", "dy")]
    arguments = [
        "curve, x, y, dy",
        f"labels=[{labels[0]!a}, {labels[1]!a}, {labels[1]!a}]",
        *(f"{name}={name}" for name in state),
        *(f"{name}={value!r}" for name, value in curve.values.items()),
    ]
    lines = [f"    {argument}," for argument in arguments]
    return ["model = Curve(", *lines, ")"]


def _limits(parameter: CurveParameter) -> str:
    low, high = parameter.bounds or (None, None)
    limits = (
        "-np.inf" if low is None else repr(low),
        "np.inf" if high is None else repr(high),
    )
    target = f"model.{parameter.name}"
    if parameter.prior is None:
        return f"{target}.range({limits[0]}, {limits[1]})"
    prior = f"{parameter.prior.std!r}, mean={parameter.prior.mean!r}"
    if parameter.bounds is None:
        return f"{target}.dev({prior})"
    return f"{target}.dev({prior}, limits=({limits[0]}, {limits[1]}))"


def _tie_texts(curve: ResolvedCurve) -> list[str]:
    given = curve.document.parameters
    names = {parameter.name: f"model.{parameter.name}" for parameter in given}
    return [
        f"model.{name}.equals({to_bumps(tie, names)})" for name, tie in parse_ties(given).items()
    ]


def _tie_lines(curve: ResolvedCurve) -> list[str]:
    return ["# Tied parameters follow the others.", *_tie_texts(curve)]


def _call(start: str, arguments: Sequence[str], end: str) -> list[str]:
    line = f"{start}({', '.join(arguments)}){end}"
    if len(line) <= 100:
        return [line]
    return [f"{start}(", *(f"    {argument}," for argument in arguments), f"){end}"]
