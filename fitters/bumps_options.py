"""The options of a fit, completed and checked before anything runs.

bumps clips, drops or crashes on many values that it accepts (a dream of three chains ends without
a result and with exit code 0). Here everything that does not work is refused, with the value and
what would be right. Standard library only: the gateway imports it.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping

from .base import Document, FitError, Option
from .bumps_methods import METHODS, Method

__all__ = ["METHODS", "Method", "OptionsError", "check_options", "find_method", "read_value"]

MIN_DREAM_CHAINS = 7
"""With fewer, dream's stepper draws from too small a population: it raises or crashes."""

MIN_DE_POPULATION = 4
"""Differential evolution combines three members with a fourth."""

GONE = {
    "ps": "de",
    "rl": "amoeba with starts > 1",
    "snobfit": "de",
    "scipy.leastsq": "lm",
    "leastsq": "lm",
    "tnc": "newton",
    "bfgs": "newton",
    "mp": "lm",
    "nelder": "amoeba",
}
"""Names of former or other programs' methods, and what does their work."""


class OptionsError(FitError):
    """Options of a fit method are not as they must be.

    Parameters
    ----------
    problems
        Pairs of option name and message.
    """

    def __init__(self, problems: list[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{name}: {text}" for name, text in problems))
        self.problems = tuple(problems)


def check_options(
    method: str,
    given: Mapping[str, object],
    n_parameters: int | None = None,
    n_points: int | None = None,
) -> Document:
    """Complete the options of a fit with their defaults, or refuse them.

    Parameters
    ----------
    given
        Some options by name; ``fit`` may be among them.
    n_parameters, n_points
        How many parameters are fitted to how many points, where it is known: some limits
        depend on it.

    Returns
    -------
    Document
        ``fit`` and every option of the method.

    Raises
    ------
    OptionsError
        With every wrong option, not only the first.
    """
    chosen = find_method(method)
    problems = _unknown_options(chosen, given)
    if given.get("fit", method) != method:
        problems.append(("fit", f"is {given['fit']!r}, but the method asked for is {method!r}"))
    options: Document = {"fit": method}
    for option in chosen.options:
        try:
            options[option.name] = read_value(option, given.get(option.name, option.default))
        except ValueError as error:
            problems.append((option.name, str(error)))
    if not problems:
        problems = _check_together(method, options, n_parameters, n_points)
    if problems:
        raise OptionsError(problems)
    return options


def find_method(name: object) -> Method:
    """Find a fit method.

    Raises
    ------
    OptionsError
        If there is none; the message names those there are, or what replaced it.
    """
    method = METHODS.get(name) if isinstance(name, str) else None
    if method is not None:
        return method
    known = ", ".join(method.name for method in METHODS.values() if not method.hidden)
    if isinstance(name, str) and name.lower() in GONE:
        text = f"{name!r} is not a method of bumps any more: use {GONE[name.lower()]}"
    else:
        text = f"no fit method is named {name!r}; there are {known}"
    raise OptionsError([("fit", text)])


def read_value(option: Option, value: object) -> int | float | bool | str:
    """Read the value of an option as its type, within its limits.

    >>> read_value(METHODS["amoeba"].options[0], "1e5")
    100000

    Raises
    ------
    ValueError
        With the value and what would be right.
    """
    if option.type == "bool":
        return _read_bool(value)
    if option.type == "enum":
        return _read_choice(option, value)
    if option.type == "str":
        return _read_text(value)
    return _read_number(option, value)


def _read_bool(value: object) -> bool:
    if isinstance(value, str) and value.lower() in {"true", "false"}:
        return value.lower() == "true"
    if not isinstance(value, bool):
        raise ValueError(f"must be true or false, not {value!r}")  # noqa: TRY004
    return value


def _read_choice(option: Option, value: object) -> str:
    if not isinstance(value, str) or value not in option.choices:
        raise ValueError(f"must be one of {', '.join(option.choices)}, not {value!r}")
    return value


def _read_text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"must be a text, not {value!r}")  # noqa: TRY004
    return value


def _read_number(option: Option, value: object) -> int | float:
    wanted = "a whole number" if option.type == "int" else "a number"
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError(f"must be {wanted}, not {value!r}")  # noqa: TRY004
    try:
        number = float(value)
    except (ValueError, OverflowError):
        raise ValueError(f"must be {wanted}, not {value!r}") from None
    if not math.isfinite(number):
        raise ValueError(f"must be a finite number, not {value!r}")
    if option.type == "int" and not number.is_integer():
        raise ValueError(f"must be {wanted}, not {value!r}")
    _check_range(option, number, value)
    return int(number) if option.type == "int" else number


def _check_range(option: Option, number: float, value: object) -> None:
    if option.above is not None and number <= option.above:
        raise ValueError(f"must be more than {option.above:g}, not {value!r}")
    if option.minimum is not None and number < option.minimum:
        raise ValueError(f"must be at least {option.minimum:g}, not {value!r}")
    if option.maximum is not None and number > option.maximum:
        raise ValueError(f"must be at most {option.maximum:g}, not {value!r}")


def _unknown_options(method: Method, given: Mapping[str, object]) -> list[tuple[str, str]]:
    known = [option.name for option in method.options]
    problems = []
    for name in given:
        if name == "fit" or name in known:
            continue
        close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        hint = f"did you mean {close[0]}?" if close else f"it has {', '.join(known)}"
        problems.append((name, f"is not an option of {method.name}; {hint}"))
    return problems


def _check_together(
    method: str, options: Document, n_parameters: int | None, n_points: int | None
) -> list[tuple[str, str]]:
    """Find what is wrong with options that are right one by one."""
    if method == "dream":
        return _check_dream(options, n_parameters)
    if method == "de":
        return _check_de(options, n_parameters)
    if method == "pt" and options["Tmax"] <= options["Tmin"]:
        return [("Tmax", f"must be more than Tmin={options['Tmin']:g}, not {options['Tmax']:g}")]
    if method == "lm" and None not in (n_parameters, n_points):
        return _check_lm(n_parameters or 0, n_points or 0)
    return []


def _check_lm(n_parameters: int, n_points: int) -> list[tuple[str, str]]:
    if n_points >= n_parameters:
        return []
    text = (
        f"lm needs at least as many points as fitted parameters, but there are {n_points} points "
        f"for {n_parameters} parameters: fix some parameters or use amoeba"
    )
    return [("fit", text)]


def population(pop: float, n_parameters: int) -> int:
    """Say how many members bumps makes of ``pop``.

    >>> population(10, 3), population(-8, 3)
    (30, 8)
    """
    return math.ceil(pop * n_parameters) if pop > 0 else int(-pop)


def _check_dream(options: Document, n_parameters: int | None) -> list[tuple[str, str]]:
    pop = float(options["pop"])
    if pop == 0:
        return [("pop", "must not be 0: it is the number of chains for each parameter")]
    if n_parameters is None and pop > 0:
        return _check_thin(options, chains=1)
    chains = population(pop, n_parameters or 0)
    if chains < MIN_DREAM_CHAINS:
        enough = math.ceil(MIN_DREAM_CHAINS / (n_parameters or 1))
        hint = f"pop={enough} or more" if pop > 0 else f"pop={-MIN_DREAM_CHAINS} or less"
        text = f"{pop:g} makes {chains} chains; dream needs {MIN_DREAM_CHAINS}: use {hint}"
        return [("pop", text)]
    return _check_thin(options, chains)


def _check_thin(options: Document, chains: int) -> list[tuple[str, str]]:
    steps, samples, thin = int(options["steps"]), int(options["samples"]), int(options["thin"])
    generations = steps or math.ceil(samples / chains)
    if thin <= generations:
        return []
    text = f"must be at most the {generations} generations of this fit, not {thin}"
    return [("thin", text)]


def _check_de(options: Document, n_parameters: int | None) -> list[tuple[str, str]]:
    if n_parameters is None:
        return []
    members = int(float(options["pop"]) * n_parameters)
    if members >= MIN_DE_POPULATION:
        return []
    enough = math.ceil(MIN_DE_POPULATION / max(n_parameters, 1))
    text = (
        f"{options['pop']:g} makes {members} members for {n_parameters} parameters; "
        f"de needs {MIN_DE_POPULATION}: use pop={enough} or more"
    )
    return [("pop", text)]
