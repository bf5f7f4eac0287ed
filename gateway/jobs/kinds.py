"""The kinds of job: ours, and those that others add by entry point ``gateway.fitters``."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from functools import cache
from importlib.metadata import entry_points

from fitters.base import Fitter
from fitters.bumps_options import METHODS, OptionsError, check_options, read_value
from gateway.errors import InvalidError
from gateway.records import Document

_GROUP = "gateway.fitters"
_DEFAULT_FIT = "amoeba"


@cache
def kinds() -> Mapping[str, Fitter]:
    """Find every kind; declarations only, no library of theirs is imported."""
    return {point.name: point.load()() for point in entry_points(group=_GROUP)}


def find_kind(name: str) -> Fitter:
    """Find one kind; InvalidError names those there are."""
    if name not in kinds():
        known = ", ".join(sorted(kinds()))
        raise InvalidError.at("/kind", f"{name[:64]!r} is not a kind of job here; known: {known}")
    return kinds()[name]


def check_kind_options(
    name: str, given: Mapping[str, object], n_parameters: int | None, n_points: int | None
) -> Document:
    """Complete the options of a job with their defaults.

    Raises
    ------
    InvalidError
        Naming each option that is wrong.
    OptionsError
        The same, from the fit methods.
    """
    kind = find_kind(name)
    if name == "fit":
        method = given.get("fit", _DEFAULT_FIT)
        return check_options(str(method), given, n_parameters, n_points)
    known = {option.name: option for option in kind.options}
    wrong = []
    for unknown in sorted(set(given) - set(known)):
        near = difflib.get_close_matches(unknown, known, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(known)}"
        wrong.append((unknown, f"{name} has no such option: {hint}"))
    options: Document = {}
    for option in kind.options:
        try:
            options[option.name] = read_value(option, given.get(option.name, option.default))
        except ValueError as error:
            wrong.append((option.name, str(error)))
    if wrong:
        raise OptionsError(wrong)
    return options


def is_resumable_method(name: str) -> bool:
    """Whether a fit method can go on from where an earlier attempt ended, as itself declares."""
    method = METHODS.get(name)
    return method is not None and method.resumable
