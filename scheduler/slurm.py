"""Slurm, over any shell: what an operator must know.

One agent runs on the login node under the account that submits; it needs Python 3.10, Slurm's
commands and a directory that compute nodes see. Jobs are known by their name,
``gw-<id>-<attempt>``. All jobs of the account are asked for with one squeue; sacct is asked only
for what left squeue, and once a minute for the elements of arrays that ended earlier. Every call
is counted.

What Slurm does not answer is never taken for an answer: while no controller is up, nothing is
concluded from silence.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from pathlib import PurePosixPath
from typing import Any

from scheduler import slurm_argv, slurm_text
from scheduler.base import (
    READ_MANY_BYTES,
    Check,
    FileEntry,
    JobReport,
    JobState,
    Launch,
    Probe,
    Reading,
    SchedulerError,
    SchedulerUnavailableError,
    StagedJob,
    Submission,
    Submitted,
    Trace,
    Uncertain,
)
from scheduler.elements import Elements, by_id
from scheduler.frames import Frame
from scheduler.link import AgentConfig, Link
from scheduler.shell import Shell
from scheduler.slurm_calls import AccountingError, CallCount, Calls
from scheduler.slurm_probe import has_accounting, read_associations, read_site
from scheduler.staging import announce, send_parts
from scheduler.submitter import read_outcome

SIGNALS = ("USR1", "USR2", "INT", "TERM", "CONT", "STOP")
"""What may be sent to a job's script."""

STOP_SIGNAL = "USR1"

_STAGE_AT_ONCE = 100
_STAGE_S = 120.0
_READ_BYTES = 16 << 20
_SETTLE = timedelta(seconds=3)
"""How long a script may need until it hears signals: before that, one would kill it."""

_REPEATS = 2
_GRACE_S = 15.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class SlurmConfig(AgentConfig):
    """A site as its administrator describes it."""

    parallel: int = 4
    """How many sbatch run at once on the login node."""


