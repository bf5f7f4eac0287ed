"""How long a fit will take, before it is queued.

The time of one evaluation, as measured when the problem was checked or fitted before, times how
many evaluations its method plans, over the processors that it can use; and what every job takes
besides. How many evaluations a method makes that stops by itself nobody knows: what it made of the
same problem before, or what such problems took, with a wide range.

The numbers below were measured with bumps 1.0.5 on some fifty fits of NIST's data sets.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from fitters.bumps_methods import METHODS
from fitters.bumps_options import population
from gateway.records import is_number
from gateway.texts import duration

SHARED_FROM_S = 1e-3
"""Below this time for an evaluation the fitters use one processor: see `fitters.bumps_run`."""

START_S = 2.0
"""What a job takes besides its fit, where nobody has measured it yet: Python, bumps, the model."""

_FITTER_S = {
    "amoeba": 3e-5, "de": 2e-5, "dream": 5e-5, "lm": 1.5e-4, "newton": 4e-5, "auto": 2e-4,
    "pt": 5e-5,
}  # fmt: skip
"""What the method itself takes for each evaluation."""

_HAND_OUT_S = 4e-4
"""What it takes to hand one point to another process and its value back."""

_SAME, _KNOWN, _LIKE = 1.5, 2.0, 4.0
"""How far off it may be: evaluations that are planned, known from before, or only like others."""

_ELSEWHERE = 1.6
"""How much further where an evaluation was timed on another cluster."""

_MOST = 1e15


_SURE_EVALUATIONS = 100
_MOST_EVALUATIONS = 10**15
_MOST_PARAMETERS = 100_000


SPEEDS = ("evaluation_s", "evaluations", "time_s", "cpus")
"""Of a result, besides how many parameters it has."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What the result of a job tells of its speed."""

    evaluation_s: float
    parameters: int
    evaluations: int | None = None
    """How many a fit made; None of what was no fit."""

    fit_s: float | None = None
    cpus: int = 1
    whole: bool = False
    """It came to its own end: nobody stopped it, and no time limit."""


def measured(result: Mapping[str, object]) -> Measured | None:
    """Read what the essence of a result tells of its speed; None when that is nothing.

    A user can write there: numbers that cannot be are left out.
    """
    one_s, number = result.get("evaluation_s"), result.get("n_parameters")
    if not is_number(one_s) or not 0 < one_s < _MOST or not is_number(number) or number < 1:
        return None
    count, fit_s, cpus = (result.get(name) for name in ("evaluations", "time_s", "cpus"))
    is_fit = is_number(count) and 0 < count < _MOST_EVALUATIONS and is_number(fit_s)
    return Measured(
        evaluation_s=float(one_s),
        parameters=int(min(number, _MOST_PARAMETERS)),
        evaluations=int(count) if is_fit and is_number(count) else None,
        fit_s=float(fit_s) if is_fit and is_number(fit_s) and 0 <= fit_s < _MOST else None,
        cpus=int(cpus) if is_number(cpus) and 1 <= cpus < _MOST_PARAMETERS else 1,
        whole=is_fit and result.get("status") == "done",
    )


def evaluation_s(found: Measured, method: str) -> float:
    """Say what an evaluation takes: by many, where a fit made many one after the other."""
    count, fit_s = found.evaluations, found.fit_s
    if count is None or fit_s is None or found.cpus > 1 or count < _SURE_EVALUATIONS:
        return found.evaluation_s
    return max(fit_s / count - _FITTER_S.get(method, 0.0), 0.3 * found.evaluation_s)


@dataclass(frozen=True, kw_only=True)
class Known:
    """What earlier jobs told of a problem."""

    evaluation_s: float
    parameters: int
    job: str
    """Id of the job that timed it."""

    checked: bool
    """It was timed by a check, not by a fit."""

    here: bool = True
    """It was timed on the cluster that is asked for."""

    counts: Mapping[str, int] | None = None
    """Evaluations of its last fit by method."""


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """How long a job is likely to run."""

    seconds: float
    low_s: float
    high_s: float
    evaluations: int
    evaluation_s: float
    cpus: int
    """How many processors help."""

    asked_cpus: int
    basis: str
    """Id of the job that timed an evaluation."""

    checked: bool

    @property
    def text(self) -> str:
        """Say it as people do.

        >>> Forecast(seconds=9630, low_s=6000, high_s=14_000, evaluations=10**6, evaluation_s=0.3,
        ...          cpus=32, asked_cpus=32, basis="", checked=True).text
        'about 2 h 40 min on 32 processors (1 h 40 min to 3 h 55 min)'
        """
        on = "one processor" if self.cpus == 1 else f"{self.cpus} processors"
        low, high = rounded(self.low_s), rounded(self.high_s)
        return f"about {rounded(self.seconds)} on {on} ({low} to {high})"


