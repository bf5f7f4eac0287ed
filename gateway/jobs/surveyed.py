"""Hold a request against what its cluster was last found able to do.

A survey may be a day old, and somebody may have changed the site since: most of what does not go
with it is said, and the job is taken. Only what can hardly have changed within the hour, and would
let a job wait for ever or be refused in the middle of the night, is refused at once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from gateway.clusters.models import Found, Survey
from gateway.clusters.settings import ClusterSettings
from gateway.errors import FieldError
from gateway.jobs.entitled import at_field, entitled, limit, span
from gateway.jobs.resources import Resources
from gateway.texts import duration
from scheduler.base import Partition
from scheduler.units import MIB, format_memory

_SURE = timedelta(hours=1)
_SHOWN = 20
_HIDING = frozenset(("nodes", "partitions"))


class Surveyed(Protocol):
    """Where surveys are kept."""

    def known(self, cluster: str, /) -> Survey:
        """Read what was found of a cluster; nothing where nobody has looked."""


@dataclass(frozen=True, kw_only=True)
class Compared:
    """What does not go with a survey, each at its field."""

    errors: tuple[FieldError, ...] = ()
    notes: tuple[FieldError, ...] = ()
    """What is no reason to refuse a job."""

    @property
    def sentences(self) -> tuple[str, ...]:
        """The notes, for who looks at the request as a whole."""
        return tuple(f"{note.detail[:1].upper()}{note.detail[1:]}." for note in self.notes)


def compare(
    asked: Resources, survey: Survey, cluster: ClusterSettings, moment: datetime, tasks: int = 1
) -> Compared:
    """Say what of a request does not go with a survey.

    Parameters
    ----------
    asked
        With the site's defaults.
    moment
        Now; what was found less than an hour before may be a reason to refuse.
    tasks
        Of its array; 1 for a single job.
    """
    found, probed = survey.found, survey.probed
    if found is None or probed is None or not found.partitions:
        return Compared()
    age = max(timedelta(), moment - probed)
    site = _Site(
        found=found,
        seen=f"when the cluster was asked {duration(age.total_seconds())} ago",
        chosen=_chosen(asked, found),
    )
    young = age < _SURE
    unknown = list(site.unknown(asked))
    long = list(site.too_long(asked)) if not unknown else []
    errors: list[FieldError] = []
    notes = [*site.closed(), *site.qos(asked), *site.too_large(asked)]
    (errors if young and _shows_all(found, cluster) else notes).extend(unknown)
    # A QOS may let its jobs run longer than their partition does.
    (errors if young and asked.qos is None else notes).extend(long)
    beyond, slow = entitled(asked, tasks, found, site.seen, shared=not cluster.is_per_user)
    (errors if young else notes).extend(beyond)
    notes.extend(slow)
    return Compared(errors=tuple(errors), notes=tuple(notes))


def _shows_all(found: Found, cluster: ClusterSettings) -> bool:
    """Whether a partition that was not found is none: sinfo is asked for hidden ones, too."""
    return cluster.scheduler == "slurm" and not _HIDING & set(found.manners.private)


def _chosen(asked: Resources, found: Found) -> tuple[Partition, ...]:
    """Find the partitions where a job may run, as far as they are known."""
    if asked.partition is None:
        return tuple(one for one in found.partitions if one.default)
    names = asked.partition.split(",")
    return tuple(one for one in found.partitions if one.name in names)


@dataclass(frozen=True, kw_only=True)
class _Site:
    """What was found, as a request meets it."""

    found: Found
    seen: str
    chosen: tuple[Partition, ...]

    @property
    def _named(self) -> str:
        names = " and ".join(repr(one.name) for one in self.chosen)
        return f"partition {names}" if len(self.chosen) == 1 else f"partitions {names}"

    def unknown(self, asked: Resources) -> Iterator[FieldError]:
        known = [one.name for one in self.found.partitions]
        wanted = asked.partition.split(",") if asked.partition else []
        strange = ", ".join(repr(name) for name in wanted if name not in known)
        if strange:
            text = f"there was no partition {strange} {self.seen}: choose {_some(known)}"
            yield at_field("partition", text)

    def too_long(self, asked: Resources) -> Iterator[FieldError]:
        limits = [most for one in self.chosen if (most := limit(one.max_time)) is not None]
        if asked.time is None or not limits or len(limits) < len(self.chosen):
            return
        if asked.time > (most := max(limits)):
            given = f"{self._named} gave at most {span(most)} {self.seen}"
            text = f"{given}, and {span(asked.time)} is asked for: ask for less"
            yield at_field("time", f"{text}, or choose another partition")

    def closed(self) -> Iterator[FieldError]:
        if self.chosen and not any(one.up for one in self.chosen):
            verb = "was" if len(self.chosen) == 1 else "were"
            text = f"{self._named} {verb} not up {self.seen}: the job waits until that has changed"
            yield at_field("partition", f"{text}, or choose another partition")

    def qos(self, asked: Resources) -> Iterator[FieldError]:
        known = [one.name for one in self.found.qos or ()]
        if asked.qos is not None and known and asked.qos not in known:
            yield at_field(
                "qos", f"there was no QOS {asked.qos!r} {self.seen}: choose {_some(known)}"
            )

    def too_large(self, asked: Resources) -> Iterator[FieldError]:
        if not self.chosen:
            return
        least = _least_of_a_node(asked)
        cpus, memory = least.cpus, least.memory_bytes or 0
        most_nodes = max(_most_nodes(one) for one in self.chosen)
        most_cpus = max(one.node_cpus for one in self.chosen)
        most_memory = max(one.memory_mb for one in self.chosen) * MIB
        had = f"{self._named} {self.seen}: ask for less, or choose another partition"
        if most_nodes and (asked.nodes or 1) > most_nodes:
            yield at_field("nodes", f"{asked.nodes} nodes are more than the {most_nodes} of {had}")
        if most_cpus and cpus > most_cpus:
            several = least.tasks > 1 and not asked.cpus_per_gpu
            field = asked.tasks_field if several else asked.cpus_field
            text = f"{cpus} processors are more than the {most_cpus} of any node of {had}"
            yield at_field(field, text)
        if most_memory and memory > most_memory:
            most = format_memory(most_memory)
            text = f"{format_memory(memory)} is more than the {most} of any node of {had}"
            yield at_field(asked.memory_field, text)


def _least_of_a_node(asked: Resources) -> Resources:
    """Say what one node must have at least: all, where a fit works on one, else its share."""
    if not asked.mpi or asked.nodes == 1:
        return replace(asked, nodes=1, ntasks=asked.ntasks or asked.ntasks_per_node)
    gpus = "1" if asked.gpus else None
    return replace(asked, nodes=1, ntasks=asked.ntasks_per_node or 1, gpus=gpus)


def _most_nodes(partition: Partition) -> int:
    """Say how many nodes a job may have: all, or what the partition gives to one.

    >>> _most_nodes(Partition(name="a", nodes=8, job_nodes="1-4"))
    4
    """
    limit = re.search(r"([0-9]+)$", partition.job_nodes)
    return min(partition.nodes, int(limit[1])) if limit else partition.nodes


def _some(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" (and {more} more)" if more > 0 else "")
