"""How sure the curves are: bands of the theory and of the profile, from draws of dream.

The uncertainties of parameters do not say how far off the curve may be, since parameters that
make up for each other leave it where it is. So the curves are computed again at some draws.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from .base import Document, FitError, Job
from .bumps_curves import curves
from .bumps_draws import rounded
from .bumps_load import Loaded, Say
from .bumps_result import Fitted
from .user_errors import user_code

Array = NDArray[np.float64]

DRAWS = 200
"""Of so many draws five lie beyond each end of the 95 % band."""

FEWEST = 20
"""Of fewer, a band of 95 % would be a guess."""

PART = 0.1
"""At most this part of the fit's own time is taken ..."""

LEAST_S = 2.0
"""... or this long after a short fit."""

LEAST_STOPPED_S = 0.25
"""After a stop: the job may be killed soon."""

MOST_NUMBERS = 20_000_000
"""Of all curves at all draws, which are held at once: 160 MB."""

VARIABLE = "FITTERS_BAND_DRAWS"
"""Environment variable with another count of draws; 0: no bands."""

ENDS = {"low_95": 0.025, "low_68": 0.16, "high_68": 0.84, "high_95": 0.975}


def draw_bands(
    job: Job, loaded: Loaded, fitted: Fitted, models: Sequence[Document], say: Say
) -> bool:
    """Give the curves of a fit by dream their bands; answer whether they have any.

    The curves must be those of the best point, to which the problem comes back. What goes wrong
    is told: a result without bands is one all the same.
    """
    try:
        count = draws_wanted()
    except ValueError as error:
        say("warning", f"No bands of the curves: {error}")
        return False
    if fitted.draws is None or not count or not models:
        return False
    problem, seed = loaded.problem, int(job.document["run"]["seed"])
    points = choose_draws(fitted.draws.draw().points, models, count, seed)
    patience_s = LEAST_STOPPED_S if fitted.stopped else max(LEAST_S, PART * fitted.time_s)
    until = time.monotonic() + patience_s

    def curves_at(point: Array) -> list[Document]:
        problem.setp(point)
        return curves(problem)

    def enough() -> bool:
        return time.monotonic() > until or (job.stopping() and not fitted.stopped)

    try:
        with user_code(job.data, code="model_error", doing="Drawing the bands of the curves"):
            made = add_bands(models, points, curves_at, enough)
    except FitError as error:
        say("warning", str(error))
        return False
    finally:
        problem.setp(fitted.point)
    if not made:
        say("info", f"No bands of the curves: in {patience_s:.2g} s too few could be drawn.")
    return bool(made)


def draws_wanted() -> int:
    """Say how many draws bands are made of.

    Raises
    ------
    ValueError
        If the environment asks for something that is no whole number from 0 on.
    """
    text = os.environ.get(VARIABLE, str(DRAWS))
    if not text.isascii() or not text.isdigit() or 0 < int(text) < FEWEST:
        raise ValueError(f"{VARIABLE} must be 0 or a whole number from {FEWEST} on, not {text!r}")
    return int(text)


def choose_draws(points: Array, models: Sequence[Document], count: int, seed: int) -> Array:
    """Choose draws at random, the same ones for the same seed; fewer where curves are long."""
    numbers = sum(len(line) for model in models for _, line in _lines(model, model))
    count = min(count, len(points), MOST_NUMBERS // max(numbers, 1))
    chosen = np.random.default_rng(seed).choice(len(points), size=count, replace=False)
    found: Array = points[chosen]
    return found


def add_bands(
    models: Sequence[Document],
    points: Array,
    curves_at: Callable[[Array], Sequence[Document]],
    enough: Callable[[], bool],
) -> int:
    """Give each curve the bands of its theory, and those of its profile.

    Parameters
    ----------
    models
        The curves at the best point; they get their ``bands``.
    enough
        Whether time is up; what was drawn until then counts.

    Returns
    -------
    int
        Of how many draws they are; 0 when there were too few for any.
    """
    kept: list[dict[str | None, list[Array]]] = [{} for _ in models]
    count = 0
    for point in points:
        if enough():
            break
        for model, drawn, into in zip(models, curves_at(point), kept, strict=True):
            for name, line in _lines(drawn, model):
                into.setdefault(name, []).append(line)
        count += 1
    if count < FEWEST:
        return 0
    for model, lines in zip(models, kept, strict=True):
        _put(model, lines, count)
    return count


def _lines(drawn: Document, best: Document) -> Iterator[tuple[str | None, Array]]:
    """Give the theory, named None, and each line of the profile at the depths of the best one."""
    yield None, np.asarray(drawn["theory"], "d")
    profile, at = drawn["profile"], best["profile"]
    if profile is not None and at is not None:
        for name, values in profile["series"].items():
            # A thicker film has a longer profile; beyond its ends it is what it is there.
            yield name, np.interp(at["x"], profile["x"], np.asarray(values, "d"))


def _put(model: Document, lines: dict[str | None, list[Array]], count: int) -> None:
    model["bands"] = {"draws": count, **_band(lines.pop(None))}
    if lines:
        bands = {name: _band(drawn) for name, drawn in lines.items()}
        model["profile"] = {**model["profile"], "bands": bands}


def _band(drawn: list[Array]) -> Document:
    with np.errstate(all="ignore"):
        # A draw of which the theory is no number makes none of a point: not a narrower band.
        ends = np.quantile(np.array(drawn), list(ENDS.values()), axis=0)
    return {name: rounded(end) for name, end in zip(ENDS, ends, strict=True)}
