"""A problem from the files of a job: loaded, checked, put at its start."""

from __future__ import annotations

import os
import random
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import bumps.plugin
import numpy as np
from bumps.fitproblem import load_problem
from bumps.serialize import deserialize
from numpy.typing import NDArray

from .base import Document, FitError, Job
from .bumps_given import apply_given
from .files import read_json
from .user_errors import describe_error, user_code

Say = Callable[[str, str], None]
"""Tell the user something: level (``info``, ``warning``, ``error``) and text."""

NO_PROBLEM = "requires 'problem = FitProblem(...)'"
"""How bumps ends its message about a script without a problem."""


@dataclass(kw_only=True)
class Loaded:
    """A problem at its start point."""

    problem: Any
    """bumps's FitProblem."""

    start: NDArray[np.float64]
    given: NDArray[np.float64]
    """What the problem or the job asked to start at, before it was put inside of the bounds."""

    nllf: float
    """Negative log likelihood at the start; NaN if it was not asked for."""

    evaluation_s: float = 0.0
    warnings: list[str] = field(default_factory=list)


def seed_all(seed: int, method: str) -> None:
    """Make the fit repeatable: Python's, numpy's and, for dream, numba's random numbers.

    numba's generator is its own, one for each thread, and numpy's seed does not reach it.
    """
    random.seed(seed)
    np.random.seed(seed)  # the generator that bumps draws from
    if method in {"dream", "auto"} and find_spec("numba") is not None:
        _seed_numba(seed)


def _seed_numba(seed: int) -> None:
    try:
        # What a compiled np.random.seed calls; to compile one takes a third of a second.
        from numba import _helperlib

        _helperlib.rnd_seed(_helperlib.rnd_get_np_state_ptr(), seed)
    except (ImportError, AttributeError):
        _seed_numba_compiled(seed)


def _seed_numba_compiled(seed: int) -> None:
    from numba import njit

    @njit  # type: ignore[untyped-decorator]
    def set_seed(value: int) -> None:
        np.random.seed(value)

    set_seed(seed)


def load(job: Job, say: Say) -> Loaded:
    """Load the problem of a job and put it at its start point.

    Raises
    ------
    FitError
        ``load_error``, ``no_parameters``, ``model_error`` or ``nan``, with the user's own error
        where there is one.
    """
    run = job.document["run"]
    enter_folder(job.data)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        problem = _load_problem(job.document["problem"], job.data)
    texts = list(dict.fromkeys(str(warning.message) for warning in caught))
    for text in texts:
        say("warning", text)
    with user_code(job.data, code="model_error", doing="Putting the problem at its start"):
        given, moved = _set_start(problem, job.document.get("start") or [])
        if apply_given(problem, job.document):
            given = problem.getp()
        for text in moved:
            say("warning", text)
        if run.get("simulate") is not None:
            simulate(problem, run["simulate"], job.data)
        if run.get("shake"):
            problem.randomize()
            given = problem.getp()
    if len(problem.getp()) == 0 and run["mode"] == "fit":
        raise FitError(
            "The problem has no parameters to fit: give at least one a range, as in "
            "model.a.range(0, 10).",
            code="no_parameters",
        )
    return Loaded(
        problem=problem,
        start=problem.getp(),
        given=given,
        nllf=float("nan"),
        warnings=[*texts, *moved],
    )


def enter_folder(folder: Path) -> None:
    """Work where the user's files lie, and find their helper modules there."""
    os.chdir(folder)
    name = str(folder)
    if name not in sys.path:
        sys.path.insert(0, name)
    paths = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys([name, *paths]))


def _load_problem(wanted: Document, folder: Path) -> Any:
    path = folder / wanted["entry"]
    if not path.is_file():
        raise FitError(
            f"problem.entry: there is no file {wanted['entry']!r} in data/.", code="load_error"
        )
    if wanted["type"] == "json":
        problem = _load_json(path, wanted)
    else:
        problem = _load_script(path, list(wanted.get("args") or []))
    if not hasattr(problem, "getp"):
        kind = type(problem).__name__
        text = f"{wanted['entry']}: 'problem' must be a FitProblem, not {kind}."
        raise FitError(text, code="load_error")
    return problem


def _load_script(path: Path, args: list[str]) -> Any:
    folder = path.parent
    with user_code(Path.cwd(), code="load_error", doing=f"Loading {path.name}"):
        try:
            problem = load_problem(path, args=args)
        except AttributeError as error:
            if "script_path" not in str(error):
                raise
            text = (
                f"{path.name}: 'problem' is no FitProblem: end it with problem = FitProblem(...)."
            )
            raise FitError(text, code="load_error") from error
        except ValueError as error:
            if not str(error).endswith(NO_PROBLEM):
                raise
            text = f"{path.name} does not define 'problem': end it with problem = FitProblem(...)."
            described = describe_error(error, folder)
            raise FitError(text, code="load_error", error=described) from error
    return problem


