"""One running task and the process that looks after it until its end; slurmstepd's part.

The executor forks one shepherd for each task. It outlives the executor: time limits are kept, logs
are written and the end is recorded whoever else is killed. It holds the task's lock for as long as
it lives, and so does the script, so that nobody takes a running task for one that is gone.
"""

from __future__ import annotations

import json
import os
import resource
import selectors
import signal
import time
import traceback
from pathlib import Path
from typing import NoReturn

from scheduler.base import JobState
from scheduler.directives import Directives
from scheduler.faults import crash_point
from scheduler.files import link_whole, open_log, used_bytes, write_whole
from scheduler.processes import (
    adopt_orphans,
    birth,
    catches,
    children,
    descendants,
    die_with,
    kill_all,
    proportional_bytes,
    resident_bytes,
    send_signal,
)
from scheduler.sandbox import command, environment
from scheduler.spool import Entry, LocalConfig, Spool, TaskRecord, send

SIGNALS = ("USR1", "USR2", "INT", "TERM", "CONT", "STOP")
"""What a script may be sent from outside."""

STOP_SIGNAL = "USR1"
"""The one that means: stop, and keep what you have."""

_SAMPLE_S = 0.25
_DISK_SAMPLE_S = 5.0
_HANDLER_WAIT_S = 5.0
_DRAIN_S = 2.0
_NO_OUTPUT = 53  # what Slurm reports as the signal when it cannot make the output file


def tend(
    spool: Spool, entry: Entry, wanted: Directives, task: int, config: LocalConfig, lock: int
) -> NoReturn:
    """Run one task to its end; this is all that the process does."""
    status = 1
    try:
        os.setsid()
        adopt_orphans()
        Shepherd(spool, entry, wanted, task, config, lock).run()
        status = 0
    finally:
        if status:
            traceback.print_exc()
        os._exit(status)


