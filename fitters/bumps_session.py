"""Session files of bumps, and the state in them that a fit goes on from.

The one module that imports what bumps moves about: ``bumps.webview.server`` becomes ``bumps`` in
the release after 1.0.5.
"""

from __future__ import annotations

import importlib
import json
import logging
import time
import warnings
from pathlib import Path
from typing import Any

import cloudpickle
import h5py
import numpy as np
from bumps.serialize import deserialize, serialize

from .base import Document, FitError
from .bumps_load import Say

SESSION = "session.h5"
LARGEST_PROBLEM = 50_000_000
"""In bytes: a problem of sasmodels, pickled, may take hundreds of megabytes at each checkpoint."""

STATE_MODULES = ("bumps.webview.server.state_hdf5_backed", "bumps.state")


def _state_module() -> Any:
    for name in STATE_MODULES:
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or not name.startswith(error.name):
                raise
    raise ImportError(f"this bumps has none of {', '.join(STATE_MODULES)}")


def choose_serializer(problem: Any, say: Say) -> str | None:
    """Find how bumps can save this problem so that it can be read again; None if it cannot.

    bumps's JSON loses some problems without a word: a class of the script's own becomes None, a
    shared parameter becomes two. So it is read back once.
    """
    if _survives_json(problem):
        return "dataclass"
    try:
        size = len(cloudpickle.dumps(problem))
    except Exception as error:  # noqa: BLE001 - the user's own objects decide what it raises
        reason = f"{type(error).__name__}: {error}"
    else:
        if size <= LARGEST_PROBLEM:
            return "cloudpickle"
        reason = f"it would take {size / 1e6:.0f} MB"
    say(
        "warning",
        "The session file will hold the fit without the problem, which cannot be saved "
        f"({reason}); use fit.par with the script.",
    )
    return None


def _survives_json(problem: Any) -> bool:
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            again = deserialize(json.loads(json.dumps(serialize(problem))))
            return bool(again.labels() == problem.labels())
    except Exception:  # noqa: BLE001 - whatever it raises, it cannot be saved so
        return False
    finally:
        logging.disable(logging.NOTSET)


def write_session(
    path: Path,
    problem: Any,
    *,
    serializer: str | None,
    method: str,
    options: Document,
    rows: list[tuple[float, ...]],
    fit_state: Any,
    label: str,
    chisq: str,
) -> None:
    """Write a session file that ``bumps --read-session`` opens, whole or not at all.

    The problem is written as it is, so it should be at its best point; without a serializer it is
    left out.
    """
    module = _state_module()
    state = module.State()
    saved = problem if serializer else None
    # bumps reads a session without a problem only if a serializer is named.
    state.problem = module.ProblemState(fitProblem=saved, serializer=serializer or "cloudpickle")
    state.fitting = module.FitResult(method=method, options=_without_fit(options))
    # A fitter may have walked from rows of one to rows of six numbers; bumps wants one shape.
    width = len(rows[-1]) if rows else 1
    state.set_convergence(np.array([row for row in rows if len(row) == width], "d"))
    state.set_fit_state(fit_state, method)
    state.shared.selected_fitter = method
    state.shared.active_history = state.history.add_item(
        _history_item(module, state, label, chisq), state.shared.autosave_history_length
    )
    unfinished = path.with_name(path.name + ".part")
    state.write_session_file(str(unfinished))
    unfinished.chmod(0o600)
    unfinished.replace(path)


def _without_fit(options: Document) -> Document:
    return {name: value for name, value in options.items() if name != "fit"}


def _history_item(module: Any, state: Any, label: str, chisq: str) -> Any:
    item = module.HistoryItem()
    item.problem, item.fitting = state.problem, state.fitting
    item.timestamp = time.strftime("%Y-%m-%d %H:%M:%S.000000")
    item.label, item.chisq_str, item.keep = label, chisq, True
    return item


def remove_unfinished(folder: Path) -> None:
    """Remove what a killed writer left of a session file."""
    for path in folder.glob(SESSION + "*.tmp"):
        path.unlink()


def read_fit_state(path: Path, fitclass: Any, labels: list[str], chains: int | None) -> Any:
    """Read the state that a fit goes on from; the problem in the file is left alone.

    Parameters
    ----------
    chains
        How many chains the options make, for dream.

    Raises
    ------
    FitError
        ``load_error``, if this fit cannot go on from this file; it says why.
    """
    if not path.is_file():
        text = f"run.resume: there is no {path.name} of an earlier attempt in resume/."
        raise FitError(text, code="load_error")
    try:
        with h5py.File(path, "r") as file:
            fitting = file["fitting"]
            method = _text(fitting["method"][()])
            if method != fitclass.id:
                raise _cannot_resume(f"it holds a fit with {method}, not with {fitclass.id}")
            if "fit_state" not in fitting:
                raise _cannot_resume("it holds no state to go on from")
            state = fitclass.h5load(fitting["fit_state"])
    except (OSError, KeyError, ValueError, AttributeError) as error:
        raise _cannot_resume(f"it cannot be read ({error})") from error
    _check_state(state, labels, chains)
    return state


def _cannot_resume(reason: str) -> FitError:
    text = f"run.resume: the fit cannot go on from resume/{SESSION}: {reason}. Start it anew."
    return FitError(text, code="load_error")


def _text(raw: Any) -> str:
    value = np.asarray(raw).flat[0]
    return value.decode() if isinstance(value, bytes) else str(value)


def _check_state(state: Any, labels: list[str], chains: int | None) -> None:
    if isinstance(state, dict):
        if len(state["point"][-1]) != len(labels):
            raise _cannot_resume(
                f"it fitted {len(state['point'][-1])} parameters, now there are {len(labels)}"
            )
        return
    if not hasattr(state, "labels"):
        raise _cannot_resume("its state is not that of this method")
    if list(state.labels) != labels:
        raise _cannot_resume(
            f"it fitted {', '.join(state.labels)}, now the problem fits {', '.join(labels)}"
        )
    if chains is not None and state.Npop != chains:
        raise _cannot_resume(f"it has {state.Npop} chains, but pop makes {chains} now")


def warm_up() -> None:
    """Import the module of sessions now, so that forked workers need not."""
    _state_module()
