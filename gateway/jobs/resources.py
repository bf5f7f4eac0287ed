"""What a job asks of the machine, by Slurm's long names, and whether a site gives that much."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import timedelta

from gateway.errors import FieldError
from gateway.jobs.together import together_errors
from scheduler.sizes import Size
from scheduler.units import format_memory, format_time, parse_memory, parse_time

__all__ = ["Limits", "Resources", "check_limits", "check_spread", "parse_memory", "parse_time"]


_WITHOUT = "without mpi"


@dataclass(frozen=True, kw_only=True)
class Resources:
    """The options of sbatch that a user may set; the template needs nothing to take one more."""

    partition: str | None = None
    """One, or several with commas: the first that fits."""

    account: str | None = None
    qos: str | None = None
    time: timedelta | None = None
    """Wall time limit; None takes the site's default."""

    nodes: int | None = None
    ntasks: int | None = None
    ntasks_per_node: int | None = None
    """With *nodes*: their product is the number of tasks."""

    cpus_per_task: int | None = None
    cpus_per_gpu: int | None = None
    """In place of *cpus_per_task*, where GPUs are asked for."""

    mem: int | None = None
    """Bytes for the whole job on a node; not together with *mem_per_cpu* or *mem_per_gpu*."""

    mem_per_cpu: int | None = None
    mem_per_gpu: int | None = None
    gres: str | None = None
    gpus: str | None = None
    """``[type:]number``, of the whole job; not together with *gres* or *gpus_per_node*."""

    gpus_per_node: str | None = None
    """``[type:]number``; not together with *gres*."""

    gpus_per_task: str | None = None
    """``[type:]number``; in place of the other three."""

    constraint: str | None = None
    reservation: str | None = None
    wckey: str | None = None
    """What the site's accounting counts it under."""

    licenses: str | None = None
    mail_type: tuple[str, ...] = ()
    mail_user: str | None = None
    nice: int | None = None
    exclusive: bool = False
    mpi: bool = False
    """One fit on all tasks, by the site's launcher: no option of sbatch."""

    @property
    def ranks(self) -> int:
        """How many ranks of MPI there are; 1 without."""
        if not self.mpi:
            return 1
        return self.tasks if self.ntasks_per_node else self.ntasks or 1

    @property
    def size(self) -> Size:
        """What says how many tasks, processors and GPUs there are."""
        return Size(**{option.name: getattr(self, option.name) for option in fields(Size)})

    @property
    def tasks(self) -> int:
        """How many tasks of Slurm's it has: one a node, where nobody says otherwise."""
        return self.size.tasks

    @property
    def gpu_count(self) -> int:
        """How many GPUs it asks for, in whichever way; 0 without."""
        return self.size.gpu_count

    @property
    def cpus(self) -> int:
        """How many processors one job, or one task of an array, takes."""
        return self.size.cpus

    @property
    def cpus_field(self) -> str:
        """Which option to lower for fewer processors."""
        if self.cpus_per_gpu is not None:
            return "cpus_per_gpu"
        return "cpus_per_task" if (self.cpus_per_task or 1) > 1 else self.tasks_field

    @property
    def tasks_field(self) -> str:
        """Which option to lower for fewer tasks."""
        return "ntasks_per_node" if self.ntasks is None and self.ntasks_per_node else "ntasks"

    @property
    def memory_field(self) -> str:
        """By which option it asks for memory."""
        each = ("mem_per_cpu", "mem_per_gpu")
        return next((name for name in each if getattr(self, name) is not None), "mem")

    @property
    def memory_bytes(self) -> int | None:
        """How much memory one job takes; None when nothing is asked."""
        if self.mem_per_cpu is not None:
            return self.mem_per_cpu * self.cpus
        if self.mem_per_gpu is not None:
            return self.mem_per_gpu * self.gpu_count
        return self.mem

    def to_directives(self) -> dict[str, str | int]:
        """Write what is set in the forms of sbatch, ready for the script.

        >>> Resources(time=timedelta(hours=1), mem=2**31, cpus_per_task=2).to_directives()
        {'time': '0-01:00:00', 'cpus_per_task': 2, 'mem': '2048M'}
        """
        directives: dict[str, str | int] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name == "mpi" or value is None or value is False or value == ():
                continue
            directives[field.name] = _written(field.name, value)
        return directives


