"""A real Slurm cluster behind a real sshd, with users of their own: what a site is."""

from __future__ import annotations

import os
import shutil
import sysconfig
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.scheduler.sshd import Account, SSHServer, account, sshd
from tests.slurm.cluster import Cluster

PYTHON = "/usr/bin/python3"
"""What every user of this host may run; ours may lie in root's home."""

SESSIONS = "MaxSessions 2"
"""Fewer than real sites give a connection: all tests behind this sshd show that it is enough."""

_NEEDED = ("bumps", "cloudpickle", "dill", "h5py*", "numpy*", "scipy*", "uncertainties")
_SITE = """
[clusters.hpc]
scheduler = "slurm"
title = "Test cluster"
accounts = "{accounts}"
base = "{base}"
python = "{python}"
programs = "{programs}"
slurm_conf = "{slurm_conf}"
environment = {{ PYTHONPATH = "{packages}" }}
look_s = 0.5
look_most_s = 1.0
follow_s = 0.3
look_again_s = 1.0
calls_per_minute = 0

[clusters.hpc.ssh]
host = "127.0.0.1"
port = {port}
host_keys = [{host_keys}]
connect_s = 5.0
{signs_in}
"""
# Holds a submission before or after sbatch for as long as a test's file is there.
_SBATCH = """#!/bin/sh
for word; do case $word in --job-name=*) name=${{word#--job-name=}};; esac; done
hold() {{
    [ -e {folder}/$1.$name ] || return 0
    touch {folder}/at.$name
    while [ -e {folder}/$1.$name ]; do sleep 0.05; done
}}
hold before
answer=$(/usr/bin/sbatch "$@"); status=$?
hold after
[ -n "$answer" ] && echo "$answer"
exit $status
"""


@dataclass
class SSHSite:
    """A login node with accounts, and what a gateway must be told of it."""

    folder: Path
    cluster: Cluster
    server: SSHServer
    accounts: list[Account]
    packages: Path

    @property
    def holds(self) -> Path:
        """Where a test says which submission is to wait: see `_SBATCH`."""
        return self.folder / "holds"

    def configure(self, *, per_user: bool = False) -> dict[str, str]:
        """Write that file, with the server's present host key; answer how to name it."""
        user, key = self.accounts[0].name, self.accounts[0].key_file
        text = _SITE.format(
            accounts="per-user" if per_user else "service",
            base=self.folder / ("shared" if per_user else "jobs"),
            python=PYTHON,
            programs=self.folder / "programs",
            slurm_conf=self.cluster.environment["SLURM_CONF"],
            packages=self.packages,
            port=self.server.port,
            host_keys=f'"{self.server.host_key}"',
            signs_in="" if per_user else f'user = "{user}"\nkey_file = "{key}"',
        )
        path = self.folder / f"{'users' if per_user else 'service'}.toml"
        path.write_text(text, encoding="utf-8")
        return {"GATEWAY_CONFIG": str(path)}

    def named(self, job: str) -> list[str]:
        """Ask Slurm itself which jobs there are, or were, of one of ours."""
        asked = ("squeue", "-h", "-t", "all", "-n", f"gw-{job}-1", "-o", "%i")
        return self.cluster.run(*asked).split()


@contextmanager
def ssh_site(cluster: Cluster, accounts: int) -> Iterator[SSHSite]:
    """Serve a login node: the first account has ``jobs`` to itself, all may write ``shared``."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="bgw-hpc-")))
        folder.chmod(0o755)
        users = [stack.enter_context(account(folder / "home")) for _ in range(accounts)]
        server = stack.enter_context(sshd(folder / "server", users, SESSIONS))
        (folder / "shared").mkdir()
        (folder / "shared").chmod(0o1777)
        (folder / "jobs").mkdir(mode=0o700)
        os.chown(folder / "jobs", users[0].uid, users[0].uid)
        make_programs(folder)
        yield SSHSite(folder, cluster, server, users, packages_for_all(folder))


def make_programs(folder: Path) -> None:
    """Put Slurm's commands into a folder, with an sbatch that may be held."""
    holds, programs = folder / "holds", folder / "programs"
    holds.mkdir()
    holds.chmod(0o777)
    programs.mkdir()
    for name in ("squeue", "sacct", "scancel", "scontrol", "sinfo"):
        (programs / name).symlink_to(f"/usr/bin/{name}")
    (programs / "sbatch").write_text(_SBATCH.format(folder=holds))
    (programs / "sbatch").chmod(0o755)


def packages_for_all(folder: Path) -> Path:
    """Say where every user finds bumps: in our environment, or in a copy where that is closed."""
    ours = Path(sysconfig.get_path("purelib"))
    if all(place.stat().st_mode & 0o001 for place in (ours, *ours.parents)):
        return ours
    copy = folder / "packages"
    for pattern in _NEEDED:
        for package in ours.glob(pattern):
            shutil.copytree(package, copy / package.name)
    return copy
