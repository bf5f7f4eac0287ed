"""Find start values for a curve function from data.

Parameters in which the function is linear are solved for; the others are tried over values that the
data allow, the best trials walk downhill a little. The work is bounded whatever the data.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from gateway.problems.expression import cost, evaluate
from gateway.problems.least_squares import Problem, Vector, fit_linear, improve, sum_of_squares
from gateway.problems.library_parts import CurveFunction, FunctionParameter
from gateway.problems.peaks import guess_peaks

_POINTS = 80
_REFINE_POINTS = 240
_WORK = 3_000_000
"""Operations of one search; a million takes about a tenth of a second."""
_FINALISTS = 8
_FEWEST = 25

_Trial = tuple[float, dict[str, float]]
"""The sum of squares, and the values."""
_ROUNDS = 40


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Some of the data, in order of x, with weights."""

    x: Vector
    y: Vector
    weight: Vector

    @property
    def span(self) -> float:
        """How far x reaches."""
        return (self.x[-1] - self.x[0]) or 1.0

    @property
    def step(self) -> float:
        """The usual distance of neighbours."""
        return self.span / max(len(self.x) - 1, 1)


def guess(
    function: CurveFunction,
    x: Sequence[float],
    y: Sequence[float],
    dy: Sequence[float] | None = None,
) -> dict[str, float]:
    """Guess every parameter of a function from data; the defaults where that is impossible."""
    rows = sorted(zip(x, y, dy or [1.0] * len(x), strict=True))
    if len(rows) < 2:
        return function.defaults
    sample = _sample(function, rows, _POINTS)
    fine = _sample(function, rows, _REFINE_POINTS)
    finalists = _best(list(_trials(function, sample)), _FINALISTS)
    if function.peaks:
        names = [_numbered(parameter.name) for parameter in function.parameters]
        found = guess_peaks([row[0] for row in rows], [row[1] for row in rows], names)
        values = dict(zip(function.defaults, found.values(), strict=True))
        finalists = [(0.0, _inside(function, values)), *finalists[:2]]
    refined = [_refine(function, fine, values, len(finalists)) for _, values in finalists]
    usable = [trial for trial in refined if math.isfinite(trial[0])]
    best = min(usable, key=lambda trial: trial[0])[1] if usable else function.defaults
    return {name: float(f"{value:.6g}") for name, value in best.items()}


def _numbered(name: str) -> str:
    single = ("height", "center", "fwhm", "area", "sigma", "gamma")
    return f"{name}1" if name in single else name


def _sample(
    function: CurveFunction, rows: Sequence[tuple[float, float, float]], points: int
) -> Sample:
    stride = max(1, math.ceil(len(rows) / points))
    chosen = rows[::stride]
    floor = 1e-9 * max(abs(row[1]) for row in rows) or 1.0
    weights = []
    for _, value, uncertainty in chosen:
        # Over decades, five percent everywhere keeps the best known points from ruling alone.
        soft = 0.05 * abs(value) + floor if function.logarithmic else 0.0
        weights.append(1 / math.hypot(uncertainty, soft) if uncertainty or soft else 1.0)
    if function.logarithmic and all(row[2] == 1.0 for row in rows):
        weights = [1 / (abs(row[1]) + floor) for row in chosen]
    return Sample(x=[r[0] for r in chosen], y=[r[1] for r in chosen], weight=weights)


