"""From a site's settings to its schedulers. Only the worker and the command line reach clusters."""

from __future__ import annotations

from pathlib import Path

from gateway.cluster_settings import ClusterSettings, SSHSettings
from gateway.settings import Settings
from scheduler.base import Scheduler
from scheduler.connect import connect
from scheduler.hosts import Hop, Identity, SSHRoute
from scheduler.shell import LocalShell
from scheduler.slurm import Slurm, SlurmConfig
from scheduler.ssh import SSHShell


def open_schedulers(settings: Settings) -> dict[str, Scheduler]:
    """Open the schedulers of all clusters; nothing is sent to any of them yet.

    Raises
    ------
    SchedulerError
        If the settings of a cluster cannot be used.
    """
    return {name: open_scheduler(settings, name) for name in settings.clusters}


def open_scheduler(settings: Settings, name: str) -> Scheduler:
    """Open the scheduler of one cluster."""
    cluster = settings.clusters[name]
    if cluster.scheduler == "local":
        state = settings.state_directory / "local" / name
        options = {"state_directory": state, "cpus": cluster.cpus, "sandbox": cluster.sandbox}
        return connect("local", options)
    shell = SSHShell(name, route(cluster.ssh)) if cluster.ssh else LocalShell(name)
    return Slurm(shell, slurm_config(cluster))


def slurm_config(cluster: ClusterSettings) -> SlurmConfig:
    """Say what the agent on a login node must know."""
    return SlurmConfig(
        base=cluster.base,
        python=cluster.login_python or cluster.python,
        programs=cluster.programs,
        slurm_conf=cluster.slurm_conf,
        command_timeout_s=cluster.command_timeout_s,
    )


def route(ssh: SSHSettings) -> SSHRoute:
    """Say how the service account gets to a login node."""
    return SSHRoute(
        login=Hop(host=ssh.host, user=ssh.user, port=ssh.port, host_keys=ssh.host_keys),
        identity=Identity(
            key_file=_path(ssh.key_file),
            certificate_file=_path(ssh.certificate_file),
            agent=ssh.agent,
        ),
        jumps=tuple(
            Hop(
                host=hop.host,
                user=hop.user,
                port=hop.port,
                host_keys=hop.host_keys,
                identity=Identity(key_file=Path(hop.key_file)) if hop.key_file else None,
            )
            for hop in ssh.jumps
        ),
        channels=ssh.channels,
        connect_s=ssh.connect_s,
    )


def _path(text: str) -> Path | None:
    return Path(text) if text else None
