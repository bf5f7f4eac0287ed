"""A graceful stop: somebody asks by a signal, the fit ends after the running evaluation."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
LOOK_EVERY_S = 0.25


class Stop:
    """Remembers that a stop was asked for; a second signal changes nothing."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        self.asked_at = 0.0
        self._file: Path | None = None
        self._next_look = 0.0

    def __call__(self) -> bool:
        """Say whether somebody asked."""
        if self._file is not None and self.signal is None:
            self._look(self._file)
        return self.signal is not None

    def watch(self, file: Path) -> None:
        """Take a file as a wish to stop, too: launchers of MPI pass few signals on."""
        self._file = file

    def _look(self, file: Path) -> None:
        now = time.monotonic()
        if now < self._next_look:
            return
        self._next_look = now + LOOK_EVERY_S
        if file.exists():
            self._remember(signal.SIGINT, None)

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
