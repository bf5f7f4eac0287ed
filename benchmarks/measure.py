"""Measured values beside their goals, and how they are printed."""

from __future__ import annotations

import json
import math
import os
import platform
import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Row:
    """One value; the goal is the greatest (or, with *least*, the smallest) that is good."""

    name: str
    value: float
    unit: str
    goal: float | None = None
    least: bool = False
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None when there is none."""
        if self.goal is None:
            return None
        return self.value >= self.goal if self.least else self.value <= self.goal


def percentile(values: Sequence[float], percent: float) -> float:
    """Take the value below which so many percent lie (nearest rank).

    >>> percentile([1, 2, 3, 4], 50), percentile([1, 2, 3, 4], 95)
    (2, 4)
    """
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]


def timed(work: Callable[[], object]) -> float:
    """Say how long something takes, in seconds."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def in_parallel(
    clients: Sequence[Callable[[], object]], times: int, pause_s: float = 0.0
) -> list[float]:
    """Let each client repeat its request, all at once; answer all durations in seconds.

    Parameters
    ----------
    pause_s
        How long a client waits before each request, in the mean and at random; 0: not at all.
    """
    durations: list[float] = []
    failures: list[BaseException] = []

    def run(request: Callable[[], object]) -> None:
        try:
            for _ in range(times):
                if pause_s:
                    time.sleep(random.expovariate(1 / pause_s))
                durations.append(timed(request))
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=run, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return durations


def milliseconds(name: str, durations: Sequence[float], goals: tuple[float | None, float | None],
                 note: str = "") -> list[Row]:  # fmt: skip
    """Make the rows of p50 and p95 of some durations."""
    return [
        Row(name=f"{name}, p{percent}", value=1000 * percentile(durations, percent), unit="ms",
            goal=goal, note=note)
        for percent, goal in zip((50, 95), goals, strict=True)
    ]  # fmt: skip


def table(rows: Sequence[Row]) -> str:
    """Write rows for people."""
    width = max(len(row.name) for row in rows)
    return "\n".join(_line(row, width) for row in rows)


def _line(row: Row, width: int) -> str:
    sign = ">=" if row.least else "<="
    goal = "" if row.goal is None else f"{sign} {row.goal:g}"
    verdict = {True: "ok", False: "MISSED", None: ""}[row.met]
    line = f"{row.name:<{width}} {row.value:>10.2f} {row.unit:<6} {goal:>9} {verdict:<6} {row.note}"
    return line.rstrip()


def save(rows: Sequence[Row], path: Path) -> None:
    """Write rows for programs, with where they come from."""
    load = os.getloadavg()[0]
    document = {
        "machine": platform.platform(),
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        "load_1_min": load,
        "rows": [{**asdict(row), "met": row.met} for row in rows],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
