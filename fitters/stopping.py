"""A graceful stop: somebody asks by a signal, the fit ends after the running evaluation."""

from __future__ import annotations

import signal
import time
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)


class Stop:
    """Remembers that a stop was asked for; a second signal changes nothing."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        self.asked_at = 0.0

    def __call__(self) -> bool:
        """Say whether somebody asked."""
        return self.signal is not None

    def install(self) -> None:
        """Listen to TERM, INT and USR1 from now on."""
        for number in SIGNALS:
            signal.signal(number, self._remember)

    def _remember(self, number: int, _frame: FrameType | None) -> None:
        if self.signal is None:
            self.signal = signal.Signals(number)
            self.asked_at = time.time()


def ignore_signals() -> None:
    """Leave signals to the parent process, which says when to end."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
