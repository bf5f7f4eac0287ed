"""``bumps.fitters.fit``, done there: it takes and answers what bumps's own does."""

from __future__ import annotations

import math
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bumps_remote.errors import JobFailedError, NotFoundError, RefusedError, UsageError
from bumps_remote.notebook import in_notebook
from bumps_remote.show import notice

if TYPE_CHECKING:
    from bumps_remote.connection import Connection
    from bumps_remote.job import Job

SESSION = "out/session.h5"
_DONE = "done"


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A fit that was submitted, and what becomes of its result."""

    job: Job
    problem: Any
    session: str | Path | None = None
    export: str | Path | None = None

    def answer(self) -> Any:
        """Answer it when the job has ended: see `fit`."""
        found = fit_result(self.job, self.job.result())
        if hasattr(self.problem, "setp"):
            self.problem.setp(found.x)
        if self.session is not None:
            _keep_session(self.job, Path(self.session))
        if self.export is not None:
            self.job.fetch(self.export)
        return found


def fit(
    connection: Connection,
    problem: Any,
    method: str = "amoeba",
    *,
    verbose: bool | None = None,
    timeout_s: float | None = None,
    **wanted: Any,
) -> Any:
    """Fit a problem there, wait, and answer what ``bumps.fitters.fit`` would.

    Parameters
    ----------
    problem
        A FitProblem of bumps, which is put at the best point; or the path of a script.
    verbose
        Show the fit while it runs; None: in a notebook.
    timeout_s
        How long to wait; the job goes on.
    wanted
        As in `ask`.

    Raises
    ------
    UsageError
        When the problem would not come out the same: what to send instead.
    JobFailedError
        When the fit failed.
    """
    asked = ask(connection, problem, method, **wanted)
    shown = in_notebook() if verbose is None else verbose
    _wait(asked.job, timeout_s, verbose=shown)
    return asked.answer()


def ask(
    connection: Connection,
    problem: Any,
    method: str = "amoeba",
    *,
    session: str | Path | None = None,
    export: str | Path | None = None,
    name: str = "",
    parallel: int = 1,
    **options: Any,
) -> Asked:
    """Submit a problem as ``bumps.fitters.fit`` takes it, without waiting.

    Parameters
    ----------
    session, export
        Where the session file goes, and the folder of all files.
    parallel
        How many processors.
    options
        As in `Connection.submit`: of the method, of the job, of the cluster.
    """
    if "resume" in options:
        raise UsageError("resume: continue the job of that result, as in result.job.resume()")
    if parallel < 1:
        raise UsageError(f"parallel: say how many processors there, at least 1, not {parallel}")
    method = options.pop("fit", method)
    session = options.pop("store", session)
    if session is not None and Path(session).exists():
        raise UsageError(f"session: {session} is there already: name another file")
    options.setdefault("cpus", parallel)
    job = connection.submit(problem, fit=method, title=name, **options)
    return Asked(job=job, problem=problem, session=session, export=export)


def _wait(job: Job, timeout_s: float | None, *, verbose: bool) -> None:
    try:
        with job.progress(quiet=not verbose) as progress:
            if verbose and not in_notebook():
                notice(f"job {job.id}")
            for event in job.events(timeout_s):
                progress.show(event)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"the job goes on: Connection().job('last').fit_result() waits for {job.id}"
        ) from None


def _keep_session(job: Job, target: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="bumps-remote-") as folder:
        job.fetch(folder, only=[SESSION])
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(Path(folder) / SESSION, target)


def fit_result(job: Job, result: dict[str, Any], *, element: int | None = None) -> Any:
    """Make what ``bumps.fitters.fit`` returns: scipy's OptimizeResult, with the job in it.

    Parameters
    ----------
    result
        The result document of the fit.
    element
        Of an array: which element it is of.

    Returns
    -------
    Any
        With ``x, dx, fun, chisq, dof, numpoints, labels, nit, success, message, method, options,
        convergence, state`` as bumps has them, and ``job``. ``dx`` is NaN where there is no
        uncertainty; ``state`` holds dream's draws, for ``bumps.dream.views``, and is None for
        methods that have none.

    Raises
    ------
    UsageError
        When bumps is not installed here.
    JobFailedError
        When the fit has no parameters to show.
    """
    try:
        import numpy as np

        from bumps_remote.fit_results import FitResult
    except ImportError as error:
        raise UsageError(f"this needs bumps beside bumps-remote: {error}") from error
    rows = result.get("parameters") or []
    if not rows:
        text = (result.get("verdict") or {}).get("text") or "the job left no parameters"
        raise JobFailedError(f"job {job.id}: {text}")
    verdict = result.get("verdict") or {}
    state, convergence = _read_session(job, str(result.get("method")), element)
    return FitResult(
        x=np.array([row["value"] for row in rows], "d"),
        dx=np.array([_number(row.get("uncertainty")) for row in rows], "d"),
        fun=_number(result.get("nllf")),
        success=result.get("status") == _DONE,
        status=0 if result.get("status") == _DONE else 1,
        message=str(verdict.get("text", "")),
        nit=result.get("steps"),
        dof=result.get("dof"),
        labels=[str(row["label"]) for row in rows],
        numpoints=result.get("points"),
        chisq=_number(result.get("chisq")),
        state=state,
        convergence=convergence,
        method=result.get("method"),
        options=result.get("options"),
        job=job,
    )


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else math.nan


def _read_session(job: Job, method: str, element: int | None) -> tuple[Any, Any]:
    """Read the fit's state and its convergence; the problem in the session is left alone."""
    name = SESSION if element is None else f"out/{element}/session.h5"
    with tempfile.TemporaryDirectory(prefix="bumps-remote-") as folder:
        try:
            job.fetch(folder, only=[name])
        except (NotFoundError, RefusedError):
            return None, None  # the problem could not be saved: its log says so
        return _read_fit(Path(folder) / name, method)


def _read_fit(path: Path, method: str) -> tuple[Any, Any]:
    import h5py
    from bumps.fitters import FITTERS

    loader = next((fitter for fitter in FITTERS if fitter.id == method), None)
    with h5py.File(path, "r") as file:
        fitting = file["fitting"]
        convergence = fitting["convergence"][()] if "convergence" in fitting else None
        if loader is None or "fit_state" not in fitting:
            return None, convergence
        return loader.h5load(fitting["fit_state"]), convergence
