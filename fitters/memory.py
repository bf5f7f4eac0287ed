"""How much memory a task has taken: this process, and what its forked workers have besides.

What a worker shares with the process that it was forked from is counted once. A control group's
own count is not asked: it has the files that were read, too, and may be of more than this task.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterable
from pathlib import Path

LOOK_EVERY_S, LEAST_PAUSE = 10.0, 100.0
"""A worker of 500 MB takes ten milliseconds; all looks together a hundredth of the time at most."""

_PRIVATE = ("Private_Clean", "Private_Dirty", "Private_Hugetlb")


class Workers:
    """The most memory that the workers of this process were seen to have for themselves."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Forget what was seen: a forked process has no workers yet."""
        self.most_bytes: int | None = 0
        """Of all together; None where the system does not tell."""

        self._next = 0.0

    def look(self, processes: Iterable[int], *, now: bool = False) -> None:
        """See how much the living workers have; not too often, unless *now*."""
        moment = time.monotonic()
        if self.most_bytes is None or (moment < self._next and not now):
            return
        try:
            taken = sum(_own_bytes(process) for process in processes)
        except OSError:
            self.most_bytes = None
        else:
            self.most_bytes = max(self.most_bytes, taken)
        took_s = time.monotonic() - moment
        self._next = moment + max(LOOK_EVERY_S, LEAST_PAUSE * took_s)


forked = Workers()
os.register_at_fork(after_in_child=forked.begin)


def most_memory() -> int | None:
    """Say how much memory this process and its workers have taken at most; None: not known."""
    if forked.most_bytes is None:
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 + forked.most_bytes


def _own_bytes(process: int) -> int:
    """Measure what a process shares with no other, at the most that it ever had."""
    folder = Path("/proc") / str(process)
    try:
        text = (folder / "smaps_rollup").read_text() + (folder / "status").read_text()
    except ProcessLookupError:  # it has died
        return 0
    rows = (line.partition(":") for line in text.splitlines())
    found = {name: int(rest.split()[0]) for name, _, rest in rows if rest.endswith(" kB")}
    returned = max(0, found.get("VmHWM", 0) - found.get("VmRSS", 0))
    return 1024 * (sum(found.get(name, 0) for name in _PRIVATE) + returned)
