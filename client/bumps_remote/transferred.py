"""How many bytes have come, as a bar."""

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


class Transferred:
    """A bar on standard error, where somebody sees it."""

    def __init__(self, *, quiet: bool = False) -> None:
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
        self._task = self._bar.add_task("fetching", total=None)

    def __enter__(self) -> Transferred:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def told(self, done: int, total: int) -> None:
        """Hear how many bytes have come, of how many."""
        self._bar.update(self._task, completed=done, total=total)
