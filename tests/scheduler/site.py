"""A place that runs jobs, and the small things that tests do there."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from gateway.jobs.script import render_script
from scheduler.base import (
    VOID,
    JobReport,
    JobState,
    Launch,
    Scheduler,
    StagedFile,
    StagedJob,
    Submitted,
    Trace,
    Uncertain,
)
from scheduler.connect import connect
from scheduler.elements import OUR_PREFIX
from scheduler.local import stop_executor
from scheduler.processes import holders
from scheduler.shell import LocalShell
from scheduler.slurm import Slurm, SlurmConfig
from scheduler.spool import Spool
from tests.helpers import eventually
from tests.slurm.cluster import Cluster

AGENT_PYTHON = "/usr/bin/python3"
"""What a login node has: not ours."""

SLEEPER = """
import os, signal, sys, time
from pathlib import Path

def leave(number, frame):
    Path(f"signal.{os.environ.get('SLURM_ARRAY_TASK_ID', '0')}").open("a").write(f"{number}\\n")
    if number == signal.SIGTERM:
        sys.exit(143)
    if number == signal.SIGINT:
        sys.exit(0)

for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, leave)
with open("starts", "a") as stream:
    stream.write(f"{os.environ.get('SLURM_ARRAY_TASK_ID', '0')} {time.time()}\\n")
until = time.monotonic() + float(sys.argv[1] if sys.argv[1:] != ["."] else SECONDS)
while time.monotonic() < until and not Path("go").exists():
    time.sleep(0.02)
with open("ends", "a") as stream:
    stream.write(f"{os.environ.get('SLURM_ARRAY_TASK_ID', '0')} {time.time()}\\n")
