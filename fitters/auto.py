"""The ``auto`` method: bumps's fitters in a row, for people who do not know which one to take.

1. Levenberg-Marquardt from the given start.
2. The parameters in which the model is linear are found by trying, and from here on solved for.
3. Many starts, over decades around the given one or over the ranges: each judged by one evaluation,
   Levenberg-Marquardt from the promising ones, until enough of them agree.
4. While they do not: hops from the best minimum, then a wider round of starts.
5. Problems without residuals (counts, a PDF): simplex and differential evolution in their place.
6. A polish to the last digits, the covariance, and a verdict in words.

The searching steps are bumps's own fitters, each through its `FitDriver`. Differential evolution is
not used on residuals: on reflectivity fringes 50 000 evaluations of it ended at 250 times the cost
that as many evaluations of step 3 reached. The last digits are ours: bumps's Levenberg-Marquardt
stops when the sum of squares does, with half of the digits of the parameters.

Only the declaration stands here, on the standard library alone; the work is in
`fitters.auto_pipeline`, which needs numpy and bumps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .base import Option

AUTO_OPTIONS: tuple[Option, ...] = (
    Option(
        name="starts",
        type="int",
        default=40,
        label="Starts",
        help="Local fits of a round of starts: fewer when they agree, two more rounds of two and "
        "three times as many when they do not. 0: only from the given start.",
        minimum=0,
        maximum=10000,
    ),
    Option(
        name="steps",
        type="int",
        default=100,
        label="Steps",
        help="The most iterations of each local fit, and generations of differential evolution.",
        minimum=1,
        maximum=100000,
    ),
    Option(
        name="xtol",
        type="float",
        default=1e-12,
        label="x tolerance",
        help="The last polish ends when no value changes by more than this part.",
        above=0.0,
        maximum=0.1,
    ),
    Option(
        name="time",
        type="float",
        default=0.0,
        label="Time limit",
        help="Stop after this long and keep the best point; 0: no limit.",
        minimum=0.0,
        unit="h",
    ),
)


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One step of the row, and what it brought."""

    name: str
    evaluations: int
    nllf_before: float
    nllf_after: float
    seconds: float


@dataclass(frozen=True, kw_only=True)
class AutoResult:
    """Where the row ended, and how far to trust it."""

    x: list[float]
    nllf: float
    dx: list[float] | None
    """As bumps gives it, not scaled by chi-square; infinite for what the data do not determine."""

    covariance: list[list[float]] | None
    converged: bool
    code: str
    """A verdict code of ``result.json``."""

    text: str
    evaluations: int
    stages: tuple[Stage, ...]


def run_auto(
    problem: Any,
    options: Mapping[str, object],
    progress: Callable[..., None],
    stopping: Callable[[], bool],
    seed: int,
) -> AutoResult:
    """Fit a bumps FitProblem without being told how.

    The problem is left at the result. The same seed gives the same result, unless it is stopped.

    Parameters
    ----------
    options
        Some of `AUTO_OPTIONS` by name; what is missing has its default.
    progress
        Called at least once a second between evaluations, with ``step, steps, nllf, best, phase``;
        ``phase`` is ``search``, ``polish`` or ``covariance``.
    stopping
        Asked before each evaluation; once true, the best point so far is the result.
    """
    from .auto_pipeline import Pipeline

    known = {option.name: option.default for option in AUTO_OPTIONS}
    settings = {name: float(str(options.get(name, default))) for name, default in known.items()}
    return Pipeline(problem, settings, progress, stopping, seed).run()
