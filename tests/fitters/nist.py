"""The 27 nonlinear regression sets of NIST StRD as bumps problems, and how to score a fit."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

FOLDER = Path(__file__).resolve().parents[1] / "data" / "nist_strd"
Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """One set: data, both starts and what NIST certifies."""

    name: str
    x: Array
    """Shape (n,), for Nelson (2, n)."""

    y: Array
    start1: tuple[float, ...]
    start2: tuple[float, ...]
    certified: tuple[float, ...]
    deviations: tuple[float, ...]
    residual_deviation: float


_PARAMETER = re.compile(r"^\s*b\d+\s*=\s*(\S+)\s+(\S+)\s+(\S+)\s+(\S+)\s*$")


def read_dataset(name: str) -> Dataset:
    """Read ``NAME.dat`` as NIST publishes it."""
    lines = (FOLDER / f"{name}.dat").read_text(encoding="ascii").splitlines()
    matches = [match for line in lines[40:60] if (match := _PARAMETER.match(line))]
    columns = list(
        zip(*([float(word) for word in match.groups()] for match in matches), strict=True)
    )
    deviation = next(line for line in lines[40:60] if line.startswith("Residual Standard Dev"))
    data = np.array([[float(word) for word in line.split()] for line in lines[60:] if line.strip()])
    return Dataset(
        name=name,
        x=data[:, 1] if data.shape[1] == 2 else data[:, 1:].T,
        y=np.log(data[:, 0]) if name == "Nelson" else data[:, 0],
        start1=columns[0],
        start2=columns[1],
        certified=columns[2],
        deviations=columns[3],
        residual_deviation=float(deviation.split(":")[1]),
    )


def bennett5(x: Array, b1: float, b2: float, b3: float) -> Array:
    return b1 * (b2 + x) ** (-1 / b3)


def boxbod(x: Array, b1: float, b2: float) -> Array:
    return b1 * (1 - np.exp(-b2 * x))


def chwirut(x: Array, b1: float, b2: float, b3: float) -> Array:
    return np.exp(-b1 * x) / (b2 + b3 * x)


def danwood(x: Array, b1: float, b2: float) -> Array:
    return b1 * x**b2


def enso(
    x: Array,
    b1: float,
    b2: float,
    b3: float,
    b4: float,
    b5: float,
    b6: float,
    b7: float,
    b8: float,
    b9: float,
) -> Array:
    turn = 2 * np.pi * x
    year = b2 * np.cos(turn / 12) + b3 * np.sin(turn / 12)
    slow = b5 * np.cos(turn / b4) + b6 * np.sin(turn / b4)
    return b1 + year + slow + b8 * np.cos(turn / b7) + b9 * np.sin(turn / b7)


def eckerle4(x: Array, b1: float, b2: float, b3: float) -> Array:
    return (b1 / b2) * np.exp(-0.5 * ((x - b3) / b2) ** 2)


def gauss(
    x: Array,
    b1: float,
    b2: float,
    b3: float,
    b4: float,
    b5: float,
    b6: float,
    b7: float,
    b8: float,
) -> Array:
    peaks = b3 * np.exp(-(((x - b4) / b5) ** 2)) + b6 * np.exp(-(((x - b7) / b8) ** 2))
    return b1 * np.exp(-b2 * x) + peaks


def cubic_ratio(
    x: Array, b1: float, b2: float, b3: float, b4: float, b5: float, b6: float, b7: float
) -> Array:
    return (b1 + x * (b2 + x * (b3 + x * b4))) / (1 + x * (b5 + x * (b6 + x * b7)))


def kirby2(x: Array, b1: float, b2: float, b3: float, b4: float, b5: float) -> Array:
    return (b1 + x * (b2 + x * b3)) / (1 + x * (b4 + x * b5))


def lanczos(x: Array, b1: float, b2: float, b3: float, b4: float, b5: float, b6: float) -> Array:
    return b1 * np.exp(-b2 * x) + b3 * np.exp(-b4 * x) + b5 * np.exp(-b6 * x)


def mgh09(x: Array, b1: float, b2: float, b3: float, b4: float) -> Array:
    return b1 * (x**2 + x * b2) / (x**2 + x * b3 + b4)


def mgh10(x: Array, b1: float, b2: float, b3: float) -> Array:
    return b1 * np.exp(b2 / (x + b3))


def mgh17(x: Array, b1: float, b2: float, b3: float, b4: float, b5: float) -> Array:
    return b1 + b2 * np.exp(-x * b4) + b3 * np.exp(-x * b5)


def misra1b(x: Array, b1: float, b2: float) -> Array:
    return np.asarray(b1 * (1 - (1 + b2 * x / 2) ** -2), float)


def misra1c(x: Array, b1: float, b2: float) -> Array:
    return b1 * (1 - (1 + 2 * b2 * x) ** -0.5)


def misra1d(x: Array, b1: float, b2: float) -> Array:
    return b1 * b2 * x / (1 + b2 * x)


def nelson(x: Array, b1: float, b2: float, b3: float) -> Array:
    return np.asarray(b1 - b2 * x[0] * np.exp(-b3 * x[1]), float)


def rat42(x: Array, b1: float, b2: float, b3: float) -> Array:
    return b1 / (1 + np.exp(b2 - b3 * x))


def rat43(x: Array, b1: float, b2: float, b3: float, b4: float) -> Array:
    return b1 / (1 + np.exp(b2 - b3 * x)) ** (1 / b4)


def roszman1(x: Array, b1: float, b2: float, b3: float, b4: float) -> Array:
    return b1 - b2 * x - np.arctan(b3 / (x - b4)) / np.pi


MODELS: dict[str, Callable[..., Array]] = {
    "Bennett5": bennett5,
    "BoxBOD": boxbod,
    "Chwirut1": chwirut,
    "Chwirut2": chwirut,
    "DanWood": danwood,
    "ENSO": enso,
    "Eckerle4": eckerle4,
    "Gauss1": gauss,
    "Gauss2": gauss,
    "Gauss3": gauss,
    "Hahn1": cubic_ratio,
    "Kirby2": kirby2,
    "Lanczos1": lanczos,
    "Lanczos2": lanczos,
    "Lanczos3": lanczos,
    "MGH09": mgh09,
    "MGH10": mgh10,
    "MGH17": mgh17,
    "Misra1a": boxbod,
    "Misra1b": misra1b,
    "Misra1c": misra1c,
    "Misra1d": misra1d,
    "Nelson": nelson,
    "Rat42": rat42,
    "Rat43": rat43,
    "Roszman1": roszman1,
    "Thurber": cubic_ratio,
}

# Groups of parameters that may change places together without changing the model.
EXCHANGEABLE: dict[str, tuple[tuple[int, ...], ...]] = {
    "ENSO": ((3, 4, 5), (6, 7, 8)),
    "Gauss1": ((2, 3, 4), (5, 6, 7)),
    "Gauss2": ((2, 3, 4), (5, 6, 7)),
    "Gauss3": ((2, 3, 4), (5, 6, 7)),
    "Lanczos1": ((0, 1), (2, 3), (4, 5)),
    "Lanczos2": ((0, 1), (2, 3), (4, 5)),
    "Lanczos3": ((0, 1), (2, 3), (4, 5)),
    "MGH17": ((1, 3), (2, 4)),
}


def make_problem(name: str, start: Literal[1, 2] = 1, *, weighted: bool = True) -> Any:
    """Make the bumps problem: a Curve without bounds at one of NIST's starts.

    Parameters
    ----------
    weighted
        The uncertainty of a point is the certified residual deviation, so that the covariance is
        the certified one; else it is 1.
    """
    from bumps.names import Curve, FitProblem

    data = read_dataset(name)
    values = data.start1 if start == 1 else data.start2
    names = {f"b{k}": value for k, value in enumerate(values, start=1)}
    dy = np.full(data.y.shape, data.residual_deviation if weighted else 1.0)
    curve = Curve(MODELS[name], data.x, data.y, dy, **names)
    for parameter in curve.pars.values():
        parameter.range(-np.inf, np.inf)
    return FitProblem(curve)


def digits(name: str, x: Sequence[float]) -> float:
    """Count the right digits of the worst parameter: log relative error, 0 to 11."""
    certified = read_dataset(name).certified
    return max(_digits(candidate, certified) for candidate in _exchanged(name, list(x)))


def _exchanged(name: str, x: list[float]) -> list[list[float]]:
    groups = EXCHANGEABLE.get(name, ())
    found = []
    for order in permutations(groups):
        moved = list(x)
        for to, source in zip(groups, order, strict=True):
            for i, j in zip(to, source, strict=True):
                moved[i] = x[j]
        found.append(moved)
    return found


def _digits(x: Sequence[float], certified: Sequence[float]) -> float:
    worst = max(abs(a - b) / abs(b) for a, b in zip(x, certified, strict=True))
    if not worst < 1:
        return 0.0
    return min(11.0, -math.log10(max(worst, 1e-300)))
