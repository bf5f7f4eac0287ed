"""Submits the scripts of many directories, on the login node, in a process of its own.

It has a session of its own, so a cut line ends the agent but neither this process nor an sbatch
that it has begun: what that answers is still written beside the lock. What was not begun by then is
not begun any more.

The life of one submission: take the lock ``submit.<try>/``; call sbatch; take the claim for the id
that it printed; write the id beside the lock. What is refused has its claim taken as void, so that
an answer that was misread can never let a job run that is shown as refused.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scheduler import directory as job_directory
from scheduler import slurm_argv, slurm_text
from scheduler.base import VOID, Refused, SchedulerError, Submission, Submitted, Uncertain
from scheduler.faults import crash_point
from scheduler.files import opened_beneath, write_whole

_OUTPUT_BYTES = 64 << 10
_BROKEN_CHARACTERS = 2000
_WRITERS = 4
_LISTEN_S = 1.0
"""How often a command that takes long is listened to."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a command left."""

    status: int
    stdout: str
    stderr: str


@dataclass(frozen=True, kw_only=True)
class Commands:
    """How Slurm's programs are run here."""

    paths: Mapping[str, str]
    environment: Mapping[str, str]
    timeout_s: float

    def run(
        self,
        argv: Sequence[str],
        cwd: str = "/",
        enough: Callable[[str], bool] = lambda _: False,
    ) -> Answer:
        """Run one, and end it when it takes too long, or has said enough: that is status 124.

        Raises
        ------
        SchedulerError
            If there is no such program here, or it cannot be run.
        """
        program = self.paths.get(argv[0])
        if program is None:
            raise SchedulerError(f"{argv[0]} is not on this host: where are Slurm's programs?")
        try:
            with subprocess.Popen(
                [program, *argv[1:]],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=cwd,
                env=dict(self.environment),
            ) as process:
                return self._answer(process, argv[0], enough)
        except OSError as error:
            raise SchedulerError(f"{program} cannot be run: {error}") from error

    def _answer(
        self, process: subprocess.Popen[bytes], name: str, enough: Callable[[str], bool]
    ) -> Answer:
        until = time.monotonic() + self.timeout_s
        while True:
            left_s = until - time.monotonic()
            try:
                stdout, stderr = process.communicate(timeout=max(0.0, min(left_s, _LISTEN_S)))
            except subprocess.TimeoutExpired as error:
                said = (error.stderr or b"").decode("utf-8", "replace")
                is_enough = enough(said)
                if left_s > 0 and not is_enough:
                    continue
                process.kill()
                process.wait()  # and not for its pipes: what it has started may hold them
                why = "was not waited for" if is_enough else "did not end"
                text = f"{said}\n{name} {why} within {self.timeout_s:g} s".strip()
                return Answer(status=124, stdout="", stderr=text)
            return Answer(
                status=process.returncode,
                stdout=stdout.decode("utf-8", "replace"),
                stderr=stderr.decode("utf-8", "replace"),
            )


class Submitter:
    """Submits launches, several at a time.

    Parameters
    ----------
    tell
        Called with each outcome; may raise OSError when nobody listens any more.
    is_heard
        Whether anybody does.
    """

    def __init__(
        self,
        commands: Commands,
        tell: Callable[[dict[str, Any]], None],
        is_heard: Callable[[], bool],
    ) -> None:
        self._commands = commands
        self._tell = tell
        self._is_heard = is_heard
        self._telling = threading.Lock()
        self._stop = ""

    def submit(self, launches: Sequence[Mapping[str, Any]], parallel: int) -> None:
        """Submit all, unless the controller or the gateway is lost on the way."""
        self._calling = threading.BoundedSemaphore(parallel)
        # More than may call sbatch: the others write what came of it, and wait for the disk.
        with ThreadPoolExecutor(max_workers=_WRITERS * parallel) as pool:
            for _ in pool.map(self._one, range(len(launches)), launches):
                pass

    def _one(self, number: int, launch: Mapping[str, Any]) -> None:
        document = self._submit(launch)
        with self._telling, suppress(OSError):
            self._tell({**document, "number": number})

    def _submit(self, launch: Mapping[str, Any]) -> dict[str, Any]:
        directory, marker = Path(launch["directory"]), str(launch["marker"])
        try_number = int(launch["try_number"])
        if not slurm_argv.is_marker(marker):
            return write_outcome(Refused(text=f"{marker!r} cannot be the name of a job"))
        with opened_beneath(directory, "job.sh") as handle:
            if handle is None:
                return write_outcome(_unreadable(directory))
        try:
            with self._calling:
                if not self._is_heard():
                    self._stop = "the gateway is gone"
                if self._stop:
                    full = slurm_text.has_no_room(self._stop)
                    text = f"not begun: {self._stop}"
                    return write_outcome(Uncertain(text=text, begun=False, for_now=full))
                if not job_directory.take_lock(directory, try_number):
                    # A job can write anything into its directory: only Slurm says whose an id is.
                    return {**write_outcome(earlier(directory, try_number)), "earlier": True}
                crash_point("slurm-submit-locked")
                answer = self._call(directory, marker, try_number)
            return write_outcome(_write_down(directory, try_number, answer))
        except (OSError, SchedulerError) as error:
            return write_outcome(Uncertain(text=f"submission was cut short: {error}"))

    def _call(self, directory: Path, marker: str, try_number: int) -> Answer:
        argv = slurm_argv.sbatch(marker, str(directory), try_number)
        # Without room sbatch itself tries again, for two minutes in which nobody else is served.
        answer = self._commands.run(argv, cwd=str(directory), enough=slurm_text.has_no_room)
        crash_point("slurm-submit-called")
        if answer.status != 0 and slurm_text.is_communication_error(answer.stderr):
            said = answer.stderr.strip()[:500]
            self._stop = f"another submission of the same call met: {said}"
        return answer


