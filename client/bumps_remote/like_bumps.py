"""``bumps.fitters.fit``, done there: it takes and answers what bumps's own does."""

from __future__ import annotations

import math
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bumps_remote.errors import JobFailedError, NotFoundError, RefusedError, UsageError
from bumps_remote.show import FitProgress, notice

if TYPE_CHECKING:
    from bumps_remote.connection import Connection
    from bumps_remote.job import Job

SESSION = "out/session.h5"
_DONE = "done"


def fit(
    connection: Connection,
    problem: Any,
    method: str = "amoeba",
    *,
    session: str | Path | None = None,
    export: str | Path | None = None,
    name: str = "",
    verbose: bool = False,
    parallel: int = 1,
    timeout_s: float | None = None,
    **options: Any,
) -> Any:
    """Fit a problem there, wait, and answer what ``bumps.fitters.fit`` would.

    Parameters
    ----------
    problem
        A FitProblem of bumps, which is put at the best point; or the path of a script.
    session, export
        Where the session file goes, and the folder of all files.
    verbose
        Show the fit while it runs.
    parallel
        How many processors.
    timeout_s
        How long to wait; the job goes on.
    options
        As in `Connection.submit`: of the method, of the job, of the cluster.

    Raises
    ------
    UsageError
        When the problem would not come out the same: what to send instead.
    JobFailedError
        When the fit failed.
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
    _wait(job, timeout_s, verbose=verbose)
    found = fit_result(job, job.result())
    if hasattr(problem, "setp"):
        problem.setp(found.x)
    if session is not None:
        _keep_session(job, Path(session))
    if export is not None:
        job.fetch(export)
    return found


def _wait(job: Job, timeout_s: float | None, *, verbose: bool) -> None:
    try:
        with FitProgress(quiet=not verbose) as progress:
            if verbose:
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
        from scipy.optimize import OptimizeResult
    except ImportError as error:
        raise UsageError(f"this needs bumps beside bumps-remote: {error}") from error
    rows = result.get("parameters") or []
    if not rows:
        text = (result.get("verdict") or {}).get("text") or "the job left no parameters"
        raise JobFailedError(f"job {job.id}: {text}")
    verdict = result.get("verdict") or {}
    state, convergence = _read_session(job, str(result.get("method")), element)
    return OptimizeResult(
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
