"""What became of a fit, in a code and in plain sentences for a tired scientist."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .base import Document, Job
from .bumps_run import Ended

AT_LIMIT = 1e-4
"""A value within this part of its range from a bound sits at it."""

STEADY_R_HAT = 1.1
"""Gelman and Rubin: chains above this have not mixed."""

ENOUGH_DRAWS = 100
"""Fewer independent draws give poor intervals."""

TIME_RAN_OUT = "The time of the job ran out"
"""Begins what is said of a fit that the end of the wall time stopped."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A code of docs/contracts.rst and a sentence."""

    code: str
    text: str

    def to_document(self) -> Document:
        """Give it as the result has it."""
        return {"code": self.code, "text": self.text}


def at_limit(value: float, low: float, high: float) -> str | None:
    """Say whether a value sits at one of its bounds.

    >>> at_limit(0.0, 0.0, 1.0), at_limit(0.5, 0.0, 1.0), at_limit(3.0, -1.0, float("inf"))
    ('low', None, None)
    """
    width = high - low
    if not np.isfinite(width):
        width = max(abs(value), 1e-12)
    near = AT_LIMIT * width
    if value - low <= near:
        return "low"
    return "high" if high - value <= near else None


def judge(job: Job, problem: Any, ended: Ended, convergence: Document, start: Any) -> Verdict:
    """Say what became of the fit; the gravest finding gives the code."""
    for found in (
        _not_finite(ended),
        _interrupted(job, ended),
        _nothing_moved(ended, start),
        _not_converged(convergence),
        _at_limits(problem, ended),
    ):
        if found is not None:
            return found
    chisq = problem.chisq(nllf=ended.nllf)
    text = f"{convergence['text']} The reduced chi-square is {chisq:.4g}."
    return Verdict(code="converged", text=_with_quality(text, chisq))


def _with_quality(text: str, chisq: float) -> str:
    if chisq > 5:
        return text + " That is large: the model does not describe the data within their errors."
    if 0 < chisq < 0.2:
        return text + " That is small: the errors of the data may be given too large."
    return text


def _not_finite(ended: Ended) -> Verdict | None:
    if np.isfinite(ended.nllf) and np.isfinite(ended.point).all():
        return None
    return Verdict(code="nan", text="The fit ended where the model has no finite value.")


def _interrupted(job: Job, ended: Ended) -> Verdict | None:
    kept = f"after {ended.steps} of {max(ended.planned, ended.steps)} steps; all was kept."
    if ended.timed_out:
        hours = float(job.document["options"]["time"])
        return Verdict(
            code="time_limit", text=f"The fit's own limit of {hours:g} h ended it {kept}"
        )
    if not ended.stopped:
        return None
    if is_wall_time(job):
        return Verdict(code="time_limit", text=f"{TIME_RAN_OUT} {kept}")
    return Verdict(code="stopped", text=f"The fit was asked to stop {kept}")


def is_wall_time(job: Job) -> bool:
    """Say whether a stop came when the script announces the end of its wall time."""
    run = job.document["run"]
    limit_s = run.get("time_limit_s")
    if not limit_s:
        return False
    announced_s = min(max(180.0, 2 * float(run.get("checkpoint_s") or 300.0)), limit_s / 4)
    left_s = limit_s - (time.time() - job.started)
    return bool(left_s <= 1.1 * announced_s + 5)


def _nothing_moved(ended: Ended, start: NDArray[np.float64]) -> Verdict | None:
    if not np.array_equal(ended.point, start):
        return None
    text = (
        "The fit ended where it began: either that is the best point already, or the method "
        "found no way down from it. Try another start, or dream or de, which search wider."
    )
    return Verdict(code="at_start", text=text)


def _not_converged(convergence: Document) -> Verdict | None:
    if convergence["converged"] is not False:
        return None
    return Verdict(code="not_converged", text=str(convergence["text"]))


def _at_limits(problem: Any, ended: Ended) -> Verdict | None:
    low, high = problem.bounds()
    stuck = [
        f"{label} at its {'lower' if side == 'low' else 'upper'} bound"
        for label, value, lowest, highest in zip(
            problem.labels(), ended.point, low, high, strict=True
        )
        if (side := at_limit(value, lowest, highest))
    ]
    if not stuck:
        return None
    text = f"The fit converged, but with {', '.join(stuck)}: widen the range if physics allows."
    return Verdict(code="at_limit", text=text)


def describe_steps(method: str, ended: Ended) -> Document:
    """Say whether a minimiser came to an end by itself."""
    through = ended.through
    if method == "pt":
        # It always runs through its steps, and bumps tells nothing else of it.
        text = "pt ran through its steps; it does not say whether that was enough."
        return _steps_document(None, text)
    stopped = ended.stopped or ended.timed_out
    converged: bool | None = None if stopped else through
    if stopped:
        text = "The fit was stopped before it could converge."
    elif through:
        text = f"{method} ended by itself after {ended.steps} steps."
    else:
        text = (
            f"{method} used all of the steps it was given and might still improve: allow more "
            "steps, or start again from these values."
        )
    return _steps_document(converged, text)


def _steps_document(converged: bool | None, text: str) -> Document:
    nothing = {"r_hat": None, "ess": None, "acceptance": None}
    return {"converged": converged, **nothing, "text": text}


def describe_chains(
    labels: list[str], r_hat: NDArray[np.float64], ess: NDArray[np.float64], acceptance: float
) -> Document:
    """Say whether dream's chains agree, and how many independent draws they gave."""
    mixed = bool(np.isfinite(r_hat).all() and (r_hat < STEADY_R_HAT).all())
    worst = int(np.nanargmax(np.where(np.isfinite(r_hat), r_hat, np.inf)))
    fewest = int(np.nanargmin(np.where(np.isfinite(ess), ess, 0)))
    if not mixed:
        text = (
            f"The chains do not agree yet: R-hat of {labels[worst]} is {r_hat[worst]:.2f}, and it "
            f"should be below {STEADY_R_HAT}. Resume the fit for more samples, or raise burn."
        )
    elif ess[fewest] < ENOUGH_DRAWS:
        text = (
            f"The chains agree, but {labels[fewest]} has only about {ess[fewest]:.0f} independent "
            "draws: resume the fit for more samples before trusting the intervals."
        )
    else:
        text = (
            f"The chains agree (R-hat at most {r_hat[worst]:.2f}) and give at least "
            f"{ess[fewest]:.0f} independent draws for each parameter."
        )
    return {
        "converged": mixed and bool(ess[fewest] >= ENOUGH_DRAWS),
        "r_hat": r_hat,
        "ess": ess,
        "acceptance": acceptance,
        "text": text,
    }
