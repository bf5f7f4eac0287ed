"""Find start values for an expression that a user typed: nobody has said what its parameters mean.

Parameters in which it is linear are found by trying, and solved for; the others are tried over
decades. What comes out is a start, not a fit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from gateway.problems.expression import Expression, evaluate, parameters
from gateway.problems.guess import guess
from gateway.problems.library_parts import OPEN, CurveFunction, FunctionParameter
from gateway.problems.selection import Curve

_FEW = 2
_DECADES = {
    1: (1e-4, 1e-3, 0.01, 0.1, 0.3, 1.0, 3.0, 10.0, 100.0, 1000.0, -1.0, -0.1, -10.0),
    2: (1e-3, 0.01, 0.1, 1.0, 10.0, 100.0, -1.0),
}
_COARSE = (0.01, 0.1, 1.0, 10.0)
_PROBES = (0.7, 1.3)
_SAMPLE = 12
_MOST = 8
_CLOSE = 1e-9


def guess_expression(expression: Expression, data: Curve) -> dict[str, float]:
    """Guess every parameter of an expression from the rows that are fitted; 1 where it cannot.

    Parameters
    ----------
    data
        The rows that are fitted, and no others.
    """
    names = parameters(expression)
    ones = dict.fromkeys(names, 1.0)
    if not names or len(names) > _MOST or data.others or len(data.x) <= _FEW:
        return ones
    solved = linear_ones(expression, data.x)
    rest = len(names) - len(solved)
    scan = _DECADES.get(rest, _COARSE)
    function = CurveFunction(
        name="expression",
        title="Expression",
        group="",
        formula=expression.text,
        parameters=tuple(_described(name, name in solved, scan) for name in names),
        domain=(0.0, 1.0),
    )
    found = guess(function, data.x, data.y, data.dy)
    return {name: found[name] if math.isfinite(found[name]) else 1.0 for name in names}


def linear_ones(expression: Expression, x: Sequence[float]) -> list[str]:
    """Name parameters in which an expression is linear, all of them together.

    >>> from gateway.problems.expression import parse
    >>> linear_ones(parse("b1*(1 - exp(-b2*x)) + b3"), [1.0, 2.0, 3.0])
    ['b1', 'b3']
    """
    points = list(x)[:: max(1, len(x) // _SAMPLE)]
    chosen: list[str] = []
    for name in parameters(expression):
        if all(_is_affine(expression, points, [*chosen, name], probe) for probe in _PROBES):
            chosen.append(name)
    return chosen


def _is_affine(expression: Expression, x: Sequence[float], names: list[str], at: float) -> bool:
    base = dict.fromkeys(parameters(expression), at)
    steps = {name: 0.5 + 0.25 * index for index, name in enumerate(names)}

    def along(length: float) -> list[float]:
        moved: Mapping[str, float] = {
            name: value + length * steps.get(name, 0.0) for name, value in base.items()
        }
        return evaluate(expression, x, moved)

    largest = 0.0
    for before, here, after in zip(along(-1.0), along(0.0), along(1.0), strict=True):
        scale = abs(before) + abs(here) + abs(after)
        if not math.isfinite(scale) or abs(after - 2 * here + before) > _CLOSE * scale:
            return False
        largest = max(largest, scale)
    return largest > 0  # where everything has underflowed, nothing is learned


def _described(name: str, is_linear: bool, scan: tuple[float, ...]) -> FunctionParameter:
    return FunctionParameter(
        name=name,
        label=name,
        unit="",
        value=1.0,
        bounds=OPEN,
        scan="linear" if is_linear else scan,
    )