def _unreadable(directory: Path) -> Submission:
    """Say of a directory without a script: one that is away as a whole is staged again."""
    try:
        there = directory.is_dir()
    except OSError:  # a stale handle, a server that does not answer
        there = False
    if not there:
        return Uncertain(text=f"not begun: {directory} is not there now", begun=False)
    return Refused(text=f"{directory}/job.sh cannot be read: no such plain file")


def _write_down(directory: Path, try_number: int, answer: Answer) -> Submission:
    """Take the claim for what sbatch answered, and write it beside the lock."""
    outcome = slurm_text.classify(answer.status, answer.stdout, answer.stderr)
    match outcome:
        case Submitted(native_id=native_id):
            return _keep(directory, try_number, native_id)
        case Refused():
            return _refuse(directory, try_number, outcome)
        case Uncertain():
            _note(directory, try_number, answer)
            return outcome


def _keep(directory: Path, try_number: int, native_id: str) -> Submission:
    owner = job_directory.take_claim(directory, try_number, native_id)
    crash_point("slurm-submit-claimed")
    if owner != native_id:
        # Somebody has given this try up meanwhile: the job that was made exits as a twin.
        return Uncertain(text=f"job {native_id} was made, but the claim is {owner}'s")
    job_directory.write_native_id(directory, try_number, native_id)
    crash_point("slurm-submit-named")
    return Submitted(native_id=native_id)


def _refuse(directory: Path, try_number: int, refused: Refused) -> Submission:
    owner = job_directory.take_claim(directory, try_number, VOID)
    if owner != VOID:
        return Uncertain(text=f"it was refused ({refused.text}), but the claim is {owner}'s")
    job_directory.write_refusal(directory, try_number, refused.text)
    return refused


def earlier(directory: Path, try_number: int) -> Submission:
    """Say what an earlier submission of the same try came to, as far as it was written down."""
    if native_id := job_directory.read_native_id(directory, try_number):
        return Submitted(native_id=native_id)
    if refusal := job_directory.read_refusal(directory, try_number):
        return Refused(text=refusal, for_now=_is_void_for_now(directory, try_number, refusal))
    return Uncertain(text=f"try {try_number} was begun before and left no native id")


def _is_void_for_now(directory: Path, try_number: int, refusal: str) -> bool:
    """Believe that another try may be made only behind the fence: a job can write a refusal."""
    void = job_directory.read_claim(directory, try_number) == VOID
    return void and slurm_text.has_no_room(refusal)


def _note(directory: Path, try_number: int, answer: Answer) -> None:
    """Keep what sbatch said when nobody can tell what it meant."""
    document = {
        "status": answer.status,
        "stdout": answer.stdout[:_OUTPUT_BYTES],
        "stderr": answer.stderr[:_OUTPUT_BYTES],
    }
    write_whole(directory / f"submit.{try_number}" / "sbatch.json", json.dumps(document).encode())


def write_outcome(outcome: Submission) -> dict[str, Any]:
    """Write an outcome as a document."""
    match outcome:
        case Submitted(native_id=native_id):
            return {"outcome": "submitted", "native_id": native_id}
        case Refused(text=text, for_now=full):
            return {"outcome": "refused", "text": text, "for_now": full}
        case Uncertain(text=text, begun=begun, for_now=full):
            return {"outcome": "uncertain", "text": text, "begun": begun, "for_now": full}


def read_outcome(document: Mapping[str, Any]) -> Submission:
    """Read an outcome that `write_outcome` wrote.

    >>> read_outcome(write_outcome(Submitted(native_id="7")))
    Submitted(native_id='7')
    """
    full = document.get("for_now") is True
    match document.get("outcome"):
        case "submitted":
            return Submitted(native_id=str(document["native_id"]))
        case "refused":
            return Refused(text=str(document["text"]), for_now=full)
        case _:
            begun = document.get("begun", True) is not False
            return Uncertain(text=str(document.get("text", "")), begun=begun, for_now=full)


def run_apart(
    commands: Commands, launches: Sequence[Mapping[str, Any]], parallel: int
) -> tuple[int, int]:
    """Start a process that submits; answer its id and a pipe with one outcome a line."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writer)
        return pid, reader

    def tell(document: dict[str, Any]) -> None:
        os.write(writer, json.dumps(document).encode() + b"\n")

    def is_heard() -> bool:
        line = select.poll()
        line.register(writer, 0)  # nothing is asked for, so only an error is told
        return not line.poll(0)

    try:  # from here on another process, which must not come back
        _let_go_of_everything_but(writer)
        Submitter(commands, tell, is_heard).submit(launches, parallel)
    except BaseException:
        with suppress(OSError):
            tell({"broken": traceback.format_exc()[-_BROKEN_CHARACTERS:]})
        raise
    finally:
        os._exit(0)


def _let_go_of_everything_but(kept: int) -> None:
    """Leave the agent's session and lines: while anyone holds them, a cut cannot be noticed."""
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    os.closerange(3, kept)
    os.closerange(kept + 1, os.sysconf("SC_OPEN_MAX"))