def _load_json(path: Path, wanted: Document) -> Any:
    _check_python(wanted.get("python"))
    with user_code(path.parent, code="load_error", doing=f"Loading {path.name}"):
        serialized = read_json(path)
        _use_migrations(serialized)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            problem = deserialize(serialized, migration=True)
        # bumps warns and puts None in the place of what it cannot restore.
        broken = [str(warning.message) for warning in caught if _is_broken(str(warning.message))]
        if broken or problem is None:
            text = f"{path.name} cannot be restored where the job ran: {'; '.join(broken)}"
            raise FitError(text, code="load_error")
        _check_whole(problem, path.name)
        problem.path = str(path)
        problem.name = getattr(problem, "name", None) or path.stem
        problem.model_reset()
    return problem


def _is_broken(text: str) -> bool:
    return text.startswith(("Error restoring", "Error loading function"))


def _check_python(wanted: str | None) -> None:
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    if wanted not in {None, here}:
        raise FitError(
            f"problem.python: the problem holds a Python function that was saved by Python "
            f"{wanted}, and the job runs Python {here}; such a function may only be loaded by the "
            f"version that saved it. Submit the script instead, or save it with Python {here}.",
            code="load_error",
        )


def _use_migrations(serialized: Document) -> None:
    """Let refl1d bring its own documents up to date, where they are its."""
    if "refl1d" in serialized.get("libraries", {}) and find_spec("refl1d") is not None:
        from refl1d.bumps_interface import fitplugin

        bumps.plugin.migrate_serialized = fitplugin.migrate_serialized


def _check_whole(problem: Any, name: str) -> None:
    if not hasattr(problem, "labels") or any(model is None for model in problem.models):
        raise FitError(f"{name}: a part of the problem is missing.", code="load_error")
    if not all(isinstance(label, str) and label for label in problem.labels()):
        raise FitError(f"{name}: a fitted parameter has no name.", code="load_error")


def _set_start(problem: Any, start: list[float]) -> tuple[NDArray[np.float64], list[str]]:
    """Put the problem at the wanted start, inside of its bounds.

    Returns
    -------
    tuple
        The values before they were put inside, and a sentence for each that was outside.
    """
    if start:
        _check_start(problem, start)
        problem.setp(np.asarray(start, "d"))
    given: NDArray[np.float64] = np.array(problem.getp(), "d")
    if not len(given):
        return given, []
    low, high = problem.bounds()
    inside = np.clip(given, low, high)
    problem.setp(inside)
    rows = zip(problem.labels(), given, inside, low, high, strict=True)
    moved = [
        f"{label} starts at {value:g}, outside its bounds {lowest:g} to {highest:g}: "
        f"moved to {into:g}."
        for label, value, into, lowest, highest in rows
        if value != into
    ]
    return given, moved


def _check_start(problem: Any, start: list[float]) -> None:
    labels = problem.labels()
    if len(start) != len(labels):
        raise FitError(
            f"start: {len(start)} values are given, but the problem fits {len(labels)} "
            f"parameters: {', '.join(labels)}.",
            code="load_error",
        )
    if not np.isfinite(np.asarray(start, "d")).all():
        raise FitError(f"start: every value must be a finite number, not {start}.")


def simulate(problem: Any, wanted: Document, folder: Path) -> None:
    """Put simulated data in the place of the measured: the theory here, and noise."""
    noise = wanted.get("noise_percent")
    with user_code(folder, code="model_error", doing="Simulating data"):
        problem.simulate_data(noise=noise)
        problem.setp(problem.getp())


def evaluate_start(loaded: Loaded, folder: Path) -> None:
    """Evaluate the model once at the start, where its errors can still be seen.

    bumps answers every exception of a model with an infinite cost, so that a fit of a broken
    model ends as if it had been done.
    """
    problem = loaded.problem
    with user_code(folder, code="model_error", doing="Evaluating the model at its start"):
        loaded.nllf = evaluate(problem)
    # A first evaluation may compile: the second tells what the others will take.
    begun = time.perf_counter()
    problem.setp(loaded.start)
    problem.nllf()
    loaded.evaluation_s = time.perf_counter() - begun
    if np.isnan(loaded.nllf):
        values = ", ".join(
            f"{label}={value:g}"
            for label, value in zip(problem.labels(), loaded.start, strict=True)
        )
        text = f"The model gives NaN at its start: {values}. Choose other start values."
        raise FitError(text, code="nan")


def evaluate(problem: Any) -> float:
    """Evaluate the negative log likelihood, letting exceptions and NaN out."""
    priors, failing_priors = problem.parameter_nllf()
    constraints, failing_constraints = problem.constraints_nllf()
    failing = [*failing_priors, *failing_constraints]
    model = problem.penalty_nllf if failing else problem.model_nllf()
    return float(priors + constraints + model)


def failure_at(problem: Any, point: NDArray[np.float64], folder: Path) -> Document | None:
    """Find the user's own exception at a point, or None if there is none."""
    try:
        with user_code(folder, code="model_error", doing="Evaluating the model"):
            problem.setp(point)
            evaluate(problem)
    except FitError as error:
        return error.error
    return None
