"""What a Slurm site can do, from its own configuration."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from scheduler.base import Association, Manners, Partition, Probe, Qos
from scheduler.slurm_argv import COMMANDS
from scheduler.units import MIB, parse_time

_DEFAULT_MAX_ARRAY = 1001
_SHORT_AGE_S = 60

Rows = Sequence[Mapping[str, str]]


def read_site(
    name: str,
    hello: Mapping[str, Any],
    config: Mapping[str, str],
    partitions: Rows,
    qos: Rows | None,
) -> Probe:
    """Put together what commands have said of a site."""
    found = read_partitions(partitions)
    up = [partition for partition in found if partition.up]
    times = [time for partition in up if (time := _time(partition.max_time)) is not None]
    return Probe(
        name=config.get("ClusterName") or name,
        version=f"Slurm {config.get('SLURM_VERSION', 'of unknown version')}",
        cpus=max((partition.cpus for partition in up), default=0),
        memory_bytes=max((partition.memory_mb for partition in up), default=0) * MIB or None,
        max_time=max(times) if len(times) == len(up) and times else None,
        max_array=_number(config.get("MaxArraySize", "")) or _DEFAULT_MAX_ARRAY,
        manners=_manners(config),
        partitions=tuple(found),
        qos=None if qos is None else tuple(_qos(row) for row in qos),
        notes=tuple(_notes(hello, config, up)),
    )


def has_accounting(config: Mapping[str, str]) -> bool:
    """Whether a site keeps accounts of ended jobs.

    >>> has_accounting({"AccountingStorageType": "accounting_storage/none"}), has_accounting({})
    (False, False)
    """
    kind = config.get("AccountingStorageType", "")
    return bool(kind) and not kind.endswith(("/none", "(null)"))


def read_partitions(rows: Rows) -> list[Partition]:
    """Read partitions: one with nodes of several kinds comes in several rows."""
    found: dict[str, Partition] = {}
    for row in rows:
        name = row["Partition"].rstrip("*")
        before = found.get(name, Partition(name=name))
        found[name] = Partition(
            name=name,
            default=row["Partition"].endswith("*"),
            up=row["Available"] == "up",
            max_time=row["Time"],
            default_time=_said(row["DefaultTime"]),
            job_nodes=row["Size"],
            nodes=before.nodes + _number(row["Nodes"]),
            cpus=before.cpus + _number(row["CPUsState"].rpartition("/")[2]),
            node_cpus=max(before.node_cpus, _number(row["CPUs"])),
            memory_mb=max(before.memory_mb, _number(row["Memory"])),
            gres=before.gres or _said(row["Gres"]),
        )
    return list(found.values())


def _qos(row: Mapping[str, str]) -> Qos:
    return Qos(
        name=row["Name"],
        max_wall=row["MaxWall"],
        max_jobs_per_user=row["MaxJobsPerUser"],
        max_submit_per_user=row["MaxSubmitJobsPerUser"],
        max_tres_per_user=row["MaxTRESPerUser"],
    )


def read_associations(rows: Rows) -> tuple[Association, ...]:
    """Read what somebody may have, by account and partition."""
    return tuple(
        Association(
            account=row["Account"],
            partition=row["Partition"],
            qos=row["QOS"],
            max_jobs=row["MaxJobs"],
            max_submit=row["MaxSubmit"],
            max_wall=row["MaxWall"],
            max_tres=row["MaxTRES"],
            grp_jobs=row["GrpJobs"],
            grp_submit=row["GrpSubmit"],
            grp_tres=row["GrpTRES"],
        )
        for row in rows
    )


def _manners(config: Mapping[str, str]) -> Manners:
    return Manners(
        min_job_age_s=_number_or_none(config, "MinJobAge"),
        accounting=has_accounting(config) if "AccountingStorageType" in config else None,
        enforced=_words(config, "AccountingStorageEnforce"),
        part_limits=_said(config.get("EnforcePartLimits", "")),
        private=_words(config, "PrivateData"),
        max_jobs=_number_or_none(config, "MaxJobCount"),
        requeues=config["JobRequeue"] == "1" if "JobRequeue" in config else None,
        kill_wait_s=_number_or_none(config, "KillWait"),
        message_timeout_s=_number_or_none(config, "MessageTimeout"),
    )


def _notes(
    hello: Mapping[str, Any], config: Mapping[str, str], up: Sequence[Partition]
) -> list[str]:
    notes = [f"agent: {hello['account']} on {hello['host']}, Python {hello['python']}"]
    if not up:
        notes.append("no partition is up")
    if missing := sorted(one for one in COMMANDS if not hello["programs"].get(one)):
        notes.append(f"not found there: {', '.join(missing)}; say where Slurm's programs are")
    if not has_accounting(config):
        notes.append("no accounting: jobs that Slurm has forgotten are judged by their own files")
    age = _number(config.get("MinJobAge", ""))
    if 0 < age < _SHORT_AGE_S:
        notes.append(f"ended jobs leave the queue after {age} s: the accounting is asked for them")
    return notes


def _number(text: str) -> int:
    match = re.match(r"[0-9]+", text)
    return int(match[0]) if match else 0


def _number_or_none(config: Mapping[str, str], name: str) -> int | None:
    match = re.match(r"[0-9]+", config.get(name, ""))
    return int(match[0]) if match else None


def _said(text: str) -> str:
    """Take Slurm's words for nothing as nothing.

    >>> _said("n/a"), _said("(null)"), _said("1:00:00")
    ('', '', '1:00:00')
    """
    return "" if text in ("n/a", "(null)", "N/A", "none") else text


def _words(config: Mapping[str, str], name: str) -> tuple[str, ...]:
    return tuple(word for word in _said(config.get(name, "")).split(",") if word)


def _time(text: str) -> timedelta | None:
    try:
        return parse_time(text)
    except ValueError:  # UNLIMITED, infinite
        return None
