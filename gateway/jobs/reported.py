"""What events say: the last step of a fit, its curves, and how each element of an array is.

Events are written by jobs and so by strangers: a line that is too long, is no JSON or has a number
where none belongs is left out, never trusted and never an error.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from gateway.jobs.documents import read_document
from gateway.jobs.models import Attempt, ElementProgress, Progress
from gateway.records import Document, is_number

LINE_BYTES = 128 * 1024
_VALUES = 1_000
_WORDS = 2_000
_CURVES = 100
_WORDS_OF_ELEMENT = 300
_LAST_T = 1 << 36
"""No clock shows more; what is computed from it stays finite, as with the steps."""

_MOST_MEMORY = 1 << 50
_MOST_STEPS = 10**12
_ENDS = frozenset({"done", "stopped", "failed"})
_EVENTS = frozenset({"start", "step", "curve", "checkpoint", "message", "end"})


def read_events(content: bytes) -> list[Document]:
    """Read the events in some lines."""
    return [event for line in content.splitlines() if (event := read_event(line))]


def cut_event(task: int, size: int) -> Document:
    """Say that more of a task's events is not shown."""
    text = f"of the events of task {task}, those after the first {size} bytes are not all shown"
    return {"event": "message", "t": time.time(), "level": "warning", "text": text}


def read_event(line: bytes) -> Document | None:
    """Read one event line; None for what is no event.

    >>> read_event(b'{"event": "step", "t": 1, "step": 3, "chisq": NaN}')["chisq"] is None
    True
    >>> read_event(b'{"event": "rm -rf"}') is None, read_event(b"[" * 200) is None
    (True, True)
    >>> read_event(b'{"event": "step", "t": 1e300}') is None
    True
    """
    if len(line) > LINE_BYTES:
        return None
    document = read_document(line)
    if not isinstance(document, dict) or document.get("event") not in _EVENTS:
        return None
    if not is_number(t := document.get("t")) or not 0 <= t < _LAST_T:
        return None
    return {str(key)[:64]: _bounded(value) for key, value in list(document.items())[:40]}


def _bounded(value: Any) -> Any:
    if isinstance(value, str):
        return value[:_WORDS]
    if isinstance(value, list):
        return [_bounded(item) for item in value[:_VALUES]]
    if isinstance(value, dict):
        return {str(key)[:64]: _bounded(item) for key, item in list(value.items())[:100]}
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def fold_progress(events: Sequence[Document], before: Progress | None) -> Progress | None:
    """Fold new events into the last known step; None when nothing about it is new."""
    state = before
    for event in events:
        if event["event"] == "start":
            state = Progress(
                t=event["t"],
                step=0,
                steps=_count(event.get("steps")),
                chisq=_float(event.get("chisq")),
                start_chisq=_float(event.get("chisq")),
                labels=tuple(str(label) for label in _list(event.get("labels"))),
                method=str(event.get("method", ""))[:40],
            )
        elif event["event"] == "step":
            state = Progress(
                t=event["t"],
                step=_count(event.get("step")) or 0,
                steps=_count(event.get("steps")),
                chisq=_float(event.get("chisq")),
                best=tuple(_float(value) for value in _list(event.get("best"))),
                quantiles=tuple(_float(value) for value in _list(event.get("quantiles"))),
                phase=str(event["phase"])[:40] if event.get("phase") else None,
                labels=state.labels if state else (),
                start_chisq=state.start_chisq if state else None,
                method=state.method if state else "",
                max_rss_bytes=_memory(event.get("max_rss_bytes")),
            )
    return state if state is not before else None


def _memory(value: object) -> int | None:
    return int(value) if is_number(value) and 0 < value <= _MOST_MEMORY else None


def of_this_attempt(attempt: Attempt, progress: Progress | None) -> Progress | None:
    """Leave out what an earlier attempt reported last: a new one has not begun by that."""
    if progress is None or attempt.number == 1 or progress.t >= attempt.asked.timestamp():
        return progress
    return None


def last_curves(events: Sequence[Document]) -> Mapping[int, Document]:
    """Give the last curve of each model of a job without elements."""
    return {
        event["model"]: event
        for event in events
        if event["event"] == "curve"
        if type(event.get("model")) is int and 0 <= event["model"] < _CURVES
        if event.get("element") is None
    }


def elements_told_of(events: Sequence[Document], most: int) -> list[int]:
    """List the elements of an array of so many that some events are about."""
    return sorted({index for event in events if (index := _element(event, most)) is not None})


def fold_elements(
    events: Sequence[Document], before: Mapping[int, ElementProgress], most: int
) -> dict[int, ElementProgress]:
    """Fold new events into what is known of the elements of an array of so many.

    Elements that no event is about, and those of which nothing is known, are left out.
    """
    after: dict[int, ElementProgress] = {}
    for event in events:
        if (index := _element(event, most)) is not None:
            state = _next_of_element(event, after.get(index, before.get(index)))
            if state is not None:
                after[index] = state
    return after


def _element(event: Document, most: int) -> int | None:
    index = event.get("element")
    return index if type(index) is int and 0 <= index < most else None


def _next_of_element(event: Document, state: ElementProgress | None) -> ElementProgress | None:
    t, chisq = event["t"], _float(event.get("chisq"))
    match event["event"]:
        case "start":
            return ElementProgress(t=t, steps=_count(event.get("steps")), chisq=chisq)
        case "step":
            known = state or ElementProgress(t=t)
            step, steps = _count(event.get("step")) or 0, _count(event.get("steps"))
            return replace(known, t=t, status="running", step=step, steps=steps, chisq=chisq)
        case "message" if event.get("level") == "error":
            known = state or ElementProgress(t=t)
            return replace(known, t=t, text=str(event.get("text", ""))[:_WORDS_OF_ELEMENT])
        case "end":
            status = event.get("status")
            known = state or ElementProgress(t=t)
            status = status if status in _ENDS else "failed"
            return replace(known, t=t, status=status, chisq=chisq)
    return state


def _count(value: object) -> int | None:
    return int(value) if is_number(value) and 0 <= value <= _MOST_STEPS else None


def _float(value: object) -> float | None:
    return float(value) if is_number(value) else None


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
