"""How well an attempt has used the processors and the memory that it asked for.

A scheduler that counted all processes of a task is believed (the local one does). Else the driver
tells what its own processes took, in its result: the job's user can write there, so that these are
figures for people, and nothing is decided by them. Slurm is not asked: its accounting has such
figures seconds late, in steps of their own, and each would cost the cluster a call.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from gateway.jobs.advise import rounded_bytes
from gateway.jobs.line import cpus_of_task
from gateway.jobs.models import Attempt
from gateway.jobs.resource_schema import read_kept
from gateway.jobs.resources import Resources
from gateway.records import Document, is_number
from scheduler.base import JobReport, JobState
from scheduler.units import GIB, MIB, format_memory

POOR = 0.5
"""Who computes less than this part of the time has asked for too many processors."""

_FIGURES = {"cpu_s": 1e12, "elapsed_s": 1e9, "max_rss_bytes": float(1 << 50)}
"""What a result may say of itself, each up to its bound."""

_BELIEVED = 2.0
"""Of a job's own word: so many times more than its processors can do."""

_WORTH_S = 60.0
"""What ran shorter is not worth advice: it begins with loading its libraries."""

_POOR_MEMORY, _SPARE_MEMORY, _LEAST_MEMORY = 0.25, 1.5, 512 * MIB
_ROUND = 0.05
"""Of a processor: what the driver does beside its workers is no reason to ask for one more."""


@dataclass(frozen=True, kw_only=True)
class Efficiency:
    """What was used of what was asked for; of an array, by each of its tasks on average."""

    cpus: int
    """Processors of each task: those that it was given where that is known."""

    cpu_s: float | None
    """Processor time of all tasks that tell; None where none does."""

    cpus_used: float | None
    """So many processors computed, on average."""

    cpu: float | None
    """The part of the processors' time in which they computed: 1 is all of it."""

    max_rss_bytes: int | None
    """No more than was asked for: more is not known, and where it ended the job, it was all."""

    mem_bytes: int | None
    """What was asked for; None where nothing was."""

    mem: float | None
    """The part of the memory asked for that was taken at most."""

    text: str
    advice: str
    """What to ask for next time; empty where it did well, or was too short to tell."""


def figures_of(result: Mapping[str, Any]) -> Document:
    """Read what a result says that its task took; empty where it says nothing that can be."""
    told = result.get("usage")
    if not isinstance(told, dict):
        return {}
    found = {
        name: float(value)
        for name, most in _FIGURES.items()
        if is_number(value := told.get(name)) and 0 < value <= most
    }
    return {"usage": found} if found else {}


def seen(reports: Sequence[JobReport]) -> dict[str, Any]:
    """Say what changes of a record by what its scheduler counted of tasks that have ended."""
    counted = [
        (report.cpu_s, (report.ended - report.started).total_seconds())
        for report in reports
        if report.cpu_s is not None and report.started and report.ended
    ]
    return _sums(counted)


def told(attempt: Attempt, results: Iterable[Document]) -> dict[str, Any]:
    """Say what changes of a record by what the results of its tasks tell."""
    if attempt.cpu_s is not None:
        return {}
    usages = [result.get("usage", {}) for result in results]
    rows = [(one["cpu_s"], one["elapsed_s"]) for one in usages if {"cpu_s", "elapsed_s"} <= {*one}]
    found = _sums(rows)
    if found and found["cpu_s"] > _BELIEVED * _cpus(attempt) * found["cpu_over_s"]:
        return {}
    return found


def told_memory(results: Iterable[Document]) -> int | None:
    """Say how much memory the task of an attempt that took most took, by its own word."""
    taken = [result.get("usage", {}).get("max_rss_bytes", 0) for result in results]
    return int(max(taken, default=0)) or None


def _sums(rows: Sequence[tuple[float, float]]) -> dict[str, Any]:
    over_s = sum(length_s for _, length_s in rows)
    if not over_s > 0:
        return {}
    return {"cpu_s": sum(cpu_s for cpu_s, _ in rows), "cpu_over_s": over_s}


def idle(attempt: Attempt) -> float:
    """Say which part of what an attempt had stood idle, where that is more than half; else 0."""
    used = _used(attempt)
    part = 1.0 if used is None else used / _cpus(attempt)
    return 1.0 - part if part < POOR else 0.0


