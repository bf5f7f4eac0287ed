"""The method ``auto`` in the clothes of the others: events, checkpoints, a judged result."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from .auto import AutoResult, run_auto
from .auto_verdict import ASKED
from .base import Document, FitError, Job, Report
from .bumps_load import Loaded, Say
from .bumps_result import Fitted
from .bumps_session import SESSION, choose_serializer, write_session
from .bumps_verdict import TIME_RAN_OUT, Verdict, is_wall_time
from .bumps_watch import STEP_EVERY_S, Timer, to_chisq
from .user_errors import user_code

SESSION_METHOD = "amoeba"
"""What the session names: bumps has no method ``auto`` that it could offer again."""


class AutoProgress:
    """Step events and checkpoints of the pipeline."""

    def __init__(self, job: Job, loaded: Loaded, report: Report, say: Say) -> None:
        self._job = job
        self._problem = loaded.problem
        self._start = loaded.nllf
        self._report = report
        self._say = say
        self._serializer = choose_serializer(loaded.problem, say)
        self._next = 0.0
        self._latest: Document = {}
        checkpoint_s = float(job.document["run"].get("checkpoint_s") or 300.0)
        self._checkpoints = Timer(checkpoint_s, 0.02, self._checkpoint)
        self.step = 0
        self.rows: list[tuple[float, ...]] = []

    def __call__(self, *, step: int, steps: int, nllf: float, best: Any, phase: str) -> None:
        """Take note of a step."""
        nllf = min(float(nllf), self._start)
        self.step = step
        self.rows.append((nllf,))
        chisq = self._problem.chisq(nllf=nllf)
        self._latest = {"step": step, "steps": steps, "chisq": chisq, "best": best, "phase": phase}
        now = time.monotonic()
        if now >= self._next:
            self._next = now + STEP_EVERY_S
            self.tell()
        self._checkpoints.tick(now)

    def tell(self) -> None:
        """Write a step event."""
        if self._latest:
            self._report("step", **self._latest, quantiles=None)

    def _checkpoint(self) -> None:
        here = self._problem.getp()
        self._problem.setp(np.asarray(self._latest["best"], "d"))
        try:
            saved = self.save("Checkpoint")
        finally:
            self._problem.setp(here)
        if saved:
            name = (self._job.out / SESSION).relative_to(self._job.directory)
            self._report("checkpoint", file=name.as_posix())

    def save(self, label: str) -> bool:
        """Write the session file, with the problem as it stands; a failure is told, not raised."""
        try:
            with user_code(self._job.data, code="fit_error", doing="Saving the session"):
                self._write(label)
        except FitError as error:
            self._say("warning", str(error))
            return False
        return True

    def _write(self, label: str) -> None:
        write_session(
            self._job.out / SESSION,
            self._problem,
            serializer=self._serializer,
            method=SESSION_METHOD,
            options={},
            rows=self.rows,
            fit_state=None,
            label=f"{label}: auto",
            chisq=self._problem.chisq_str(nllf=self.rows[-1][0] if self.rows else np.nan),
        )


def fit_automatically(job: Job, loaded: Loaded, report: Report, say: Say) -> Fitted:
    """Fit by the pipeline of `fitters.auto`."""
    progress = AutoProgress(job, loaded, report, say)
    begun = time.monotonic()
    seed = int(job.document["run"]["seed"])
    result = run_auto(loaded.problem, job.document["options"], progress, job.stopping, seed)
    progress.tell()
    for stage in result.stages:
        say(
            "info",
            f"{stage.name}: {stage.evaluations} evaluations, nllf {stage.nllf_before:.6g} -> "
            f"{stage.nllf_after:.6g} in {stage.seconds:.2g} s",
        )
    point = np.asarray(result.x, "d")
    loaded.problem.setp(point)
    progress.save("Fit complete")
    return _fitted(job, result, progress, loaded, time.monotonic() - begun)


def _fitted(
    job: Job, result: AutoResult, progress: AutoProgress, loaded: Loaded, time_s: float
) -> Fitted:
    verdict = _verdict(job, result)
    convergence = {
        "converged": result.converged,
        "r_hat": None,
        "ess": None,
        "acceptance": None,
        "text": verdict.text,
    }
    rows = to_chisq(loaded.problem, progress.rows)
    return Fitted(
        point=np.asarray(result.x, "d"),
        # The pipeline may be stopped before its first evaluation; the start was evaluated here.
        nllf=min(result.nllf, loaded.nllf),
        stopped=result.code in {"stopped", "time_limit"},
        verdict=verdict,
        convergence=convergence,
        covariance=None if result.covariance is None else np.asarray(result.covariance, "d"),
        dx=None if result.dx is None else np.asarray(result.dx, "d"),
        steps=progress.step,
        evaluations=result.evaluations,
        time_s=time_s,
        history={"columns": ["best"], "rows": rows},
    )


def _verdict(job: Job, result: AutoResult) -> Verdict:
    if result.code == "stopped" and is_wall_time(job):
        return Verdict(code="time_limit", text=TIME_RAN_OUT + result.text.removeprefix(ASKED))
    return Verdict(code=result.code, text=result.text)
