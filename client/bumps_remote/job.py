"""A job, in Python's hand."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from bumps_remote import like_bumps
from bumps_remote.array import find_element, summaries
from bumps_remote.errors import JobFailedError
from bumps_remote.notebook import NotebookProgress, in_notebook, job_html
from bumps_remote.show import FitProgress
from bumps_remote.text import clean, clean_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bumps_remote.connection import Connection
    from bumps_remote.events import Event
    from bumps_remote.fetch import Fetched
    from bumps_remote.transport import Document

_GOOD = "COMPLETED"


def succeeded(document: Document) -> bool:
    """Whether a job has ended with a result."""
    return document.get("state") == _GOOD and document.get("reason") != "NoResult"


def outcome_text(document: Document) -> str:
    """Say in a line how a job is, or how it ended."""
    verdict = document.get("verdict") or {}
    text = verdict.get("text") or document.get("reason_text") or ""
    return f"{clean_line(document.get('state', ''))}: {clean(text)}"


class Job:
    """One job on a server; everything about it is read when it is asked for."""

    def __init__(self, connection: Connection, document: Document) -> None:
        self._connection = connection
        self.document = document
        """The job as it was read last."""

    def __repr__(self) -> str:
        return f"<Job {self.id} {self.state}>"

    def _repr_html_(self) -> str:
        return job_html(self.document, self._connection.server.url)

    @property
    def id(self) -> str:
        """Its id on the server."""
        return str(self.document["id"])

    @property
    def state(self) -> str:
        """Its state as it was read last, in Slurm's words."""
        return str(self.document.get("state", "UNKNOWN"))

    @property
    def final(self) -> bool:
        """Whether it has ended."""
        return bool(self.document.get("final"))

    def refresh(self) -> Job:
        """Read it anew."""
        self.document = self._connection.info(self.id)
        return self

    def events(self, timeout_s: float | None = None) -> Iterator[Event]:
        """Follow it live; the last event is the job as it ended."""
        for event in self._connection.events(self.id, timeout_s):
            if event.event == "job":
                self.document = event.data
            yield event

    def wait(self, timeout_s: float | None = None) -> Job:
        """Wait until it has ended, well or not.

        Raises
        ------
        WaitTimeoutError
            When that takes longer than *timeout_s*.
        """
        for _event in self.events(timeout_s):
            pass
        return self

    def watch(self, timeout_s: float | None = None) -> Job:
        """Wait until it has ended, and show it meanwhile.

        In a notebook that is a display with chi-square over the steps, else a bar on standard
        error. Ctrl-C, or a notebook's stop button, ends the watching and not the job.

        Raises
        ------
        WaitTimeoutError
            When that takes longer than *timeout_s*.
        """
        with self.progress() as progress:
            for event in self.events(timeout_s):
                progress.show(event)
        return self

    def progress(self, *, quiet: bool = False) -> NotebookProgress | FitProgress:
        """Make what shows its events where this runs; best used in a ``with`` statement."""
        if in_notebook() and not quiet:
            return NotebookProgress(self._connection.server.url)
        return FitProgress(quiet=quiet)

    def result(self, timeout_s: float | None = None) -> dict[str, Any]:
        """Wait for it and answer its result document (of an array: the first task's).

        Raises
        ------
        JobFailedError
            When it ended without a good result.
        """
        self.wait(timeout_s)
        if not succeeded(self.document):
            raise JobFailedError(f"job {self.id} ended as {outcome_text(self.document)}")
        found = self.results()["results"]
        if not found:
            raise JobFailedError(f"job {self.id} left no result document")
        document: dict[str, Any] = found[0]
        return document

    def elements(self, timeout_s: float | None = None) -> list[dict[str, Any]]:
        """Wait for an array and answer what came out of each element, in their order.

        Each has ``index``, ``label``, ``status``, ``verdict``, ``chisq``, ``parameters`` and
        ``error``; those that failed are among them.
        """
        self.wait(timeout_s)
        return summaries(self.results()["results"])

    def element(self, which: str | int) -> dict[str, Any]:
        """Read the whole result of one element of an array, by its label or number."""
        return self._connection.element(self.id, which)

    def fit_result(self, element: str | int | None = None) -> Any:
        """Wait for a fit and answer it as ``bumps.fitters.fit`` does; this needs bumps here.

        Parameters
        ----------
        element
            Of an array: which element, by its label or number.

        Raises
        ------
        JobFailedError
            When it ended without a good result.
        """
        if element is None:
            return like_bumps.fit_result(self, self.result())
        self.wait()
        index = find_element(summaries(self.results()["results"]), element)
        return like_bumps.fit_result(self, self.element(index), element=index)

    def results(self) -> Document:
        """Read everything that came out, with the list of files."""
        return self._connection.results(self.id)

    def fetch(self, folder: str | Path, only: Sequence[str] = (), **how: Any) -> Fetched:
        """Fetch its files into a folder: see `Connection.fetch`."""
        return self._connection.fetch(self.id, folder, only, **how)

    def log(self, stream: str = "stdout") -> str:
        """Read its log; it is the job's own text, with whatever it wrote."""
        return "".join(self._connection.log(self.id, stream))

    def stop(self) -> Job:
        """Ask it to stop early and keep its result."""
        self.document = self._connection.stop(self.id)
        return self

    def cancel(self) -> Job:
        """Ask for its end; its result does not matter."""
        self.document = self._connection.cancel(self.id)
        return self

    def resume(self, **change: Any) -> Job:
        """Continue it: see `Connection.resume`."""
        self.document = self._connection.resume(self.id, **change)
        return self

    def rerun(self, **change: Any) -> Job:
        """Run it once more from its start: see `Connection.rerun`."""
        self.document = self._connection.rerun(self.id, **change)
        return self

    def share(self, **whom: Any) -> Document:
        """Let others read it: ``user="kim"``, ``group="imaging"`` or ``link=True``, for *days*."""
        return self._connection.shares.add(self.id, **whom)

    def delete(self) -> None:
        """Forget it with its results; it must have ended."""
        self._connection.delete(self.id)
