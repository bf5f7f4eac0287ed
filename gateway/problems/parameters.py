"""Check the parameters of a curve: numbers, bounds, priors and ties."""

from __future__ import annotations

import graphlib
import math
from collections.abc import Sequence

from gateway.errors import FieldError, InvalidError
from gateway.problems.expression import (
    Expression,
    ExpressionError,
    check_tie,
    parameters,
    parse,
    value_of,
)
from gateway.problems.models import CurveParameter


def parse_ties(given: Sequence[CurveParameter], pointer: str = "") -> dict[str, Expression]:
    """Parse the ties, those first on which others depend.

    Raises
    ------
    InvalidError
        If a tie cannot be read, names what is no parameter, or depends on itself.
    """
    names = [parameter.name for parameter in given]
    ties: dict[str, Expression] = {}
    errors = []
    for index, parameter in enumerate(given):
        if parameter.tie is None:
            continue
        try:
            ties[parameter.name] = _parse_tie(parameter.tie, names)
        except ExpressionError as error:
            errors.append(FieldError(pointer=f"{pointer}/{index}/tie", detail=str(error)))
    if errors:
        raise InvalidError(errors)
    needs = {name: set(parameters(tie)) for name, tie in ties.items()}
    try:
        order = list(graphlib.TopologicalSorter(needs).static_order())
    except graphlib.CycleError as error:
        circle = " -> ".join(error.args[1])
        index = names.index(next(name for name in error.args[1] if name in ties))
        raise InvalidError.at(
            f"{pointer}/{index}/tie", f"the ties go round in a circle: {circle}; cut one"
        ) from error
    return {name: ties[name] for name in order if name in ties}


def _parse_tie(text: str, names: Sequence[str]) -> Expression:
    tie = parse(text, variables=())
    check_tie(tie)
    unknown = [name for name in parameters(tie) if name not in names]
    if unknown:
        known = ", ".join(names)
        raise ExpressionError(1, f"there is no parameter {unknown[0]!r}; there are {known}")
    return tie


def start_values(given: Sequence[CurveParameter]) -> dict[str, float]:
    """Give the start value of every parameter, ties applied."""
    values = {parameter.name: parameter.value for parameter in given}
    for name, tie in parse_ties(given).items():
        values[name] = value_of(tie, values)
    return values


def check_parameters(given: Sequence[CurveParameter], pointer: str) -> list[str]:
    """Refuse what cannot be fitted; give warnings for what is merely odd."""
    errors = [
        FieldError(pointer=f"{pointer}/{index}/{field}", detail=detail)
        for index, parameter in enumerate(given)
        for field, detail in _faults(parameter)
    ]
    if errors:
        raise InvalidError(errors)
    ties = parse_ties(given, pointer)
    values = start_values(given)
    for index, parameter in enumerate(given):
        if parameter.name in ties and math.isnan(values[parameter.name]):
            raise InvalidError.at(
                f"{pointer}/{index}/tie",
                f"{parameter.tie!r} is not a finite number at the start values",
            )
    return [warning for parameter in given for warning in _doubts(parameter)]


def _faults(parameter: CurveParameter) -> list[tuple[str, str]]:
    found = []
    if not math.isfinite(parameter.value):
        found.append(("value", f"{parameter.value} is no finite number"))
    if parameter.bounds is not None:
        found.extend(_bound_faults(parameter))
    prior = parameter.prior
    if prior is not None and not (math.isfinite(prior.mean) and math.isfinite(prior.std)):
        found.append(("prior", "mean and std must be finite numbers"))
    elif prior is not None and prior.std <= 0:
        found.append(("prior/std", f"{prior.std} is no standard deviation; give a positive number"))
    if prior is not None and parameter.tie is not None:
        found.append(("prior", "a tied parameter follows others; give the prior to one of them"))
    return found


def _bound_faults(parameter: CurveParameter) -> list[tuple[str, str]]:
    low, high = parameter.bounds or (None, None)
    if any(end is not None and not math.isfinite(end) for end in (low, high)):
        return [("bounds", "a bound is no finite number; null leaves an end open")]
    if low is not None and high is not None and low >= high:
        return [("bounds", f"the lower bound {low:.15g} is not below the upper bound {high:.15g}")]
    start = f"the start value {parameter.value:.15g} lies"
    if parameter.free and low is not None and parameter.value < low:
        return [("bounds/0", f"{start} below the lower bound {low:.15g}: change one of them")]
    if parameter.free and high is not None and parameter.value > high:
        return [("bounds/1", f"{start} above the upper bound {high:.15g}: change one of them")]
    return []


def _doubts(parameter: CurveParameter) -> list[str]:
    if parameter.tie is not None and parameter.bounds is not None:
        return [f"{parameter.name} is tied: its bounds do nothing"]
    return []
