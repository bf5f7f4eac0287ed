"""Our directives as the fields of pyslurm's ``JobSubmitDescription``: one table, line by line.

pyslurm reads no ``#SBATCH`` line of a text, and its own ``load_sbatch_options`` fails on
``--partition``. It also lacks what sbatch fills in by itself, and takes some values in other forms
than sbatch: each such difference has its comment here. An option without a line is refused,
because a job that silently lacks one is another job.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from scheduler.units import MIB, parse_memory, parse_time

Fields = dict[str, Any]

_MOST_16_BITS = 65_533
"""Above it lie Slurm's marks for "no value" and "without end"."""


def _as(field: str) -> Callable[[str], Fields]:
    return lambda text: {field: text}


def _list(field: str) -> Callable[[str], Fields]:
    return lambda text: {field: text.split(",")}


def _flag(field: str, value: object) -> Callable[[str], Fields]:
    return lambda _: {field: value}


def _number(field: str, most: int = 4_000_000_000) -> Callable[[str], Fields]:
    def convert(text: str) -> Fields:
        if not text.isdecimal() or int(text) > most:
            raise ValueError(f"{text!r} is not a whole number of at most {most}")
        return {field: int(text)}

    return convert


def _minutes(field: str) -> Callable[[str], Fields]:
    """Give whole minutes, rounded up as sbatch does; a text of digits would be a TypeError."""
    return lambda text: {field: -(-parse_time(text) // timedelta(minutes=1))}


def _megabytes(field: str) -> Callable[[str], Fields]:
    return lambda text: {field: f"{-(-parse_memory(text) // MIB)}M"}


def _gres(text: str) -> Fields:
    """Give a count to each: pyslurm knows none without."""
    counts: dict[str, int] = {}
    for item in text.split(","):
        name, _, last = item.rpartition(":")
        name, count = (name, int(last)) if name and last.isdecimal() else (item, 1)
        if name in counts:
            raise ValueError(f"{name} is asked for twice")
        counts[name] = count
    return {"gres_per_node": counts}


def _gpus_per_node(text: str) -> Fields:
    """Write it as gres, which it is to Slurm; pyslurm has no field of that name."""
    return _gres(f"gpu:{text}")


def _signal(text: str) -> Fields:
    """Take ``[B:]NAME[@SECONDS]``; pyslurm does not know the names as sbatch has them."""
    flag, _, rest = text.rpartition(":")
    name, _, lead = rest.partition("@")
    if flag not in ("", "B") or f"SIG{name}" not in signal.Signals.__members__:
        raise ValueError(f"{text!r} is not [B:]NAME[@SECONDS]")
    if lead and not lead.isdecimal():
        raise ValueError(f"{lead!r} is not a number of seconds")
    number = signal.Signals[f"SIG{name}"].value
    return {"signal": {"signal": number, "time": int(lead or 60), "batch_only": flag == "B"}}


def _mail_types(text: str) -> Fields:
    if "INVALID_DEPEND" in text.split(","):
        raise ValueError("pyslurm knows no INVALID_DEPEND: leave it out")
    return {"mail_types": text.split(",")}


def _mem_per_gpu(text: str) -> Fields:
    raise ValueError(f"pyslurm fails on it: ask for {text} times the GPUs as mem")


TABLE: Mapping[str, Callable[[str], Fields]] = {
    "account": _as("account"),
    "array": _as("array"),
    "chdir": _as("working_directory"),
    "comment": _as("comment"),
    "constraint": _as("constraints"),
    "cpus-per-gpu": _number("cpus_per_gpu", _MOST_16_BITS),
    "cpus-per-task": _number("cpus_per_task", _MOST_16_BITS),
    "error": _as("standard_error"),
    "exclusive": _flag("resource_sharing", "exclusive"),
    "export": _as("environment"),
    "gpus": _as("gpus"),
    "gpus-per-node": _gpus_per_node,
    "gpus-per-task": _as("gpus_per_task"),
    "gres": _gres,
    "ignore-pbs": lambda _: {},  # sbatch alone reads such lines
    "job-name": _as("name"),
    "licenses": _list("licenses"),
    "mail-type": _mail_types,
    "mail-user": _as("mail_user"),
    "mem": _megabytes("memory_per_node"),
    "mem-per-cpu": _megabytes("memory_per_cpu"),
    "mem-per-gpu": _mem_per_gpu,
    "nice": _number("nice"),
    "no-requeue": _flag("is_requeueable", value=False),
    "nodes": _number("nodes"),
    "ntasks": _number("ntasks"),
    "ntasks-per-node": _number("ntasks_per_node", _MOST_16_BITS),
    "open-mode": _as("log_files_open_mode"),
    "output": _as("standard_output"),
    "partition": _list("partitions"),
    "qos": _as("qos"),
    "requeue": _flag("is_requeueable", value=True),
    "reservation": _list("reservations"),
    "signal": _signal,
    "time": _minutes("time_limit"),
    "wckey": _as("wckey"),
}
"""How each long option of sbatch is said to pyslurm."""


def to_fields(options: Mapping[str, str]) -> Fields:
    """Say options as fields.

    >>> to_fields({"time": "1:30", "mem": "2G"})["time_limit"]
    2

    Raises
    ------
    ValueError
        If there is no such field, or it does not take that value; the message names the option.
    """
    fields: Fields = {}
    for name, text in options.items():
        if name not in TABLE:
            raise ValueError(f"--{name} cannot be said to pyslurm; use sbatch (scheduler 'slurm')")
        try:
            found = TABLE[name](text)
        except ValueError as error:
            raise ValueError(f"--{name}={text}: {error}") from error
        if twice := fields.keys() & found.keys():
            raise ValueError(f"--{name} and another option both set {twice.pop()}")
        fields |= found
    each = fields.get("ntasks_per_node")
    return fields | _size(fields.get("nodes"), fields.get("ntasks"), each or 1)


def _size(nodes: int | None, ntasks: int | None, each: int) -> Fields:
    """Fill in as sbatch does: pyslurm would put all tasks on one node, and one task on many."""
    if nodes is None:
        return {"nodes": {"min": 1, "max": ntasks or 1}}
    return {"nodes": {"min": nodes, "max": nodes}, "ntasks": ntasks or nodes * each}
