"""Fit the 27 sets of NIST StRD from the far start: ``auto`` beside bumps's lm and amoeba.

``python -m benchmarks.auto_nist [--seed N] [--start 1|2] [--unweighted] [SET ...]`` prints a table.
Digits are those of the worst parameter (11 at most); all methods have their default options, no
bounds, and one core. lm and amoeba are bumps's own fitters through its `FitDriver`.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from fitters.auto import run_auto
from tests.fitters.nist import MODELS, digits, make_problem

ENOUGH = (4, 3)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One fit of one set."""

    digits: float
    seconds: float
    evaluations: int
    verdict: str


def measure(name: str, problem: Any, fit: Callable[[Any], tuple[Any, int, str]]) -> Row:
    """Run one fit and score it."""
    began = time.perf_counter()
    x, evaluations, verdict = fit(problem)
    return Row(
        digits=digits(name, [float(value) for value in x]),
        seconds=time.perf_counter() - began,
        evaluations=evaluations,
        verdict=verdict,
    )


def fit_auto(problem: Any, seed: int) -> tuple[Any, int, str]:
    """Fit by ``auto`` with default options."""
    result = run_auto(problem, {}, lambda **_: None, lambda: False, seed)
    return result.x, result.evaluations, f"{result.code}: {result.text}"


def fit_bumps(problem: Any, method: Literal["lm", "amoeba"]) -> tuple[Any, int, str]:
    """Fit by one of bumps's fitters with default options."""
    from bumps.fitters import FitDriver, MPFit, SimplexFit

    count = 0
    update = problem.model_update

    def counted() -> None:
        nonlocal count
        count += 1
        update()

    problem.model_update = counted
    fitter = {"lm": MPFit, "amoeba": SimplexFit}[method]
    driver = FitDriver(fitter, problem, monitors=[])
    start = problem.getp()
    with np.errstate(all="ignore"):
        x, _ = driver.fit()
    return (start if x is None else x), count, ""


def main(arguments: list[str]) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--start", type=int, choices=(1, 2), default=1)
    parser.add_argument("--unweighted", action="store_true", help="uncertainties of 1")
    parser.add_argument("names", nargs="*", default=list(MODELS))
    given = parser.parse_args(arguments)
    logging.disable(logging.ERROR)
    say = sys.stdout.write
    columns = f"{'digits':>7}{'s':>7}{'evals':>8}"
    say(f"{'':10}{'auto':>22}{'lm':>22}{'amoeba':>22}\n{'set':10}{columns * 3}  verdict of auto\n")
    table: list[list[Row]] = []
    for name in given.names:
        methods: list[Callable[[Any], tuple[Any, int, str]]] = [
            lambda problem: fit_auto(problem, given.seed),
            lambda problem: fit_bumps(problem, "lm"),
            lambda problem: fit_bumps(problem, "amoeba"),
        ]
        problems = [make_problem(name, given.start, weighted=not given.unweighted) for _ in methods]
        rows = [measure(name, *pair) for pair in zip(problems, methods, strict=True)]
        table.append(rows)
        cells = "".join(f"{row.digits:7.1f}{row.seconds:7.2f}{row.evaluations:8d}" for row in rows)
        say(f"{name:10}{cells}  {rows[0].verdict}\n")
    for enough in ENOUGH:
        counts = [sum(rows[k].digits >= enough for rows in table) for k in range(3)]
        cells = "".join(f"{n:7d}{f' of {len(table)}':15}" for n in counts)
        say(f">= {enough} dig. {cells}\n")
    longest = max(rows[0].seconds for rows in table)
    total = sum(rows[0].seconds for rows in table)
    say(f"auto: {total:.1f} s in all, {longest:.1f} s the longest\n")


if __name__ == "__main__":
    main(sys.argv[1:])