def _cpu_s() -> float:
    """Say what all processes of the task have computed: each was waited for, orphans here."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return round(used.ru_utime + used.ru_stime, 3)


class Log:
    """What the script prints, copied to its file up to a limit."""

    def __init__(self, target: int, limit_bytes: int) -> None:
        self.reader, self.writer = os.pipe2(os.O_CLOEXEC)
        self._target = target
        self._left = limit_bytes - os.fstat(target).st_size
        self._limit_bytes = limit_bytes
        self._cut = False
        self.trouble = ""
        os.set_blocking(self.reader, False)

    def copy(self) -> bool:
        """Copy what is there; False at the end of the stream."""
        try:
            chunk = os.read(self.reader, 1 << 16)
        except BlockingIOError:
            return True
        kept = chunk[: max(0, self._left)]
        self._left -= len(kept)
        if len(kept) < len(chunk) and not self._cut:
            self._cut = True
            kept += f"\n[cut here: a log may have {self._limit_bytes} bytes]\n".encode()
        self._write(kept)
        return bool(chunk)

    def _write(self, content: bytes) -> None:
        try:
            while content:
                content = content[os.write(self._target, content) :]
        except OSError as error:  # the disk is full: the job goes on, and its end says so
            self.trouble = f"its log is not whole: {error.strerror}"


class Shepherd:
    """A task from its start to its end."""

    def __init__(
        self, spool: Spool, entry: Entry, wanted: Directives, task: int, config: LocalConfig,
        lock: int,
    ) -> None:  # fmt: skip
        self._spool, self._entry, self._wanted = spool, entry, wanted
        self._task, self._config, self._lock = task, config, lock
        self._folder = spool.job(entry.native_id)
        self._selector = selectors.DefaultSelector()
        self._logs: list[Log] = []
        self._words: list[tuple[int, float]] = []
        self._stopped = False
        self._child = 0
        self._status: int | None = None
        self._verdict: tuple[JobState, str] | None = None
        self._kill_at = float("inf")
        self._disk_at = 0.0
        self._most_bytes = 0

    def run(self) -> None:
        """Start the script, unless it was ever started before, and stay until it has ended."""
        self._pass("local-shepherd-before-marker")
        started = time.time()
        if not self._begin(started):
            return
        self._pass("local-shepherd-after-marker")
        try:
            self._open_logs()
        except OSError as error:
            reason = f"the output file could not be created: {error}"
            record = TaskRecord(state=JobState.FAILED, signal=_NO_OUTPUT, exit_code=0,
                                reason=reason, started=started, ended=time.time())  # fmt: skip
        else:
            self._watch()
            record = self._outcome(started)
        self._pass("local-shepherd-before-end")
        content = json.dumps(record.to_json()).encode()
        write_whole(self._folder / f"end.{self._task}", content)
        self._pass("local-shepherd-after-end")
        send(self._spool.wake, b".")

    def _pass(self, point: str) -> None:
        crash_point(point, self._spool.directory, self._entry.native_id)

    def _begin(self, started: float) -> bool:
        """Mark durably that the task begins; False when it was marked before."""
        marker = {"started": started, "pid": os.getpid(), "birth": birth(os.getpid())}
        return link_whole(self._folder / f"begun.{self._task}", json.dumps(marker).encode())

    def _open_logs(self) -> None:
        directory, wanted = Path(self._entry.directory), self._wanted
        names = dict.fromkeys(self._expand(name) for name in (wanted.output, wanted.error))
        for name in names:
            target = open_log(directory, name, append=wanted.append)
            self._logs.append(Log(target, self._config.log_limit_bytes))

    def _expand(self, pattern: str) -> str:
        native_id, task = self._entry.native_id, str(self._task)
        values = {"%a": task, "%A": native_id, "%j": native_id, "%x": self._entry.marker}
        for code, value in values.items():
            pattern = pattern.replace(code, value)
        return pattern

    # Watching

    def _watch(self) -> None:
        self._listen()
        self._child = self._start()
        self._pass("local-shepherd-after-start")
        begun = time.monotonic()
        limit = self._wanted.time.total_seconds() if self._wanted.time else float("inf")
        lead = self._wanted.signal_lead.total_seconds()
        warn_at = begun + max(0.0, limit - lead) if self._wanted.signal_batch else float("inf")
        while self._status is None:
            now = time.monotonic()
            self._select(min(_SAMPLE_S, max(0.0, min(warn_at, begun + limit, self._kill_at) - now)))
            self._reap()
            now = time.monotonic()
            if now >= warn_at:
                warn_at = float("inf")
                self._hear(self._wanted.signal)
            if now >= begun + limit:
                limit = float("inf")
                self._finish(JobState.TIMEOUT, "", now)
            self._check(now)
        self._clear()

    def _listen(self) -> None:
        reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        pipe = self._folder / f"pipe.{self._task}"
        if not pipe.exists():
            os.mkfifo(pipe, 0o600)
        words = os.open(pipe, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self._selector.register(reader, selectors.EVENT_READ, lambda: bool(os.read(reader, 4096)))
        self._selector.register(words, selectors.EVENT_READ, lambda: self._read_words(words))
        for log in self._logs:
            self._selector.register(log.reader, selectors.EVENT_READ, log.copy)

    def _select(self, patience_s: float) -> None:
        for key, _ in self._selector.select(patience_s):
            if not key.data():
                self._selector.unregister(key.fileobj)

    def _read_words(self, pipe: int) -> bool:
        for word in os.read(pipe, 4096).decode("ascii", "replace").split():
            self._hear(word)
        return True

    def _hear(self, word: str) -> None:
        if word in SIGNALS:
            deadline = time.monotonic() + _HANDLER_WAIT_S
            self._words.append((getattr(signal, f"SIG{word}"), deadline))

    def _check(self, now: float) -> None:
        """Obey what was asked, and hold the limits."""
        if not self._stopped and self._spool.is_stopped(self._entry.native_id):
            self._stopped = True  # once: the mark stays, also for those who begin to listen later
            self._hear(STOP_SIGNAL)
        if self._verdict is None and self._spool.is_cancelled(self._entry.native_id):
            self._finish(JobState.CANCELLED, "", now)
        if self._verdict is None:
            self._measure(now)
        if now >= self._kill_at:
            kill_all(os.getpid())
        self._deliver(now)

    def _deliver(self, now: float) -> None:
        """Pass signals on, once the script is ready for them: before, they would end it."""
        waiting = []
        for number, deadline in self._words:
            shell = self._shell()
            if shell and (now >= deadline or catches(shell, number)):
                send_signal([shell], number)
            else:
                waiting.append((number, deadline))
        self._words = waiting

    def _shell(self) -> int | None:
        """Find the process that runs the script; bubblewrap puts two of its own before it."""
        if self._config.sandbox == "none":
            return self._child
        first = children(self._child)[:1]
        inner = children(first[0])[:1] if first else []
        return inner[0] if inner else None

    def _measure(self, now: float) -> None:
        pids, most = descendants(os.getpid()), self._config.max_processes
        if most and len(pids) > most:
            self._finish(JobState.FAILED, f"had more than {most} processes at once", now, 0.0)
        memory = self._wanted.memory_bytes
        if memory and self._memory_of(pids, memory) > memory:
            reason = f"used more than the {memory >> 20} MB of memory that it asked for"
            self._finish(JobState.OUT_OF_MEMORY, reason, now, 0.0)
        disk = self._config.disk_limit_bytes
        if disk and now >= self._disk_at:
            self._disk_at = now + _DISK_SAMPLE_S
            if used_bytes(Path(self._entry.directory)) > disk:
                reason = f"wrote more than {disk >> 20} MB into its directory"
                self._finish(JobState.FAILED, reason, now, 0.0)

    def _memory_of(self, pids: list[int], limit_bytes: int) -> int:
        """Measure what processes take, more closely where it might be too much."""
        taken = resident_bytes(pids)
        if taken > limit_bytes:
            taken = proportional_bytes(pids)
        self._most_bytes = max(self._most_bytes, taken)
        return taken

    def _finish(
        self, state: JobState, reason: str, now: float, kill_wait_s: float | None = None
    ) -> None:
        """Ask all processes to end; those that stay are killed after a while."""
        if self._verdict is None:
            self._verdict = (state, reason)
            wait_s = self._config.kill_wait_s if kill_wait_s is None else kill_wait_s
            self._kill_at = now + wait_s
        pids = descendants(os.getpid())
        if self._config.sandbox == "bwrap":  # TERM would end the walls, and all behind them at once
            pids = [pid for pid in pids if pid not in (self._child, *children(self._child))]
        send_signal(pids, signal.SIGCONT)
        send_signal(pids, signal.SIGTERM)

    def _reap(self) -> None:
        try:
            while found := os.waitpid(-1, os.WNOHANG)[0:2]:
                pid, status = found
                if pid == 0:
                    return
                if pid == self._child:
                    self._status = status
        except ChildProcessError:
            return

    def _clear(self) -> None:
        """End what the script left behind, and take the rest of what it printed."""
        until = time.monotonic() + _DRAIN_S
        while kill_all(os.getpid()) and time.monotonic() < until + self._config.kill_wait_s:
            self._select(0.02)
            self._reap()
        open_logs = {log.reader for log in self._logs}
        while open_logs & set(self._selector.get_map()) and time.monotonic() < until:
            self._select(0.1)

    def _outcome(self, started: float) -> TaskRecord:
        code = os.waitstatus_to_exitcode(self._status or 0)
        state, reason = self._verdict or (JobState.FAILED if code else JobState.COMPLETED, "")
        trouble = "; ".join(log.trouble for log in self._logs if log.trouble)
        return TaskRecord(
            state=state,
            reason="; ".join(filter(None, (reason, trouble))),
            exit_code=max(0, code),
            signal=max(0, -code) or None,
            started=started,
            ended=time.time(),
            max_rss_bytes=self._most_bytes or None,
            cpu_s=_cpu_s(),
        )

    # The script

    def _start(self) -> int:
        argv = command(self._entry, self._folder / "job.sh", self._config)
        variables = environment(self._entry, self._wanted, self._task, self._config)
        shepherd, pid = os.getpid(), os.fork()
        if pid == 0:
            self._become(argv, variables, shepherd)
        for log in self._logs:
            os.close(log.writer)
        return pid

    def _become(self, argv: list[str], variables: dict[str, str], shepherd: int) -> NoReturn:
        try:
            os.setsid()
            die_with(shepherd, by=signal.SIGKILL)
            signal.set_wakeup_fd(-1)
            # Python ignores some, whoever started the gateway perhaps others: a job ignores none.
            for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
            os.dup2(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC), 0)
            os.dup2(self._logs[0].writer, 1)
            os.dup2(self._logs[-1].writer, 2)
            # In the sandbox all die with the shepherd, and a job could only misuse the lock.
            os.set_inheritable(self._lock, self._config.sandbox == "none")
            self._limit()
            os.chdir(self._entry.directory)
            os.execve(argv[0], argv, variables)  # noqa: S606 - an argument list, no shell
        except OSError as error:
            os.write(2, f"the script could not be started: {argv[0]}: {error}\n".encode())
        finally:
            os._exit(127)

    def _limit(self) -> None:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if self._config.file_limit_bytes:
            most = self._config.file_limit_bytes
            resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
