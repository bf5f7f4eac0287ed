"""The functions an expression may name: plain Python to evaluate, numpy source to write.

Plain Python follows IEEE arithmetic as numpy does (1/0 is inf, sqrt(-1) is nan) and never raises,
so what the browser shows is what the job computes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from gateway.problems import special

_INF = math.inf
_NAN = math.nan


@dataclass(frozen=True, kw_only=True)
class Function:
    """One function that an expression may call."""

    name: str
    arity: int
    python: Callable[..., float]
    numpy: str
    """What to call in model.py: ``np.exp``, or the name of a helper."""
    helper: str = ""
    """Source of the helper, where numpy and scipy have no such function."""
    pmath: str = ""
    """The name in ``bumps.pmath``; empty where bumps cannot tie parameters with it."""
    help: str = ""
    weight: int = 1
    """What one call costs, in additions."""


def divide(a: float, b: float) -> float:
    """Divide as IEEE 754 says, without an exception.

    >>> divide(1.0, -0.0), divide(0.0, 0.0)
    (-inf, nan)
    """
    try:
        return a / b
    except ZeroDivisionError:
        if a == 0 or math.isnan(a):
            return _NAN
        return math.copysign(_INF, a) * math.copysign(1.0, b)


def power(a: float, b: float) -> float:
    """Raise to a power as C does, without an exception.

    >>> power(-8.0, 1 / 3), power(0.0, -1.0), power(-10.0, 999.0), power(2.0, 3.0)
    (nan, inf, -inf, 8.0)
    """
    try:
        return math.pow(a, b)
    except ValueError:
        if a != 0:
            return _NAN
    except OverflowError:
        pass
    # What is left is a power of zero or too large: infinite, negative for odd powers.
    odd = b % 2 == 1
    return math.copysign(_INF, a) if odd else _INF


def log(a: float) -> float:
    """Take the natural logarithm; log(0) is -inf."""
    return math.log(a) if a > 0 else _no_log(a)


def _log10(a: float) -> float:
    return math.log10(a) if a > 0 else _no_log(a)


def _log1p(a: float) -> float:
    return math.log1p(a) if a > -1 else _no_log(a + 1)


def _no_log(a: float) -> float:
    return -_INF if a == 0 else _NAN


def _smaller(a: float, b: float) -> float:
    if math.isnan(a) or math.isnan(b):
        return _NAN
    return min(a, b)


def _larger(a: float, b: float) -> float:
    if math.isnan(a) or math.isnan(b):
        return _NAN
    return max(a, b)


def _where(condition: float, a: float, b: float) -> float:
    # A nan is true, as in numpy.
    return a if condition != 0 else b


def quiet(function: Callable[..., float]) -> Callable[..., float]:
    """Give nan outside the domain of a function and inf where it is too large."""

    def call(*arguments: float) -> float:
        try:
            return function(*arguments)
        except OverflowError:
            # Only sinh is large and negative; the others that overflow are positive.
            negative = function is math.sinh and arguments[0] < 0
            return -_INF if negative else _INF
        except (ValueError, ZeroDivisionError):
            return _NAN

    return call


def _plain(
    name: str, function: Callable[..., float], numpy: str = "", *aliases: str
) -> list[Function]:
    target = numpy or name
    return [
        Function(name=alias, arity=1, python=quiet(function), numpy=f"np.{target}", pmath=target)
        for alias in (name, *aliases)
    ]


def _all_functions() -> list[Function]:
    plain = [
        *_plain("exp", math.exp),
        *_plain("expm1", math.expm1),
        *_plain("log", log, "log", "ln"),
        *_plain("log10", _log10),
        *_plain("log1p", _log1p),
        *_plain("sqrt", math.sqrt),
        *_plain("sin", math.sin),
        *_plain("cos", math.cos),
        *_plain("tan", math.tan),
        *_plain("arcsin", math.asin, "arcsin", "asin"),
        *_plain("arccos", math.acos, "arccos", "acos"),
        *_plain("arctan", math.atan, "arctan", "atan"),
        *_plain("sinh", math.sinh),
        *_plain("cosh", math.cosh),
        *_plain("tanh", math.tanh),
    ]
    two = [
        Function(name=name, arity=2, python=math.atan2, numpy="np.arctan2", pmath="arctan2")
        for name in ("arctan2", "atan2")
    ]
    return [
        *plain,
        *two,
        Function(name="abs", arity=1, python=abs, numpy="np.abs", pmath="abs"),
        Function(name="min", arity=2, python=_smaller, numpy="np.minimum", pmath="min"),
        Function(name="max", arity=2, python=_larger, numpy="np.maximum", pmath="max"),
        Function(name="erf", arity=1, python=math.erf, numpy="special.erf"),
        Function(name="erfc", arity=1, python=math.erfc, numpy="special.erfc"),
        Function(
            name="where",
            arity=3,
            python=_where,
            numpy="np.where",
            help="where(x < a, b, c) is b where x < a and c elsewhere",
        ),
        *(
            Function(
                name=field.name,
                arity=field.arity,
                python=quiet(field.python),
                numpy=field.name,
                helper=field.source,
                help=field.help,
                weight=field.weight,
            )
            for field in special.FIELD_FUNCTIONS
        ),
    ]


FUNCTIONS: dict[str, Function] = {function.name: function for function in _all_functions()}
CONSTANTS: dict[str, tuple[float, str]] = {"pi": (math.pi, "np.pi"), "e": (math.e, "np.e")}

BINARY: dict[str, Callable[[float, float], float]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": divide,
    "**": power,
    "<": lambda a, b: float(a < b),
    "<=": lambda a, b: float(a <= b),
    ">": lambda a, b: float(a > b),
    ">=": lambda a, b: float(a >= b),
}
COMPARISONS = frozenset({"<", "<=", ">", ">="})
