"""The result of a fit as documents: parameters with uncertainties, verdict, files."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import bumps_draws
from .base import Document, Job
from .bumps_load import Loaded
from .bumps_options import METHODS
from .bumps_run import Ended
from .bumps_verdict import Verdict, at_limit, describe_chains, describe_steps, judge
from .files import regular_files, write_json, write_text
from .versions import versions

Array = NDArray[np.float64]


@dataclass(kw_only=True)
class Fitted:
    """A fit, judged."""

    point: Array
    nllf: float
    stopped: bool
    verdict: Verdict
    convergence: Document
    covariance: Array | None
    dx: Array | None
    steps: int
    evaluations: int
    time_s: float
    history: Document
    draws: Any = None
    """dream's state, if there are draws to speak of."""

    resumable: bool = False
    intervals: list[Document] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, job: Job, loaded: Loaded, ended: Ended, *, uncertain: bool) -> Fitted:
        """Judge how a fit ended.

        Parameters
        ----------
        uncertain
            Whether there is time to evaluate the uncertainties of a minimiser.
        """
        method = str(job.document["options"]["fit"])
        draws = ended.fit_state if method == "dream" and _has_draws(ended.fit_state) else None
        convergence = describe_steps(method, ended)
        if draws is not None:
            convergence = _describe_draws(loaded.problem.labels(), draws)
        fitted = cls(
            point=ended.point,
            nllf=ended.nllf,
            stopped=ended.stopped,
            verdict=judge(job, loaded.problem, ended, convergence, loaded.start),
            convergence=convergence,
            covariance=None,
            dx=None,
            steps=ended.steps,
            evaluations=ended.evaluations,
            time_s=ended.time_s,
            history=ended.progress.convergence(),
            draws=draws,
            resumable=METHODS[method].resumable and ended.fit_state is not None,
        )
        fitted._find_uncertainties(ended, uncertain=uncertain)
        return fitted

    def _find_uncertainties(self, ended: Ended, *, uncertain: bool) -> None:
        if self.draws is not None:
            self.covariance = bumps_draws.covariance(self.draws)
            self.intervals = bumps_draws.intervals(self.draws)
            bounds = np.array([found["interval_68"] for found in self.intervals])
            # Half of the 68 % interval, as bumps has it: robust where a tail is long.
            self.dx = (bounds[:, 1] - bounds[:, 0]) / 2
        elif not uncertain:
            self.warnings.append("No uncertainties: after the stop there was no time for them.")
        elif np.isfinite(self.nllf):
            self._evaluate_covariance(ended)

    def _evaluate_covariance(self, ended: Ended) -> None:
        try:
            with np.errstate(all="ignore"):
                self.covariance = np.asarray(ended.driver.problem.cov(self.point), "d")
                self.dx = np.sqrt(np.diag(self.covariance))
        except Exception as error:  # noqa: BLE001 - the user's model is evaluated in there
            self.warnings.append(f"No uncertainties: {type(error).__name__}: {error}")


def _has_draws(state: Any) -> bool:
    return state is not None and state.generation > 1


def _describe_draws(labels: list[str], state: Any) -> Document:
    chains = bumps_draws.steady_chains(state)
    _, rates = state.acceptance_rate()
    acceptance = float(np.mean(rates)) if len(rates) else float("nan")
    return describe_chains(labels, bumps_draws.r_hat(chains), bumps_draws.ess(chains), acceptance)


def base_result(job: Job, loaded: Loaded, *, cpus: int) -> Document:
    """Give what every result of this kind has."""
    problem = loaded.problem
    return {
        "method": job.document["options"]["fit"],
        "options": job.document["options"],
        "seed": job.document["run"]["seed"],
        "cpus": cpus,
        "versions": versions(),
        "dof": problem.dof,
        "points": int(problem.model_points()),
        "start_chisq": problem.chisq(nllf=loaded.nllf),
        "steps": None,
        "evaluations": None,
        "time_s": None,
        "evaluation_s": loaded.evaluation_s,
        "covariance": None,
        "convergence": None,
        "resumable": False,
        "error": None,
        "files": result_files(job),
        "curves": _file(job, "curves.json"),
    }


def result_files(job: Job) -> list[str]:
    """Name the result files, relative to the attempt's directory."""
    return [path.relative_to(job.directory).as_posix() for path in regular_files(job.out)]


def _file(job: Job, name: str) -> str | None:
    path = job.out / name
    return path.relative_to(job.directory).as_posix() if path.is_file() else None


def fit_result(job: Job, loaded: Loaded, fitted: Fitted, *, cpus: int) -> Document:
    """Give the result of a fit."""
    problem = loaded.problem
    parameters = parameters_at(problem, fitted.point, loaded.start)
    for index, parameter in enumerate(parameters):
        if fitted.dx is not None:
            parameter["uncertainty"] = fitted.dx[index]
        if fitted.intervals:
            parameter.update(fitted.intervals[index])
    failed = fitted.verdict.code == "nan"
    stopped = fitted.verdict.code in {"stopped", "time_limit"}
    return {
        **base_result(job, loaded, cpus=cpus),
        "status": "failed" if failed else "stopped" if stopped else "done",
        "verdict": fitted.verdict.to_document(),
        "chisq": problem.chisq(nllf=fitted.nllf),
        "nllf": fitted.nllf,
        "steps": fitted.steps,
        "evaluations": fitted.evaluations,
        "time_s": fitted.time_s,
        "parameters": parameters,
        "covariance": fitted.covariance,
        "convergence": fitted.convergence,
        "resumable": fitted.resumable,
    }


def parameters_at(problem: Any, point: Array, start: Array) -> list[Document]:
    """Describe each fitted parameter at a point, without uncertainties."""
    low, high = problem.bounds()
    return [
        {
            "label": label,
            "value": value,
            "uncertainty": None,
            "bounds": [lowest, highest],
            "start": begun,
            "at_limit": at_limit(value, lowest, highest),
        }
        for label, value, lowest, highest, begun in zip(
            problem.labels(), point, low, high, start, strict=True
        )
    ]


def write_fit_files(job: Job, loaded: Loaded, fitted: Fitted) -> None:
    """Write what the fit found into ``out/``; the curves are written elsewhere."""
    labels = loaded.problem.labels()
    out = job.out
    pars = zip(labels, fitted.point, strict=True)
    write_text(out / "fit.par", "".join(f"{label} {value:.15g}\n" for label, value in pars))
    if fitted.history["rows"]:
        write_json(out / "convergence.json", fitted.history)
    if fitted.covariance is not None:
        matrix = _correlations(fitted.covariance)
        write_json(out / "correlations.json", {"labels": labels, "matrix": matrix})
    if fitted.draws is not None:
        write_json(out / "traces.json", bumps_draws.traces(fitted.draws, labels))
        write_json(out / "histograms.json", bumps_draws.histograms(fitted.draws, labels))
        write_text(out / "fit.err", bumps_draws.uncertainty_table(fitted.draws))


def _correlations(covariance: Array) -> Array:
    with np.errstate(all="ignore"):
        sigma = np.sqrt(np.diag(covariance))
        return np.asarray(covariance / np.outer(sigma, sigma))
