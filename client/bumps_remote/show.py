"""How things look to a person: tables, a progress bar, numbers with their uncertainty.

Whatever a server or a job said is cleaned here, and never read as markup.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from bumps_remote.events import Event
from bumps_remote.numbers import number
from bumps_remote.submission import age_text
from bumps_remote.text import clean, clean_line
from bumps_remote.transport import Document

_STYLES = {"COMPLETED": "green", "RUNNING": "cyan", "PENDING": "yellow", "CANCELLED": "magenta"}
_QUIET_LINE_S = 10.0
_OLD_S = 60
_FILE_WIDTH = 1000
"""Where nobody looks at a terminal, lines are not broken."""


def out() -> Console:
    """Make what writes results."""
    width = None if sys.stdout.isatty() else _FILE_WIDTH
    return Console(file=sys.stdout, highlight=False, width=width)


def err() -> Console:
    """Make what writes progress and remarks."""
    width = None if sys.stderr.isatty() else _FILE_WIDTH
    return Console(file=sys.stderr, highlight=False, width=width)


def notice(text: str) -> None:
    """Write a remark."""
    err().print(Text(clean(text), style="dim"))


def job_table(jobs: Iterable[Document], *, owners: bool = False) -> Table:
    """Draw a list of jobs, with whose they are if wished."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    titles = ("id", "state", "method", "chi²", "made", "title", "tags")
    for name in (*titles, "of") if owners else titles:
        table.add_column(name, overflow="fold", no_wrap=name in ("id", "state"))
    for job in jobs:
        method = (job.get("options") or {}).get("fit", "")
        cells = [
            clean_line(job.get("id", "")),
            clean_line(method),
            number(job.get("chisq")),
            age_of(job.get("created")),
            clean_line(job.get("title", ""), 60),
            clean_line(", ".join(map(str, job.get("tags") or [])), 60),
        ]
        state = clean_line(job.get("state", ""))
        cells += [clean_line(job.get("owner", ""), 60)] if owners else []
        row = [Text(cells[0]), Text(state, style=_style(state)), *map(Text, cells[1:])]
        table.add_row(*row)
    return table


def job_lines(job: Document, *, with_result: bool = False) -> Iterable[Text]:
    """Say how a job is.

    Parameters
    ----------
    with_result
        Its result is shown as well: chi-square is not said twice.
    """
    state = clean_line(job.get("state", ""))
    yield Text.assemble(clean_line(job.get("id", "")), "  ", clean_line(job.get("title", "")))
    reason, verdict = job.get("reason_text") or "", (job.get("verdict") or {}).get("text")
    yield Text.assemble((state, _style(state)), "  ", clean(reason))
    if alarm := job.get("alarm"):
        yield Text(_alarm_text(alarm), style="red")
    if job.get("forecast") and not job.get("final"):
        yield Text(f"forecast: {clean_line(job['forecast'].get('text') or '')}")
    if verdict and verdict != reason:
        yield Text(clean(verdict))
    if job.get("chisq") is not None and not with_result:
        yield Text(f"chi² {number(job['chisq'])}")
    if job.get("progress") and not job.get("final"):
        yield Text(progress_text(job["progress"]))
    old = (job.get("age_s") or 0) > _OLD_S and not job.get("final")
    if job.get("tracking") not in (None, "fresh") or old:
        age = age_text(float(job.get("age_s") or 0))
        yield Text(
            f"as {clean_line(job.get('source', ''))} said {age} ago; "
            f"tracking is {clean_line(job.get('tracking', ''))}",
            style="yellow",
        )
    if job.get("error"):
        yield Text(clean(job["error"]), style="red")


def _alarm_text(alarm: Mapping[str, Any]) -> str:
    """Say that a job will not start, and what to do."""
    verb = "bumps-remote instead ID: that does it." if alarm.get("instead") is not None else ""
    return " ".join(filter(None, (clean_line(alarm.get("advice") or ""), verb)))


def progress_text(progress: Mapping[str, Any]) -> str:
    """Say how far a fit is."""
    steps = progress.get("steps")
    step = f"step {number(progress.get('step'), 9)}" + (f" of {number(steps, 9)}" if steps else "")
    phase = clean_line(progress.get("phase") or "")
    parts = (phase, step, f"chi² {number(progress.get('chisq'))}")
    return ", ".join(part for part in parts if part)


class FitProgress:
    """A bar with chi-square on standard error; where nobody sees a bar, a line now and then."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._console = err()
        self._live = self._console.is_terminal and not quiet
        self._quiet = quiet
        self._said = ""
        self._said_at = 0.0
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[text]}", markup=False),
            TimeElapsedColumn(),
            console=self._console,
            disable=not self._live,
            transient=True,
        )
        self._task: TaskID | None = None
        self._seen = False

    def __enter__(self) -> FitProgress:
        self._bar.start()
        self._task = self._bar.add_task("PENDING", total=None, text="")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def show(self, event: Event) -> None:
        """Show what happened."""
        data = event.data
        if event.final:
            return  # how it ended is said by whoever followed it
        if event.event == "job":
            self._seen = True
            progress = data.get("progress") or {}
            self._line(clean_line(data.get("state", "")), progress, data.get("reason_text") or "")
        elif not self._seen:
            return  # the past is told first, also that of an earlier attempt
        elif event.event == "step":
            self._line("RUNNING", data, "")
        elif event.event == "message" and data.get("level") != "info":
            self._console.print(Text(clean(data.get("text", "")), style="yellow"))

    def _line(self, state: str, progress: Mapping[str, Any], reason: str) -> None:
        running = bool(progress) and state == "RUNNING"
        text = progress_text(progress) if running else clean_line(reason)
        if self._live and self._task is not None:
            step, steps = progress.get("step"), progress.get("steps")
            known = running and isinstance(step, int) and isinstance(steps, int) and steps > 0
            self._bar.update(
                self._task,
                description=state,
                text=text,
                total=float(steps) if known and steps else None,
                completed=float(min(step or 0, steps or 0)) if known else 0.0,
            )
        elif not self._quiet:
            self._plain(f"{state}: {text}" if text else state, state)

    def _plain(self, line: str, state: str) -> None:
        changed = not self._said.startswith(state)
        if line != self._said and (changed or time.monotonic() - self._said_at > _QUIET_LINE_S):
            self._said, self._said_at = line, time.monotonic()
            self._console.print(Text(line))


def _style(state: str) -> str:
    return _STYLES.get(state, "red")


def age_of(text: object) -> str:
    """Say how long ago something was."""
    try:
        when = datetime.fromisoformat(str(text).replace("Z", "+00:00"))
    except ValueError:
        return clean_line(text or "")
    if when.tzinfo is None:
        when = when.replace(tzinfo=timezone.utc)
    return f"{age_text(max(0.0, (datetime.now(timezone.utc) - when).total_seconds()))} ago"
