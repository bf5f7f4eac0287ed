"""One fit by one method of bumps, from its start to its end or to a stop."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from bumps import fitters
from numpy.typing import NDArray

from .base import Document, FitError, Job, Report
from .bumps_load import Loaded, Say
from .bumps_options import METHODS, population
from .bumps_rank import cpus_of_rank
from .bumps_session import SESSION, read_fit_state, write_session
from .bumps_watch import (
    CURVE_EVERY_S,
    Progress,
    StoppedBetweenError,
    StoppedError,
    Watched,
)
from .files import read_json, write_json
from .pool import Pool
from .ranks import Spread
from .user_errors import describe_error, has_own_frame, to_fit_error, user_code

PARALLEL_FROM_S = 1e-3
"""Below this time for an evaluation, handing points to other processes costs more than it saves."""

RESUME = "resume.json"
"""Beside the session: the random state, so that ``de`` goes on as if it had never stopped."""


@dataclass(kw_only=True)
class Ended:
    """How a fit ended."""

    point: NDArray[np.float64]
    nllf: float
    stopped: bool
    """Somebody asked for a stop before it was through."""

    timed_out: bool
    """The option ``time`` ended it."""

    steps: int
    planned: int
    through: bool
    """The fitter ended by itself, not because it ran out of steps."""

    evaluations: int
    failures: int
    last_failure: NDArray[np.float64] | None
    time_s: float
    progress: Progress
    driver: Any
    """bumps's FitDriver, for the covariance."""

    fit_state: Any
    """dream's draws, de's history, or None."""


def find_fitclass(name: str) -> Any:
    """Find bumps's class of a fit method."""
    for fitclass in fitters.FITTERS:
        if fitclass.id == name:
            return fitclass
    raise FitError(f"options.fit: the bumps that runs here has no fit method {name!r}")


def choose_cpus(method: str, wanted: int, evaluation_s: float, say: Say) -> int:
    """Say how many CPUs this fit shall use, and tell why."""
    if wanted <= 1:
        return 1
    if method not in {"de", "dream"}:
        say("info", f"Uses 1 of {wanted} CPUs: {method} evaluates one point after the other.")
        return 1
    milliseconds = evaluation_s * 1000
    if evaluation_s < PARALLEL_FROM_S:
        say(
            "info",
            f"Uses 1 of {wanted} CPUs: an evaluation takes {milliseconds:.2g} ms, and sharing it "
            "out would take longer.",
        )
        return 1
    say("info", f"Uses {wanted} CPUs: an evaluation takes {milliseconds:.2g} ms.")
    return wanted


