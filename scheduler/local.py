"""The same script, run on this host without Slurm.

For one person's own computer, for tests, and for a small site whose users trust each other or whose
jobs run in bubblewrap. A detached process, `scheduler.executor`, starts what is on the spool; each
running task has a shepherd of its own. Both outlive the gateway: a fit that runs is found again and
never started twice, whichever of them is killed. (Under systemd the worker's unit needs
``KillMode=process``, or stopping it ends the jobs as well.)
"""

from __future__ import annotations

import fcntl
import logging
import os
import platform
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from scheduler import directory as job_directory
from scheduler import files
from scheduler.base import (
    Check,
    JobReport,
    JobState,
    Launch,
    Probe,
    Refused,
    SchedulerError,
    SchedulerUnavailableError,
    Submission,
    Submitted,
    Uncertain,
)
from scheduler.directives import Directives, parse_directives
from scheduler.faults import CRASH_VARIABLES, crash_point
from scheduler.here import FilesHere
from scheduler.processes import send_signal
from scheduler.sandbox import check_sandbox
from scheduler.shepherd import SIGNALS, STOP_SIGNAL
from scheduler.spool import Entry, JobRecord, LocalConfig, Spool, TaskRecord, send, trying_lock

MAX_ARRAY = 1001
"""The greatest index of an array, and one; Slurm's MaxArraySize."""

_START_S = 30.0
_LAST_T = 1 << 36
_log = logging.getLogger(__name__)
_MARKER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_NATIVE_ID = re.compile(r"[1-9][0-9]{0,17}")


