"""What a site has decided about its clusters: one TOML table each.

``config/default.toml`` shows this host as a cluster, ``config/example.toml`` one behind SSH.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

LOGIN = "{login}"
"""Stands for the name of a user's own account, in base and in the users of machines on the way."""

SCHEDULERS = ("local", "slurm", "pyslurm")
ACCOUNTS = ("service", "per-user")
_SANDBOXES = ("none", "bwrap")
LAUNCHER_WORD = r"[A-Za-z0-9_./-][A-Za-z0-9_.,:@%+=/-]{0,127}"
"""A word of what starts the ranks of MPI: nothing that means something to a shell."""


@dataclass(frozen=True, kw_only=True)
class HopSettings:
    """A machine to sign in to on the way to a login node."""

    host: str
    user: str
    """``{login}`` where each user signs in there, too."""

    host_keys: tuple[str, ...]
    port: int = 22
    key_file: str = ""
    """Empty: the same key as for the login node."""


@dataclass(frozen=True, kw_only=True)
class SSHSettings:
    """How to reach a login node."""

    host: str
    host_keys: tuple[str, ...] = ()
    """Pinned host keys, as lines or fingerprints; none: nobody may connect yet."""

    port: int = 22
    user: str = ""
    """The service account; empty where each user has an account of their own."""

    key_file: str = ""
    certificate_file: str = ""
    agent: bool = False
    channels: int = 4
    connect_s: float = 10.0
    jumps: tuple[HopSettings, ...] = ()
    """The nearest first."""


@dataclass(frozen=True, kw_only=True)
class ClusterSettings:
    """One site that runs jobs."""

    scheduler: str
    title: str = ""
    default: bool = False
    cpus: int = 0
    python: str = ""
    login_python: str = ""
    base: str = ""
    programs: str = ""
    slurm_conf: str = ""
    ssh: SSHSettings | None = None
    sandbox: str = "none"
    accounts: str = "service"
    trusted_users: bool = False
    look_s: float = 15.0
    look_most_s: float = 120.0
    calls_per_minute: int = 6
    follow_s: float = 2.0
    look_again_s: float = 20.0
    command_timeout_s: float = 60.0
    max_time: str = "7-00:00:00"
    default_time: str = "1:00:00"
    max_cpus_per_job: int = 0
    max_array: int = 1000
    max_tasks: int = 0
    max_jobs: int = 0
    max_jobs_per_user: int = 0
    max_cpus_per_user: int = 0
    checkpoint_s: float = 300.0
    exclusive: bool = False
    """Whether jobs may ask for whole nodes, which limits on processors do not see."""

    partitions: tuple[str, ...] = ()
    prolog: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    mpi: str = ""
    """What starts the ranks of MPI, before ``-n``: ``srun --mpi=pmix``; empty: there is none."""

    def __post_init__(self) -> None:
        _one_of("scheduler", self.scheduler, SCHEDULERS)
        _one_of("accounts", self.accounts, ACCOUNTS)
        _one_of("sandbox", self.sandbox, _SANDBOXES)
        _check_launcher(self.mpi)
        if self.is_per_user:
            _check_per_user(self.ssh)
        elif LOGIN in self.base:
            raise ValueError(f"base = {self.base!r}: {LOGIN} needs accounts = 'per-user'")
        if self.scheduler == "local":
            return
        for name, value in (("base", self.base), ("python", self.python)):
            if not value.startswith("/"):
                raise ValueError(
                    f"{name} = {value!r}: give the absolute path on the cluster, which login and "
                    "compute nodes both see"
                )
        if self.ssh and self.scheduler == "pyslurm":
            raise ValueError("pyslurm needs Slurm's library on this host: leave out [ssh]")
        if self.accounts == "service" and self.ssh and not self.ssh.user:
            raise ValueError("ssh.user is missing: the service account, or accounts = 'per-user'")

    @property
    def is_per_user(self) -> bool:
        """Whether each user's jobs run as an account of their own."""
        return self.accounts == "per-user"

    def base_of(self, login: str) -> str:
        """Say where the job directories of an account lie."""
        return self.base.replace(LOGIN, login)

    @property
    def most_cpus(self) -> int | None:
        """The most processors that one job may ask for; None where the scheduler decides."""
        here = len(os.sched_getaffinity(0)) if self.scheduler == "local" else None
        return self.max_cpus_per_job or self.cpus or here


def _check_per_user(ssh: SSHSettings | None) -> None:
    """Refuse a way in that all would share where each user has one."""
    if not ssh:
        raise ValueError("accounts = 'per-user' needs [ssh]: each user signs in by SSH")
    shared = {
        "user": ssh.user,
        "key_file": ssh.key_file,
        "certificate_file": ssh.certificate_file,
        "agent": ssh.agent,
    }
    for name, value in shared.items():
        if value:
            raise ValueError(
                f"ssh.{name} = {value!r}: with accounts = 'per-user' each user registers a login "
                "and a key; leave it out"
            )


def _check_launcher(mpi: str) -> None:
    """Refuse what is no program with plain options: it comes into every script that uses MPI."""
    words = mpi.split()
    strange = [word for word in words if re.fullmatch(LAUNCHER_WORD, word) is None]
    if strange or (words and words[0].startswith("-")):
        raise ValueError(
            f"mpi = {mpi!r}: {(strange or words)[0]!r} is no program or option; write the launcher "
            "as 'srun --mpi=pmix' or '/opt/openmpi/bin/mpirun', without shell signs and without -n"
        )
    if any(word in {"-n", "-np", "--ntasks"} for word in words):
        raise ValueError(f"mpi = {mpi!r}: leave -n out, each job brings its own")


def _one_of(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name} = {value!r}: choose {', '.join(choices)}")
