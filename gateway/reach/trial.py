"""Try a cluster with a script like those of jobs: tested by sbatch, or run once on a compute node.

Only a compute node can say whether it sees the base directory, can write there, and has the Python
and the libraries that fits need: that is what the job of a trial finds out. It writes nothing but
into a directory of its own, which is removed with it.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import Any

import fitters.versions
from gateway.clusters.settings import ClusterSettings
from gateway.jobs import words
from gateway.jobs.outcome import read_exit
from gateway.jobs.plan import python_of, with_defaults
from gateway.jobs.resources import Resources, parse_time
from gateway.jobs.script import render_script, signal_lead
from scheduler.base import (
    JobReport,
    Launch,
    Refused,
    Scheduler,
    SchedulerError,
    StagedFile,
    StagedJob,
    Submitted,
)

_TIME = timedelta(minutes=5)
_LOOK_S = 1.0
_CLOCK_S = 10.0
_DOCUMENT_BYTES = 64 << 10
_SAID_BYTES = 2_000
_FOUND = "found.json"
_DRIVER = """
import json, os
troubles = {}
for name in ("bumps", "h5py"):
    try:
        __import__(name)
    except Exception as error:
        troubles[name] = f"{type(error).__name__}: {error}"
found = {"host": os.uname().nodename, "versions": versions(), "troubles": troubles}
with open("found.json.part", "w") as file:
    json.dump(found, file)
os.rename("found.json.part", "found.json")
"""


def example_script(
    cluster: ClusterSettings,
    directory: str,
    partition: str,
    marker: str = "gw-doctor-1",
    limit: timedelta | None = None,
) -> str:
    """Render a script as a job with nothing but defaults would have it."""
    wanted = Resources(partition=partition or None, time=limit)
    time_limit = limit or parse_time(cluster.default_time)
    return render_script(
        with_defaults(wanted, cluster).to_directives(),
        marker=marker,
        comment="gw:doctor:test",
        workdir=directory,
        python=python_of(cluster),
        environment=cluster.environment,
        tasks=1,
        signal_lead_s=signal_lead(time_limit, timedelta(seconds=cluster.checkpoint_s)),
        resumable=False,
        prolog=cluster.prolog,
    )


def check_script(slurm: Scheduler, cluster: ClusterSettings, base: str, partition: str) -> str:
    """Have a script tested by ``sbatch --test-only``; say when it could start."""
    folder = PurePosixPath(base) / f"doctor-{secrets.token_hex(8)}"
    directory = folder / "1"
    script = example_script(cluster, str(directory), partition)
    slurm.stage([StagedJob(directory=directory, files=(_file("job.sh", script),))])
    try:
        check = slurm.check(directory)
    finally:
        slurm.remove(folder)
    where = f"in {partition}" if partition else "in the default partition"
    if not check.accepted:
        raise SchedulerError(
            f"sbatch would refuse a job {where}: {check.text}; see partitions, default_time "
            "and the account's rights in Slurm"
        )
    return f"would start {where} {check.start:%Y-%m-%d %H:%M} UTC" if check.start else "taken"


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One small job of a cluster."""

    slurm: Scheduler
    cluster: ClusterSettings
    base: str
    wait_s: float
    """How long it may wait and run; then it is cancelled."""

    def run(self) -> str:
        """Run it, and say what it found.

        Raises
        ------
        SchedulerError
            If it found that fits cannot run there, or did not run: with what to mend.
        """
        token = secrets.token_hex(8)
        folder = PurePosixPath(self.base) / f"doctor-{token}"
        launch = Launch(directory=folder / "1", marker=f"gw-doctor{token}-1", try_number=1)
        partition = next(iter(self.cluster.partitions), "")
        script = example_script(
            self.cluster, str(launch.directory), partition, launch.marker, _TIME
        )
        driver = Path(fitters.versions.__file__).read_text(encoding="utf-8") + _DRIVER
        files = (_file("job.sh", script), _file("driver.pyz", driver))
        self.slurm.stage([StagedJob(directory=launch.directory, files=files)])
        try:
            return self._told(launch, self._ended(launch))
        finally:
            self.slurm.remove(folder)

    def _ended(self, launch: Launch) -> JobReport:
        """Submit it and wait for its end."""
        (outcome,) = self.slurm.submit([launch])
        if isinstance(outcome, Refused):
            raise SchedulerError(f"sbatch refused it: {outcome.text}")
        if not isinstance(outcome, Submitted):
            raise SchedulerError(
                f"nobody knows whether it was taken: {outcome.text}; 'squeue --name="
                f"{launch.marker}' would show it, and it ends by itself"
            )
        row: JobReport | None = None
        deadline = time.monotonic() + self.wait_s
        try:
            while time.monotonic() < deadline:
                rows = self.slurm.states([outcome.native_id]).get(outcome.native_id, [])
                row = next((one for one in rows if one.marker == launch.marker), row)
                if row is not None and row.state.final:
                    return row
                time.sleep(_LOOK_S)
        finally:
            if row is None or not row.state.final:
                self.slurm.cancel([outcome.native_id])
        why = words.reason_text(row) if row else "Slurm does not list it"
        raise SchedulerError(
            f"job {outcome.native_id} did not end within {self.wait_s:g} s and was cancelled: "
            f"{why}; give --wait more seconds"
        )

    def _told(self, launch: Launch, row: JobReport) -> str:
        found = self._document(launch, _FOUND)
        if not isinstance(found, dict):
            raise SchedulerError(self._silent(launch, row))
        host, python = found.get("host"), python_of(self.cluster)
        if troubles := found.get("troubles"):
            said = "; ".join(f"{name}: {text}" for name, text in dict(troubles).items())
            raise SchedulerError(
                f"{python} on {host} cannot run fits ({said}): install bumps and h5py there, or "
                "see prolog and environment"
            )
        versions = dict(found.get("versions") or {})
        text = ", ".join(f"{name} {version}" for name, version in versions.items())
        return f"ran on {host} as job {row.native_id}: {text}{self._clock(launch)}"

    def _silent(self, launch: Launch, row: JobReport) -> str:
        """Say what is wrong with a job that found nothing out."""
        said = self.slurm.read(launch.directory, "stderr.0.txt", 0, _SAID_BYTES)
        text = (said or b"").decode("utf-8", "replace").strip()
        ended = f"job {row.native_id} ended as {row.raw_state}"
        exited = read_exit(self._document(launch, "exit.0.json"))
        if exited is not None:
            return (
                f"{ended} with status {exited.rc}: {text or 'it said nothing'}; see python, prolog "
                "and environment"
            )
        return (
            f"{ended}{f' ({text})' if text else ''} and left nothing in {launch.directory}: do "
            f"compute nodes see {self.base}, and may the account write there?"
        )

    def _clock(self, launch: Launch) -> str:
        exited = read_exit(self._document(launch, "exit.0.json"))
        if exited is None or exited.ended is None:
            return ""
        ahead_s = (exited.ended - datetime.now(UTC)).total_seconds()
        return f"; its clock is {ahead_s:.0f} s ahead" if ahead_s > _CLOCK_S else ""

    def _document(self, launch: Launch, path: str) -> Any:
        content = self.slurm.read(launch.directory, path, 0, _DOCUMENT_BYTES)
        try:
            return json.loads(content) if content else None
        except ValueError:
            return None


def _file(path: str, text: str) -> StagedFile:
    content = text.encode()
    return StagedFile(
        path=PurePosixPath(path),
        content=content,
        sha256=hashlib.sha256(content).hexdigest(),
        mode=0o700,
    )
