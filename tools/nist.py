"""Read NIST's nonlinear data sets (StRD) as they were published."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "tests" / "data" / "nist_strd"


@dataclass(frozen=True, kw_only=True)
class Certified:
    """One data set with one predictor, and what NIST certifies."""

    x: list[float]
    y: list[float]
    start: dict[str, float]
    """NIST's first start, the far one."""

    values: dict[str, float]
    deviations: dict[str, float]
    residual_deviation: float


def read(name: str) -> Certified:
    """Read a file of the suite: parameters from line 41, data from line 61."""
    lines = (FOLDER / f"{name}.dat").read_text(encoding="ascii").splitlines()
    head, body = lines[40:60], lines[60:]
    rows = [words for line in head if (words := line.split()) and words[0][0] == "b"]
    deviation = next(line for line in head if line.startswith("Residual Standard Deviation"))
    pairs = [[float(word) for word in line.split()] for line in body if line.strip()]
    return Certified(
        x=[pair[1] for pair in pairs],
        y=[pair[0] for pair in pairs],
        start={row[0]: float(row[2]) for row in rows},
        values={row[0]: float(row[4]) for row in rows},
        deviations={row[0]: float(row[5]) for row in rows},
        residual_deviation=float(deviation.partition(":")[2]),
    )


def digits(value: float, certified: float) -> float:
    """Count the digits that agree, NIST's log relative error; at most the 11 that are certified.

    >>> digits(238.95, 238.94212918)
    4.482...
    """
    if value == certified:
        return 11.0
    return max(0.0, min(11.0, -math.log10(abs(value - certified) / abs(certified))))