class BumpsRun:
    """A fit under way: the fitter, its monitor, its checkpoints."""

    def __init__(
        self, job: Job, loaded: Loaded, report: Report, say: Say, serializer: str | None
    ) -> None:
        self.job = job
        self.options: Document = job.document["options"]
        self.method = str(self.options["fit"])
        self.problem = loaded.problem
        self.loaded = loaded
        self.report = report
        self.say = say
        self.serializer = serializer
        self.fitclass = find_fitclass(self.method)
        self.watched = Watched(self.problem, job.stopping)
        planned = planned_steps(self.fitclass, self.problem, self.options)
        burn = int(self.options["burn"]) if self.method == "dream" else None
        self.progress = Progress(
            self.problem, report, steps=planned, burn=burn, watched=self.watched
        )
        self.planned = planned
        self.driver: Any = None
        # The scheduler began the task again after it was killed or stopped.
        self.restarted = (job.out / SESSION).is_file() and not job.ended_before

    def run(self, cpus: int, tell_curves: Callable[[], None]) -> Ended:
        """Fit; a stop, a time limit and a failure all come back with what was reached."""
        state = self._read_state()
        checkpoint_s = float(self.job.document["run"].get("checkpoint_s") or 300.0)
        self.progress.every(checkpoint_s, 0.02, self.checkpoint)
        self.progress.every(CURVE_EVERY_S, 0.01, partial(self.progress.at_best, tell_curves))
        begun = time.monotonic()
        pool = self._pool(cpus)
        try:
            point, nllf, stopped = self._fit(state, pool)
        finally:
            if pool is not None:
                pool.close()
        return self._ended(point, nllf, stopped=stopped, time_s=time.monotonic() - begun)

    def _pool(self, cpus: int) -> Pool | Spread | None:
        if cpus <= 1:
            return None
        team, check = self.job.team, self.watched.check
        if team is None:
            return Pool(self.problem.nllf, cpus, check)
        own = Pool(self.problem.nllf, cpus_of_rank(self.job.document), check)
        return Spread(team, own, self.loaded.nllf, check)

    def _fit(
        self, state: Any, pool: Pool | Spread | None
    ) -> tuple[NDArray[np.float64], float, bool]:
        time_h = float(self.options.get("time") or 0.0)
        names = {name for name, _ in self.fitclass.settings}
        settings = {name: value for name, value in self.options.items() if name in names}
        self.driver = fitters.FitDriver(
            fitclass=self.fitclass,
            problem=self.watched,
            monitors=[self.progress],
            abort_test=self.job.stopping,
            mapper=partial(self._map, pool),
            time=time_h,
            **settings,
        )
        try:
            point, nllf = self.driver.fit(fit_state=state)
        except (StoppedError, StoppedBetweenError):
            return (*self._reached(), True)
        except FitError:
            raise
        except Exception as error:
            if self.job.stopping() and self.progress.best_point is not None:
                self.say("warning", f"bumps could not finish the stop: {error}")
                return (*self._reached(), True)
            raise self._failure(error) from error
        if point is None:
            raise FitError(
                f"{self.method} gave no result: its linear algebra failed at the start. Choose "
                "another start or another method."
            )
        return np.array(point, "d"), float(nllf), self.job.stopping()

    def _map(
        self, pool: Pool | Spread | None, points: Sequence[NDArray[np.float64]]
    ) -> list[float]:
        if pool is None:
            return [self.watched.nllf(point) for point in points]
        values = pool.map(points)
        self.watched.count_all(points, values)
        return values

    def _reached(self) -> tuple[NDArray[np.float64], float]:
        """Give the best point so far; the start, if there was no step yet."""
        if self.progress.best_point is None:
            return self.loaded.start, self.loaded.nllf
        self.problem.setp(self.progress.best_point)
        return self.progress.best_point, float(self.progress.best)

    def _failure(self, error: Exception) -> FitError:
        if has_own_frame(error, self.job.data):
            return to_fit_error(
                error, self.job.data, code="model_error", doing="Evaluating the model"
            )
        described = describe_error(error, self.job.data)
        text = f"{self.method} failed: {type(error).__name__}: {error}"
        return FitError(text, code="fit_error", error=described)

    def _ended(
        self, point: NDArray[np.float64], nllf: float, *, stopped: bool, time_s: float
    ) -> Ended:
        limit_s = float(self.options.get("time") or 0.0) * 3600
        if self.progress.rows:
            self.progress.tell()
        self.problem.setp(point)
        return Ended(
            point=point,
            nllf=nllf,
            stopped=stopped,
            timed_out=not stopped and 0 < limit_s <= time_s,
            steps=self.progress.step,
            planned=self.planned,
            through=self._is_through(),
            evaluations=self.watched.evaluations,
            failures=self.watched.failures,
            last_failure=self.watched.last_failure,
            time_s=time_s,
            progress=self.progress,
            driver=self.driver,
            fit_state=self._state_now(),
        )

    def _is_through(self) -> bool:
        limit = int(self.options["steps"])
        if self.method == "de":
            return self.progress.step < self.planned
        # amoeba counts from zero.
        return self.progress.best_start_steps < limit - (self.method == "amoeba")

    def _state_now(self) -> Any:
        """Give what the fit could go on from, if it is such a fit and there is something."""
        if self.progress.best_point is None:
            return None
        if self.method == "dream":
            return self.progress.fit_state
        if self.method == "de":
            return self.progress.history.snapshot()
        return None

    def _read_state(self) -> Any:
        if self.job.document["run"].get("resume"):
            return self._resume_from(self.job.resume)
        if self.restarted and METHODS[self.method].resumable:
            try:
                return self._resume_from(self.job.out)
            except FitError as error:
                self.say("warning", f"The fit begins anew: {error}")
        return None

    def _resume_from(self, folder: Path) -> Any:
        labels = self.problem.labels()
        chains = None
        if self.method == "dream":
            chains = population(float(self.options["pop"]), len(labels))
        state = read_fit_state(folder / SESSION, self.fitclass, labels, chains)
        if self.method == "de":
            self._restore_random(folder)
        self._say_resumed(state)
        return state

    def _say_resumed(self, state: Any) -> None:
        if self.method == "dream":
            self.say("info", f"Goes on from {state.draws} samples drawn before.")
        else:
            step = int(state["step"][-1])
            self.planned += step
            self.progress.steps = self.planned
            self.say("info", f"Goes on from step {step}.")

    def _restore_random(self, folder: Path) -> None:
        path = folder / RESUME
        if not path.is_file():
            return
        try:
            name, keys, position, has_gauss, gauss = read_json(path)["random"]
            state = (str(name), np.array(keys, "uint32"), int(position), int(has_gauss), gauss)
            np.random.set_state(state)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise FitError(
                f"run.resume: {RESUME} cannot be read ({error}); remove it, or start anew.",
                code="load_error",
            ) from error

    def checkpoint(self) -> None:
        """Save what there is, so that a killed fit can go on."""
        saved: list[bool] = []
        self.progress.at_best(lambda: saved.append(self.save("Checkpoint", self._state_now())))
        if any(saved):
            name = (self.job.out / SESSION).relative_to(self.job.directory)
            self.report("checkpoint", file=name.as_posix())

    def save(self, label: str, fit_state: Any) -> bool:
        """Write the session file, with the problem as it stands; a failure is told, not raised."""
        try:
            # The user's own objects are asked to save themselves.
            with user_code(self.job.data, code="fit_error", doing="Saving the session"):
                self._write(label, fit_state)
        except FitError as error:
            self.say("warning", str(error))
            return False
        return True

    def _write(self, label: str, fit_state: Any) -> None:
        write_session(
            Path(self.job.out / SESSION),
            self.problem,
            serializer=self.serializer,
            method=self.method,
            options=self.options,
            rows=self.progress.rows,
            fit_state=fit_state,
            label=f"{label}: {self.method}",
            chisq=self.problem.chisq_str(nllf=self.progress.best),
        )
        if self.method == "de" and fit_state is not None:
            name, keys, *rest = np.random.get_state()
            state = [name, keys, *rest]
            write_json(self.job.out / RESUME, {"format": 1, "random": state})


def planned_steps(fitclass: Any, problem: Any, options: Document) -> int:
    """Say how many steps the method will take at most."""
    names = {name for name, _ in fitclass.settings}
    settings = {name: value for name, value in options.items() if name in names}
    steps = int(fitclass.max_steps(problem, settings))
    return steps + int(options["burn"]) if fitclass.id == "pt" else steps
