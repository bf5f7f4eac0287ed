"""A fit of the problem that bumps's web view shows, done elsewhere and brought back into it.

The view shows it as one of its own: steps and chi-square as it runs, and its Stop button asks for
an early end that keeps the result. That comes into the history; the view is put at it unless
another problem is shown by then.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from copy import deepcopy
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bumps_remote.aio import AsyncJob
from bumps_remote.connection import Connection
from bumps_remote.errors import RemoteError, UsageError
from bumps_remote.job import outcome_text, succeeded
from bumps_remote.numbers import number
from bumps_remote.text import clean_line
from bumps_remote.view_parts import Parts
from bumps_remote.view_problem import submit_shown

_LOOK_S = 0.5
_MOVE_S = 3.0
_NOTICE_MS = 10_000
_OURS = "remote"


def selected(parts: Parts) -> tuple[Any, str, dict[str, Any]]:
    """Say which problem the view shows, with which method and settings it would fit it.

    Raises
    ------
    UsageError
        When it shows none.
    """
    state = parts.api.state
    problem = state.problem.fitProblem if state.problem is not None else None
    if problem is None:
        raise UsageError("the view shows no problem: load a model first")
    method = str(state.shared.selected_fitter)
    return problem, method, dict(state.shared.fitter_settings[method]["settings"])


class ViewFit:
    """One fit that the view asked for, followed until its result is in the view."""

    def __init__(self, parts: Parts, problem: Any, job: AsyncJob) -> None:
        self._parts = parts
        self._problem = problem
        self._sent = deepcopy(problem)
        self._shown = False
        self._stopped = False
        self._moved = 0.0
        self.job = job
        self.progress: Mapping[str, Any] = {}
        self.said = ""
        """What came of it, when it has ended."""

    @classmethod
    async def start(cls, parts: Parts, connection: Connection, **wanted: Any) -> ViewFit:
        """Submit the problem that is shown, with the method and settings that are chosen.

        Raises
        ------
        RemoteError
            When it is not taken: what to do instead.
        """
        problem, method, settings = selected(parts)
        name = clean_line(getattr(problem, "name", None) or "", 100)
        wanted = {"title": name, **settings, **wanted}
        job = await asyncio.to_thread(
            lambda: submit_shown(connection, problem, fit=method, **wanted)
        )
        return cls(parts, problem, AsyncJob(connection, job))

    async def follow(self) -> None:
        """Show it in the view until it has ended, and take its result there."""
        looking = asyncio.ensure_future(self._look_for_stop())
        try:
            async for event in self.job:
                if event.event == "step":
                    self.progress = event.data
                    self._move()
                elif event.event == "job" and event.data.get("progress"):
                    self.progress = event.data["progress"]
                self._show()
            self.said = await self._taken()
        except RemoteError as error:
            self.said = f"job {self.job.id}: {error}"
        finally:
            looking.cancel()
            if self._is_shown():
                self._parts.api.state.shared.active_fit = {}
        await tell(self._parts, self.said)

    async def stop(self) -> None:
        """Ask it to end early with its result."""
        self._stopped = True
        await self.job.stop()

    async def _look_for_stop(self) -> None:
        """See that somebody has pressed the view's Stop button: it forgets what is active."""
        while not self._stopped:
            await asyncio.sleep(_LOOK_S)
            if self._shown and self._active() == {}:
                self._shown = False
                await self.stop()
                await tell(self._parts, f"job {self.job.id} ends early, and keeps its result")

    def _active(self) -> dict[str, Any]:
        active = self._parts.api.state.shared.active_fit
        return active if isinstance(active, dict) else {}

    def _is_shown(self) -> bool:
        return self._active().get(_OURS) == self.job.id

    def _show(self) -> None:
        """Put it where the view shows its own fit, unless that runs, or was told to stop."""
        state, other = self._parts.api.state, self._active()
        if self._stopped or state.fit_thread is not None or (other and not self._is_shown()):
            self._shown = False
            return
        if self._shown and not other:
            return  # the Stop button, which is seen to in its own time
        options = self.job.job.document.get("options") or {}
        state.shared.active_fit = {
            _OURS: self.job.id,
            "fitter_id": str(options.get("fit", "")),
            "options": options,
            "num_steps": self.progress.get("steps") or 0,
            "step": self.progress.get("step") or 0,
            "chisq": number(self.progress.get("chisq")),
            "value": 0,
        }
        self._shown = True

    def _move(self) -> None:
        """Put what is shown at the best point so far, now and then, as a fit of the view does."""
        state, best = self._parts.api.state, self.progress.get("best")
        here = state.problem is not None and state.problem.fitProblem is self._problem
        same = list(self.progress.get("labels") or ()) == list(self._sent.labels())
        if not (here and same and self._shown and isinstance(best, list)):
            return
        if time.monotonic() - self._moved >= _MOVE_S:
            self._moved = time.monotonic()
            self._problem.setp(best)
            state.shared.updated_parameters = self._parts.api.now_string()

    async def _taken(self) -> str:
        document = self.job.job.document
        if not succeeded(document):
            return f"job {self.job.id} ended as {outcome_text(document)}"
        found = await self.job.fit_result()
        if list(found.labels) != list(self._sent.labels()):
            raise UsageError("its parameters are others than those of the problem that was sent")
        self._sent.setp(found.x)
        state = self._parts.api.state
        here = state.problem is not None and state.problem.fitProblem is self._problem
        fitting = type(state.fitting)(
            method=found.method,
            options=found.options,
            convergence=found.convergence,
            fit_state=found.state,
        )
        label = f"Remote fit complete: {found.method} ({self.job.id})"
        name = keep(self._parts, self._sent, fitting, label)
        if here and state.fit_thread is None:
            if self._is_shown():
                state.shared.active_fit = {}
            await self._parts.api.reload_history_item(name)
        state.autosave()
        where = "" if here else "; it is in the history, since another problem is shown"
        return f"job {self.job.id}: {outcome_text(document)} χ² {number(found.chisq)}{where}"


