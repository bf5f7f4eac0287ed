"""What an element of a campaign changes in its problem: parameters that are held, other starts.

A problem of a script is known only where it is loaded, so names and bounds are looked at here, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from bumps.parameter import Parameter, unique

from .base import Document, FitError

_SHOWN = 20
Numbers = Mapping[str, float]


def apply_given(problem: Any, document: Document) -> bool:
    """Fix and set the parameters that ``fixed`` and ``values`` name; False if there are none.

    Raises
    ------
    FitError
        Naming the field, when a parameter is not there, is ambiguous, or would leave its bounds.
    """
    fixed: Numbers = document.get("fixed") or {}
    values: Numbers = document.get("values") or {}
    for name, value in fixed.items():
        found = _find(problem, f"fixed.{name}", name, every=True)
        _put(found, f"fixed.{name}", value)
        found.fixed = True
    if fixed:
        problem.model_reset()
    for name, value in values.items():
        _put(_find(problem, f"values.{name}", name, every=False), f"values.{name}", value)
    if fixed or values:
        problem.setp(problem.getp())
    return bool(fixed or values)


def _find(problem: Any, field: str, name: str, *, every: bool) -> Any:
    """Find a fitted parameter; or, of all that have a value of their own, the only one."""
    found = [one for one in problem.parameters if one.name == name]
    if every and not found:
        found = [one for one in _own_values(problem) if one.name == name]
    if len(found) == 1:
        return found[0]
    if found:
        raise FitError(
            f"{field}: {len(found)} parameters are called {name!r}; give each a name of its own.",
            code="load_error",
        )
    names = problem.labels()
    known = ", ".join(names[:_SHOWN]) + (" …" if len(names) > _SHOWN else "")
    raise FitError(
        f"{field}: the problem has no parameter {name!r}; it fits {known}.", code="load_error"
    )


def _own_values(problem: Any) -> list[Any]:
    """List the parameters that follow from no others, fitted or not."""
    every = unique(problem.model_parameters())
    return [one for one in every if isinstance(one, Parameter) and one.fittable]


def _put(parameter: Any, field: str, value: float) -> None:
    low, high = parameter.prior.limits if parameter.prior else (-np.inf, np.inf)
    if not np.isfinite(value):
        raise FitError(f"{field}: {value} is no finite number.", code="load_error")
    if not low <= value <= high:
        raise FitError(
            f"{field}: {value:g} lies outside of the bounds {low:g} to {high:g} of "
            f"{parameter.name}: widen them, or leave this value out.",
            code="load_error",
        )
    parameter.value = value
