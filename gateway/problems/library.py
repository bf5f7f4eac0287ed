"""The curve functions of the field: formula, parameters, units, defaults and bounds.

Formulas are expressions as a user could type them. The defaults draw a typical curve over *domain*;
`gateway.problems.guess` finds start values for given data.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from types import MappingProxyType

from gateway.problems.library_field import FIELD
from gateway.problems.library_general import GENERAL
from gateway.problems.library_parts import (
    BACKGROUNDS,
    PEAK_LIMIT,
    SHAPES,
    CurveFunction,
    FunctionParameter,
    peak_sum,
)

__all__ = [
    "BACKGROUNDS",
    "FUNCTIONS",
    "PEAK_LIMIT",
    "SHAPES",
    "CurveFunction",
    "FunctionParameter",
    "find",
    "peak_sum",
]

FUNCTIONS: Mapping[str, CurveFunction] = MappingProxyType(
    {function.name: function for function in (*GENERAL, *FIELD)}
)


def find(name: str) -> CurveFunction:
    """Find a function by name; the message of a `KeyError` names the nearest."""
    if name in FUNCTIONS:
        return FUNCTIONS[name]
    near = difflib.get_close_matches(name[:60], FUNCTIONS, n=3) or sorted(FUNCTIONS)
    raise KeyError(f"there is no function {name[:60]!r}; the nearest are {', '.join(near)}")
