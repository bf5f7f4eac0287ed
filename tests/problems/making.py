"""Make curve problems for tests: synthetic data, documents, and bumps itself."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bumps.fitproblem import load_problem

from gateway.problems.curve import ResolvedCurve, resolve
from gateway.problems.curve_script import DATA, ENTRY, data_file, model_script
from gateway.problems.expression import evaluate
from gateway.problems.library import CurveFunction
from gateway.problems.models import CurveDocument, CurveParameter
from gateway.problems.selection import Choice, Uncertainty


def no_blob(digest: str) -> bytes:
    """Stand for a store that nothing should be asked of."""
    raise AssertionError(f"nobody stored {digest}")


def grid(function: CurveFunction, points: int = 121) -> list[float]:
    """Spread x over the domain, by ratios where the function spans decades."""
    low, high = function.domain
    shares = [k / (points - 1) for k in range(points)]
    if function.logarithmic and low > 0:
        return [low * (high / low) ** share for share in shares]
    return [low + (high - low) * share for share in shares]


def noisy(
    function: CurveFunction, values: dict[str, float], seed: int = 1, points: int = 121
) -> tuple[list[float], list[float], list[float]]:
    """Draw data around a curve: 3 % and, away from decades, 1 % of the largest."""
    x = grid(function, points)
    y = evaluate(function.expression, x, values)
    # Seeded noise for a test, not a secret.
    draw = random.Random(seed)  # noqa: S311
    floor = 0.0 if function.logarithmic else 0.01 * max(map(abs, y))
    dy = [0.03 * abs(value) + floor for value in y]
    return x, [value + draw.gauss(0, 1) * d for value, d in zip(y, dy, strict=True)], dy


def text_of(*columns: Sequence[float]) -> str:
    """Write columns as text."""
    return "".join(" ".join(map(repr, row)) + "\n" for row in zip(*columns, strict=True))


def document(
    text: str,
    *parameters: CurveParameter,
    dy: Uncertainty | None = None,
    **more: Any,
) -> CurveDocument:
    """Make a curve document of columns x, y, dy."""
    choice = more.pop("columns", None) or Choice(
        x=0, y=1, dy=dy or Uncertainty(rule="column", column=2)
    )
    return CurveDocument(data=text, columns=choice, parameters=parameters, **more)


def resolved(text: str, *parameters: CurveParameter, **more: Any) -> ResolvedCurve:
    """Resolve such a document."""
    return resolve(document(text, *parameters, **more), no_blob)


def load(curve: ResolvedCurve, folder: Path) -> Any:
    """Write a curve and load it as ``bumps model.py`` does."""
    (folder / ENTRY).write_text(model_script(curve), encoding="ascii")
    (folder / DATA).write_text(data_file(curve.data), encoding="ascii")
    return load_problem(folder / ENTRY)


def model_of(problem: Any) -> Any:
    """Give the only model of a bumps problem."""
    (model,) = problem.models
    return model
