"""A private Slurm cluster: real daemons on loopback ports, all below one folder, gone afterwards.

Never the host's own ``/etc/slurm``, users, munge socket or database. It needs root, since slurmd
starts jobs as their users. Every daemon dies with the process that started it.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.helpers import eventually, free_port, processes
from tests.slurm.config import (
    INIT_SQL,
    ClusterConfig,
    Ports,
    gres_conf,
    slurm_conf,
    slurmdbd_conf,
)

_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
_START_S = 60.0
_PROGRAMS = ("slurmctld", "slurmd", "slurmdbd", "sbatch", "munged", "mariadbd")


@dataclass
class Cluster:
    """A cluster that runs, and ways to hurt it."""

    folder: Path
    config: ClusterConfig
    ports: Ports
    daemons: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    spared: set[str] = field(default_factory=set)
    """Jobs that outlive the test that began them."""

    @property
    def environment(self) -> dict[str, str]:
        """What its commands need to find it."""
        return {"PATH": _PATH, "SLURM_CONF": str(self.folder / "slurm.conf"), "LC_ALL": "C"}

    def run(self, *argv: str, check: bool = True) -> str:
        """Run a command of Slurm; answer what it printed."""
        done = subprocess.run(
            argv, env=self.environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0 or not check, f"{argv}: {done.stdout}{done.stderr}"
        return done.stdout

    def log(self, name: str) -> str:
        """Read what a daemon said."""
        return (self.folder / f"{name}.log").read_text(encoding="utf-8", errors="replace")

    # Its life

    def start(self) -> None:
        """Start everything; answer when jobs can run."""
        self._write_config()
        self._spawn("munged", "munged", "--foreground", "--force",
                    f"--key-file={self.folder}/munge.key",
                    f"--socket={self.folder}/munge.sock", f"--pid-file={self.folder}/munge.pid",
                    f"--seed-file={self.folder}/munge.seed",
                    f"--log-file={self.folder}/munge.log")  # fmt: skip
        if self.config.accounting:
            self._start_accounting()
        self.start_slurmctld()
        for number in range(len(self.config.nodes)):
            self.start_slurmd(number)
        self._await_nodes()

    def _write_config(self) -> None:
        for name in ("state", *(f"spool.node{n}" for n in range(len(self.config.nodes)))):
            (self.folder / name).mkdir(mode=0o755)
        _write(self.folder / "munge.key", secrets.token_bytes(128), 0o600)
        conf = slurm_conf(self.folder, self.config, self.ports)
        _write(self.folder / "slurm.conf", conf.encode(), 0o644)
        _write(self.folder / "gres.conf", gres_conf(self.folder, self.config).encode(), 0o644)
        for number in range(2 if self.config.gear else 0):
            _write(self.folder / f"gpu{number}", b"", 0o644)
        conf = slurmdbd_conf(self.folder, self.ports)
        _write(self.folder / "slurmdbd.conf", conf.encode(), 0o600)

    def _start_accounting(self) -> None:
        data = self.folder / "database"
        _write(self.folder / "init.sql", INIT_SQL.encode(), 0o600)
        with (self.folder / "install-db.log").open("wb") as log:
            subprocess.run(
                ["/usr/bin/mariadb-install-db", "--no-defaults", f"--datadir={data}", "--user=root",
                 "--auth-root-authentication-method=normal", "--skip-test-db",
                 "--skip-name-resolve", "--innodb-log-file-size=4M"],
                stdout=log, stderr=log, check=True, timeout=_START_S, env={"PATH": _PATH},
            )  # fmt: skip
        self._spawn("mariadbd", "mariadbd", "--no-defaults", "--user=root", f"--datadir={data}",
                    f"--socket={self.folder}/db.sock", f"--port={self.ports.database}",
                    "--bind-address=127.0.0.1", "--skip-name-resolve", "--skip-log-bin",
                    "--innodb-flush-log-at-trx-commit=0", "--innodb-log-file-size=4M",
                    "--innodb-lock-wait-timeout=900", "--performance-schema=off",
                    f"--init-file={self.folder}/init.sql",
                    f"--pid-file={self.folder}/db.pid")  # fmt: skip
        self._await(lambda: (self.folder / "db.pid").exists(), "mariadbd")
        self.start_slurmdbd()
        self._await(
            lambda: self.run("sacctmgr", "-n", "-P", "show", "tres", check=False), "slurmdbd"
        )
        self.run("sacctmgr", "-i", "add", "cluster", "test")
        self.run("sacctmgr", "-i", "add", "account", "lab", "cluster=test")
        self.run("sacctmgr", "-i", "add", "user", "root", "account=lab", "cluster=test")

    def _await_nodes(self) -> None:
        def ready() -> bool:
            states = self.run("sinfo", "-h", "-N", "-o", "%T", check=False).split()
            return len(states) >= len(self.config.nodes) and set(states) == {"idle"}

        self._await(ready, "slurmctld", *(f"slurmd{n}" for n in range(len(self.config.nodes))))

    def stop(self) -> None:
        """End its jobs and its daemons."""
        self.thaw()
        if self._lives("slurmctld"):
            self.clear()
        for name in reversed(list(self.daemons)):
            self.kill(name)
        for pid in _left(self.folder):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def clear(self) -> None:
        """End all jobs that are not spared; wait until none of them is left on a node."""

        def live() -> set[str]:
            rows = self.run("squeue", "-h", "-t", "PD,R,S,CG,CF", "-o", "%A").split()
            return set(rows) - self.spared

        if ids := live():
            self.run("scancel", "--full", *ids, check=False)
        eventually(lambda: not live(), what="no job is left")

    # What can go wrong

    def start_slurmctld(self) -> None:
        """Start the controller."""
        self._spawn("slurmctld", "slurmctld", "-D")

    def start_slurmdbd(self) -> None:
        """Start the accounting daemon."""
        self._spawn("slurmdbd", "slurmdbd", "-D")

    def start_slurmd(self, number: int) -> None:
        """Start the daemon of a node."""
        self._spawn(f"slurmd{number}", "slurmd", "-D", "-N", f"node{number}")

    def freeze(self, name: str = "slurmctld") -> None:
        """Let a daemon stand still: its socket takes connections, nobody answers."""
        self.daemons[name].send_signal(signal.SIGSTOP)

    def thaw(self, name: str = "slurmctld") -> None:
        """Let it go on."""
        if self._lives(name):
            self.daemons[name].send_signal(signal.SIGCONT)

    def kill(self, name: str) -> None:
        """Kill a daemon, as a lack of memory would."""
        process = self.daemons.pop(name)
        process.kill()
        process.wait(timeout=30)

    def end(self, name: str) -> None:
        """End a daemon as its administrator would: a controller that is killed forgets jobs."""
        process = self.daemons.pop(name)
        process.terminate()
        process.wait(timeout=30)

    def restart_slurmctld(self) -> None:
        """End the controller if it runs, start it again and wait until it answers."""
        if "slurmctld" in self.daemons:
            self.end("slurmctld")
        self.start_slurmctld()
        self._await(lambda: "is UP" in self.run("scontrol", "ping", check=False), "slurmctld")

    def _lives(self, name: str) -> bool:
        return name in self.daemons and self.daemons[name].poll() is None

    def _spawn(self, name: str, *argv: str) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self.daemons[name] = subprocess.Popen(
                ["/usr/bin/setpriv", "--pdeathsig", "KILL", *argv],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.environment,
                cwd=self.folder,
            )  # fmt: skip

    def _await(self, look: Callable[[], object], *names: str) -> None:
        def said() -> str:
            return "\n".join(f"{name}: {self.log(name)[-3000:]}" for name in names)

        def ready() -> object:
            assert all(self._lives(name) for name in names), f"a daemon has ended: {said()}"
            return look()

        eventually(ready, within_s=_START_S, what=said)


@contextlib.contextmanager
def private_cluster(config: ClusterConfig | None = None) -> Iterator[Cluster]:
    """Run a cluster."""
    for program in _PROGRAMS:
        assert shutil.which(program, path=_PATH), f"tests need {program}: see tools/system.sh"
    assert os.geteuid() == 0, "slurmd starts jobs as their users, so it needs root"
    config = config or ClusterConfig()
    ports = Ports(nodes=tuple(free_port() for _ in config.nodes))
    # Not below pytest's folders: other users must get there, and socket paths are short.
    with TemporaryDirectory(prefix="gw-slurm-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)
        cluster = Cluster(folder=folder, config=config, ports=ports)
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.stop()


def _write(path: Path, content: bytes, mode: int) -> None:
    path.write_bytes(content)
    path.chmod(mode)


def _left(folder: Path) -> list[int]:
    """Find what a killed slurmd left: its steps know the cluster by their environment."""
    return [process.pid for process in processes(environment=f"SLURM_CONF={folder}/")]
