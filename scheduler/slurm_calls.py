"""The calls of Slurm's commands: counted, and each failure said in words."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone

from scheduler import slurm_argv, slurm_text
from scheduler.base import JobReport, JobState, SchedulerError, SchedulerUnavailableError
from scheduler.link import Link

_UTC = timezone.utc  # noqa: UP017 - as in slurm_text, whose times these are held against
_GRACE_S = 15.0
_MINUTE_S = 60.0
_UNSETTLED = timedelta(minutes=5)
"""A preempted job may be requeued; until then nothing says which it will be."""

_HARMLESS = ("invalid job id", "already completing or completed", "already finished")


class AccountingError(SchedulerUnavailableError):
    """The accounting does not answer, though the controller may."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a command left, and what the clock over there said then."""

    status: int
    stdout: str
    stderr: str
    now: datetime

    @property
    def cut(self) -> bool:
        """Whether it was ended before it had done its work."""
        return slurm_text.is_cut(self.status)

    @property
    def said(self) -> str:
        """Its complaint, for a message."""
        return (self.stderr.strip() or self.stdout.strip() or f"status {self.status}")[-500:]


class CallCount:
    """How often Slurm was bothered."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._total: Counter[str] = Counter()
        self._recent: deque[float] = deque()

    def add(self, command: str, number: int = 1) -> None:
        """Count calls of a command."""
        with self._lock:
            self._total[command] += number
            self._recent.extend([time.monotonic()] * number)
            self._forget()

    def _forget(self) -> None:
        while self._recent and time.monotonic() - self._recent[0] > _MINUTE_S:
            self._recent.popleft()

    @property
    def total(self) -> dict[str, int]:
        """All calls so far, by command."""
        with self._lock:
            return dict(self._total)

    @property
    def last_minute(self) -> int:
        """How many there were within the last minute."""
        with self._lock:
            self._forget()
            return len(self._recent)


class Calls:
    """Slurm's commands at the other end of a link."""

    def __init__(self, link: Link, command_timeout_s: float) -> None:
        self._link = link
        self._timeout_s = command_timeout_s + _GRACE_S
        self.count = CallCount()
        self.now = datetime.fromtimestamp(0, _UTC)
        """What the clock over there said when the last command was run."""

    def run(self, argv: Sequence[str]) -> Answer:
        """Run a command that may be run twice."""
        self.count.add(argv[0])
        frame = self._link.ask({"verb": "run", "argv": list(argv)}, timeout_s=self._timeout_s)
        self.now = datetime.fromtimestamp(float(frame.document["now"]), _UTC)
        return Answer(
            status=int(frame.document["status"]),
            stdout=frame.blob.decode("utf-8", "replace"),
            stderr=str(frame.document["stderr"]),
            now=self.now,
        )

    def _answered(self, argv: Sequence[str]) -> Answer:
        answer = self.run(argv)
        if answer.status != 0:
            raise SchedulerUnavailableError(f"{self._link.name}: {argv[0]}: {answer.said}")
        return answer

    def queue(self, markers: Sequence[str] = ()) -> list[JobReport]:
        """Ask for all jobs of the account, or for those of some names."""
        separator = slurm_argv.new_separator()
        if 0 < len(markers) <= slurm_argv.IDS_AT_ONCE:
            argv = slurm_argv.squeue_named(markers, separator)
        else:
            argv = slurm_argv.squeue_user(int(self._link.open()["uid"]), separator)
        answer = self._answered(argv)
        rows = slurm_text.parse_squeue(answer.stdout, separator)
        return [settled(row, answer.now) for row in rows]

    def accounted(self, native_ids: Sequence[str]) -> list[JobReport]:
        """Ask the accounting for jobs by their ids.

        Raises
        ------
        AccountingError
            If it does not answer; a site without accounting, or without the command, knows nothing,
            which is an answer.
        """
        rows: list[JobReport] = []
        for ids in slurm_argv.batches(native_ids):
            separator = slurm_argv.new_separator()
            rows += self._accounting(slurm_argv.sacct_jobs(ids, separator), separator)
        return rows

    def accounted_named(self, markers: Sequence[str]) -> list[JobReport]:
        """Ask the accounting for jobs of some names."""
        rows: list[JobReport] = []
        for names in slurm_argv.batches(markers):
            separator = slurm_argv.new_separator()
            rows += self._accounting(slurm_argv.sacct_named(names, separator), separator)
        return rows

    def _accounting(self, argv: Sequence[str], separator: str) -> list[JobReport]:
        if not self._link.open()["programs"].get("sacct"):
            return []
        answer = self.run(argv)
        if answer.status == 0:
            rows = slurm_text.parse_sacct(answer.stdout, separator)
            return [settled(row, answer.now) for row in rows]
        if "accounting storage is disabled" in answer.stderr:
            return []
        raise AccountingError(f"{self._link.name}: sacct: {answer.said}")

    def insist_on_controller(self) -> None:
        """Fail unless a controller is up: from the silence of others nothing follows."""
        answer = self.run(slurm_argv.ping())
        if not slurm_text.is_up(answer.stdout):
            raise SchedulerUnavailableError(f"{self._link.name}: no controller is up")

    def end(self, native_ids: Sequence[str], *, pending_only: bool = False) -> None:
        """End jobs; those that have ended are no error."""
        for ids in slurm_argv.batches(native_ids):
            self._order(slurm_argv.scancel(ids, pending_only=pending_only))

    def signal(self, native_ids: Sequence[str], name: str) -> None:
        """Send a signal to the batch shells of jobs; those that have ended are no error."""
        for ids in slurm_argv.batches(native_ids):
            self._order(slurm_argv.scancel_signal(ids, name))

    def _order(self, argv: Sequence[str]) -> None:
        answer = self.run(argv)
        if answer.status == 0:
            return
        if answer.cut or slurm_text.is_communication_error(answer.stderr):
            raise SchedulerUnavailableError(f"{self._link.name}: scancel: {answer.said}")
        # Of an element that has ended it says nothing, and leaves a status all the same.
        for line in filter(None, answer.stderr.split("\n")):
            if not any(words in line.lower() for words in _HARMLESS):
                raise SchedulerError(f"{self._link.name}: scancel: {answer.said}")

    def config(self) -> dict[str, str]:
        """Ask for Slurm's configuration."""
        return slurm_text.parse_config(self._answered(slurm_argv.show_config()).stdout)

    def partitions(self) -> list[dict[str, str]]:
        """Ask for the partitions."""
        separator = slurm_argv.new_separator()
        answer = self._answered(slurm_argv.sinfo(separator))
        return slurm_text.parse_partitions(answer.stdout, separator)

    def qos(self) -> list[dict[str, str]] | None:
        """Ask for all QOS; None where nobody tells."""
        if not self._link.open()["programs"].get("sacctmgr"):
            return None
        answer = self.run(slurm_argv.show_qos())
        return slurm_text.parse_qos(answer.stdout) if answer.status == 0 else None

    def associations(self, cluster: str) -> list[dict[str, str]]:
        """Ask what this account may have; nothing where nobody tells."""
        hello = self._link.open()
        if not hello["programs"].get("sacctmgr"):
            return []
        answer = self.run(slurm_argv.show_associations(hello["account"], cluster))
        return slurm_text.parse_associations(answer.stdout) if answer.status == 0 else []

    def offers_json(self) -> bool:
        """Say whether the commands here can answer as JSON."""
        return "--json" in self._answered(slurm_argv.sinfo_help()).stdout


def settled(row: JobReport, now: datetime) -> JobReport:
    """Take the finality from a preempted job that may still be requeued."""
    if row.state is not JobState.PREEMPTED or row.ended is None or now - row.ended > _UNSETTLED:
        return row
    return replace(row, state=JobState.UNKNOWN)
