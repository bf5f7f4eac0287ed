"""What Slurm itself says of the jobs of a campaign, held against the gateway's records."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from gateway.jobs.models import Attempt, Job, Tracking
from scheduler.base import JobState
from tests.faults.events import starts_of
from tests.faults.sites import Comparison
from tests.helpers import eventually
from tests.slurm.cluster import Cluster

_ALIVE = ("PENDING", "RUNNING", "COMPLETING", "CONFIGURING", "SUSPENDED", "STOPPED", "SIGNALING")
_LAUNCH = re.compile(r"(?:Allocate|Started) JobId=(\d+) ")
_TAKEN = re.compile(r"_slurm_rpc_submit_batch_job: JobId=(\d+) ")
_ENDS_S = 60.0


@dataclass(frozen=True, kw_only=True)
class Row:
    """A job of Slurm."""

    native_id: str
    marker: str
    state: str

    @property
    def alive(self) -> bool:
        """Whether it may still run."""
        return self.state in _ALIVE


def compare(cluster: Cluster, jobs: Sequence[Job], *, controller_killed: bool) -> Comparison:
    """Hold records against Slurm's own list, when nothing of it is alive any more.

    Parameters
    ----------
    controller_killed
        Whether that was done to it: nothing else makes Slurm forget a job that it took.
    """
    ours = {job.marker for job in jobs}

    def still() -> list[Row]:
        return [row for row in _queue(cluster) if row.alive and row.marker in ours]

    with suppress(AssertionError):  # what does not end is told below
        eventually(lambda: not still(), within_s=_ENDS_S, every_s=0.5)
    rows = _known(cluster)
    found = Comparison(launches=_launches(cluster, jobs))
    found.double += [f"{row.marker}: Slurm's job {row.native_id} is {row.state}" for row in still()]
    forgettable = set(_TAKEN.findall(cluster.log("slurmctld"))) if controller_killed else set()
    twins = 0
    for job in jobs:
        own = rows.get(job.marker, {})
        twins += len(own.keys() - {job.attempt.native_id})
        _compare_one(job, own, found, forgettable)
    again = [job for job in jobs if starts_of(job) > 1]
    found.notes += [
        f"Slurm's list: {sum(len(rows.get(job.marker, {})) for job in jobs)} jobs, {twins} of them "
        f"twins that ran nothing; a killed controller forgot {len(found.forgotten)} of ours and "
        f"began {len(again)} again"
    ]
    return found


def _launches(cluster: Cluster, jobs: Sequence[Job]) -> dict[str, int]:
    """Count in the controller's log how often it began each job.

    One that was killed goes back to what it had saved: a job that it had begun since waits again.
    """
    begun = Counter(_LAUNCH.findall(cluster.log("slurmctld")))
    return {job.id: max(1, begun[job.attempt.native_id or ""]) for job in jobs}


def _compare_one(
    job: Job, own: dict[str, set[str]], found: Comparison, forgettable: set[str]
) -> None:
    attempt, native_id = job.attempt, job.attempt.native_id
    tries = len(list(Path(attempt.directory).glob("submit.*")))
    if len(own) > tries:
        found.double.append(f"{job.id}: {tries} tries made the jobs {sorted(own)}")
    owner = _owner_of_exit(attempt)
    if owner not in (None, native_id):
        found.double.append(f"{job.id} is {native_id}, and {owner} wrote its exit file")
    if not job.final and attempt.tracking is Tracking.LOST:
        # What the accounting goes on calling alive is no more when the controller has forgotten it.
        if own.get(native_id or "", set()) - set(_ALIVE):
            found.lost.append(f"{job.id} is called lost, and Slurm knows {native_id}: {own}")
        elif native_id in forgettable:
            found.forgotten.add(job.id)
        else:
            found.lost.append(f"{job.id} is lost, and nothing made Slurm forget {native_id}")
    elif attempt.source in ("squeue", "sacct") and native_id:
        said = own.get(native_id, set())
        if said and attempt.state.value not in said and not _has_proof(attempt):
            found.lost.append(f"{job.id} is {attempt.state.value}, and {native_id} is {said}")


def _has_proof(attempt: Attempt) -> bool:
    """Whether it did end as it is shown: a controller that was killed takes its word back."""
    path = Path(attempt.directory) / "exit.0.json"
    return (
        attempt.state is JobState.COMPLETED
        and path.exists()
        and json.loads(path.read_text(encoding="utf-8"))["rc"] == 0
    )


def _owner_of_exit(attempt: Attempt) -> str | None:
    """Read which job of Slurm ended here; None when none did."""
    try:
        text = (Path(attempt.directory) / "exit.0.json").read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    return str(json.loads(text)["owner"])


def _known(cluster: Cluster) -> dict[str, dict[str, set[str]]]:
    """Name -> id -> states, of all that squeue or the accounting knows."""
    known: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for row in (*_queue(cluster), *_accounted(cluster)):
        known[row.marker][row.native_id].add(row.state)
    return known


def _queue(cluster: Cluster) -> list[Row]:
    return _rows(cluster.run("squeue", "-h", "-a", "-t", "all", "-o", "%A|%j|%T"))


def _accounted(cluster: Cluster) -> list[Row]:
    return _rows(
        cluster.run("sacct", "-n", "-P", "-X", "-D", "-a", "-S", "now-1days", "-E", "now+1days",
                    "-o", "JobIDRaw,JobName,State")
    )  # fmt: skip


def _rows(text: str) -> list[Row]:
    return list(_read(line.split("|") for line in text.splitlines()))


def _read(lines: Iterable[list[str]]) -> Iterable[Row]:
    for native_id, marker, state in lines:
        yield Row(native_id=native_id, marker=marker, state=state.partition(" ")[0])