def keep(parts: Parts, problem: Any, fitting: Any, label: str) -> str:
    """Put a fitted problem into the view's history for good, and answer its name there."""
    state, item = parts.api.state, parts.state.HistoryItem()
    item.problem = type(state.problem)()
    item.problem.fitProblem = problem
    item.problem.serializer = state.problem.serializer
    item.fitting = fitting
    item.timestamp = str(datetime.now())  # noqa: DTZ005 - as those beside it
    item.label = label
    item.chisq_str = problem.chisq_str()
    item.keep = True
    name = str(state.history.add_item(item, state.shared.autosave_history_length - 1))
    state.shared.updated_history = parts.api.now_string()
    return name


async def open_job(parts: Parts, connection: Connection, id: str) -> str:
    """Bring the session of any job into the view's history, and show it; answer its name.

    What the view has so far stays in its history. A session may carry pickled code of its model.
    """
    with TemporaryDirectory(prefix="bumps-remote-") as folder:
        job = await asyncio.to_thread(connection.job, id)
        await asyncio.to_thread(connection.require_own, job.document)
        await asyncio.to_thread(job.fetch, folder, ["out/session.h5"])
        other = type(parts.api.state)()
        other.read_session_file(str(Path(folder) / "out" / "session.h5"))
    if other.problem.fitProblem is None:
        raise UsageError(f"the session of job {job.id} cannot be read by this bumps")
    state = parts.api.state
    if state.problem.fitProblem is not None and state.shared.autosave_history:
        await parts.api.save_to_history("autosaved before loading a remote fit")
    label = f"Remote fit: {clean_line(job.document.get('title') or '', 60)} ({job.id})"
    state.problem.serializer = other.problem.serializer
    name = keep(parts, other.problem.fitProblem, other.fitting, label)
    await parts.api.reload_history_item(name)
    return name


async def tell(parts: Parts, text: str) -> None:
    """Say something in the view, and in its log."""
    line = clean_line(text, 300)
    await parts.api.log(line, title="bumps-remote")
    # The view takes the content for HTML.
    plain = line.replace("&", "&amp;").replace("<", "&lt;")
    await parts.api.add_notification(content=plain, title="Remote fit", timeout=_NOTICE_MS)