@dataclass(frozen=True, kw_only=True)
class Planned:
    """What is asked for, as far as it decides how long it takes."""

    method: str
    options: Mapping[str, object]
    cpus: int
    elements: int = 0
    pack: int = 1
    made: int = 0
    """Evaluations of the attempts that this one goes on from: dream draws only what is missing."""


def forecast(planned: Planned, known: Known, start_s: float | None = None) -> Forecast | None:
    """Say how long one task will run; None for a method that nobody knows.

    Parameters
    ----------
    start_s
        What jobs of that cluster take besides their fits; None where nobody has measured it.
    """
    counted = evaluations(planned, known)
    if counted is None:
        return None
    likely, most, spread = counted
    side_by_side = min(planned.cpus, planned.pack) if planned.elements else 1
    cpus = 1 if planned.elements else useful_cpus(planned, known)
    rounds = (
        math.ceil(min(planned.elements, planned.pack) / side_by_side) if planned.elements else 1
    )
    besides = START_S if start_s is None else start_s
    after_s = (known.parameters + 6) * known.evaluation_s  # the uncertainties, the curves
    limit_s = _own_limit_s(planned)

    def takes(count: float) -> float:
        fit_s = min(count * _each_s(planned, known, cpus), limit_s)
        return min(_MOST, besides + rounds * (fit_s + after_s))

    seconds = takes(likely)
    wide = spread * (1.0 if known.here else _ELSEWHERE)
    high_s = takes(most) if spread == _LIKE else seconds * wide
    return Forecast(
        seconds=seconds,
        low_s=max(min(seconds, besides * 0.6), seconds / wide),
        high_s=max(high_s, seconds * _SAME),
        evaluations=round(likely),
        evaluation_s=known.evaluation_s,
        cpus=side_by_side if planned.elements else cpus,
        asked_cpus=planned.cpus,
        basis=known.job,
        checked=known.checked,
    )


def evaluations(planned: Planned, known: Known) -> tuple[float, float, float] | None:
    """Count the evaluations of a fit as bumps makes them.

    Returns
    -------
    tuple or None
        How many are likely, how many there are at most, and how far off the first may be.
    """
    number, made = known.parameters, (known.counts or {}).get(planned.method)
    most = most_evaluations(planned, number)
    if most is None:
        return None
    if planned.method == "dream":
        most = max(0.0, most - planned.made)
    if planned.method in _EXACT and not _number(planned, "alpha", 0.0):
        return most, most, _SAME
    if made is not None:
        return min(most, float(made)), most, _KNOWN
    factor, power = _USUAL[planned.method]
    return min(most, factor * max(1, number) ** power), most, _LIKE


_EXACT = frozenset({"dream", "pt"})
_USUAL = {
    "amoeba": (25.0, 1.6),
    "auto": (120.0, 2.5),
    "de": (850.0, 2.0),
    "dream": (5000.0, 1.0),
    "lm": (9.0, 1.0),
    "newton": (15.0, 1.0),
}
"""What fits of NIST's data sets took where nothing else is known: a number of evaluations for one
parameter, and the power of the number of parameters with which it grows."""


def most_evaluations(planned: Planned, number: int) -> float | None:
    """Say how many evaluations a method makes at most; None for one that nobody knows.

    >>> most_evaluations(Planned(method="dream", options={}, cpus=1), 2)
    12020.0
    """
    if planned.method not in METHODS or planned.method not in _FITTER_S:
        return None
    members = _members(planned, number)
    steps, starts = _number(planned, "steps", 0.0), _number(planned, "starts", 1.0)
    if planned.method == "dream":
        generations = steps or math.ceil(_number(planned, "samples", 1e4) / members)
        wanted = generations + _number(planned, "burn", 100.0) - 1
        return members * (math.ceil(wanted / 10) * 10.0 + 1)
    if planned.method == "pt":
        return _number(planned, "nT", 24.0) * (steps + _number(planned, "burn", 100.0))
    if planned.method == "de":
        return members * steps
    if planned.method == "auto":
        return steps * (starts + 6) * (number + 1) * 6
    each = {"amoeba": 2.0, "lm": number + 2.0, "newton": number + 12.0}[planned.method]
    return steps * starts * each


