"""A fit as it runs, on a terminal: chi-square as a chart, parameters, and what was said last."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from bumps_remote.events import Event
from bumps_remote.numbers import number
from bumps_remote.show import job_lines, progress_text
from bumps_remote.text import clean_line
from bumps_remote.transport import Document

_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
_BLANK = 0x2800
_HEIGHT, _KEPT = 8, 4000
_PARAMETERS, _LINES, _LABEL = 12, 5, 32
_BAR_WIDTH = 40
_LOOK_S = 3.0

Tail = Callable[[], str]


def chart(values: Sequence[float], width: int, height: int) -> list[str]:
    """Draw values over their order in dots, two by four to a sign; large ratios on a log scale.

    >>> chart([4.0, 3.0, 2.0, 1.0], 2, 1)
    ['⠑⢄']
    """
    count = min(width * 2, len(values))
    step = (len(values) - 1) / max(1, count - 1)
    drawn = [values[round(n * step)] for n in range(count)]
    low, high = min(drawn), max(drawn)
    logarithmic = low > 0 and high / low > 10.0
    scaled = [math.log(value) if logarithmic else value for value in drawn]
    low, span = min(scaled), (max(scaled) - min(scaled)) or 1.0
    rows = [[_BLANK] * width for _ in range(height)]
    for column, value in enumerate(scaled):
        level = round((1.0 - (value - low) / span) * (height * 4 - 1))
        rows[level // 4][column // 2] |= _DOTS[level % 4][column % 2]
    return ["".join(map(chr, row)) for row in rows]


class Watching:
    """What is known of a job that is watched; drawn anew whenever something comes.

    Parameters
    ----------
    tail
        Reads the end of the job's log.
    """

    def __init__(self, console: Console, job: Document, tail: Tail | None = None) -> None:
        self._console = console
        self._job = job
        self._tail = tail
        self._labels: list[str] = []
        self._step: Mapping[str, Any] = {}
        self._chisq: deque[float] = deque(maxlen=_KEPT)
        self._said: deque[str] = deque(maxlen=_LINES)
        self._log: list[str] = []
        self._looked = 0.0
        self._live = Live(self, console=console, refresh_per_second=4, transient=True)

    def __enter__(self) -> Watching:
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.stop()

    def feed(self, event: Event) -> None:
        """Take what happened."""
        data = event.data
        if event.event == "job":
            self._job = data
            self._step = self._step or data.get("progress") or {}
        elif event.event == "start":  # of another attempt, too: its chart begins anew
            self._labels = [clean_line(label, _LABEL) for label in data.get("labels") or []]
            self._chisq.clear()
        elif event.event == "step":
            self._step = data
            value = data.get("chisq")
            if isinstance(value, int | float) and math.isfinite(value):
                self._chisq.append(float(value))
        elif event.event == "message":
            self._said.append(clean_line(data.get("text", ""), 300))
        self._look()

    def _look(self) -> None:
        running = self._job.get("state") == "RUNNING"
        if self._tail is None or not running or time.monotonic() - self._looked < _LOOK_S:
            return
        self._looked = time.monotonic()
        self._log = [clean_line(line, 300) for line in self._tail().splitlines()[-_LINES:]]

    def __rich__(self) -> RenderableType:
        """Draw it."""
        parts: list[RenderableType] = [*job_lines({**self._job, "progress": None, "chisq": None})]
        width = max(20, self._console.width)
        if self._step:
            parts.append(self._progress(width))
        if len(self._chisq) > 1:
            parts += self._chart(width)
        if self._labels and self._step.get("best"):
            parts.append(self._parameters())
        for line in (*self._said, *self._log):
            parts.append(Text(line, style="dim", no_wrap=True, overflow="ellipsis"))
        parts.append(Text("Ctrl-C leaves; the job goes on", style="dim"))
        return Group(*parts)

    def _progress(self, width: int) -> RenderableType:
        step, steps = self._step.get("step"), self._step.get("steps")
        text = Text(progress_text(self._step))
        if not (isinstance(step, int) and isinstance(steps, int) and steps > 0):
            return text
        bar = ProgressBar(total=steps, completed=min(step, steps), width=min(_BAR_WIDTH, width))
        line = Table.grid(padding=(0, 2))
        line.add_row(bar, text)
        return line

    def _chart(self, width: int) -> list[RenderableType]:
        values = list(self._chisq)
        ends = [number(max(values)), number(min(values))]
        margin = max(map(len, ends)) + 1
        rows = chart(values, min(width - margin - 1, 100), _HEIGHT)
        marks = [ends[0], *[""] * (len(rows) - 2), ends[1]]
        return [
            Text.assemble((f"{mark:>{margin - 1}} ", "dim"), (row, "cyan"), no_wrap=True)
            for mark, row in zip(marks, rows, strict=True)
        ]

    def _parameters(self) -> RenderableType:
        table = Table(box=None, pad_edge=False, show_header=False)
        rows = list(zip(self._labels, self._step["best"], strict=False))
        for label, value in rows[:_PARAMETERS]:
            table.add_row(Text(label), Text(number(value)))
        if len(rows) > _PARAMETERS:
            table.add_row(Text(f"and {len(rows) - _PARAMETERS} more", style="dim"), Text(""))
        return table
