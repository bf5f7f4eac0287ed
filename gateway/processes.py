"""Processes that must not outlive the one that started them."""

from __future__ import annotations

import ctypes
import os
import signal

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def die_with(parent: int, by: signal.Signals = signal.SIGTERM) -> None:
    """Have this process ended by a signal when its parent ends, however that ends.

    Parameters
    ----------
    parent
        Its process id: one that is gone by now can tell us nothing any more.
    """
    if _libc.prctl(_PR_SET_PDEATHSIG, by, 0, 0, 0) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"prctl: {os.strerror(error)}")
    if os.getppid() != parent:
        os._exit(0)