class Local(FilesHere):
    """A `Scheduler` for this host.

    Parameters
    ----------
    state_directory
        Where the spool lies, 0700, on a local disk; jobs need no access to it.
    config
        What jobs may take.
    """

    def __init__(self, state_directory: Path, config: LocalConfig) -> None:
        check_sandbox(config.sandbox)
        self._config = config
        self._spool = Spool(state_directory)
        self._spool.prepare()
        self._spool.save_config(config)

    @property
    def calls(self) -> int:
        """How many commands of a scheduler were run: none, there is no other."""
        return 0

    # Submission

    @property
    def questions(self) -> int:
        """How many of them submitted nothing."""
        return self.calls

    def submit(self, launches: Sequence[Launch]) -> list[Submission]:
        """Submit ``job.sh <try>`` of each directory, at most once a try, ever."""
        outcomes = [self._submit(launch) for launch in launches]
        try:
            self._ensure_executor()
        except (OSError, SchedulerError) as error:
            # The jobs are on the spool, which was promised: whoever asks next tries again.
            _log.warning("%s", error)
        return outcomes

    def _submit(self, launch: Launch) -> Submission:
        directory = Path(launch.directory)
        try:
            script = (directory / "job.sh").read_bytes()
        except OSError as error:
            return Refused(text=f"{directory}/job.sh cannot be read: {error.strerror}")
        try:
            if not job_directory.take_lock(directory, launch.try_number):
                return self._earlier(launch)
            crash_point("local-submit-locked")
            if refusal := self._refusal(directory, launch.marker, script):
                job_directory.write_refusal(directory, launch.try_number, refusal)
                return Refused(text=refusal)
            return self._enter(launch, script)
        except (OSError, SchedulerError) as error:
            return Uncertain(text=f"submission to this host was cut short: {error}")

    def _enter(self, launch: Launch, script: bytes) -> Submission:
        directory, native_id = Path(launch.directory), self._spool.next_id()
        crash_point("local-submit-numbered")
        self._spool.mark(launch.marker, native_id, script)
        crash_point("local-submit-marked")
        self._spool.enter(
            Entry(
                native_id=native_id,
                marker=launch.marker,
                directory=str(directory),
                try_number=launch.try_number,
                submitted=time.time(),
            )
        )
        crash_point("local-submit-entered")
        owner = job_directory.take_claim(directory, launch.try_number, native_id)
        crash_point("local-submit-claimed")
        if owner != native_id:
            # Somebody has given this try up meanwhile: the job that was made exits as a twin.
            return Uncertain(text=f"job {native_id} was made, but the claim is {owner}'s")
        job_directory.write_native_id(directory, launch.try_number, native_id)
        crash_point("local-submit-named")
        return Submitted(native_id=native_id)

    def _earlier(self, launch: Launch) -> Submission:
        """Say what an earlier submission of the same try came to."""
        directory = Path(launch.directory)
        native_id = job_directory.read_native_id(directory, launch.try_number)
        # A job can write anything into its directory: an id counts if this name was given it here.
        if native_id and native_id in self._spool.marked(launch.marker):
            return Submitted(native_id=native_id)
        if refusal := job_directory.read_refusal(directory, launch.try_number):
            return Refused(text=refusal)
        return Uncertain(text=f"try {launch.try_number} was begun before and left no native id")

    def _refusal(self, directory: Path, marker: str, script: bytes) -> str:
        """Say why a script cannot run here; empty when it can."""
        if _MARKER.fullmatch(marker) is None:
            return f"{marker!r} is not a job name that this host takes"
        try:
            wanted = parse_directives(script.decode("utf-8"))
        except ValueError as error:
            return f"job.sh: {error}"
        return self._too_much(wanted, directory)

    def _too_much(self, wanted: Directives, directory: Path) -> str:
        cpus, memory = self._config.cpus, _memory_bytes()
        if wanted.nodes > 1:
            return f"--nodes={wanted.nodes}: local execution has one node"
        if wanted.cpus > cpus:
            return f"{wanted.cpus} processors are asked, but jobs of this host may use {cpus}"
        if wanted.memory_bytes and wanted.memory_bytes > memory:
            return f"{wanted.memory_bytes >> 20} MB are asked, but this host has {memory >> 20} MB"
        if wanted.tasks and wanted.tasks[-1] >= MAX_ARRAY:
            return f"--array: the greatest index here is {MAX_ARRAY - 1}"
        if wanted.chdir and Path(wanted.chdir) != directory:
            return f"--chdir={wanted.chdir} is not the job's own directory {directory}"
        return ""

    def _ensure_executor(self) -> None:
        """Wake the executor, or start it if it does not run."""
        if not self._spool.live():
            return
        with trying_lock(self._spool.lock, fcntl.LOCK_SH) as free:
            pass
        if free:
            self._start_executor()
        send(self._spool.wake, b".")

    def _start_executor(self) -> None:
        variables = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8",
                     "PYTHONPATH": str(Path(__file__).resolve().parent.parent)}  # fmt: skip
        variables |= {name: os.environ[name] for name in CRASH_VARIABLES if name in os.environ}
        argv = [sys.executable, "-S", "-m", "scheduler.executor", str(self._spool.directory)]
        try:
            with self._spool.log.open("ab") as log:
                subprocess.run(
                    argv,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=variables,
                    start_new_session=True,
                    timeout=_START_S,
                    check=True,
                )
        except (OSError, subprocess.SubprocessError) as error:
            raise SchedulerUnavailableError(
                f"the local executor did not start ({error}): see {self._spool.log}"
            ) from error

    # What became of it

    def find(self, markers: Sequence[str]) -> dict[str, list[JobReport]]:
        """List all that this host has, or had, under each of some job names."""
        return {marker: self._marked(marker) for marker in markers}

    def _marked(self, marker: str) -> list[JobReport]:
        if _MARKER.fullmatch(marker) is None:
            return []
        reports = self.states(self._spool.marked(marker))
        return [report for found in reports.values() for report in found]

    def states(self, native_ids: Sequence[str]) -> dict[str, list[JobReport]]:
        """Say how jobs are; an id that is unknown is missing from the answer."""
        self._ensure_executor()
        answer = {}
        for native_id in native_ids:
            if _NATIVE_ID.fullmatch(native_id) and (found := self._reports(native_id)):
                answer[native_id] = found
        return answer

    def _reports(self, native_id: str) -> list[JobReport]:
        # In this order: an entry leaves the spool only after its record is there.
        entry = self._spool.entry(native_id)
        if record := self._spool.record(native_id):
            return _to_reports(record)
        if entry is None:
            return []
        return [_report(entry.native_id, entry.marker, TaskRecord(state=JobState.PENDING))]

    def keeps_accounts(self) -> bool:
        """Say that there is no accounting: what is not in the spool is nowhere."""
        return False

    def cancel(self, native_ids: Sequence[str]) -> None:
        """End jobs, waiting or running; ids that have ended are no error."""
        for native_id in native_ids:
            if _NATIVE_ID.fullmatch(native_id) and self._spool.entry(native_id):
                self._spool.ask_to_cancel(native_id)
                self._spool.tell(native_id, "cancel")
        self._ensure_executor()

    def signal(self, native_ids: Sequence[str], name: str) -> None:
        """Send a signal to the scripts of running jobs; ``USR1`` also ends what has not started.

        ``USR1`` stays on the spool: each task hears it once, also one that is only beginning.
        """
        if name not in SIGNALS:
            raise SchedulerError(f"signal {name!r} is not sent to jobs: want {', '.join(SIGNALS)}")
        for native_id in native_ids:
            if _NATIVE_ID.fullmatch(native_id) and self._spool.entry(native_id):
                if name == STOP_SIGNAL:
                    self._spool.ask_to_stop(native_id)
                self._spool.tell(native_id, "stop" if name == STOP_SIGNAL else name)
        self._ensure_executor()

    # This host

    def check(self, directory: PurePosixPath) -> Check:
        """Ask whether the staged script would be taken."""
        script = files.read_beneath(Path(directory), "job.sh", 0, 4 << 20)
        if script is None:
            return Check(accepted=False, text=f"there is no job.sh in {directory}")
        refusal = self._refusal(Path(directory), "check", script)
        return Check(accepted=not refusal, text=refusal)

    def probe(self) -> Probe:
        """Find out what this host can do."""
        notes = ["memory is watched every quarter of a second, not limited by the kernel"]
        if self._config.sandbox == "none":
            notes.append("jobs run with the rights of the gateway: its users trust each other")
        return Probe(
            name=platform.node(),
            version=f"local execution, sandbox {self._config.sandbox}",
            cpus=self._config.cpus,
            memory_bytes=_memory_bytes(),
            max_array=MAX_ARRAY,
            notes=tuple(notes),
        )


