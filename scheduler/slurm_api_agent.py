"""The process that has Slurm's library: asked in frames by `scheduler.slurm_api`, which see.

It is the agent of a login node with one thing changed: what the library can do, the library does.
"""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scheduler.agent import Agent, Line, leave
from scheduler.base import SchedulerError, Uncertain
from scheduler.directives import parse_options
from scheduler.frames import Frame
from scheduler.slurm_api import Library, LibraryError, load_pyslurm
from scheduler.slurm_fields import Fields, to_fields
from scheduler.submitter import Answer, Commands, write_outcome

_ENDED = (2017, 2020, 2021)
"""Unknown, waiting or ending, ended: errors also when the running elements got the signal."""

_WANTED = ("SLURM_CONF", "SLURM_BITSTR_LEN")
"""What the library must find in its environment; a job gets what begins with ``SLURM_``."""


def task_of(job: Any) -> str:
    """Say which job a record is of, or which elements, as squeue writes it.

    Slurm's library gives no index where it is 0: that is element 0, unless nothing of it ever
    began and it has the array's own id. Then it is what is left of those that were cancelled
    while they waited, and stands for all elements that have no record of their own.
    """
    if job.array_id is None:
        return str(job.id)
    if job.array_tasks_waiting:
        return f"{job.array_id}_[{job.array_tasks_waiting}]"
    if job.array_task_id is None and job.id == job.array_id and job.batch_host is None:
        return str(job.id)
    return f"{job.array_id}_{job.array_task_id or 0}"


def write_row(job: Any, separator: str) -> str:
    """Write a record as squeue would, so that one reader serves both."""
    fields = (
        task_of(job),
        job.state,
        job.state_reason,
        f"{job.exit_code}:{job.exit_code_signal}",
        job.start_time,
        job.end_time,
        job.requeue_count,
        "",  # processors: what it was given counts as what it asked for
        job.name,
    )
    return separator.join(re.sub(r"\s", " ", str(field)) for field in fields)


@dataclass(frozen=True, kw_only=True)
class ApiCommands(Commands):
    """Slurm's programs, but for sbatch, which is the library."""

    library: Library

    def run(
        self,
        argv: Sequence[str],
        cwd: str = "/",
        enough: Callable[[str], bool] = lambda _: False,
    ) -> Answer:
        """Run one; say what the library says in the words of sbatch."""
        if argv[0] != "sbatch" or "--test-only" in argv:
            return super().run(argv, cwd, enough)
        try:
            native_id = self.library.submit(_description(argv[1:]))
        except LibraryError as error:
            status = 255 if error.doubtful else 1
            return Answer(status=status, stdout="", stderr=_failed(error))
        except (ValueError, TypeError, AttributeError, OverflowError) as error:
            return Answer(status=1, stdout="", stderr=_failed(error))
        return Answer(status=0, stdout=native_id, stderr="")


def _failed(error: Exception) -> str:
    return f"Batch job submission failed: {error}"


def _description(words: Sequence[str]) -> Fields:
    """Read a command line of sbatch, and the script it names, whose options it overrules."""
    options = [word for word in words if word.startswith("--")]
    script, *arguments = words[len(options) :]
    typed = dict(word.removeprefix("--").partition("=")[::2] for word in options)
    typed.pop("parsable")
    fields = to_fields(parse_options(Path(script).read_text(encoding="utf-8")) | typed)
    # Arguments go with a path only. pyslurm reads the file itself.
    return {**fields, "script": script, "script_args": arguments}


