"""Slurm through its own library (pyslurm), on a host that has it: no program is started for a job.

The library is used in a process of its own, `scheduler.slurm_api_agent`, for four reasons: its
calls hold Python's lock while they wait, so no thread of ours could end one; it ends the whole
process when it cannot read slurm.conf; it changes how all later libraries are loaded; and it prints
to standard error. A call that takes too long ends that process: `faulthandler` does it from a
thread that needs no lock, and says where the call stood. Submissions have a further process each
time, as with sbatch: what it has begun it ends, also when the gateway is gone.

Files are handled by the gateway itself. The accounting is asked with sacct: pyslurm.db cannot be
asked for the earlier runs of a requeued job.
"""

from __future__ import annotations

import faulthandler
import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from scheduler import slurm_argv, slurm_text
from scheduler.base import Check, JobReport, Probe, SchedulerError, SchedulerUnavailableError
from scheduler.directives import parse_options
from scheduler.frames import Frame, FrameError
from scheduler.here import FilesHere
from scheduler.link import Link
from scheduler.shell import LocalShell, Stream
from scheduler.slurm import Slurm, SlurmConfig
from scheduler.slurm_calls import Calls, settled
from scheduler.slurm_fields import Fields, to_fields
from scheduler.submitter import Commands

EXTRA = "bumps-gateway[pyslurm]"

_START_S = 30.0
_GRACE_S = 5.0


def is_doubtful(number: int, text: str) -> bool:
    """Whether an error of the library may hide a call that was carried out.

    Slurm numbers what the controller answers from 2000 on, and the troubles of the way to it 1000
    and on, 5000 and on (sockets) and 6000 and on (credentials). What is below is of the system.

    >>> is_doubtful(5004, "Socket timed out on send/recv operation"), is_doubtful(0, "Success")
    (True, True)
    >>> is_doubtful(2000, "Invalid partition name specified"), is_doubtful(2017, "Invalid job id")
    (False, False)
    """
    answered = 2000 <= number < 5000 or number >= 7000
    return not answered or slurm_text.is_communication_error(text)


# In the gateway


class SlurmApi(FilesHere, Slurm):
    """A `Scheduler` for a Slurm cluster whose library is on this host.

    What becomes of a submission, and how it is found again, is as in `Slurm`; only the words in
    which Slurm is asked are others.
    """

    def __init__(self, name: str, config: SlurmConfig) -> None:
        package = Path(__file__).resolve().parent.parent
        shell = LocalShell(name, {"PYTHONPATH": str(package)})
        config = replace(config, parallel=1)  # the library waits for one answer at a time
        super().__init__(shell, config)
        self._base = Path(config.base)
        self._link = ApiLink(shell, config)
        self._calls = ApiCalls(self._link, config.command_timeout_s)

    def check(self, directory: PurePosixPath) -> Check:
        """Ask whether the staged script would be taken: by pyslurm, and then by sbatch."""
        script = self.read(directory, "job.sh", 0, 4 << 20)
        if script is None:
            return Check(accepted=False, text=f"there is no job.sh in {directory}")
        try:
            to_fields(parse_options(script.decode("utf-8")))
        except ValueError as error:
            return Check(accepted=False, text=f"job.sh: {error}")
        return super().check(directory)

    def probe(self) -> Probe:
        """Find out what the site can do."""
        probe = super().probe()
        return replace(probe, version=f"{probe.version}, pyslurm {self._link.hello['pyslurm']}")


class ApiLink(Link):
    """The way to the process that has the library."""

    def _start(self) -> Stream:
        stream = self._shell.start([self._config.python, "-P", "-m", "scheduler.slurm_api_agent"])
        self._rest = b""
        with ExitStack() as undo:
            undo.callback(stream.close)
            try:
                stream.send(Frame(document=self._greeting()).encode(), _START_S)
                answer = self._checked(self._receive(stream, _START_S))
            except (SchedulerError, FrameError) as error:
                # Also what must be installed: jobs wait until it is.
                why = str(error).removeprefix(f"{self.name}: ")
                raise SchedulerUnavailableError(
                    f"{self.name}: Slurm's library cannot be used: {why}"
                ) from error
            undo.pop_all()
        self._stream, self.hello = stream, answer.document
        return stream


