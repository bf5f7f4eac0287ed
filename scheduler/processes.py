"""The processes of a task: found, measured and ended, also those that left its group."""

from __future__ import annotations

import ctypes
import os
import signal
from contextlib import suppress
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_PROC = Path("/proc")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_libc = ctypes.CDLL(None, use_errno=True)


def adopt_orphans() -> None:
    """Become the parent of all descendants whose own parent ends."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with(parent: int, by: signal.Signals = signal.SIGTERM) -> None:
    """Have this process ended by a signal when its parent ends, however that ends.

    Parameters
    ----------
    parent
        Its process id: one that is gone by now can tell us nothing any more.
    """
    _prctl(_PR_SET_PDEATHSIG, by)
    if os.getppid() != parent:
        os._exit(0)


def _prctl(option: int, value: int) -> None:
    if _libc.prctl(option, value, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def children(pid: int) -> list[int]:
    """List the children of a process, oldest first; none when it is gone."""
    found: list[int] = []
    with suppress(OSError):
        for thread in (_PROC / str(pid) / "task").iterdir():
            found += [int(word) for word in (thread / "children").read_text().split()]
    return found


def descendants(pid: int) -> list[int]:
    """List all processes below one, parents before children."""
    found = children(pid)
    for one in found:  # grows while it is walked
        found += children(one)
    return found


def send_signal(pids: list[int], number: int) -> None:
    """Send a signal to processes; those that are gone are no error."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def kill_all(pid: int) -> bool:
    """Send KILL to all below a process; False when there was none left that is alive."""
    living = [one for one in descendants(pid) if not _is_dead(one)]
    # Stopped first: a process that forks faster than it is found would get away.
    send_signal(living, signal.SIGSTOP)
    send_signal([one for one in descendants(pid) if not _is_dead(one)], signal.SIGKILL)
    return bool(living)


def _is_dead(pid: int) -> bool:
    return _status(pid)[0] in "ZX"


def birth(pid: int) -> int:
    """Say when a process was started, in ticks since the boot: tells it from a reused pid."""
    return int(_status(pid)[19])


def lives(pid: int, born: int) -> bool:
    """Say whether this very process still runs."""
    status = _status(pid)
    return status[0] not in "ZX" and int(status[19]) == born


def _status(pid: int) -> list[str]:
    """Read the fields of ``/proc/<pid>/stat`` from the state on, its third."""
    try:
        return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ["X", *["0"] * 19]


def catches(pid: int, number: int) -> bool:
    """Say whether a process has a handler for a signal."""
    with suppress(OSError):
        for line in (_PROC / str(pid) / "status").read_text().splitlines():
            if line.startswith("SigCgt:"):
                return bool(int(line.split()[1], 16) >> (number - 1) & 1)
    return False


def resident_bytes(pids: list[int]) -> int:
    """Measure the memory of processes; what they share is counted for each."""
    pages = 0
    for pid in pids:
        with suppress(OSError):
            pages += int((_PROC / str(pid) / "statm").read_text().split()[1])
    return pages * _PAGE_BYTES


def proportional_bytes(pids: list[int]) -> int:
    """Measure the memory of processes, each with its share of what they have in common."""
    kilobytes = 0
    for pid in pids:
        with suppress(OSError):
            for line in (_PROC / str(pid) / "smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    kilobytes += int(line.split()[1])
    return kilobytes * 1024


def holders(path: Path) -> list[int]:
    """List the processes that have a file open."""
    found = []
    for folder in _PROC.iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            with suppress(OSError):
                if any(_points_to(link, path) for link in (folder / "fd").iterdir()):
                    found.append(int(folder.name))
    return found


def having(variables: list[str]) -> list[int]:
    """List the processes that were started with all of these ``NAME=value``."""
    found, wanted = [], {variable.encode() for variable in variables}
    for folder in _PROC.iterdir():
        if folder.name.isdigit():
            with suppress(OSError):
                if wanted <= set((folder / "environ").read_bytes().split(b"\0")):
                    found.append(int(folder.name))
    return found


def _points_to(link: Path, path: Path) -> bool:
    with suppress(OSError):
        return link.readlink() == path
    return False
