"""The files that a private cluster is made of."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from pathlib import Path

from tests.helpers import free_port


@dataclass(frozen=True, kw_only=True)
class ClusterConfig:
    """What a test may want otherwise."""

    nodes: tuple[int, ...] = (2, 16, 16)
    """Processors of each node. The first has a partition of its own, the default one."""

    min_job_age_s: int = 300
    message_timeout_s: int = 3
    kill_wait_s: int = 2
    slurmd_timeout_s: int = 10
    max_array: int = 1001
    accounting: bool = True
    requeue_s: int = 120
    """How long a job that begins again must wait; Slurm's own default is two minutes."""

    gear: bool = False
    """Whether the nodes of the second partition have a feature and two GPUs, which are none."""

    extra: tuple[str, ...] = ()
    """Further lines of slurm.conf."""


@dataclass(frozen=True, kw_only=True)
class Ports:
    """Where the daemons of one cluster listen, all on the loopback."""

    controller: int = field(default_factory=free_port)
    accounting: int = field(default_factory=free_port)
    database: int = field(default_factory=free_port)
    nodes: tuple[int, ...] = ()


def slurm_conf(folder: Path, config: ClusterConfig, ports: Ports) -> str:
    """Write slurm.conf."""
    host = socket.gethostname()
    storage = "slurmdbd" if config.accounting else "none"
    lines = [
        "ClusterName=test",
        f"SlurmctldHost={host}(127.0.0.1)",
        f"SlurmctldPort={ports.controller}",
        "SlurmUser=root",
        "SlurmdUser=root",
        "AuthType=auth/munge",
        f"AuthInfo=socket={folder}/munge.sock,cred_expire={config.requeue_s}",
        f"StateSaveLocation={folder}/state",
        f"SlurmdSpoolDir={folder}/spool.%n",
        f"SlurmctldPidFile={folder}/slurmctld.pid",
        f"SlurmdPidFile={folder}/slurmd.%n.pid",
        "ProctrackType=proctrack/linuxproc",
        "TaskPlugin=task/none",
        "SelectType=select/cons_tres",
        "SelectTypeParameters=CR_CPU_Memory",
        "DefMemPerCPU=100",
        "MpiDefault=none",
        "ReturnToService=2",
        "SlurmdParameters=config_overrides",
        "SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0",
        "CompleteWait=0",
        "EnforcePartLimits=ANY",
        f"KillWait={config.kill_wait_s}",
        f"MessageTimeout={config.message_timeout_s}",
        f"MinJobAge={config.min_job_age_s}",
        f"SlurmdTimeout={config.slurmd_timeout_s}",
        f"MaxArraySize={config.max_array}",
        f"AccountingStorageType=accounting_storage/{storage}",
        "AccountingStorageHost=127.0.0.1",
        f"AccountingStoragePort={ports.accounting}",
        f"AccountingStoragePass={folder}/munge.sock",
        "JobAcctGatherType=jobacct_gather/linux",
        "JobAcctGatherFrequency=task=1",
        *(["GresTypes=gpu", "Licenses=bumps:2"] if config.gear else []),
        *config.extra,
    ]
    for number, (cpus, port) in enumerate(zip(config.nodes, ports.nodes, strict=True)):
        gear = " Feature=fast Gres=gpu:a100:2" if config.gear and number else ""
        lines.append(
            f"NodeName=node{number} NodeAddr=127.0.0.1 NodeHostname={host} Port={port} "
            f"CPUs={cpus} RealMemory=4000{gear} State=UNKNOWN"
        )
    others = f"node[1-{len(config.nodes) - 1}]" if len(config.nodes) > 1 else "node0"
    lines += [
        "PartitionName=small Nodes=node0 Default=YES MaxTime=1-00:00:00 State=UP",
        f"PartitionName=wide Nodes={others} MaxTime=7-00:00:00 State=UP",
    ]
    return "\n".join(lines) + "\n"


def gres_conf(folder: Path, config: ClusterConfig) -> str:
    """Write gres.conf; Slurm believes in GPUs whose files are there, whatever these are."""
    if not config.gear:
        return ""
    nodes = f"node[1-{len(config.nodes) - 1}]"
    return f"NodeName={nodes} Name=gpu Type=a100 File={folder}/gpu[0-1]\n"


def slurmdbd_conf(folder: Path, ports: Ports) -> str:
    """Write slurmdbd.conf."""
    return "\n".join(
        [
            "AuthType=auth/munge",
            f"AuthInfo=socket={folder}/munge.sock",
            f"DbdHost={socket.gethostname()}",
            "DbdAddr=127.0.0.1",
            f"DbdPort={ports.accounting}",
            "SlurmUser=root",
            "StorageType=accounting_storage/mysql",
            "StorageHost=127.0.0.1",
            f"StoragePort={ports.database}",
            "StorageUser=slurm",
            "StoragePass=slurm",
            "StorageLoc=slurm",
            f"PidFile={folder}/slurmdbd.pid",
            "",
        ]
    )


INIT_SQL = """
CREATE DATABASE slurm;
CREATE USER slurm@'127.0.0.1' IDENTIFIED BY 'slurm';
GRANT ALL ON slurm.* TO slurm@'127.0.0.1';
"""
