"""What a task has taken of its machine, by what the system counted of its processes."""

from __future__ import annotations

import resource
import time

from .base import Document, Job


def usage_of(job: Job) -> Document | None:
    """Say how much processor time and memory a task has taken until now.

    With MPI nobody can say: the other ranks are no children of this process.
    """
    if job.team is not None:
        return None
    own = resource.getrusage(resource.RUSAGE_SELF)
    others = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpus = int(job.document["run"].get("cpus") or 1)
    # Of children only the largest is told. They share much with their parent, so that this is
    # more than was taken, which is the right side to be wrong on.
    most = own.ru_maxrss + cpus * others.ru_maxrss
    return {
        "cpu_s": round(own.ru_utime + own.ru_stime + others.ru_utime + others.ru_stime, 3),
        "elapsed_s": round(max(0.0, time.time() - job.started), 3),
        "max_rss_bytes": most * 1024,
    }