class ApiAgent(Agent):
    """Answers what is asked of the library, and of the commands that it has no call for."""

    def __init__(self, line: Line) -> None:
        super().__init__(line)
        self._library: Library | None = None
        self._verbs |= {
            "jobs": self._jobs,
            "ping_controllers": self._ping_controllers,
            "end": self._end,
            "signal": self._signal,
        }

    def _hello(self, frame: Frame) -> Frame:
        answer = super()._hello(frame)
        found = self._commands
        os.environ.update(
            {name: found.environment[name] for name in _WANTED if name in found.environment}
        )
        _insist_on_configuration()
        os.environ["SLURM_UMASK"] = "0077"  # as sbatch says it: for the logs of a job
        self._library = Library(pyslurm=load_pyslurm(found), timeout_s=found.timeout_s)
        self._commands = ApiCommands(
            paths=found.paths,
            environment=found.environment,
            timeout_s=found.timeout_s,
            library=self._library,
        )
        return Frame(document={**answer.document, "pyslurm": self._library.pyslurm.__version__})

    @property
    def _ours(self) -> Library:
        if self._library is None:
            raise SchedulerError("nobody has said hello")
        return self._library

    def _jobs(self, frame: Frame) -> Frame:
        markers, separator = set(frame.document["markers"]), frame.document["separator"]
        try:
            jobs = self._ours.jobs()
        except LibraryError as error:
            return _failure([error], doubtful=True)
        rows = [write_row(job, separator) for job in jobs if not markers or job.name in markers]
        return Frame(document={}, blob="\n".join(rows).encode())

    def _ping_controllers(self, _: Frame) -> Frame:
        try:
            self._ours.ping()
        except LibraryError as error:
            return _failure([error], doubtful=True)
        return Frame(document={})

    def _end(self, frame: Frame) -> Frame:
        """End jobs; to the library, the id of an array is all its elements."""
        return self._send(frame.document["native_ids"], signal.SIGKILL, batch=False)

    def _signal(self, frame: Frame) -> Frame:
        number = signal.Signals[f"SIG{frame.document['name']}"]
        return self._send(frame.document["native_ids"], number, batch=True)

    def _send(self, native_ids: Sequence[str], number: int, *, batch: bool) -> Frame:
        errors = []
        for native_id in native_ids:
            try:
                self._ours.signal(int(native_id), number, batch=batch)
            except LibraryError as error:
                if error.number not in _ENDED:
                    errors.append(error)
        return _failure(errors) if errors else Frame(document={})

    def _submit(self, frame: Frame) -> Frame:
        """Let another process submit; say of the rest what is sure when the library ended it."""
        launches = frame.document["launches"]
        self._told: set[int] = set()
        answer = super()._submit(frame)
        for number, launch in enumerate(launches):
            if number not in self._told:
                self._line.send(Frame(document={**self._unanswered(launch), "number": number}))
        return answer

    def _lines(self, reader: int) -> Iterator[bytes]:
        for line in super()._lines(reader):
            self._told.add(int(json.loads(line)["number"]))
            yield line

    def _unanswered(self, launch: Mapping[str, Any]) -> dict[str, Any]:
        """Tell a launch that was begun from one that nobody will begin any more."""
        lock = Path(launch["directory"]) / f"submit.{launch['try_number']}"
        text = f"Slurm's library did not answer within {self._commands.timeout_s:g} s"
        return write_outcome(Uncertain(text=text, begun=os.path.lexists(lock)))


def _failure(errors: Sequence[LibraryError], *, doubtful: bool = False) -> Frame:
    others = f", and {len(errors) - 1} more" if len(errors) > 1 else ""
    doubtful = doubtful or any(error.doubtful for error in errors)
    return Frame(document={"failed": f"{errors[0]}{others}", "doubtful": doubtful})


def _insist_on_configuration() -> None:
    """Fail at once where Slurm would look again and again for a minute."""
    path = os.environ.get("SLURM_CONF", "")
    if path and not os.access(path, os.R_OK):
        raise SchedulerError(f"slurm_conf = {path!r} cannot be read")


def main() -> None:
    """Talk over standard input and output; whatever else is printed goes to standard error."""
    outgoing = os.dup(1)
    os.dup2(2, 1)
    try:
        ApiAgent(Line(0, outgoing)).serve()
    except BrokenPipeError:
        leave()


if __name__ == "__main__":
    main()
