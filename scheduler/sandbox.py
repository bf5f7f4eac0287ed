"""What a local task is started with: its environment, its limits, and bubblewrap around it.

In the sandbox a task sees the system read-only, its own directory, and nothing else: no other
user's files, no socket, no network, no process but its own. It cannot fall back to running without.
"""

from __future__ import annotations

import os
import pwd
import shlex
import socket
from pathlib import Path

from scheduler.base import SchedulerError
from scheduler.directives import Directives
from scheduler.spool import Entry, LocalConfig

BWRAP = "/usr/bin/bwrap"
SANDBOXES = ("none", "bwrap")
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
# Of /etc only what programs need to start: no key, no password, no configuration of the site.
_ETC = ("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives", "passwd", "group", "hosts",
        "nsswitch.conf", "localtime", "ssl/certs", "ssl/openssl.cnf", "fonts", "mime.types",
        "bash.bashrc", "profile")  # fmt: skip


def environment(entry: Entry, wanted: Directives, task: int, config: LocalConfig) -> dict[str, str]:
    """Make the whole environment of a task; nothing of the gateway's own comes into it."""
    sandboxed = config.sandbox == "bwrap"
    host, (user, home) = socket.gethostname(), _account()
    variables = {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": "/tmp" if sandboxed else home,  # noqa: S108 - the sandbox's own
        "USER": user,
        "LOGNAME": user,
        "LANG": "C.UTF-8",
        "HOSTNAME": host,
        "SLURM_CLUSTER_NAME": "local",
        "SLURM_CPUS_ON_NODE": str(wanted.cpus),
        "SLURM_CPUS_PER_TASK": str(wanted.cpus),
        "SLURM_JOB_CPUS_PER_NODE": str(wanted.cpus),
        "SLURM_JOB_ID": entry.native_id,
        "SLURM_JOB_NAME": entry.marker,
        "SLURM_JOB_NODELIST": host,
        "SLURM_JOB_NUM_NODES": "1",
        "SLURM_NTASKS": "1",
        "SLURM_SUBMIT_DIR": entry.directory,
    }
    if wanted.tasks:
        variables |= {
            "SLURM_ARRAY_JOB_ID": entry.native_id,
            "SLURM_ARRAY_TASK_ID": str(task),
            "SLURM_ARRAY_TASK_COUNT": str(len(wanted.tasks)),
            "SLURM_ARRAY_TASK_MIN": str(wanted.tasks[0]),
            "SLURM_ARRAY_TASK_MAX": str(wanted.tasks[-1]),
        }
    return variables


def _account() -> tuple[str, str]:
    """Say who runs the jobs and where their home is; a container's user may have no name."""
    try:
        account = pwd.getpwuid(os.getuid())
    except KeyError:
        return str(os.getuid()), "/"
    return account.pw_name, account.pw_dir


def command(entry: Entry, script: Path, config: LocalConfig) -> list[str]:
    """Say how to run a script as a task."""
    with script.open(encoding="utf-8") as stream:
        interpreter = shlex.split(stream.readline().removeprefix("#!"))
    if config.sandbox == "none":
        return [*interpreter, str(script), str(entry.try_number)]
    inside = str(Path(entry.directory) / "job.sh")
    return [
        *_walls(config),
        "--bind", entry.directory, entry.directory,
        "--ro-bind", str(script), inside,
        "--chdir", entry.directory,
        "--", *interpreter, inside, str(entry.try_number),
    ]  # fmt: skip


def _walls(config: LocalConfig) -> list[str]:
    words = [BWRAP, "--unshare-all", "--die-with-parent", "--cap-drop", "ALL",
             "--proc", "/proc", "--dev", "/dev",
             "--size", str(config.tmp_bytes), "--tmpfs", "/tmp"]  # noqa: S108  # fmt: skip
    for folder in map(Path, _SYSTEM):
        if folder.is_symlink():
            words += ["--symlink", str(folder.readlink()), str(folder)]
        elif folder.is_dir():
            words += ["--ro-bind", str(folder), str(folder)]
    for name in _ETC:
        words += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    for path in config.readable:
        words += ["--ro-bind", path, path]
    return words


def check_sandbox(name: str) -> None:
    """Refuse a sandbox that nobody knows, or that this host does not have."""
    if name not in SANDBOXES:
        raise SchedulerError(f"sandbox {name!r} is not known: choose {' or '.join(SANDBOXES)}")
    if name == "bwrap" and not os.access(BWRAP, os.X_OK):
        raise SchedulerError(
            f"sandbox 'bwrap' needs {BWRAP}: install bubblewrap, or choose 'none' "
            "if all users of this gateway trust each other"
        )
