"""The four things that can be done with a problem: fit, check, chisq, simulate."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

import numpy as np

from .base import Document, FitError, Job, Report
from .bumps_auto import fit_automatically
from .bumps_bands import draw_bands
from .bumps_curves import curves, live_curve
from .bumps_load import (
    Loaded,
    evaluate_start,
    failure_at,
    load,
    seed_all,
    simulate,
)
from .bumps_log import Log, limit_tracebacks
from .bumps_options import METHODS, check_options
from .bumps_result import Fitted, base_result, fit_result, parameters_at, write_fit_files
from .bumps_run import BumpsRun, Ended, choose_cpus
from .bumps_session import choose_serializer, remove_unfinished
from .bumps_verdict import Verdict
from .files import write_json, write_text
from .user_errors import user_code
from .versions import versions

PATIENCE_S = 0.5
"""After a stop, neither the covariance nor the curves are begun if they would take longer.

Both together leave half of the 2 s that the contract gives for writing everything down.
"""


def warm_up() -> None:
    """Import what bumps itself imports late, so that forked workers need not."""
    import bumps.dream.core
    import bumps.dream.stats
    import bumps.fitters
    import bumps.mpfit
    import bumps.names
    import bumps.serialize
    import bumps.simplex  # noqa: F401

    versions()


class BumpsJob:
    """A job of kind ``fit`` under way."""

    def __init__(self, job: Job, report: Report) -> None:
        self.job = job
        self.report = report
        self.say = Log(job.out / "log.txt", report)
        self.run_options: Document = job.document["run"]
        self.options: Document = job.document["options"]
        self.method = str(self.options["fit"])
        self.cpus = 1
        self._curves_fail = False

    def run(self) -> Document:
        """Do what ``run.mode`` says.

        Raises
        ------
        FitError
            If it cannot be done; with the verdict code.
        """
        limit_tracebacks()
        mode = self.run_options["mode"]
        actions = {
            "fit": self.fit,
            "check": self.check,
            "chisq": self.chisq,
            "simulate": self.simulate,
        }
        if mode not in actions:
            raise FitError(f"run.mode must be one of {', '.join(actions)}, not {mode!r}")
        self.options = self.job.document["options"] = check_options(self.method, self.options)
        seed_all(int(self.run_options["seed"]), self.method if mode == "fit" else "none")
        return actions[mode](load(self.job, self.say))

    def fit(self, loaded: Loaded) -> Document:
        """Fit the problem."""
        problem = loaded.problem
        if self.run_options.get("resume") and not METHODS[self.method].resumable:
            raise FitError(
                f"run.resume: {self.method} cannot go on from where it was; only dream and de "
                "can. Start it anew from the values that it reached.",
                code="load_error",
            )
        check_options(self.method, self.options, len(loaded.start), problem.dof + len(loaded.start))
        evaluate_start(loaded, self.job.data)
        self.cpus = choose_cpus(
            self.method, int(self.run_options["cpus"]), loaded.evaluation_s, self.say
        )
        self._tell_start(loaded)
        if self.method == "auto":
            fitted = fit_automatically(self.job, loaded, self.report, self.say)
        else:
            fitted = self._fit_with_bumps(loaded)
        write_fit_files(self.job, loaded, fitted)
        if self._may_evaluate(loaded, fitted, 1):
            models = self._write_curves(problem)
            if draw_bands(self.job, loaded, fitted, models, self.say):
                write_json(self.job.out / "curves.json", {"models": models})
        remove_unfinished(self.job.out)
        self.say.note(f"{fitted.verdict.code}: {fitted.verdict.text}\n{problem.summarize()}")
        return fit_result(self.job, loaded, fitted, cpus=self.cpus)

    def _fit_with_bumps(self, loaded: Loaded) -> Fitted:
        problem = loaded.problem
        # The session's serializer is tried on the real problem, before the fit takes its time.
        run = BumpsRun(
            self.job, loaded, self.report, self.say, serializer=choose_serializer(problem, self.say)
        )
        ended = run.run(self.cpus, lambda: self._tell_curves(problem))
        for text in run.progress.said:
            self.say.note(text)
        evaluations = len(loaded.start) + 1
        fitted = Fitted.of(
            self.job, loaded, ended, uncertain=self._may_evaluate(loaded, ended, evaluations)
        )
        self._blame_model(loaded, ended, fitted)
        for text in fitted.warnings:
            self.say("warning", text)
        run.save("Fit complete" if not ended.stopped else "Fit stopped", ended.fit_state)
        return fitted

    def _may_evaluate(self, loaded: Loaded, ended: Ended | Fitted, number: int) -> bool:
        """Say whether there is time: after a stop, the job may be killed soon."""
        return not ended.stopped or number * loaded.evaluation_s < PATIENCE_S

    def _blame_model(self, loaded: Loaded, ended: Ended, fitted: Fitted) -> None:
        """Say so if the model failed on most evaluations, which bumps takes as a bad fit."""
        if not ended.failures or ended.last_failure is None:
            return
        if not self._may_evaluate(loaded, ended, 1):
            return
        error = failure_at(loaded.problem, ended.last_failure, self.job.data)
        loaded.problem.setp(ended.point)
        cause = f"{error['type']}: {error['message']}" if error else "the value is not finite"
        place = f" in {error['file']}, line {error['line']}" if error and error["file"] else ""
        text = (
            f"The model failed on {ended.failures} of {ended.evaluations} evaluations{place} "
            f"({cause})."
        )
        if fitted.verdict.code in {"at_start", "nan"}:
            raise FitError(text, code="model_error" if error else "nan", error=error)
        self.say("warning", text)

    def chisq(self, loaded: Loaded) -> Document:
        """Evaluate the problem at its start."""
        evaluate_start(loaded, self.job.data)
        self._write_curves(loaded.problem)
        chisq = loaded.problem.chisq(nllf=loaded.nllf)
        verdict = Verdict(code="evaluated", text=f"The reduced chi-square is {chisq:.6g}.")
        return self._evaluated(loaded, verdict)

    def check(self, loaded: Loaded) -> Document:
        """Load the problem, time one evaluation and say what is odd."""
        evaluate_start(loaded, self.job.data)
        problem = loaded.problem
        warnings = [*loaded.warnings, *self._oddities(loaded)]
        low, high = problem.bounds()
        checked = {
            "parameters": [
                {
                    "label": label,
                    "value": value,
                    "bounds": [lowest, highest],
                    "in_bounds": bool(lowest <= value <= highest),
                }
                for label, value, lowest, highest in zip(
                    problem.labels(), loaded.given, low, high, strict=True
                )
            ],
            "evaluation_s": loaded.evaluation_s,
            "warnings": warnings,
            "models": [f"{type(m).__module__}.{type(m).__name__}" for m in problem.models],
        }
        milliseconds = loaded.evaluation_s * 1000
        text = f"The problem loads, and an evaluation takes {milliseconds:.3g} ms."
        verdict = Verdict(code="checked", text=text)
        return {**self._evaluated(loaded, verdict), "check": checked}

    def _oddities(self, loaded: Loaded) -> list[str]:
        problem, found = loaded.problem, []
        if not len(loaded.start):
            found.append("The problem has no parameters to fit.")
        if problem.dof <= 0 and not any("more data points" in text for text in loaded.warnings):
            found.append("There are not more data points than fitted parameters.")
        if len(set(problem.labels())) < len(loaded.start):
            found.append("Some parameters have the same name, which tables cannot tell apart.")
        return found

    def simulate(self, loaded: Loaded) -> Document:
        """Make data at the start point, write them and stop."""
        problem, folder = loaded.problem, self.job.data
        if self.run_options.get("simulate") is None:
            simulate(problem, {"noise_percent": None}, folder)
        evaluate_start(loaded, folder)
        written = self._write_curves(problem)
        measured = [curve for curve in written if curve["kind"] != "asymmetry"]
        names = [self._write_simulated(index, curve) for index, curve in enumerate(measured)]
        files = ", ".join(names) or "no file: none of the models has a curve"
        verdict = Verdict(code="simulated", text=f"Simulated data were written to {files}.")
        return self._evaluated(loaded, verdict)

    def _write_simulated(self, index: int, curve: Document) -> str:
        names = [name for name in ("x", "y", "dy", "dx") if curve[name] is not None]
        rows = np.array([np.asarray(curve[name], "d") for name in names]).T
        lines = [" ".join(f"{value:.10g}" for value in row) for row in rows]
        name = f"simulated-{index + 1}.dat"
        write_text(self.job.out / name, "\n".join([f"# {' '.join(names)}", *lines, ""]))
        return name

    def _evaluated(self, loaded: Loaded, verdict: Verdict) -> Document:
        return {
            **base_result(self.job, loaded, cpus=1),
            "status": "done",
            "verdict": verdict.to_document(),
            "chisq": loaded.problem.chisq(nllf=loaded.nllf),
            "nllf": loaded.nllf,
            "parameters": parameters_at(loaded.problem, loaded.problem.getp(), loaded.start),
        }

    def _tell_start(self, loaded: Loaded) -> None:
        problem = loaded.problem
        self.report(
            "start",
            method=self.method,
            labels=problem.labels(),
            points=problem.model_points(),
            dof=problem.dof,
            chisq=problem.chisq(nllf=loaded.nllf),
            steps=None,
            seed=self.run_options["seed"],
            cpus=self.cpus,
            native_id=os.environ.get("SLURM_JOB_ID"),
            versions=versions(),
            python=platform.python_version(),
        )

    def _tell_curves(self, problem: Any) -> None:
        if self._curves_fail:
            return
        try:
            with user_code(self.job.data, code="model_error", doing="Drawing the curve"):
                found = curves(problem)
        except FitError as error:
            self._curves_fail = True
            self.say("warning", str(error))
            return
        for index, curve in enumerate(found):
            self.report("curve", **live_curve(curve, index))

    def _write_curves(self, problem: Any) -> list[Document]:
        try:
            with user_code(self.job.data, code="model_error", doing="Drawing the curves"):
                found = curves(problem)
        except FitError as error:
            self.say("warning", str(error))
            return []
        if found:
            write_json(Path(self.job.out / "curves.json"), {"models": found})
        return found
