"""Say in words what the ``auto`` method reached.

Imported by `fitters.auto.run_auto` alone, because it needs numpy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .auto_meter import Array, Meter
from .auto_polish import Minimum, Spread
from .auto_starts import distance

ASKED = "Stopped when asked"
"""Begins what is said of a run that somebody stopped."""

FEW = 3
"""Fits that have to agree before nothing is said about it."""

POOR = 4.0
"""Reduced chi-square of a fit that needs a remark."""

NEAR_COST = 2.0
"""Another minimum whose nllf is less than this above the best one explains the data about as well:
two in nllf is two standard deviations."""


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What the verdict stands on."""

    meter: Meter
    minimum: Minimum | None
    spread: Spread | None
    others: list[Minimum]
    agreement: int
    tried: int
    floor: float
    """Costs this close are the same, however small they are."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A code of ``result.json`` and its sentences."""

    converged: bool
    code: str
    text: str


def judge(findings: Findings) -> Verdict:
    """Judge where a run ended."""
    meter, minimum = findings.meter, findings.minimum
    if meter.why_stopped:
        return _judge_stopped(findings)
    if not np.isfinite(meter.best):
        return _judge_no_value(meter)
    if minimum is None or not minimum.stationary:
        return _judge_unfinished(findings)
    remarks = [
        *_limits(meter, minimum),
        *_unsure(findings),
        *_rivals(findings),
        *_poor(meter, minimum),
    ]
    code = "at_limit" if minimum.pegged.any() else "converged"
    found = f"Converged: {findings.agreement} of {findings.tried} starts led to this minimum"
    if findings.agreement < FEW < findings.tried:
        remarks.append(
            "So few found it that a better one may exist: more starts or narrower bounds would "
            "tell."
        )
    return Verdict(converged=True, code=code, text=" ".join([f"{found}.", *remarks]))


def _judge_stopped(findings: Findings) -> Verdict:
    meter = findings.meter
    why = {"stopped": ASKED, "time_limit": "Ended by the time limit"}
    text = (
        f"{why[meter.why_stopped]} after {meter.evaluations} evaluations, during the "
        f"{meter.phase}: this is the best point so far, not yet a minimum. Run it again from here."
    )
    return Verdict(converged=False, code=meter.why_stopped, text=text)


def _judge_no_value(meter: Meter) -> Verdict:
    said = f" The model said: {meter.error}." if meter.error else ""
    text = (
        f"The model had no finite value at the start nor at any of {meter.evaluations} other "
        f"points.{said} Check the start values and bounds: plot the model at the start."
    )
    return Verdict(converged=False, code="model_error" if meter.error else "nan", text=text)


def _judge_unfinished(findings: Findings) -> Verdict:
    advice = (
        "Try more starts or steps, bounds around the values you expect, or fix a parameter that "
        "the data hardly determine."
    )
    minimum = findings.minimum
    if minimum is None:
        text = f"Not converged: no local fit ended at a point with derivatives. {advice}"
    else:
        loose = _unsure(findings)
        text = " ".join(
            [
                "Not converged: the next step would still move the best point by "
                f"{minimum.offset:.2g} of its uncertainty.",
                *loose,
                advice,
            ]
        )
    return Verdict(converged=False, code="not_converged", text=text)


def _limits(meter: Meter, minimum: Minimum) -> list[str]:
    said = []
    for j in np.flatnonzero(minimum.pegged):
        upper = minimum.x[j] >= meter.high[j]
        side, value = ("upper", meter.high[j]) if upper else ("lower", meter.low[j])
        said.append(
            f"{meter.labels[j]} sits at its {side} limit {value:g}: the data would take it "
            "further, so check the limit."
        )
    return said


def _unsure(findings: Findings) -> list[str]:
    """Name the parameters that the data determine badly."""
    spread, minimum, labels = findings.spread, findings.minimum, findings.meter.labels
    if spread is None or minimum is None:
        return []
    said = []
    if spread.undetermined:
        names = ", ".join(labels[j] for j in spread.undetermined)
        said.append(
            f"The data do not determine {names}: other values fit as well. Fix one of them, tie "
            "them, or measure more."
        )
        return said
    size = np.array(spread.dx) * minimum.scatter
    poor = np.flatnonzero((size > np.abs(minimum.x)) & ~minimum.pegged)
    if len(poor):
        names = ", ".join(labels[j] for j in poor)
        said.append(f"Poorly determined, with an uncertainty larger than the value: {names}.")
    if spread.correlated:
        j, k, value = max(spread.correlated, key=lambda pair: abs(pair[2]))
        said.append(f"{labels[k]} and {labels[j]} depend on each other (correlation {value:.5f}).")
    return said


def _rivals(findings: Findings) -> list[str]:
    """Name other minima that explain the data nearly as well."""
    minimum, meter = findings.minimum, findings.meter
    if minimum is None:
        return []
    room = NEAR_COST * minimum.scatter**2 + findings.floor
    rivals: list[Array] = []
    for other in findings.others:
        known = [minimum.x, *rivals]
        apart = all(distance(other.x, x) > 1e-4 * meter.size for x in known)
        if apart and other.stationary and other.nllf < minimum.nllf + room:
            rivals.append(other.x)
    if not rivals:
        return []
    points = "; ".join(_point(meter.labels, x) for x in rivals[:2])
    return [f"Several minima fit about equally well (this is the nearest to the start): {points}."]


def _poor(meter: Meter, minimum: Minimum) -> list[str]:
    """Say so when the fit misses the data by far."""
    if not meter.squares or minimum.scatter**2 < POOR:
        return []
    return [
        f"Reduced chi-square is {minimum.scatter**2:.3g}: the uncertainties of the data are too "
        "small (or were not given), the model does not describe them, or a better minimum was "
        "missed."
    ]


def _point(labels: list[str], x: Array) -> str:
    return ", ".join(f"{label}={value:.4g}" for label, value in zip(labels, x, strict=True))