class Slurm:
    """A `Scheduler` for a Slurm cluster.

    A submission lives like this: the gateway writes the try down and calls `submit`; on the login
    node a process of its own takes the lock, calls sbatch, takes the claim for the new id and
    writes the id beside the lock; each outcome comes back as soon as it is known. When the line is
    cut on the way, that process ends what it has begun, the gateway answers `Uncertain`, and `find`
    tells later what became of it.
    """

    def __init__(self, shell: Shell, config: SlurmConfig) -> None:
        self._config = config
        self._link = Link(shell, config)
        self._calls = Calls(self._link, config.command_timeout_s)
        self._elements = Elements()
        self._stopping: dict[str, int] = {}
        self._accounts: bool | None = None

    @property
    def calls(self) -> int:
        """How many of Slurm's commands have been run for this object."""
        return sum(self.count.total.values())

    @property
    def questions(self) -> int:
        """How many of them submitted nothing."""
        return self.calls - self.count.total.get("sbatch", 0)

    @property
    def count(self) -> CallCount:
        """The same, by command, and within the last minute."""
        return self._calls.count

    @property
    def agent(self) -> dict[str, Any]:
        """What the agent says of itself: host, account, Python, where Slurm's programs are."""
        return self._link.open()

    def close(self) -> None:
        """End the agent; the next verb starts another."""
        self._link.close()

    # Files

    def stage(self, jobs: Sequence[StagedJob]) -> None:
        """Make job directories: each whole, checked against its digests, or not there at all."""
        for first in range(0, len(jobs), _STAGE_AT_ONCE):
            self._stage(jobs[first : first + _STAGE_AT_ONCE])

    def _stage(self, jobs: Sequence[StagedJob]) -> None:
        self._link.ask(announce(jobs), lambda: send_parts(jobs), timeout_s=_STAGE_S)

    def claim(self, directory: PurePosixPath, try_number: int, owner: str) -> str:
        """Take ``claim.<try>`` for an owner; answer who has it: that owner, or an earlier one."""
        answer = self._ask("claim", directory, try_number=try_number, owner=owner)
        with self._link.reading():
            return str(answer.document["owner"])

    def traces(self, launches: Sequence[Launch]) -> list[Trace]:
        """Say what tries left in their directories, in one exchange."""
        rows = [[str(launch.directory), launch.try_number] for launch in launches]
        if not rows:
            return []
        answer = self._link.ask({"verb": "traces", "wanted": rows})
        with self._link.reading():
            return [Trace(**row) for row in answer.document["traces"]]

    def read(
        self, directory: PurePosixPath, path: str, offset: int, limit_bytes: int
    ) -> bytes | None:
        """Read bytes of a regular file beneath a directory, following no link."""
        if offset < 0 and limit_bytes > _READ_BYTES:
            raise SchedulerError(f"at most {_READ_BYTES} bytes are read from the end of a file")
        pieces: list[bytes] = []
        while True:
            wanted = min(limit_bytes, _READ_BYTES)
            answer = self._ask("read", directory, path=path, offset=offset, limit_bytes=wanted)
            with self._link.reading():
                found = answer.document["found"]
            if not found:
                return None
            pieces.append(answer.blob)
            limit_bytes -= len(answer.blob)
            offset += len(answer.blob)
            if limit_bytes <= 0 or len(answer.blob) < wanted:
                return b"".join(pieces)

    def read_many(self, wanted: Sequence[Reading]) -> dict[Reading, bytes | None]:
        """Read parts of many files in one exchange; what is missing must be read alone."""
        rows = [[str(one.directory), one.path, one.offset, one.limit_bytes] for one in wanted]
        if not rows:
            return {}
        answer = self._link.ask(
            {"verb": "read_many", "wanted": rows, "budget_bytes": READ_MANY_BYTES}
        )
        found: dict[Reading, bytes | None] = {}
        end = 0
        with self._link.reading():
            for number, size in answer.document["sizes"]:
                start, end = end, end + (size or 0)
                found[wanted[number]] = None if size is None else answer.blob[start:end]
        return found

    def listing(
        self, directory: PurePosixPath, limit: int = 10_000, keep: str = ""
    ) -> list[FileEntry]:
        """List the files beneath a directory, sorted by path, without following links."""
        answer = self._ask("listing", directory, limit=limit, keep=keep)
        with self._link.reading():
            return [
                FileEntry(path=str(path), size=int(size), regular=bool(regular))
                for path, size, regular in json.loads(answer.blob)
            ]

    def remove(self, directory: PurePosixPath) -> None:
        """Remove a job directory; one that is not there is no error."""
        self._ask("remove", directory)

    def _ask(self, verb: str, directory: PurePosixPath, **others: Any) -> Frame:
        return self._link.ask({"verb": verb, "directory": str(directory), **others})

    # Submission

    def submit(self, launches: Sequence[Launch]) -> list[Submission]:
        """Submit ``job.sh <try>`` of each directory, at most once a try, ever."""
        try:
            self._link.open()
        except SchedulerError as error:
            return [Uncertain(text=f"not begun: {error}", begun=False) for _ in launches]
        outcomes: dict[int, dict[str, Any]] = {}
        lost = "no answer came"
        try:
            self._send_launches(launches, outcomes)
        except SchedulerError as error:
            lost = str(error)
        unknown = {"outcome": "uncertain", "text": lost}
        documents = [outcomes.get(number, unknown) for number in range(len(launches))]
        return self._believed(launches, documents)

    def _send_launches(
        self, launches: Sequence[Launch], outcomes: dict[int, dict[str, Any]]
    ) -> None:
        def take(document: dict[str, Any]) -> None:
            launches[int(document["number"])]  # an outcome of nothing that was sent is none
            read_outcome(document)
            outcomes[int(document["number"])] = document

        self.count.add("sbatch", len(launches))
        wanted = [{**asdict(launch), "directory": str(launch.directory)} for launch in launches]
        self._link.ask_once(
            {"verb": "submit", "launches": wanted, "parallel": self._config.parallel},
            take,
            timeout_s=self._config.command_timeout_s + _GRACE_S,
        )

    def _believed(
        self, launches: Sequence[Launch], documents: Sequence[dict[str, Any]]
    ) -> list[Submission]:
        """Believe ids that were found beside a lock only if Slurm has them under their names."""
        outcomes: list[Submission] = [read_outcome(document) for document in documents]
        earlier = [number for number, document in enumerate(documents) if document.get("earlier")]
        doubt = ""
        found: dict[str, list[JobReport]] = {}
        try:
            found = self.find([launches[number].marker for number in earlier])
        except (SchedulerError, LookupError, TypeError, ValueError) as error:
            doubt = f": {error}"
        for number in earlier:
            outcome = outcomes[number]
            known = {row.native_id for row in found.get(launches[number].marker, [])}
            if isinstance(outcome, Submitted) and outcome.native_id not in known:
                text = f"job {outcome.native_id} is written beside the lock, but not known as ours"
                outcomes[number] = Uncertain(text=f"{text}{doubt}")
        return outcomes

    # What became of it

    def find(self, markers: Sequence[str]) -> dict[str, list[JobReport]]:
        """List all that Slurm has, or had, under some job names: as many calls as for one.

        While the accounting does not answer, squeue alone is believed: what ran and has been
        forgotten there has left its claim in the job directory.
        """
        found: dict[str, list[JobReport]] = {marker: [] for marker in markers}
        wanted = [marker for marker in found if slurm_argv.is_marker(marker)]
        if not wanted:
            return found
        for row in self._calls.queue(wanted):
            if row.marker in found:
                found[row.marker].append(row)
        if not all(found[marker] for marker in wanted):
            self._calls.insist_on_controller()
        known = {row.native_id for rows in found.values() for row in rows}
        try:
            accounted = self._calls.accounted_named(wanted)
        except AccountingError as error:
            _log.warning("%s", error)
            accounted = []
        for row in accounted:
            if row.marker in found and row.native_id not in known:
                found[row.marker].append(row if row.state.final else _unsure(row))
        return found

    def states(self, native_ids: Sequence[str]) -> dict[str, list[JobReport]]:
        """Say how jobs are, with one question, and a second for those that have left the queue."""
        wanted = [one for one in native_ids if slurm_argv.is_native_id(one)]
        if not wanted:
            return {}
        queued = by_id(self._calls.queue())
        self._repeat_signals(queued)
        asked = self._elements.questions(wanted, queued)
        try:
            accounted = by_id(self._calls.accounted(asked))
        except AccountingError as error:
            _log.warning("%s", error)
            known = self._elements.merge(wanted, queued, {}, [])
            return {**{one: [] for one in asked if one not in queued}, **known}
        return self._elements.merge(wanted, queued, accounted, asked)

    def keeps_accounts(self) -> bool:
        """Whether the accounting may tell of jobs later; Slurm is asked once. In doubt it may."""
        try:
            if not self._link.open()["programs"].get("sacct"):
                return False
            if self._accounts is None:
                self._accounts = has_accounting(self._calls.config())
        except SchedulerError:
            return True
        return self._accounts

    def cancel(self, native_ids: Sequence[str]) -> None:
        """End jobs, waiting or running; ids that have ended are no error."""
        self._calls.end([one for one in native_ids if slurm_argv.is_native_id(one)])

    def signal(self, native_ids: Sequence[str], name: str) -> None:
        """Send a signal to the scripts of running jobs; ``USR1`` also ends what has not started.

        A script that began this very moment would be killed by it, so it is given some seconds
        first; and Slurm says nothing of a signal that got lost, so the next two rounds repeat it:
        scripts hear the first and ignore the others.
        """
        if name not in SIGNALS:
            raise SchedulerError(f"signal {name!r} is not sent to jobs: want {', '.join(SIGNALS)}")
        ids = [one for one in native_ids if slurm_argv.is_native_id(one)]
        if not ids:
            return
        if name == STOP_SIGNAL:
            self._calls.end(ids, pending_only=True)
            self._let_settle(ids)
            self._stopping.update(dict.fromkeys(ids, _REPEATS))
        self._calls.signal(ids, name)

    def _let_settle(self, native_ids: Sequence[str]) -> None:
        queued = by_id(self._calls.queue())
        now = self._calls.now  # the clock of this host may be minutes ahead of theirs
        ages = [
            now - (row.started or now)
            for one in native_ids
            for row in queued.get(one, [])
            if row.state in (JobState.RUNNING, JobState.PENDING)
        ]
        youngest = min(ages, default=_SETTLE)
        time.sleep(min(max(_SETTLE - youngest, timedelta()), _SETTLE).total_seconds())

    def _repeat_signals(self, queued: dict[str, list[JobReport]]) -> None:
        running = [
            one
            for one in self._stopping
            if any(row.state is JobState.RUNNING for row in queued.get(one, []))
        ]
        if running:
            self._calls.signal(running, STOP_SIGNAL)
        self._stopping = {
            one: self._stopping[one] - 1 for one in running if self._stopping[one] > 1
        }

    # The site

    def check(self, directory: PurePosixPath) -> Check:
        """Ask whether the staged script would be taken, and when it could start."""
        if self.read(directory, "job.sh", 0, 1) is None:
            return Check(accepted=False, text=f"there is no job.sh in {directory}")
        answer = self._calls.run(slurm_argv.sbatch_test(str(directory)))
        if answer.cut or (answer.status and slurm_text.is_communication_error(answer.stderr)):
            raise SchedulerUnavailableError(f"{self._link.name}: sbatch: {answer.said}")
        return slurm_text.parse_check(answer.status, answer.stderr)

    def probe(self) -> Probe:
        """Find out what the site can do."""
        hello = self._link.open()
        calls = self._calls
        config, partitions = calls.config(), calls.partitions()
        accounted = has_accounting(config)
        qos = calls.qos() if accounted else []
        probe = read_site(self._link.name, hello, config, partitions, qos)
        given = calls.associations(probe.name) if accounted else []
        manners = replace(probe.manners, offers_json=calls.offers_json())
        return replace(probe, manners=manners, associations=read_associations(given))


def _unsure(row: JobReport) -> JobReport:
    """Doubt the accounting when it calls alive what squeue does not list."""
    return replace(row, state=JobState.UNKNOWN)
