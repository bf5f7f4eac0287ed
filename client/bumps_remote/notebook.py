"""How jobs and results look in a notebook: HTML and SVG, drawn anew as the fit goes on.

No widgets and no scripts, so that it looks the same in Jupyter, VS Code and Colab, in a notebook
that was saved, and on a dark page. Whatever a server or a job said is cleaned and escaped.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib import import_module
from types import TracebackType
from typing import Any

from bumps_remote.events import JOB, Event
from bumps_remote.numbers import number, with_uncertainty
from bumps_remote.show import progress_text
from bumps_remote.text import clean, clean_line
from bumps_remote.transport import Document

_REDRAW_S = 0.5
_WIDTH, _HEIGHT, _EDGE = 560, 130, 8
_POINTS = 400
_DECADES = 1.3
_MESSAGES = 5
_FRAME = "border:1px solid #8884;border-radius:6px;padding:8px 12px;max-width:600px"
_COLORS = {"COMPLETED": "#1a7f37", "RUNNING": "#0969da", "PENDING": "#9a6700"}
_BAD = "#cf222e"
_ENDS = {"": "#8884", "running": "#0969da", "done": "#1a7f37", "stopped": "#9a6700"}
_SQUARES, _ACROSS, _SIDE = 400, 40, 14


def in_notebook() -> bool:
    """Say whether this runs in a cell, where a display can be drawn anew."""
    ask = getattr(sys.modules.get("IPython"), "get_ipython", None)
    return ask is not None and hasattr(ask(), "kernel")


class NotebookProgress:
    """A fit in a cell: state, how far it is, and chi-square with its population over the steps.

    Of a campaign a square for each of its fits, in the colour of what became of it.

    Used as `show.FitProgress`: in a ``with`` statement, with each event shown.
    """

    def __init__(self, url: str = "") -> None:
        self._url = url
        self._job: Document = {}
        self._steps: list[Mapping[str, Any]] = []
        self._messages: list[str] = []
        self.elements: dict[int, str] = {}
        """What is known of each fit of a campaign."""

        self._handle: Any = None
        self._html: Any = None
        self._drawn = -math.inf
        self._known = False

    def __enter__(self) -> NotebookProgress:
        shown: Any = import_module("IPython.display")  # partly typed, and only where it is used
        self._html = shown.HTML
        self._handle = shown.display(self._html(self.html()), display_id=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._draw()

    def show(self, event: Event) -> None:
        """Take up what happened, and draw it unless that was done just now."""
        if event.event == JOB:
            changed = event.data.get("state") != self._job.get("state")
            self._job, self._known = event.data, True
            self._drawn = -math.inf if changed else self._drawn
        elif event.event == "step" and event.data.get("element") is None:
            self._steps.append(event.data)
        elif event.event == "message" and event.data.get("level") != "info":
            self._messages = [*self._messages, clean(event.data.get("text", ""))][-_MESSAGES:]
        self._note_element(event)
        # The past is told first, all at once: it is drawn when the job as it is now is known.
        if self._known and time.monotonic() - self._drawn > _REDRAW_S:
            self._draw()

    def html(self) -> str:
        """Draw what is known."""
        parts = [_head(self._job, self._url), _bar(self._job, self._steps)]
        parts += [chart(self._steps)] if len(self._steps) > 1 else []
        parts += [squares(self.elements, self._job.get("elements"))]
        parts += [f"<div>{escape(text)}</div>" for text in self._messages]
        return f'<div style="{_FRAME}">{"".join(parts)}</div>'

    def _note_element(self, event: Event) -> None:
        """Note where a fit of a campaign begins, and how it ends."""
        index = event.data.get("element")
        if isinstance(index, int) and event.event in ("start", "end"):
            began = event.event == "start"
            self.elements[index] = "running" if began else clean_line(event.data.get("status"), 20)

    def _draw(self) -> None:
        self._drawn = time.monotonic()
        if self._handle is None:  # shown by nobody
            return
        self._handle.update(self._html(self.html()))


def job_html(job: Document, url: str = "") -> str:
    """Draw a job as it was read last."""
    return f'<div style="{_FRAME}">{_head(job, url)}{_bar(job, ())}</div>'


def parameters_html(
    labels: Sequence[str], values: Iterable[float], uncertainties: Iterable[float]
) -> str:
    """Draw a table of parameters, each with the digits that its uncertainty leaves it."""
    rows = "".join(
        f'<tr><td style="text-align:left">{escape(clean_line(label))}</td>'
        f"<td>{escape(with_uncertainty(float(value), float(uncertainty)))}</td></tr>"
        for label, value, uncertainty in zip(labels, values, uncertainties, strict=True)
    )
    head = '<tr><th style="text-align:left">parameter</th><th>value</th></tr>'
    return f"<table><thead>{head}</thead><tbody>{rows}</tbody></table>"


def _head(job: Document, url: str) -> str:
    if not job:
        return "<div>asking how the job is ...</div>"
    state, own = clean_line(job.get("state", "UNKNOWN")), escape(clean_line(job.get("id", "")))
    verdict = (job.get("verdict") or {}).get("text") or ""
    said = clean_line(verdict or job.get("reason_text") or "")
    name = f"<code>{own}</code>"
    if url:
        name = f'<a href="{escape(url)}/jobs/{own}" target="_blank">{name}</a>'
    color = _COLORS.get(state, _BAD)
    chisq = job.get("chisq")
    return (
        f'<div><span style="color:{color}">●</span> <b>{escape(state)}</b> {name} '
        f"{escape(clean_line(job.get('title') or '', 80))}</div>"
        f"<div>{escape(said)}{f' χ² {number(chisq)}' if chisq is not None else ''}</div>"
    )


def _bar(job: Document, steps: Sequence[Mapping[str, Any]]) -> str:
    if job.get("final"):
        return ""
    progress = (steps[-1] if steps else None) or job.get("progress")
    if not progress or job.get("state") != "RUNNING":
        return ""
    done, planned = progress.get("step"), progress.get("steps")
    several = bool(job.get("elements"))
    said = f"{done} of {planned} fits have ended" if several else progress_text(progress)
    text = f"<div>{escape(said)}</div>"
    if not isinstance(done, int) or not isinstance(planned, int) or planned <= 0:
        return text
    bar = f'max="{planned}" value="{min(done, planned)}" style="width:100%"'
    return f"{text}<progress {bar}></progress>"


def chart(steps: Sequence[Mapping[str, Any]]) -> str:
    """Draw the best chi-square over the steps, and the middle of the population behind it.

    A step that begins again, as at another start or attempt, is drawn behind those before it.
    """
    rows = _rows(steps)
    if len(rows) < 2:
        return ""
    values = [value for row in rows for value in row[1:] if value is not None]
    low, high = min(values), max(values)
    decades = math.log10(high / low) if low > 0 and high > 0 else 0.0
    scale = math.log10 if decades > _DECADES else float
    bottom, top = scale(low), scale(high)
    across = (_WIDTH - 2 * _EDGE) / max(1.0, rows[-1][0] - rows[0][0])
    down = (_HEIGHT - 2 * _EDGE) / ((top - bottom) or 1.0)

    def place(row: tuple[float, ...], column: int) -> str:
        x = _EDGE + (row[0] - rows[0][0]) * across
        return f"{x:.1f},{_EDGE + (top - scale(row[column])) * down:.1f}"

    best = " ".join(place(row, 1) for row in rows)
    band = [place(row, 2) for row in rows] + [place(row, 3) for row in reversed(rows)]
    said = f"chi-square from {number(rows[0][1])} to {number(rows[-1][1])}"
    log = " (logarithmic)" if scale is math.log10 else ""
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" width="100%" role="img" aria-label="{said}">'
        f'<polygon points="{" ".join(band)}" fill="#0969da" opacity="0.2"/>'
        f'<polyline points="{best}" fill="none" stroke="#0969da" stroke-width="2"/></svg>'
        f"<div><small>best χ² {number(rows[-1][1])}, drawn from {number(low)} to {number(high)}"
        f"{log}; step {number(rows[-1][0], 9)}</small></div>"
    )


def squares(states: Mapping[int, str], count: object) -> str:
    """Draw a square for each fit of a campaign; none for one fit, and none for very many."""
    if not isinstance(count, int) or not 1 < count <= _SQUARES:
        return ""
    drawn = "".join(
        f'<rect x="{index % _ACROSS * _SIDE}" y="{index // _ACROSS * _SIDE}" width="{_SIDE - 2}" '
        f'height="{_SIDE - 2}" fill="{_ENDS.get(states.get(index, ""), _BAD)}">'
        f"<title>{index}: {escape(states.get(index) or 'waits')}</title></rect>"
        for index in range(count)
    )
    height = math.ceil(count / _ACROSS) * _SIDE
    kinds = {state: list(states.values()).count(state) for state in sorted(set(states.values()))}
    said = escape(", ".join(f"{many} {state}" for state, many in kinds.items()))
    return (
        f'<svg viewBox="0 0 {_ACROSS * _SIDE} {height}" width="100%" role="img" '
        f'aria-label="{said}">{drawn}</svg><div><small>{said}</small></div>'
    )


def _rows(steps: Sequence[Mapping[str, Any]]) -> list[tuple[float, float, float, float]]:
    """List step, best, and the quantiles at 20 and 80 %; where there are none, the best."""
    rows: list[tuple[float, float, float, float]] = []
    passed, last = 0.0, 0.0
    for step in steps:
        at, best = _number(step.get("step")), _number(step.get("chisq"))
        if at is None or best is None:
            continue
        passed += last if at < last else 0.0
        last = at
        spread = step.get("quantiles")
        ends = spread if isinstance(spread, list) and len(spread) == 5 else [None] * 5
        low, high = _number(ends[1]), _number(ends[3])
        rows.append((passed + at, best, best if low is None else low, high or best))
    every = math.ceil(len(rows) / _POINTS) or 1
    return [*rows[:-1:every], *rows[-1:]]


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)
