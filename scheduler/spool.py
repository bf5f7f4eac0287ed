"""What local execution keeps in its state directory. No other module knows these names.

=========================  =============  =====================================================
file                       written by     holds
=========================  =============  =====================================================
``config.json``            `Local`        limits of this host (`LocalConfig`)
``counter``                submit         the last native id; a lock on it hands out the next
``markers/<marker>/<id>``  submit         nothing: which ids were given under a job name
``jobs/<id>/job.sh``       submit         the script as it was submitted
``spool/<id>.json``        submit         the job (`Entry`): from here on it is submitted, and it
                                          stays here until its end is in ``state.json``
``cancel/<id>``            cancel         nothing: this job is to end
``stop/<id>``              signal         nothing: running tasks are to stop, others not to start
``executor.lock``          executor       its process id; locked while it lives
``wake``                   all            a pipe: a byte in it ends the executor's sleep
``jobs/<id>/state.json``   executor       how every task is (`JobRecord`)
``jobs/<id>/lock.<task>``  shepherd, job  locked while any process of the task lives
``jobs/<id>/begun.<task>`` shepherd       made once, before the script starts: never start again
``jobs/<id>/end.<task>``   shepherd       how the task ended
``jobs/<id>/pipe.<task>``  shepherd       a pipe: names of signals for the script
=========================  =============  =====================================================
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from scheduler.base import JobState
from scheduler.files import names_in, remove_tree, sync_folder, write_whole


@dataclass(frozen=True, kw_only=True)
class LocalConfig:
    """What the jobs of this host may take."""

    cpus: int
    kill_wait_s: float = 30.0
    """Between TERM and KILL, Slurm's KillWait."""

    idle_s: float = 10.0
    """How long the executor stays when there is nothing to do."""

    log_limit_bytes: int = 64 << 20
    """Of stdout and of stderr of one task; what comes after is dropped."""

    file_limit_bytes: int = 8 << 30
    """Of any one file that a job writes; 0 for no limit."""

    disk_limit_bytes: int = 0
    """Of all that lies in a job's directory; 0 for no limit."""

    max_processes: int = 512
    """Of one task; 0 for no limit."""

    sandbox: str = "none"
    readable: tuple[str, ...] = ()
    """What a sandboxed job sees beside the system, read-only: where its Python lies."""

    tmp_bytes: int = 1 << 30
    """Of a sandboxed job's own ``/tmp``, which lies in memory."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One submission."""

    native_id: str
    marker: str
    directory: str
    try_number: int
    submitted: float