def efficiency_of(attempt: Attempt) -> Efficiency | None:
    """Say how well an attempt used what it asked for; None before its end, or if nobody knows."""
    is_known = not (attempt.cpu_s is None and attempt.max_rss_bytes is None)
    asked = read_kept(attempt.resources) if attempt.final and is_known else None
    if asked is None:
        return None
    cpus, used = _cpus(attempt), _used(attempt)
    # Of several machines each has so much, and only one of them told.
    limit = None if (asked.nodes or 1) > 1 else asked.memory_bytes
    taken = _taken(attempt, limit)
    if used is None and (limit is None or taken is None):
        return None
    words = (_cpus_text(cpus, used), _memory_text(limit, taken))
    advice = (_fewer(attempt, asked, used), _less(asked, limit, taken))
    ran_long = attempt.cpu_over_s >= _WORTH_S * attempt.tasks
    return Efficiency(
        cpus=cpus,
        cpu_s=attempt.cpu_s,
        cpus_used=used,
        cpu=None if used is None else used / cpus,
        max_rss_bytes=taken,
        mem_bytes=limit,
        mem=taken / limit if taken and limit else None,
        text="; ".join(filter(None, words)) + (", by each task" if attempt.tasks > 1 else ""),
        advice=" ".join(filter(None, advice)) if ran_long else "",
    )


def told_efficiency(attempt: Attempt) -> Document | None:
    """Write how well an attempt used what it asked for, for its reader."""
    found = efficiency_of(attempt)
    return None if found is None else asdict(found)


def _cpus(attempt: Attempt) -> int:
    return attempt.cpus_given or cpus_of_task(attempt.resources)


def _used(attempt: Attempt) -> float | None:
    """Say how many processors computed on average; None where nobody told."""
    if attempt.cpu_s is None or attempt.cpu_over_s <= 0:
        return None
    return attempt.cpu_s / attempt.cpu_over_s


def _taken(attempt: Attempt, limit: int | None) -> int | None:
    """Say how much memory was taken: never more than there was, as the job's own word may be."""
    taken = attempt.max_rss_bytes
    if taken is None or limit is None or taken <= limit:
        return taken
    return limit if attempt.state is JobState.OUT_OF_MEMORY else None


def _cpus_text(cpus: int, used: float | None) -> str:
    """Say how many processors were used.

    >>> _cpus_text(8, 1.12), _cpus_text(1, 0.997), _cpus_text(2, None)
    ('1.1 of 8 processors (14 %)', '1.0 of 1 processor (100 %)', '')
    """
    if used is None:
        return ""
    return f"{used:.1f} of {cpus} processor{'s' * (cpus > 1)} ({100 * used / cpus:.0f} %)"


def _memory_text(limit: int | None, taken: int | None) -> str:
    """Say how much memory was used.

    >>> _memory_text(16 * GIB, 400 * MIB), _memory_text(512 * MIB, 60 * MIB)
    ('0.4 of 16 GB of memory (2 %)', '60 of 512 MB of memory (12 %)')
    """
    if not taken or not limit:
        return ""
    part = f"of memory ({100 * taken / limit:.0f} %)"
    if limit < GIB:
        return f"{taken / MIB:.0f} of {limit / MIB:.0f} MB {part}"
    return f"{taken / GIB:.1f} of {limit / GIB:.3g} GB {part}"


def _fewer(attempt: Attempt, asked: Resources, used: float | None) -> str:
    """Say how many processors are enough; empty where so many were used."""
    cpus = _cpus(attempt)
    if used is None or used >= POOR * cpus:
        return ""
    enough = max(1, math.ceil(used - _ROUND))
    ran = attempt.measured.cpus if attempt.measured else cpus
    why = f"The fit computed on {ran} of them. " if ran < cpus else ""
    if enough < asked.cpus:
        many = f"{enough} processor{'s' * (enough > 1)}"
        return f"{why}Ask for {many} next time: it takes as long, and waits less in line."
    if cpus > asked.cpus:
        return f"It asked for {asked.cpus}: this cluster gives no less than {cpus}."
    return "It waited more than it computed: for files, or for a machine with other work."


def _less(asked: Resources, limit: int | None, taken: int | None) -> str:
    """Say how much memory is enough; empty where that would be no less."""
    if not taken or not limit or limit < 2 * GIB or taken >= _POOR_MEMORY * limit:
        return ""
    enough = max(_LEAST_MEMORY, rounded_bytes(_SPARE_MEMORY * taken))
    if asked.mem_per_cpu is not None:
        each = format_memory(rounded_bytes(enough / asked.cpus))
        return f"{each} of memory for each processor are enough."
    if asked.mem_per_gpu is not None:
        each = format_memory(rounded_bytes(enough / asked.gpu_count))
        return f"{each} of memory for each GPU are enough."
    return f"{format_memory(enough)} of memory are enough."