"""


def sleeper(seconds: float = 0.0) -> str:
    """Write a driver that notes its start, its signals and its end, and sleeps between.

    A file ``go`` in its directory wakes it.
    """
    return SLEEPER.replace("SECONDS", str(seconds))


@dataclass(kw_only=True)
class Site:
    """A scheduler under test."""

    scheduler: Scheduler
    base: Path
    python: str = sys.executable
    refusal: str = "999999"
    """What the scheduler says of more processors than there are."""

    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def stage(
        self,
        driver: str,
        *,
        resources: Mapping[str, str | int] | None = None,
        tasks: int = 1,
        indices: tuple[int, ...] = (),
        throttle: int | None = None,
        lead_s: int = 1,
    ) -> Launch:
        """Stage a job whose driver is a Python text."""
        number = next(self._numbers)
        directory = PurePosixPath(self.base) / "ada" / f"J{number}" / "1"
        marker = f"gw-J{number}-1"
        script = render_script(
            {"time": "10", **(resources or {})},
            marker=marker,
            comment="gw:ada:test",
            workdir=str(directory),
            python=self.python,
            environment={},
            tasks=tasks,
            indices=indices,
            throttle=throttle,
            signal_lead_s=lead_s,
        )
        files = (staged("job.sh", script), staged("driver.pyz", driver))
        self.scheduler.stage([StagedJob(directory=directory, files=files)])
        return Launch(directory=directory, marker=marker, try_number=1)

    def submit(self, launch: Launch) -> str:
        """Submit, and insist that it was taken."""
        (outcome,) = self.scheduler.submit([launch])
        assert isinstance(outcome, Submitted), outcome
        return outcome.native_id

    def settle(self, launch: Launch) -> str:
        """Find out what became of a submission as the gateway does; submit if nothing did."""
        (outcome,) = self.scheduler.submit([launch])
        if isinstance(outcome, Submitted):
            return outcome.native_id
        assert isinstance(outcome, Uncertain)
        if found := named(self.scheduler, launch.marker):
            return self.scheduler.claim(launch.directory, 1, found[0].native_id)
        assert self.scheduler.claim(launch.directory, 1, VOID) == VOID
        return self.submit(replace(launch, try_number=2))

    def reports(self, native_id: str) -> list[JobReport]:
        """Ask how one job is, and believe what has a name of ours, as the gateway does."""
        # For some seconds sacct calls the last element to begin an "allocation" without an index.
        rows = self.scheduler.states([native_id])[native_id]
        return [row for row in rows if row.marker.startswith(OUR_PREFIX)]

    def ended(self, native_id: str) -> list[JobReport]:
        """Wait until a job has ended."""

        def look() -> list[JobReport]:
            rows = self.reports(native_id)
            return rows if all(row.state.final for row in rows) else []

        return eventually(look)

    def end_of(self, native_id: str) -> JobReport:
        """Wait until a job that is no array has ended."""
        (row,) = self.ended(native_id)
        return row

    def runs(self, launch: Launch, native_id: str) -> None:
        """Wait until the driver of a job has begun, and the scheduler says so."""
        eventually(lambda: self.lines(launch, "starts"))
        eventually(
            lambda: any(row.state is JobState.RUNNING for row in self.reports(native_id)),
        )

    def lines(self, launch: Launch, name: str) -> list[str]:
        """Read the lines of a file of a job."""
        content = self.scheduler.read(launch.directory, name, 0, 1 << 20)
        return (content or b"").decode().splitlines()

    def wake(self, launch: Launch) -> None:
        """Let a sleeper end."""
        (Path(launch.directory) / "go").touch()


def named(scheduler: Scheduler, marker: str) -> list[JobReport]:
    """List what a scheduler has, or had, under a name."""
    return scheduler.find([marker])[marker]


def trace(scheduler: Scheduler, directory: PurePosixPath) -> Trace:
    """Say what the first try left in its directory."""
    (found,) = scheduler.traces([Launch(directory=directory, marker="gw-1-1", try_number=1)])
    return found


@dataclass(kw_only=True)
class LocalSite(Site):
    """Local execution under test."""

    spool: Spool

    def executor(self) -> int:
        """Wait for the executor, and say which process it is."""
        return eventually(self.spool.executor) or 0

    def kill_executor(self) -> None:
        """Kill the executor as a lack of memory would."""
        pid = self.executor()
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: self.spool.executor() is None)

    def shepherd(self, native_id: str, task: int = 0) -> int:
        """Say which process looks after a task that runs."""
        begun = self.spool.task_record(native_id, task, "begun")
        assert begun is not None
        return int(begun["pid"])


_SLURM_NUMBERS = itertools.count(10_000)
"""Slurm remembers names, so those of another test must not come again."""


@contextlib.contextmanager
def open_slurm(cluster: Cluster, scheduler: Slurm, folder: Path) -> Iterator[Site]:
    """Open a real cluster, and end all that runs there afterwards."""
    yield Site(
        scheduler=scheduler,
        base=folder,
        refusal="More processors requested than permitted",
        _numbers=_SLURM_NUMBERS,
    )
    cluster.clear()


def by_hand(cluster: Cluster, launch: Launch, *options: str) -> str:
    """Submit a script again, as a person or a lost call would."""
    script = f"{launch.directory}/job.sh"
    name = f"--job-name={launch.marker}"
    return cluster.run("sbatch", "--parsable", name, *options, script, "1").strip()


def wrapped_commands(folder: Path, name: str, text: str) -> str:
    """Make a directory of Slurm's commands in which one is the site's own script."""
    folder.mkdir()
    for command in ("sbatch", "squeue", "sacct", "scancel", "scontrol", "sinfo"):
        (folder / command).symlink_to(f"/usr/bin/{command}")
    (folder / name).unlink(missing_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)
    return str(folder)


def slurm_config(cluster: Cluster) -> SlurmConfig:
    """Describe a cluster whose jobs lie beside its own files."""
    base, conf = cluster.folder / "jobs", cluster.folder / "slurm.conf"
    base.mkdir(exist_ok=True)
    return SlurmConfig(base=str(base), slurm_conf=str(conf), python=AGENT_PYTHON)


@contextlib.contextmanager
def slurm_here(config: SlurmConfig) -> Iterator[Slurm]:
    """Reach a cluster through an agent on this host."""
    shell = LocalShell()
    yield Slurm(shell, config)
    shell.close()


@contextlib.contextmanager
def open_local(folder: Path, **limits: object) -> Iterator[LocalSite]:
    """Open local execution in a folder, and end all that runs there afterwards."""
    state = folder / "state"
    scheduler = connect("local", {"state_directory": state, **limits})
    yield LocalSite(scheduler=scheduler, base=folder / "jobs", spool=Spool(state))
    stop_executor(state)
    for lock in (state / "jobs").glob("*/lock.*"):
        for pid in holders(lock):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def by_task(rows: Sequence[JobReport], tasks: int) -> dict[int, JobState]:
    """Say how each element is; a row without an index stands for all that have none."""
    rest = [row.state for row in rows if row.task is None]
    states = dict.fromkeys(range(tasks), rest[0]) if rest else {}
    return states | {row.task: row.state for row in rows if row.task is not None}


def staged(path: str, text: str) -> StagedFile:
    """Make a file to stage."""
    content = text.encode()
    digest = hashlib.sha256(content).hexdigest()
    return StagedFile(path=PurePosixPath(path), content=content, sha256=digest)