def stop_executor(state_directory: Path) -> None:
    """End the executor of a state directory, if one runs; running tasks go on."""
    pid = Spool(state_directory).executor()
    if pid is not None:
        send_signal([pid], signal.SIGTERM)


def _memory_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _to_reports(record: JobRecord) -> list[JobReport]:
    """Write a record as rows: one a task, and one for all that wait."""
    rows = [
        _report(record.native_id, record.marker, task, number if record.array else None)
        for number, task in sorted(record.tasks.items())
    ]
    if record.waiting:
        waiting = TaskRecord(state=JobState.PENDING, reason=record.reason)
        tasks = record.waiting if record.array else ()
        rows.append(_report(record.native_id, record.marker, waiting, waiting_tasks=tasks))
    return rows


def _report(
    native_id: str,
    marker: str,
    task: TaskRecord,
    number: int | None = None,
    waiting_tasks: tuple[int, ...] = (),
) -> JobReport:
    return JobReport(
        native_id=native_id,
        task=number,
        marker=marker,
        state=task.state,
        raw_state=task.state.value,
        reason=task.reason,
        exit_code=task.exit_code,
        signal=task.signal,
        started=_instant(task.started),
        ended=_instant(task.ended),
        max_rss_bytes=task.max_rss_bytes,
        cpu_s=task.cpu_s,
        tasks_waiting=waiting_tasks,
        source="local",
    )


def _instant(timestamp: float | None) -> datetime | None:
    """Read a moment; None when no clock shows it, whoever wrote it."""
    if timestamp is None or not 0 <= timestamp < _LAST_T:
        return None
    return datetime.fromtimestamp(timestamp, UTC)