@dataclass(frozen=True, kw_only=True)
class TaskRecord:
    """How one task is."""

    state: JobState
    reason: str = ""
    exit_code: int | None = None
    signal: int | None = None
    started: float | None = None
    ended: float | None = None
    max_rss_bytes: int | None = None
    cpu_s: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Write it as a JSON object."""
        return {**asdict(self), "state": self.state.value}

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> TaskRecord:
        """Read it from a JSON object."""
        return cls(**{**document, "state": JobState(document["state"])})


@dataclass(frozen=True, kw_only=True)
class JobRecord:
    """How a job is: the tasks that began or will not, and those that wait."""

    native_id: str
    marker: str
    array: bool
    reason: str = ""
    waiting: tuple[int, ...] = ()
    tasks: dict[int, TaskRecord] = field(default_factory=dict)

    @property
    def final(self) -> bool:
        """Whether nothing of it will change any more."""
        return not self.waiting and all(task.state.final for task in self.tasks.values())


class Spool:
    """The state directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.lock = directory / "executor.lock"
        self.wake = directory / "wake"
        self.log = directory / "executor.log"

    def prepare(self) -> None:
        """Make what is missing."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in ("markers", "jobs", "spool", "cancel", "stop"):
            (self.directory / name).mkdir(mode=0o700, exist_ok=True)
        with suppress(FileExistsError):
            os.mkfifo(self.wake, 0o600)

    def sign(self, lock: int) -> None:
        """Write this process down as the executor, into the lock that it holds."""
        os.ftruncate(lock, 0)
        os.pwrite(lock, b"%d" % os.getpid(), 0)

    def executor(self) -> int | None:
        """Say which process is the executor; None when none runs."""
        with trying_lock(self.lock, fcntl.LOCK_SH) as free:
            text = b"" if free else self.lock.read_bytes()
        return int(text) if text else None

    def job(self, native_id: str) -> Path:
        """Say where the files of a job lie."""
        return self.directory / "jobs" / native_id

    def save_config(self, config: LocalConfig) -> None:
        """Tell the executor what this host gives."""
        content = json.dumps(asdict(config)).encode()
        path = self.directory / "config.json"
        if not path.exists() or path.read_bytes() != content:
            write_whole(path, content)

    def config(self) -> LocalConfig:
        """Read what this host gives."""
        document = json.loads((self.directory / "config.json").read_bytes())
        return LocalConfig(**{**document, "readable": tuple(document["readable"])})

    def next_id(self) -> str:
        """Hand out a native id: greater than all before, and never given again."""
        handle = os.open(self.directory / "counter", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            number = int(os.pread(handle, 20, 0) or b"0") + 1
            os.pwrite(handle, b"%d" % number, 0)
            os.fsync(handle)
        finally:
            os.close(handle)
        return str(number)

    def mark(self, marker: str, native_id: str, script: bytes) -> None:
        """Prepare a job, so that it can be found by name as soon as it is submitted."""
        self.job(native_id).mkdir(mode=0o700)
        write_whole(self.job(native_id) / "job.sh", script, 0o500)
        folder = self.directory / "markers" / marker
        folder.mkdir(mode=0o700, exist_ok=True)
        (folder / native_id).touch(mode=0o600)
        for changed in (folder, folder.parent, self.directory / "jobs"):
            sync_folder(changed)

    def enter(self, entry: Entry) -> None:
        """Submit: the one step that makes a job."""
        path = self.directory / "spool" / f"{entry.native_id}.json"
        write_whole(path, json.dumps(asdict(entry)).encode())

    def marked(self, marker: str) -> list[str]:
        """List the ids that were given under a job name, submitted or not."""
        try:
            return sorted(names_in(self.directory / "markers" / marker), key=int)
        except FileNotFoundError:
            return []

    def live(self) -> list[str]:
        """List the ids of all jobs that have not ended, oldest first."""
        names = names_in(self.directory / "spool")
        # One that is being written has a name of another form.
        return sorted((name[:-5] for name in names if name.endswith(".json")), key=int)

    def entry(self, native_id: str) -> Entry | None:
        """Read a submission that has not ended."""
        try:
            text = (self.directory / "spool" / f"{native_id}.json").read_bytes()
        except FileNotFoundError:
            return None
        return Entry(**json.loads(text))

    def script(self, native_id: str) -> str:
        """Read a job's script as it was submitted."""
        return (self.job(native_id) / "job.sh").read_text(encoding="utf-8")

    def save(self, record: JobRecord) -> None:
        """Show how a job is; its end is durable."""
        document = {**asdict(record), "tasks": {n: t.to_json() for n, t in record.tasks.items()}}
        path, content = self.job(record.native_id) / "state.json", json.dumps(document).encode()
        if record.final:
            write_whole(path, content)
        else:
            unfinished = path.with_name("state.part")
            unfinished.write_bytes(content)
            unfinished.replace(path)

    def record(self, native_id: str) -> JobRecord | None:
        """Read how a job is; None before the executor has seen it."""
        try:
            document = json.loads((self.job(native_id) / "state.json").read_bytes())
        except FileNotFoundError:
            return None
        tasks = {int(n): TaskRecord.from_json(t) for n, t in document.pop("tasks").items()}
        return replace(JobRecord(**document), tasks=tasks, waiting=tuple(document["waiting"]))

    def forget(self, native_id: str) -> None:
        """Take a job that has ended off the spool; its record stays."""
        (self.directory / "spool" / f"{native_id}.json").unlink(missing_ok=True)
        sync_folder(self.directory / "spool")
        for wish in ("cancel", "stop"):
            (self.directory / wish / native_id).unlink(missing_ok=True)

    def tidy(self, native_id: str) -> None:
        """Remove the working files of a job that was forgotten."""
        for name in names_in(self.job(native_id)):
            if name != "state.json":
                (self.job(native_id) / name).unlink()

    def purge(self, before: float) -> None:
        """Remove the records of jobs that ended before an instant."""
        for folder in (self.directory / "markers").iterdir():
            for native_id in names_in(folder):
                state = self.job(native_id) / "state.json"
                if state.exists() and state.stat().st_mtime < before and not self.entry(native_id):
                    remove_tree(self.job(native_id))
                    (folder / native_id).unlink()
            with suppress(OSError):  # there are others of this name
                folder.rmdir()

    def ask_to_cancel(self, native_id: str) -> None:
        """Leave word that a job is to end."""
        self._leave_word("cancel", native_id)

    def ask_to_stop(self, native_id: str) -> None:
        """Leave word that a job is to stop: what runs keeps its results, the rest never starts."""
        self._leave_word("stop", native_id)

    def _leave_word(self, wish: str, native_id: str) -> None:
        (self.directory / wish / native_id).touch(mode=0o600)
        sync_folder(self.directory / wish)

    def is_cancelled(self, native_id: str) -> bool:
        """Say whether somebody wants a job to end."""
        return (self.directory / "cancel" / native_id).exists()

    def is_stopped(self, native_id: str) -> bool:
        """Say whether somebody wants a job to stop."""
        return (self.directory / "stop" / native_id).exists()

    def cancelled(self) -> set[str]:
        """List the jobs that somebody wants to end."""
        return set(names_in(self.directory / "cancel"))

    def stopped(self) -> set[str]:
        """List the jobs that somebody wants to stop."""
        return set(names_in(self.directory / "stop"))

    def tell(self, native_id: str, word: str) -> None:
        """Send a word to the shepherds of a job's running tasks."""
        for pipe in self.job(native_id).glob("pipe.*"):
            send(pipe, f"{word}\n".encode())

    def task_record(self, native_id: str, task: int, name: str) -> dict[str, Any] | None:
        """Read ``begun`` or ``end`` of a task."""
        try:
            text = (self.job(native_id) / f"{name}.{task}").read_bytes()
        except FileNotFoundError:
            return None
        document: dict[str, Any] = json.loads(text)
        return document


def send(pipe: Path, message: bytes) -> None:
    """Write into a named pipe, if anybody reads it."""
    with suppress(OSError):  # nobody reads: then nobody sleeps; full: then it wakes anyway
        handle = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            os.write(handle, message)
        finally:
            os.close(handle)


@contextmanager
def trying_lock(path: Path, kind: int = fcntl.LOCK_EX) -> Iterator[bool]:
    """Try to take a lock for a moment, and say whether it was free."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(handle)