def _trials(function: CurveFunction, sample: Sample) -> Iterator[_Trial]:
    solved = [p for p in function.parameters if p.scan == "linear"]
    tried = [p for p in function.parameters if p.scan != "linear"]
    grids = [_candidates(parameter, sample) for parameter in tried]
    total = math.prod(map(len, grids))
    work = (len(solved) + 1) * len(sample.x) * cost(function.expression)
    if total * work > _WORK and len(sample.x) > 2 * _FEWEST:
        # Rather more trials at fewer points than fewer trials.
        sample = _thin(sample)
        work //= 2
    names = [parameter.name for parameter in tried]
    for combination in _spread(grids, max(20, _WORK // work)):
        values = dict(zip(names, combination, strict=True))
        found = _solve(function, sample, values, solved)
        if found is not None:
            yield found


def _thin(sample: Sample) -> Sample:
    return Sample(x=sample.x[::2], y=sample.y[::2], weight=sample.weight[::2])


def _best(trials: list[_Trial], count: int) -> list[_Trial]:
    """Take the best trials, and of like ones in a row of merit only the first."""
    ordered = sorted(trials, key=lambda trial: trial[0])
    chosen: list[_Trial] = []
    for trial in ordered:
        if all(not _alike(trial[1], other[1]) for other in chosen):
            chosen.append(trial)
        if len(chosen) == count:
            break
    return chosen


def _alike(a: Mapping[str, float], b: Mapping[str, float]) -> bool:
    return all(abs(a[name] - b[name]) <= 0.03 * abs(a[name]) for name in a)


def _spread(grids: Sequence[Sequence[float]], limit: int) -> Iterator[tuple[float, ...]]:
    """Go through all combinations, or evenly through as many as the limit allows."""
    total = math.prod(map(len, grids))
    if total <= limit:
        yield from itertools.product(*grids)
        return
    golden = round(total * (math.sqrt(5) - 1) / 2) | 1
    while math.gcd(golden, total) != 1:
        golden += 2
    for count in range(limit):
        index = count * golden % total
        chosen = []
        for grid in grids:
            index, place = divmod(index, len(grid))
            chosen.append(grid[place])
        yield tuple(chosen)


def _solve(
    function: CurveFunction,
    sample: Sample,
    values: Mapping[str, float],
    solved: Sequence[FunctionParameter],
) -> _Trial | None:
    zero = {**values, **{p.name: 0.0 for p in solved}}
    base = _weighted(sample, evaluate(function.expression, sample.x, zero))
    target = [value * w - b for value, w, b in zip(sample.y, sample.weight, base, strict=True)]
    basis = []
    for parameter in solved:
        unit = evaluate(function.expression, sample.x, {**zero, parameter.name: 1.0})
        basis.append([value - b for value, b in zip(_weighted(sample, unit), base, strict=True)])
    coefficients = fit_linear(basis, target) if basis else []
    if coefficients is None:
        return None
    coefficients = [_clip(p, c) for p, c in zip(solved, coefficients, strict=True)]
    rest = list(target)
    for column, coefficient in zip(basis, coefficients, strict=True):
        rest = [r - coefficient * c for r, c in zip(rest, column, strict=True)]
    fixed = dict(zip((p.name for p in solved), coefficients, strict=True))
    everything = {**values, **fixed}
    ordered = {parameter.name: everything[parameter.name] for parameter in function.parameters}
    return sum_of_squares(rest), ordered


def _weighted(sample: Sample, values: Sequence[float]) -> Vector:
    return [value * weight for value, weight in zip(values, sample.weight, strict=True)]


def _refine(
    function: CurveFunction, sample: Sample, values: Mapping[str, float], shares: int
) -> _Trial:
    names = [parameter.name for parameter in function.parameters]
    limits = [_limits(parameter) for parameter in function.parameters]
    work = (len(names) + 1) * len(sample.x) * cost(function.expression) * shares
    rounds = max(2, min(_ROUNDS, 2 * _WORK // work))

    def residuals(point: Vector) -> Vector:
        theory = evaluate(function.expression, sample.x, dict(zip(names, point, strict=True)))
        return [
            (value - wanted) * weight
            for value, wanted, weight in zip(theory, sample.y, sample.weight, strict=True)
        ]

    start = [values[name] for name in names]
    point, best = improve(Problem(residuals=residuals, limits=limits), start, rounds)
    return best, dict(zip(names, point, strict=True))


def _limits(parameter: FunctionParameter) -> tuple[float, float]:
    low, high = parameter.bounds
    return (-math.inf if low is None else low, math.inf if high is None else high)


def _clip(parameter: FunctionParameter, value: float) -> float:
    low, high = _limits(parameter)
    return min(max(value, low), high)


def _inside(function: CurveFunction, values: Mapping[str, float]) -> dict[str, float]:
    return {p.name: _clip(p, values[p.name]) for p in function.parameters}


def _candidates(parameter: FunctionParameter, sample: Sample) -> list[float]:
    if isinstance(parameter.scan, tuple):
        return list(parameter.scan)
    values = _SCANS[parameter.scan](sample)
    if parameter.scan == "inverse" and parameter.bounds[0] is None:
        values = [*values, *(-value for value in values)]
    inside = dict.fromkeys(_clip(parameter, value) for value in values if math.isfinite(value))
    return list(inside) or [parameter.value]


def _geometric(low: float, high: float, count: int) -> list[float]:
    ratio = (high / low) ** (1 / (count - 1))
    return [low * ratio**k for k in range(count)]


def _positions(sample: Sample) -> list[float]:
    even = [sample.x[0] + sample.span * (k + 0.5) / 12 for k in range(12)]
    order = range(len(sample.y))
    top = max(order, key=sample.y.__getitem__)
    bottom = min(order, key=sample.y.__getitem__)
    middle = (sample.y[top] + sample.y[bottom]) / 2
    half = min(order, key=lambda k: abs(sample.y[k] - middle))
    return [*(sample.x[k] for k in (top, bottom, half)), *even]


def _lengths(sample: Sample) -> list[float]:
    return _geometric(sample.step, 3 * sample.span, 12)


def _inverses(sample: Sample) -> list[float]:
    return [1 / length for length in _geometric(sample.step / 2, 3 * sample.span, 14)]


def _periods(sample: Sample) -> list[float]:
    return [sample.span / turns for turns in _strongest(sample.x, sample.y, 4)]


def _strongest(x: Sequence[float], y: Sequence[float], count: int) -> list[float]:
    """Find the strongest numbers of turns over the range of x, by a periodogram."""
    mean = sum(y) / len(y)
    span = (x[-1] - x[0]) or 1.0
    turns = [0.25 * k for k in range(2, 2 * len(x))]

    def strength(number: float) -> float:
        angles = [2 * math.pi * number * value / span for value in x]
        real = sum((v - mean) * math.cos(a) for v, a in zip(y, angles, strict=True))
        imaginary = sum((v - mean) * math.sin(a) for v, a in zip(y, angles, strict=True))
        return -math.hypot(real, imaginary)

    return sorted(turns, key=strength)[:count]


def _fringes(sample: Sample) -> list[float]:
    """Spread sizes over the range of q, and add those whose fringes the data show."""
    rows = zip(sample.x, sample.y, strict=True)
    usable = [(x, math.log(y) + 4 * math.log(x)) for x, y in rows if x > 0 and y > 0]
    sizes = _sizes(sample)[::3]
    if len(usable) < 8:
        return sizes
    xs, ys = [u[0] for u in usable], [u[1] for u in usable]
    trend = fit_linear([[1.0] * len(xs), xs, [x * x for x in xs]], ys) or [0.0, 0.0, 0.0]
    flat = [y - trend[0] - trend[1] * x - trend[2] * x * x for x, y in usable]
    thick = [2 * math.pi * turns / (xs[-1] - xs[0]) for turns in _strongest(xs, flat, 6)]
    return [*thick, *(size / 2 for size in thick), *sizes]


def _sizes(sample: Sample) -> list[float]:
    return _geometric(1 / (abs(sample.x[-1]) or 1.0), 1 / sample.step, 60)


def _edges(sample: Sample) -> list[float]:
    """Take scattering length densities from where total reflection ends."""
    top = max(sample.y)
    edge = max((x for x, y in zip(sample.x, sample.y, strict=True) if y > 0.5 * top), default=0.02)
    rho = 1e6 * edge * edge / (16 * math.pi)
    return [rho * factor for factor in (0.7, 0.9, 1.0, 1.2)]


def _heights(sample: Sample) -> list[float]:
    top = max(sample.y, key=abs)
    return [top * factor for factor in (0.8, 1.0, 1.3)]


def _inverse_areas(sample: Sample) -> list[float]:
    top = max(map(abs, sample.y)) or 1.0
    return [value / top for value in _inverses(sample)]


def _scaled(factors: Iterable[float]) -> Callable[[Sample], list[float]]:
    steps = tuple(factors)
    return lambda sample: [sample.span * factor for factor in steps]


_SCANS: dict[str, Callable[[Sample], list[float]]] = {
    "position": _positions,
    "length": _lengths,
    "inverse": _inverses,
    "period": _periods,
    "phase": lambda _: [k * math.pi / 6 for k in range(6)],
    "damping": _scaled((0.1, 0.25, 0.5, 1.0, 3.0)),
    "fringe": _fringes,
    "size": _sizes,
    "edge": _edges,
    "height": _heights,
    "inverse_area": _inverse_areas,
    "inverse_period": lambda sample: [2 * math.pi / x for x in _positions(sample) if x > 0],
}
