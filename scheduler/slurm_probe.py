"""What a Slurm site can do, from its own configuration."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from scheduler.base import Probe
from scheduler.units import MIB, parse_time

_DEFAULT_MAX_ARRAY = 1001
_SHORT_AGE_S = 60


def read_site(
    name: str,
    hello: Mapping[str, Any],
    config: Mapping[str, str],
    partitions: Sequence[Mapping[str, str]],
) -> Probe:
    """Put together what commands have said of a site."""
    up = [partition for partition in partitions if partition["Available"] == "up"]
    times = [time for partition in up if (time := _time(partition["Time"])) is not None]
    cpus = [_number(partition["CPUsState"].rpartition("/")[2]) for partition in up]
    megabytes = [_number(partition["Memory"]) for partition in up]
    return Probe(
        name=config.get("ClusterName") or name,
        version=f"Slurm {config.get('SLURM_VERSION', 'of unknown version')}",
        cpus=max(cpus, default=0),
        memory_bytes=max(megabytes, default=0) * MIB or None,
        max_time=max(times) if len(times) == len(up) and times else None,
        max_array=_number(config.get("MaxArraySize", "")) or _DEFAULT_MAX_ARRAY,
        notes=tuple(_notes(hello, config, up)),
    )


def _notes(
    hello: Mapping[str, Any],
    config: Mapping[str, str],
    partitions: Sequence[Mapping[str, str]],
) -> list[str]:
    notes = [f"agent: {hello['account']} on {hello['host']}, Python {hello['python']}"]
    if not partitions:
        notes.append("no partition is up")
    if missing := sorted(command for command, path in hello["programs"].items() if not path):
        notes.append(f"not found there: {', '.join(missing)}; say where Slurm's programs are")
    if config.get("AccountingStorageType", "").endswith(("/none", "(null)")):
        notes.append("no accounting: jobs that Slurm has forgotten are judged by their own files")
    age = _number(config.get("MinJobAge", ""))
    if 0 < age < _SHORT_AGE_S:
        notes.append(f"ended jobs leave the queue after {age} s: the accounting is asked for them")
    return notes


def _number(text: str) -> int:
    match = re.match(r"[0-9]+", text)
    return int(match[0]) if match else 0


def _time(text: str) -> timedelta | None:
    try:
        return parse_time(text)
    except ValueError:  # UNLIMITED, infinite
        return None