class ApiCalls(Calls):
    """What Slurm is asked through the library; the rest with its commands."""

    def __init__(self, link: Link, command_timeout_s: float) -> None:
        super().__init__(link, command_timeout_s)
        self._timeout_s = command_timeout_s + _GRACE_S

    def queue(self, markers: Sequence[str] = ()) -> list[JobReport]:
        """Ask for all jobs of the account, or for those of some names."""
        separator = slurm_argv.new_separator()
        answer = self._library("squeue", "jobs", markers=list(markers), separator=separator)
        rows = slurm_text.parse_squeue(answer.blob.decode(), separator)
        self.now = datetime.now(UTC)
        return [settled(row, self.now) for row in rows]

    def insist_on_controller(self) -> None:
        """Fail unless a controller is up."""
        self._library("scontrol", "ping_controllers")

    def end(self, native_ids: Sequence[str], *, pending_only: bool = False) -> None:
        """End jobs; those that have ended are no error."""
        if pending_only:
            # To the library, the elements of an array that wait are not to be had alone.
            super().end(native_ids, pending_only=True)
        elif native_ids:
            self._library("scancel", "end", native_ids=native_ids)

    def signal(self, native_ids: Sequence[str], name: str) -> None:
        """Send a signal to the batch shells of jobs; those that have ended are no error."""
        if native_ids:
            self._library("scancel", "signal", native_ids=native_ids, name=name)

    def _library(self, counted: str, verb: str, **others: Any) -> Frame:
        self.count.add(counted)
        answer = self._link.ask({"verb": verb, **others}, timeout_s=self._timeout_s)
        if failed := answer.document.get("failed"):
            kind = SchedulerUnavailableError if answer.document["doubtful"] else SchedulerError
            raise kind(f"{self._link.name}: Slurm's library: {failed}")
        return answer


# In the process that has the library


class LibraryError(Exception):
    """What Slurm answered is an error."""

    def __init__(self, number: int, text: str) -> None:
        super().__init__(f"{text} (errno {number})")
        self.number = number
        self.doubtful = is_doubtful(number, text)


@dataclass(frozen=True, kw_only=True)
class Library:
    """pyslurm, with each call ended when it takes too long."""

    pyslurm: Any
    timeout_s: float

    @contextmanager
    def _call(self) -> Iterator[None]:
        faulthandler.dump_traceback_later(self.timeout_s, exit=True)
        try:
            yield
        except self.pyslurm.RPCError as error:
            raise LibraryError(int(error.errno or 0), str(error)) from error
        finally:
            faulthandler.cancel_dump_traceback_later()

    def submit(self, fields: Fields) -> str:
        """Submit a job; answer its id.

        Raises
        ------
        LibraryError
            If Slurm refused it, or nobody knows.
        ValueError, TypeError, AttributeError, OverflowError
            If pyslurm does not take a field; then nothing was sent.
        """
        with self._call():
            return str(self.pyslurm.JobSubmitDescription(**fields).submit())

    def jobs(self) -> list[Any]:
        """List the jobs of this account that the controller has, ended ones also."""
        with self._call():
            everybodys = self.pyslurm.Jobs.load()
        return [job for job in everybodys.values() if job.user_id == os.getuid()]

    def signal(self, native_id: int, number: int, *, batch: bool) -> None:
        """Send a signal to a job and all its elements, or to their batch shells alone."""
        with self._call():
            steps = "batch" if batch else "children"
            self.pyslurm.Job(native_id).send_signal(number, steps=steps)

    def ping(self) -> None:
        """Insist that the first controller or the second is up."""
        for last, index in ((False, 0), (True, 1)):
            try:
                with self._call():
                    self.pyslurm.slurmctld.ping(index)
            except LibraryError:
                if last:
                    raise
            else:
                return


def load_pyslurm(commands: Commands) -> Any:
    """Import pyslurm, if it is here and made for the Slurm that is here.

    Raises
    ------
    SchedulerError
        If it is not; the message is one line and says what to install.
    """
    slurm = _slurm_version(commands)
    try:
        import pyslurm
    except ImportError as error:
        raise SchedulerError(missing(slurm, str(error))) from error
    if slurm and _release(pyslurm.__version__) != _release(slurm):
        found = f"it is pyslurm {pyslurm.__version__}"
        raise SchedulerError(missing(slurm, found))
    return pyslurm


def missing(slurm: str, why: str, python: str = sys.executable) -> str:
    """Say what to install where pyslurm cannot be used.

    >>> missing("22.05.8", "No module named 'pyslurm'", "/opt/gw/bin/python")
    ... # doctest: +NORMALIZE_WHITESPACE
    "/opt/gw/bin/python has no pyslurm for Slurm 22.05.8 (No module named 'pyslurm'): install
    'bumps-gateway[pyslurm]' there with pyslurm==22.5.*, or choose scheduler = 'slurm'"
    """
    wanted = "pyslurm=={}.{}.*".format(*_release(slurm)) if slurm else "the pyslurm of its release"
    return (
        f"{python} has no pyslurm for Slurm {slurm or 'as found on this host'} ({why}): install "
        f"'{EXTRA}' there with {wanted}, or choose scheduler = 'slurm'"
    )


def _slurm_version(commands: Commands) -> str:
    """Ask the commands beside the library; empty where there are none."""
    if "scontrol" not in commands.paths:
        return ""
    match = re.search(r"[0-9]+\.[0-9]+[.0-9]*", commands.run(["scontrol", "--version"]).stdout)
    return match[0] if match else ""


def _release(version: str) -> tuple[int, int]:
    major, minor = version.split(".")[:2]
    return int(major), int(minor)