def _written(name: str, value: str | int | timedelta | tuple[str, ...]) -> str | int:
    if isinstance(value, timedelta):
        return format_time(value)
    if isinstance(value, tuple):
        return ",".join(value)
    if name in {"mem", "mem_per_cpu", "mem_per_gpu"}:
        return format_memory(int(value))
    return value


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a site gives to one job; None is no limit of the gateway's."""

    max_time: timedelta | None = None
    max_cpus_per_job: int | None = None
    max_memory_bytes: int | None = None
    max_array: int | None = None
    """Number of tasks of one array."""

    max_nodes: int | None = None
    partitions: tuple[str, ...] = ()
    """Those that may be asked for; empty when the site checks that itself."""

    exclusive: bool = True
    """Whether a job may have a node alone: all its processors, however few it asks for."""


def check_limits(resources: Resources, limits: Limits, tasks: int = 1) -> list[FieldError]:
    """Compare what is asked with what a site gives; an empty list is agreement."""
    return [
        *together_errors(resources.size, resources.mem_per_gpu),
        *_time_errors(resources, limits),
        *_size_errors(resources, limits, tasks),
        *_partition_errors(resources, limits),
        *_exclusive_errors(resources, limits),
    ]


def check_spread(resources: Resources) -> list[FieldError]:
    """Refuse what would lie on several machines: a fit works on one, and the others would idle.

    Several tasks may lie anywhere unless one node is asked for. `gateway.jobs.ranks` says who may
    use them with MPI.
    """
    nodes, tasks = resources.nodes or 0, resources.ntasks or 1
    if nodes > 1:
        detail = f"a fit works on one machine, so {nodes - 1} of {nodes} would idle: ask for 1"
        return [FieldError(pointer="/resources/nodes", detail=f"{detail} ({_WITHOUT})")]
    if tasks > 1 and nodes != 1:
        wanted = resources.cpus
        detail = (
            f"{tasks} tasks may lie on several machines, and a fit works on one: ask for "
            f"cpus_per_task = {wanted}, or for nodes = 1 as well ({_WITHOUT})"
        )
        return [FieldError(pointer="/resources/ntasks", detail=detail)]
    return []


def _time_errors(resources: Resources, limits: Limits) -> list[FieldError]:
    time, most = resources.time, limits.max_time
    if time is None or most is None or time <= most:
        return []
    return [_error("time", f"{format_time(time)} is more than this site gives a job: ", most)]


def _size_errors(resources: Resources, limits: Limits, tasks: int) -> list[FieldError]:
    errors = []
    if _exceeds(resources.cpus, limits.max_cpus_per_job):
        text = f"{resources.cpus} processors are more than this site gives a job: "
        errors.append(_error(resources.cpus_field, text, limits.max_cpus_per_job))
    if _exceeds(resources.memory_bytes, limits.max_memory_bytes):
        text = f"{format_memory(resources.memory_bytes or 0)} is more than this site gives a job: "
        most = format_memory(limits.max_memory_bytes or 0)
        errors.append(_error(resources.memory_field, text, most))
    if _exceeds(resources.nodes, limits.max_nodes):
        text = f"{resources.nodes} nodes are more than this site gives a job: "
        errors.append(_error("nodes", text, limits.max_nodes))
    if _exceeds(tasks, limits.max_array):
        detail = (
            f"{tasks} tasks are more than this site takes in one array: at most {limits.max_array};"
            " put more elements into each task (pack)"
        )
        errors.append(FieldError(pointer="/pack", detail=detail))
    return errors


def _partition_errors(resources: Resources, limits: Limits) -> list[FieldError]:
    if resources.partition is None or not limits.partitions:
        return []
    strange = [one for one in resources.partition.split(",") if one not in limits.partitions]
    text = f"{', '.join(strange)} is not open to this gateway: choose "
    return [_error("partition", text, ", ".join(limits.partitions))] if strange else []


def _exclusive_errors(resources: Resources, limits: Limits) -> list[FieldError]:
    """Refuse whole nodes where they are not given: no limit would see their other processors."""
    if not resources.exclusive or limits.exclusive:
        return []
    detail = (
        "this site gives nobody a node alone (exclusive, in its cluster's settings): leave this "
        "out, and ask for the processors that the job uses"
    )
    return [FieldError(pointer="/resources/exclusive", detail=detail)]


def _exceeds(asked: int | None, most: int | None) -> bool:
    return asked is not None and most is not None and asked > most


def _error(name: str, text: str, most: object) -> FieldError:
    written = format_time(most) if isinstance(most, timedelta) else str(most)
    limit = written if name == "partition" else f"at most {written}"
    return FieldError(pointer=f"/resources/{name}", detail=f"{text}{limit}")
