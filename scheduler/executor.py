"""Runs what is on the spool: slurmctld's part on this host, ``python -m scheduler.executor DIR``.

Started by whoever submits or asks while it does not run, one for a state directory; it ends itself
when there is nothing to do. It may be killed at any point: all that it knows it reads again from
the spool, and tasks that run are looked after by their shepherds, not by it. Standard library only.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import selectors
import signal
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from scheduler.base import JobState
from scheduler.directives import Directives, parse_directives
from scheduler.faults import crash_point
from scheduler.files import names_in, read_beneath
from scheduler.processes import having, holders, lives, send_signal
from scheduler.shepherd import tend
from scheduler.spool import Entry, JobRecord, LocalConfig, Spool, TaskRecord, trying_lock

_POLL_S = 0.2
_STATE_S = 0.2
_EXIT_BYTES = 4096
_MOST_STATUS = 255
_LAST_END = 1 << 34
_KEEP_S = 30 * 24 * 3600.0
_log = logging.getLogger("scheduler.executor")


@dataclass(kw_only=True)
class Job:
    """A job on the spool, as the executor sees it."""

    entry: Entry
    wanted: Directives
    waiting: list[int]
    running: dict[int, TaskRecord] = field(default_factory=dict)
    ended: dict[int, TaskRecord] = field(default_factory=dict)
    reason: str = ""
    dirty: bool = True
    shown_at: float = 0.0

    def record(self) -> JobRecord:
        """Say how it is."""
        return JobRecord(
            native_id=self.entry.native_id,
            marker=self.entry.marker,
            array=bool(self.wanted.tasks),
            reason=self.reason if self.waiting else "",
            waiting=tuple(self.waiting),
            tasks={**self.ended, **self.running},
        )

    def wait_for(self, reason: str) -> None:
        """Say why its next task does not start."""
        self.dirty = self.dirty or self.reason != reason
        self.reason = reason


class Executor:
    """Starts tasks in the order of submission, as many as there are processors."""

    def __init__(self, spool: Spool, lock: int) -> None:
        self._spool, self._lock = spool, lock
        self._jobs: dict[str, Job] = {}
        self._config: LocalConfig = spool.config()
        self._stop = False
        spool.sign(lock)
        self._wake = os.open(spool.wake, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self._child_ended, child_ends = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._selector = selectors.DefaultSelector()
        for handle in (self._wake, self._child_ended):
            self._selector.register(handle, selectors.EVENT_READ)
        signal.set_wakeup_fd(child_ends, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, self._on_term)

    def _on_term(self, _number: int, _frame: FrameType | None) -> None:
        self._stop = True  # its tasks go on, and the next question starts another executor

    def run(self) -> None:
        """Work until there has been nothing to do for a while."""
        idle_since = time.monotonic()
        while not self._stop:
            self.step()
            now = time.monotonic()
            if self._jobs:
                idle_since = now
            elif now - idle_since > self._config.idle_s:
                self._spool.purge(time.time() - _KEEP_S)
                if not self._still_needed():
                    return
                idle_since = now
            self._sleep(_POLL_S if self._jobs else self._config.idle_s)

    def _still_needed(self) -> bool:
        """Open the lock, and look once more for who found it closed just before."""
        fcntl.flock(self._lock, fcntl.LOCK_UN)
        if not self._spool.live():
            return False
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False  # whoever came has started another one
        return True

    def _sleep(self, patience_s: float) -> None:
        for key, _ in self._selector.select(patience_s):
            with suppress(BlockingIOError):
                os.read(key.fd, 65536)

    def step(self) -> None:
        """See what changed, start what can start, and show it."""
        self._config = self._spool.config()
        self._take_in()
        self._reap()
        self._look_after()
        self._start()
        self._show()

    def _take_in(self) -> None:
        for native_id in self._spool.live():
            if native_id not in self._jobs and (entry := self._spool.entry(native_id)):
                try:
                    wanted = parse_directives(self._spool.script(native_id))
                except (OSError, ValueError) as error:
                    self._give_up(entry, error)
                    continue
                job = Job(entry=entry, wanted=wanted, waiting=list(wanted.tasks or (0,)))
                self._recognise(job)
                self._jobs[native_id] = job

    def _give_up(self, entry: Entry, error: Exception) -> None:
        """End a job whose script was damaged on the spool, so that the others go on."""
        _log.error("job %s: its script on the spool cannot be read: %s", entry.native_id, error)
        reason = f"its script on the spool cannot be read: {error}"
        record = TaskRecord(state=JobState.FAILED, reason=reason, ended=time.time())
        self._spool.job(entry.native_id).mkdir(mode=0o700, exist_ok=True)
        self._spool.save(
            JobRecord(
                native_id=entry.native_id, marker=entry.marker, array=False, tasks={0: record}
            )
        )
        self._spool.forget(entry.native_id)

    def _recognise(self, job: Job) -> None:
        """Find out which tasks an earlier executor has started."""
        folder = self._spool.job(job.entry.native_id)
        for name in names_in(folder):
            kind, _, number = name.partition(".")
            if kind == "lock" and number.isdigit():
                task = int(number)
                job.waiting.remove(task)
                job.running[task] = TaskRecord(state=JobState.RUNNING, started=time.time())

    def _reap(self) -> None:
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass

    # Tasks that run

    def _look_after(self) -> None:
        for job in self._jobs.values():
            for task in list(job.running):
                self._look_at(job, task)

    def _look_at(self, job: Job, task: int) -> None:
        """Move a task that ended, or that never began, to where it belongs."""
        native_id = job.entry.native_id
        if (end := self._end(native_id, task)) is None:
            with trying_lock(self._spool.job(native_id) / f"lock.{task}") as free:
                if not free:
                    self._look_for_orphans(job, task)
                    return
            end = self._end(native_id, task) or self._lost(job, task)
        del job.running[task]
        job.dirty = True
        if end is None:  # killed before the script was started: nothing of it ever ran
            job.waiting.append(task)
            job.waiting.sort()
        else:
            job.ended[task] = end

    def _end(self, native_id: str, task: int) -> TaskRecord | None:
        document = self._spool.task_record(native_id, task, "end")
        return TaskRecord.from_json(document) if document else None

    def _look_for_orphans(self, job: Job, task: int) -> None:
        """End what is left of a task whose shepherd was killed."""
        begun = self._spool.task_record(job.entry.native_id, task, "begun")
        if begun is None:
            return
        started = float(begun["started"])
        if job.running[task].started != started:
            job.running[task] = TaskRecord(state=JobState.RUNNING, started=started)
            job.dirty = True
        lock = self._spool.job(job.entry.native_id) / f"lock.{task}"
        if not lives(begun["pid"], begun["birth"]):
            send_signal(holders(lock), signal.SIGKILL)

    def _lost(self, job: Job, task: int) -> TaskRecord | None:
        """Judge a task that is gone and left no end; None when it had not begun."""
        begun = self._spool.task_record(job.entry.native_id, task, "begun")
        if begun is None:
            return None
        self._end_remains(job, task)
        started = float(begun["started"])
        exit_file = self._exit_file(job.entry, task)
        if exit_file is None:
            reason = "what looked after it was killed, or failed: see executor.log"
            return TaskRecord(
                state=JobState.NODE_FAIL, reason=reason, started=started, ended=time.time()
            )
        code, ended = exit_file
        state = JobState.FAILED if code else JobState.COMPLETED
        if code and job.entry.native_id in self._spool.cancelled():
            state = JobState.CANCELLED
        return TaskRecord(state=state, exit_code=code, started=started, ended=ended)

    def _end_remains(self, job: Job, task: int) -> None:
        """End what closed the lock and went its own way, while nobody looked after it."""
        marks = [f"SLURM_JOB_ID={job.entry.native_id}", f"SLURM_SUBMIT_DIR={job.entry.directory}"]
        if job.wanted.tasks:
            marks.append(f"SLURM_ARRAY_TASK_ID={task}")
        send_signal(having(marks), signal.SIGKILL)

    def _exit_file(self, entry: Entry, task: int) -> tuple[int, float] | None:
        """Read what the script itself said of its end, if this job's script said it."""
        content = read_beneath(Path(entry.directory), f"exit.{task}.json", 0, _EXIT_BYTES)
        if content is None:
            return None
        found = _read_exit(content, entry.native_id)
        if found is None:
            _log.warning("job %s: exit.%s.json cannot be read", entry.native_id, task)
        return found

    # Tasks that wait

    def _start(self) -> None:
        unwanted = self._spool.cancelled() | self._spool.stopped()
        taken = sum(job.wanted.cpus * len(job.running) for job in self._jobs.values())
        free, reason = self._config.cpus - taken, ""
        for native_id in sorted(self._jobs, key=int):
            job = self._jobs[native_id]
            if native_id in unwanted:
                self._cancel_waiting(job)
            while job.waiting:
                if job.wanted.throttle and len(job.running) >= job.wanted.throttle:
                    job.wait_for("JobArrayTaskLimit")
                    break
                if reason or job.wanted.cpus > free:
                    job.wait_for(reason or "Resources")
                    reason = "Priority"
                    break
                free -= job.wanted.cpus
                self._start_task(job, job.waiting.pop(0))

    def _cancel_waiting(self, job: Job) -> None:
        for task in job.waiting:
            job.ended[task] = TaskRecord(state=JobState.CANCELLED, ended=time.time())
        job.dirty = job.dirty or bool(job.waiting)
        job.waiting.clear()

    def _start_task(self, job: Job, task: int) -> None:
        path = self._spool.job(job.entry.native_id) / f"lock.{task}"
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._pass("local-executor-before-fork", job.entry.native_id)
            if os.fork() == 0:
                self._become_shepherd(job, task, lock)
            self._pass("local-executor-after-fork", job.entry.native_id)
        except BlockingIOError:
            _log.warning("job %s: task %s runs already", job.entry.native_id, task)
        finally:
            os.close(lock)
        job.running[task] = TaskRecord(state=JobState.RUNNING, started=time.time())
        job.dirty = True

    def _become_shepherd(self, job: Job, task: int, lock: int) -> None:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        for handle in (self._lock, self._wake, self._child_ended):
            os.close(handle)
        tend(self._spool, job.entry, job.wanted, task, self._config, lock)

    # What others see

    def _show(self) -> None:
        now = time.monotonic()
        for native_id, job in list(self._jobs.items()):
            ended = not job.waiting and not job.running
            # A long array's record is long, too: not for each of its tasks.
            late = now - job.shown_at > _STATE_S or len(job.wanted.tasks) < 100
            if job.dirty and (late or ended):
                job.dirty, job.shown_at = False, now
                self._pass("local-executor-before-state", native_id)
                self._spool.save(job.record())
                self._pass("local-executor-after-state", native_id)
            if ended:
                self._spool.forget(native_id)
                self._pass("local-executor-after-removal", native_id)
                self._spool.tidy(native_id)
                del self._jobs[native_id]

    def _pass(self, point: str, native_id: str) -> None:
        crash_point(point, self._spool.directory, native_id)


def _read_exit(content: bytes, owner: str) -> tuple[int, float] | None:
    """Read status and moment of an end; None when it is not of that form: a job can write there.

    >>> _read_exit(b'{"rc": 3, "end": 5, "owner": "17"}', "17")
    (3, 5.0)
    >>> _read_exit(b'{"rc": 1e999, "end": 5, "owner": "17"}', "17") is None
    True
    """
    try:
        document = json.loads(content)
        status, end = document["rc"], document["end"]
        is_own = document["owner"] == owner
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    if not is_own or type(status) is not int or not 0 <= status <= _MOST_STATUS:
        return None
    if type(end) not in (int, float) or not 0 < end < _LAST_END:
        return None
    return status, float(end)


def main(arguments: list[str]) -> int:
    """Take the lock and go to the background; if another has it, there is nothing to do."""
    spool = Spool(Path(arguments[0]))
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    lock = os.open(spool.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return 0
    crash_point("local-executor-started", spool.directory, "".join(spool.live()[:1]))
    if os.fork() == 0:
        os.setsid()
        os.chdir("/")
        Executor(spool, lock).run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
