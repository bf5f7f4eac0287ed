"""Find peaks in data, the highest first, each taken away before the next is sought."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from gateway.problems.special import gaussian


def guess_peaks(x: Sequence[float], y: Sequence[float], names: Sequence[str]) -> dict[str, float]:
    """Guess the parameters of a sum of peaks.

    Parameters
    ----------
    x
        Increasing.
    names
        Of the parameters to guess: ``height1`` or ``area1``, ``center1`` ..., ``background`` ...
    """
    values = _guess_background(x, y, names)
    level = _background_of(values)
    rest = [value - level(position) for position, value in zip(x, y, strict=True)]
    rest = _smooth(rest, len(rest) // 150)
    sign = _sign(rest, names)
    rest = [sign * value for value in rest]
    numbers = [name.removeprefix("center") for name in names if name.startswith("center")]
    peaks = sorted(_take_peak(x, rest) for _ in numbers)
    for number, (center, height, fwhm) in zip(numbers, peaks, strict=True):
        shape = {
            "center": center,
            "height": sign * height,
            "fwhm": fwhm,
            "area": sign * height * fwhm * 1.2,
            "sigma": fwhm / 3.5,
            "gamma": fwhm / 4,
            "fraction": 0.5,
        }
        values.update({f"{word}{number}": value for word, value in shape.items()})
    return {name: values[name] for name in names}


def _guess_background(
    x: Sequence[float], y: Sequence[float], names: Sequence[str]
) -> dict[str, float]:
    if "background" not in names:
        return {}
    edge = max(2, len(y) // 12)
    left, right = _quantile(y[:edge], 0.3), _quantile(y[-edge:], 0.3)
    span = x[-1] - x[0] or 1.0
    if "slope" in names:
        slope = (right - left) / span
        return {"background": left - slope * x[0], "slope": slope}
    if "decay" in names:
        decay = math.log(left / right) / span if left > right > 0 else 0.1 / span
        return {"background": left * math.exp(min(decay * x[0], 50.0)), "decay": decay}
    return {"background": _quantile(y, 0.15)}


def _background_of(values: dict[str, float]) -> Callable[[float], float]:
    level, slope = values.get("background", 0.0), values.get("slope", 0.0)
    decay = values.get("decay", 0.0)
    return lambda position: level * math.exp(-decay * position) + slope * position


def _quantile(values: Sequence[float], fraction: float) -> float:
    ordered = sorted(values)
    return ordered[round(fraction * (len(ordered) - 1))]


def _smooth(values: Sequence[float], reach: int) -> list[float]:
    if reach < 1:
        return list(values)
    size = len(values)
    sums = [0.0]
    for value in values:
        sums.append(sums[-1] + value)
    ends = [(max(0, k - reach), min(size, k + reach + 1)) for k in range(size)]
    return [(sums[high] - sums[low]) / (high - low) for low, high in ends]


def _sign(rest: Sequence[float], names: Sequence[str]) -> float:
    """Say -1 for dips in a high background: most points lie high then."""
    if "background" not in names or "slope" in names or "decay" in names:
        return 1.0
    middle = _quantile(rest, 0.5)
    return -1.0 if max(rest) - middle < 0.4 * (middle - min(rest)) else 1.0


def _take_peak(x: Sequence[float], rest: list[float]) -> tuple[float, float, float]:
    """Find the highest peak and subtract it from *rest*: position, height, width."""
    top = max(range(len(rest)), key=rest.__getitem__)
    height, center = rest[top], x[top]
    left = _reach(x, rest, top, -1)
    right = _reach(x, rest, top, 1)
    # A neighbour or the edge hides one flank: the nearer half height is the truer one.
    half = min(value for value in (left, right) if value > 0) if left or right else 0.0
    near = min(left + right, 3 * half) if left and right else 2 * half
    span = abs(x[-1] - x[0]) or 1.0
    fwhm = max(near, 1.5 * span / len(x))
    for index, position in enumerate(x):
        rest[index] -= gaussian(position, height, center, fwhm)
    return center, height, fwhm


def _reach(x: Sequence[float], rest: Sequence[float], top: int, step: int) -> float:
    index = top
    while 0 <= index + step < len(rest):
        index += step
        if rest[index] < rest[top] / 2:
            return abs(x[index] - x[top])
    return 0.0
