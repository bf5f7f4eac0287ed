"""What is odd about pyslurm 25.11.2: small programs, and what they print.

The same are run with the double and, where it can be used, with pyslurm itself.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.slurm.cluster import Cluster

_HEAD = """
import os, pyslurm, time
os.chdir({folder!r})
def describe(**fields):
    return pyslurm.JobSubmitDescription(**fields)
def submit(**fields):
    common = dict(script="job.sh", environment="NONE", standard_output="/dev/null", priority=0)
    return describe(**{{**common, **fields}}).submit()
def attempt(work):
    try:
        return work()
    except Exception as error:
        return type(error).__name__, getattr(error, "errno", None)
def row(job_id):
    return pyslurm.Jobs.load()[job_id]
def when(look):
    until = time.monotonic() + 20
    while not look() and time.monotonic() < until:
        time.sleep(0.1)
    return look()
"""


@dataclass(frozen=True, kw_only=True)
class Oddity:
    """A program and what it prints."""

    program: str
    printed: str


ODDITIES: Mapping[str, Oddity] = {
    "directives of a script are not read": Oddity(
        program="print(row(submit(name='x')).name)", printed="x"
    ),
    "reading them fails on a partition": Oddity(
        program="print(attempt(describe(script='job.sh').load_sbatch_options)[0])",
        printed="AttributeError",
    ),
    "a script without an interpreter is a ValueError": Oddity(
        program="print(attempt(describe(script='echo').submit))", printed="('ValueError', None)"
    ),
    "arguments need a path": Oddity(
        program="print(attempt(describe(script='#!/bin/sh\\n', script_args=['1']).submit)[0])",
        printed="ValueError",
    ),
    "a time limit of digits alone is a TypeError": Oddity(
        program="print(attempt(lambda: submit(time_limit='10')))", printed="('TypeError', None)"
    ),
    "a number of minutes is a time limit": Oddity(
        program="print(row(submit(time_limit=10)).state)", printed="PENDING"
    ),
    "signals need their SIG": Oddity(
        program="print(attempt(lambda: submit(signal='B:USR1@60'))[0])", printed="ValueError"
    ),
    "gres needs a count": Oddity(
        program="print(attempt(lambda: submit(gres_per_node='gpu'))[0])", printed="ValueError"
    ),
    "there is no field for gpus per node": Oddity(
        program="print(attempt(lambda: describe(gpus_per_node='1'))[0])", printed="AttributeError"
    ),
    "mail of invalid dependencies is not known": Oddity(
        program="print(attempt(lambda: submit(mail_types=['INVALID_DEPEND']))[0])",
        printed="ValueError",
    ),
    "too many processors overflow": Oddity(
        program="print(attempt(lambda: submit(cpus_per_task=99999))[0])", printed="OverflowError"
    ),
    "a refusal has its number": Oddity(
        program="print(attempt(lambda: submit(partitions=['none'])))", printed="('RPCError', 2000)"
    ),
    "a held job waits for its user": Oddity(
        program="job = row(submit()); print(job.state, job.state_reason, job.array_id)",
        printed="PENDING JobHeldUser None",
    ),
    "elements that wait are one record": Oddity(
        program=(
            "job = row(submit(array='2-4%1'))\n"
            "print(job.array_id == job.id, job.array_task_id, job.array_tasks_waiting)"
        ),
        printed="True None 2-4",
    ),
    "element 0 has no index": Oddity(
        program=(
            "first = submit(array='0-1', priority=None, time_limit=1)\n"
            "def done():\n"
            "    jobs = [j for j in pyslurm.Jobs.load().values() if j.array_id == first]\n"
            "    return all(j.state == 'FAILED' for j in jobs) and jobs\n"
            "jobs = when(done)\n"
            "print(sorted(str(j.array_task_id) for j in jobs), {j.exit_code for j in jobs})"
        ),
        printed="['1', 'None'] {15}",  # the script leaves 143
    ),
    "cancelling what is unknown is no error": Oddity(
        program="print(attempt(pyslurm.Job(987654).cancel))", printed="None"
    ),
    "another signal to what is unknown is one": Oddity(
        program="print(attempt(lambda: pyslurm.Job(987654).send_signal('SIGUSR1', steps='batch')))",
        printed="('RPCError', 2017)",
    ),
    "an array is cancelled by its id": Oddity(
        program=(
            "first = submit(array='0-3'); pyslurm.Job(first).cancel()\n"
            "print({j.state for j in pyslurm.Jobs.load().values() if j.array_id == first})"
        ),
        printed="{'CANCELLED'}",
    ),
}


def make_folder(folder: Path) -> None:
    """Lay the script there that the programs submit."""
    folder.mkdir(exist_ok=True)
    lines = ("#!/bin/sh", "#SBATCH --job-name=y", "#SBATCH --partition=small", "exit 143", "")
    (folder / "job.sh").write_text("\n".join(lines))


def run_oddity(
    oddity: Oddity, cluster: Cluster, python: str, say: Callable[[str], None] = print
) -> str:
    """Run a program with the library that a Python has; answer what it printed."""
    folder = cluster.folder / "odd"
    make_folder(folder)
    done = subprocess.run(
        [python, "-P", "-c", _HEAD.format(folder=str(folder)) + oddity.program],
        env={**os.environ, "SLURM_CONF": str(cluster.folder / "slurm.conf"), "PYTHONPATH": ""},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    say(done.stderr)
    return done.stdout.strip()
