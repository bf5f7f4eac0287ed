"""What dream's draws say: intervals, correlations, traces, and whether the chains agree."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .base import Document

Array = NDArray[np.float64]

TRACE_NUMBERS = 80_000
"""So many numbers of the chains are kept for drawing: less than 1 MB as JSON."""

BINS = 50
FEWEST_GENERATIONS = 8


def steady_chains(state: Any) -> Array:
    """Give the chains after burn-in and without outliers: (generations, chains, parameters)."""
    _, points, _ = state.chains()
    keep = max(int(len(points) * getattr(state, "portion", 1.0)), 1)
    points = points[-keep:]
    good = getattr(state, "_good_chains", slice(None))
    chains: Array = np.asarray(points[:, good, :], "d")
    return chains


def r_hat(chains: Array) -> Array:
    """Measure how well the chains agree: split R-hat, a number for each parameter.

    One means that each half of each chain tells the same; NaN that there are too few draws, or
    that nothing moved.

    References
    ----------
    Gelman et al., Bayesian Data Analysis, 3rd edition, section 11.4.
    """
    generations, _, parameters = chains.shape
    half = generations // 2
    if half < FEWEST_GENERATIONS // 2:
        return np.full(parameters, np.nan)
    halves = np.concatenate([chains[:half], chains[-half:]], axis=1)
    within = halves.var(axis=0, ddof=1).mean(axis=0)
    between = half * halves.mean(axis=0).var(axis=0, ddof=1)
    with np.errstate(all="ignore"):
        return np.asarray(np.sqrt(((half - 1) / half * within + between / half) / within))


def ess(chains: Array) -> Array:
    """Estimate how many independent draws the chains are worth, a number for each parameter.

    Autocorrelations of all chains together are summed in pairs as long as the pairs are positive
    (Geyer's rule).
    """
    generations, _, parameters = chains.shape
    if generations < FEWEST_GENERATIONS:
        return np.full(parameters, np.nan)
    return np.array([_ess_one(chains[:, :, index]) for index in range(parameters)])


def _ess_one(draws: Array) -> float:
    generations, number = draws.shape
    centred = draws - draws.mean(axis=0)
    size = 2 ** int(np.ceil(np.log2(2 * generations)))
    spectrum = np.fft.rfft(centred, size, axis=0)
    covariance = np.fft.irfft(np.abs(spectrum) ** 2, size, axis=0)[:generations] / generations
    within = covariance[0].mean() * generations / (generations - 1)
    total = within * (generations - 1) / generations + draws.mean(axis=0).var(ddof=1)
    if not total > 0:
        return float("nan")
    rho = 1 - (within - covariance.mean(axis=1)) / total
    pairs = rho[1 : generations - 1 : 2] + rho[2:generations:2]
    negative = np.flatnonzero(pairs < 0)
    pairs = pairs[: negative[0]] if len(negative) else pairs
    # Each pair may not be larger than the one before it: noise in the tail is cut away.
    tau = 1 + 2 * float(np.minimum.accumulate(pairs).sum()) if len(pairs) else 1.0
    return float(generations * number / max(tau, 1.0))


def intervals(state: Any) -> list[Document]:
    """Give mean, median and 68 % and 95 % intervals of each parameter."""
    from bumps.dream.stats import var_stats

    return [
        {
            "mean": stats.mean,
            "median": stats.median,
            "interval_68": list(stats.p68),
            "interval_95": list(stats.p95),
        }
        for stats in var_stats(state.draw())
    ]


def uncertainty_table(state: Any) -> str:
    """Give bumps's own table of uncertainties."""
    from bumps.dream.stats import format_vars, var_stats

    return str(format_vars(var_stats(state.draw()))) + "\n"


def covariance(state: Any) -> Array:
    """Give the covariance of the draws."""
    points = np.asarray(state.draw().points, "d")
    return np.atleast_2d(np.cov(points.T))


def traces(state: Any, labels: list[str]) -> Document:
    """Give the chains, thinned, as ``traces.json``."""
    _, points, _ = state.chains()
    generations, chains, parameters = points.shape
    every = max(1, -(-generations * chains * parameters // TRACE_NUMBERS))
    return {"labels": labels, "draws": rounded(points[::every])}


def histograms(state: Any, labels: list[str]) -> Document:
    """Give the distribution of each parameter as ``histograms.json``."""
    points = state.draw().points
    made = [np.histogram(points[:, index], bins=BINS) for index in range(len(labels))]
    return {
        "labels": labels,
        "edges": [edges for _, edges in made],
        "counts": [counts for counts, _ in made],
    }


def rounded(values: Array) -> Any:
    """Round to six digits, so that the text stays small."""
    with np.errstate(all="ignore"):
        scale = 10.0 ** (5 - np.floor(np.log10(np.abs(values))))
        found = np.where(np.isfinite(scale), np.round(values * scale) / scale, values)
    return found.tolist()
