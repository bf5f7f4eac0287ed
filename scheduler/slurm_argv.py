"""What to type to Slurm: lists of words, never lines for a shell.

Fields are asked for by name, between separators that are drawn anew for each question: a job name
is whatever somebody typed, and no name can look like another row.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Iterator, Sequence

COMMANDS = ("sbatch", "squeue", "sacct", "scancel", "scontrol", "sinfo")
"""The programs of Slurm that are ever called."""

OPTIONAL = ("sacctmgr",)
"""Of these only a probe makes use, where they are."""

ENVIRONMENT = {
    "LC_ALL": "C",
    "SLURM_TIME_FORMAT": "%s",
    "SLURM_BITSTR_LEN": "0",  # or the indices of an array are cut after 64 characters
}
"""What they are called with; all other ``SLURM_*``, ``SBATCH_*``, ``SQUEUE_*`` change answers."""

IDS_AT_ONCE = 200
"""How many ids one ``sacct -j`` is asked for."""

_MARKER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_NATIVE_ID = re.compile(r"[1-9][0-9]{0,17}")


def is_marker(text: str) -> bool:
    """Whether a text can be a job name of ours, and so one word for each command.

    >>> is_marker("gw-01J-1"), is_marker("--all"), is_marker("a,b"), is_marker("a b")
    (True, False, False, False)
    """
    return _MARKER.fullmatch(text) is not None


def is_native_id(text: str) -> bool:
    """Whether a text can be an id of Slurm.

    >>> is_native_id("4711"), is_native_id("0"), is_native_id("4711_1"), is_native_id("-4")
    (True, False, False, False)
    """
    return _NATIVE_ID.fullmatch(text) is not None


def new_separator() -> str:
    """Draw what stands between fields: a job name cannot contain what nobody knew."""
    return f"\x1f{secrets.token_hex(8)}\x1f"


SQUEUE_FIELDS = ("JobArrayID", "State", "Reason", "exit_code", "StartTime", "EndTime",
                  "RestartCnt", "NumCPUs", "Name")  # fmt: skip
SACCT_FIELDS = ("JobID", "State", "Reason", "ExitCode", "Start", "End", "Submit", "AllocCPUS",
                "JobName")  # fmt: skip
SINFO_FIELDS = (
    *("Partition", "CPUsState", "CPUs", "Nodes", "Memory", "Time", "Available"),
    *("DefaultTime", "Size", "Gres"),
)
ASSOCIATION_FIELDS = (
    *("Account", "Partition", "QOS", "MaxJobs", "MaxSubmit", "MaxWall", "MaxTRES"),
    *("GrpJobs", "GrpSubmit", "GrpTRES"),
)
QOS_FIELDS = ("Name", "MaxWall", "MaxJobsPerUser", "MaxSubmitJobsPerUser", "MaxTRESPerUser")


def _squeue(separator: str) -> list[str]:
    fields = ",".join(f"{name}:{separator}" for name in SQUEUE_FIELDS)
    return ["squeue", "--noheader", "--all", "--states=all", f"--Format={fields}"]


def squeue_user(uid: int, separator: str) -> list[str]:
    """Ask for all jobs of an account, one question whatever their number."""
    return [*_squeue(separator), f"--user={uid}"]


def squeue_named(markers: Sequence[str], separator: str) -> list[str]:
    """Ask for all jobs of some names."""
    return [*_squeue(separator), f"--name={','.join(markers)}"]


def _sacct(separator: str) -> list[str]:
    # With duplicates: without them sacct can go on showing the first run of a requeued job.
    return ["sacct", "--noheader", "--allocations", "--parsable2", "--duplicates",
            f"--delimiter={separator}", f"--format={','.join(SACCT_FIELDS)}"]  # fmt: skip


def sacct_jobs(native_ids: Sequence[str], separator: str) -> list[str]:
    """Ask the accounting for jobs by their ids, whenever they were."""
    return [*_sacct(separator), f"--jobs={','.join(native_ids)}"]


def sacct_named(markers: Sequence[str], separator: str) -> list[str]:
    """Ask the accounting for jobs of some names; its time window hides those that are held."""
    return [*_sacct(separator), f"--name={','.join(markers)}", "--starttime=now-7days"]


def scancel(native_ids: Sequence[str], *, pending_only: bool = False) -> list[str]:
    """End jobs, or only what of them has not started."""
    return ["scancel", *(["--state=PENDING"] if pending_only else []), *native_ids]


def scancel_signal(native_ids: Sequence[str], name: str) -> list[str]:
    """Send a signal to the batch shells of jobs, and to them alone."""
    return ["scancel", "--batch", f"--signal={name}", *native_ids]


def sbatch(marker: str, directory: str, try_number: int) -> list[str]:
    """Submit the script of a directory."""
    return ["sbatch", "--parsable", f"--job-name={marker}", f"--chdir={directory}",
            f"{directory}/job.sh", str(try_number)]  # fmt: skip


def sbatch_test(directory: str) -> list[str]:
    """Ask whether a script would be taken."""
    return ["sbatch", "--test-only", f"--chdir={directory}", f"{directory}/job.sh", "1"]


def ping() -> list[str]:
    """Ask whether a controller answers."""
    return ["scontrol", "ping"]


def show_config() -> list[str]:
    """Ask for the configuration."""
    return ["scontrol", "show", "config"]


def sinfo(separator: str) -> list[str]:
    """Ask for the partitions, hidden ones and those of other groups too: one may submit there."""
    fields = ",".join(f"{name}:{separator}" for name in SINFO_FIELDS)
    return ["sinfo", "--all", "--noheader", f"--Format={fields}"]


def sinfo_help() -> list[str]:
    """Ask sinfo what it knows; the controller hears nothing of it."""
    return ["sinfo", "--help"]


def show_qos() -> list[str]:
    """Ask the accounting for all QOS with their limits."""
    return ["sacctmgr", "--noheader", "--parsable2", "show", "qos",
            f"format={','.join(QOS_FIELDS)}"]  # fmt: skip


def show_associations(login: str, cluster: str) -> list[str]:
    """Ask the accounting what somebody may have there, with what their account gets from above."""
    return ["sacctmgr", "--noheader", "--parsable2", "show", "associations",
            f"user={login}", f"cluster={cluster}",
            f"format={','.join(ASSOCIATION_FIELDS)}"]  # fmt: skip


def batches(native_ids: Iterable[str], size: int = IDS_AT_ONCE) -> Iterator[list[str]]:
    """Cut ids into lists that fit one call.

    >>> list(batches(["1", "2", "3"], 2))
    [['1', '2'], ['3']]
    """
    ids = list(native_ids)
    for first in range(0, len(ids), size):
        yield ids[first : first + size]
