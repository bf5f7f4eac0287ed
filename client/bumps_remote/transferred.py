"""How many bytes have gone or come, as a bar."""

from __future__ import annotations

from types import TracebackType

from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from bumps_remote.show import err
from bumps_remote.upload import LARGE


class Transferred:
    """A bar on standard error, where somebody sees it, from the first bytes on.

    Parameters
    ----------
    what
        What is being done.
    least
        No bar is drawn for fewer bytes in all.
    """

    def __init__(self, what: str = "fetching", *, quiet: bool = False, least: int = 0) -> None:
        self._least = least
        console = err()
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=quiet or not console.is_terminal,
            transient=True,
        )
        self._task = self._bar.add_task(what, total=None)

    def __enter__(self) -> Transferred:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def told(self, done: int, total: int) -> None:
        """Hear how many bytes there are, of how many."""
        if total < self._least:
            return
        self._bar.start()
        self._bar.update(self._task, completed=done, total=total)


def sending(*, quiet: bool) -> Transferred:
    """Draw a bar for files that take a while to send."""
    return Transferred("sending", quiet=quiet, least=LARGE)
