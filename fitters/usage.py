"""What a task has taken of its machine, by what the system counted of its processes."""

from __future__ import annotations

import resource
import time

from .base import Document, Job
from .memory import most_memory


def usage_of(job: Job) -> Document | None:
    """Say how much processor time and memory a task has taken until now.

    With MPI nobody can say: the other ranks are no children of this process.
    """
    if job.team is not None:
        return None
    own = resource.getrusage(resource.RUSAGE_SELF)
    others = resource.getrusage(resource.RUSAGE_CHILDREN)
    most = most_memory()
    return {
        "cpu_s": round(own.ru_utime + own.ru_stime + others.ru_utime + others.ru_stime, 3),
        "elapsed_s": round(max(0.0, time.time() - job.started), 3),
        # Of other processes, such as a model starts, only the largest is told.
        "max_rss_bytes": None if most is None else max(most, others.ru_maxrss * 1024),
    }