def useful_cpus(planned: Planned, known: Known) -> int:
    """Say how many processors help: no more than there are points at once to evaluate.

    With twenty chains on fifteen processors, ten of them take as long.
    """
    method = METHODS.get(planned.method)
    if method is None or not method.parallel or known.evaluation_s < SHARED_FROM_S:
        return 1
    members = _members(planned, known.parameters)
    turns = math.ceil(members / max(1, planned.cpus))
    return max(1, math.ceil(members / turns))


def _each_s(planned: Planned, known: Known, cpus: int) -> float:
    """Say what one evaluation takes of the time of the fit."""
    own_s = _FITTER_S[planned.method]
    if cpus <= 1:
        return known.evaluation_s + own_s
    members = _members(planned, known.parameters)
    turns = math.ceil(members / cpus)
    return turns * known.evaluation_s / members + _HAND_OUT_S + own_s


def _members(planned: Planned, number: int) -> int:
    """Say how many points a step of dream or de evaluates."""
    pop = _number(planned, "pop", 10.0)
    if planned.method == "de":
        return max(1, int(pop * number))
    return max(1, population(pop, number)) if planned.method == "dream" else 1


def _own_limit_s(planned: Planned) -> float:
    hours = _number(planned, "time", 0.0)
    return hours * 3600 if hours > 0 else math.inf


def _number(planned: Planned, name: str, default: float) -> float:
    """Read an option; its own default where it is not given."""
    method = METHODS.get(planned.method)
    option = method.option(name) if method else None
    value = planned.options.get(name, option.default if option else default)
    return float(value) if is_number(value) else default


def warnings(found: Forecast, planned: Planned, limit_s: float | None) -> list[str]:
    """Say what of a request does not go with its forecast."""
    said = []
    if limit_s is not None and found.seconds > limit_s:
        said.append(
            f"It will not fit into the {duration(limit_s)} that are asked for: it takes about "
            f"{rounded(found.seconds)}. Ask for {rounded(found.high_s)}, or for fewer steps."
        )
    elif limit_s is not None and found.high_s > limit_s:
        said.append(
            f"It may not fit into the {duration(limit_s)} that are asked for: it may take "
            f"{rounded(found.high_s)}."
        )
    method = METHODS.get(planned.method)
    idle = found.asked_cpus - found.cpus
    if idle > 0 and method is not None and (method.parallel or planned.elements):
        said.append(_idle_text(found, planned, idle))
    return said


def _idle_text(found: Forecast, planned: Planned, idle: int) -> str:
    do = "1 processor does" if found.cpus == 1 else f"{found.cpus} processors do"
    if planned.elements:
        why = f"a task has {planned.pack} element{'s' if planned.pack > 1 else ''}"
    elif found.evaluation_s < SHARED_FROM_S:
        why = f"an evaluation takes {found.evaluation_s * 1000:.2g} ms, too little to share it out"
    else:
        why = f"{planned.method} has no more points at once to evaluate"
    return f"{do} as well: {why}. The other {idle} would idle."


def rounded(seconds: float) -> str:
    """Say a time as exactly as it can be meant.

    >>> rounded(7.3), rounded(134), rounded(9630), rounded(400_000)
    ('7 s', '2 min', '2 h 40 min', '4 d 15 h')
    """
    steps = ((10, 1), (60, 5), (600, 60), (36_000, 300), (86_400, 1800), (_MOST * 10, 3600))
    step = next(step for most, step in steps if seconds < most)
    return duration(max(step, round(seconds / step) * step))


def off_by(forecasts: Sequence[tuple[float, float]]) -> float | None:
    """Say by which factor forecasts were off in the median, either way; None without any.

    >>> off_by([(10, 20), (20, 10), (10, 11)])
    2.0
    """
    factors = [max(a / b, b / a) for a, b in forecasts if a > 0 and b > 0]
    return median(factors) if factors else None
