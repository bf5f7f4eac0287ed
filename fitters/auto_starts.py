"""Choose starts: over the ranges where there are any, else over decades around the given start.

Imported by `fitters.auto.run_auto` alone, because it needs numpy.
"""

from __future__ import annotations

import numpy as np

from .auto_meter import Array
from .auto_steps import Space

DECADES = 2.5
FLIPS = 0.1


def draw_points(
    space: Space, start: Array, count: int, random: np.random.Generator, *, near: bool
) -> list[Array]:
    """Draw points to start from.

    Parameters without a range keep the sign of their start nine times in ten, and move over
    decades: together (a wrong unit moves all rates alike), each by itself, or a little. Those with
    a range move over all of it, or, with *near*, half of the time around the start.
    """
    size = np.where(start == 0, 1.0, start)
    points = []
    for k in range(count):
        common = random.uniform(-DECADES, DECADES)
        spread = (0.3, 0.3, 1.0, DECADES)[k % 4]
        shift = random.uniform(-spread, spread, len(start)) + (0.0, common, common, 0.0)[k % 4]
        moved = size * 10.0**shift
        flipped = random.random(len(start)) < np.where(start == 0, 0.5, FLIPS * (k % 4 == 3))
        moved = np.where(flipped, -moved, moved)
        points.append(_inside(space, start, moved, random, everywhere=not near or k % 2 == 1))
    return points


def _inside(
    space: Space, start: Array, moved: Array, random: np.random.Generator, *, everywhere: bool
) -> Array:
    """Draw bounded parameters over their range, evenly in the logarithm where it spans decades."""
    bounded = np.isfinite(space.high - space.low)
    low, high = np.where(bounded, space.low, 0.0), np.where(bounded, space.high, 1.0)
    part = random.random(len(start))
    drawn = low + part * (high - low)
    decades = bounded & (low > 0) & (high > 100 * np.abs(low))
    ratio = np.where(decades, high / np.where(decades, low, 1.0), 1.0)
    drawn = np.where(decades, low * ratio**part, drawn)
    near = np.clip(start + (drawn - start) * 0.2, space.low, space.high)
    if not everywhere:
        drawn = np.where(part < 0.5, drawn, near)
    return np.where(bounded, drawn, np.clip(moved, space.low, space.high))


def distance(a: Array, b: Array) -> float:
    """Measure how far two points are apart: 0 the same, 1 a parameter at another size or sign."""
    size = np.abs(a) + np.abs(b)
    return float(np.sum(np.abs(a - b) / np.where(size == 0, 1.0, size)))


def choose(points: list[Array], costs: list[float], count: int, *, best: float) -> list[Array]:
    """Choose starts: a part of them the best, never two beside each other, the others as drawn."""
    order = [points[i] for i in np.argsort(costs) if np.isfinite(costs[i])]
    chosen: list[Array] = []
    for point in order:
        if len(chosen) >= count * best:
            break
        if all(distance(point, other) > 0.02 * len(point) for other in chosen):
            chosen.append(point)
    taken = {id(point) for point in chosen}
    rest = [p for p, c in zip(points, costs, strict=True) if np.isfinite(c) and id(p) not in taken]
    few = max(1, round(best / (1 - best)))
    mixed: list[Array] = []
    for k in range(max(len(chosen), len(rest))):
        mixed += chosen[few * k : few * (k + 1)] + rest[k : k + 1]
    return mixed[:count]


def mix(point: Array, other: Array, random: np.random.Generator) -> Array:
    """Take some of the values of another point, at least one."""
    taken = random.random(len(point)) < 0.4
    taken[random.integers(len(point))] = True
    return np.where(taken, other, point)
