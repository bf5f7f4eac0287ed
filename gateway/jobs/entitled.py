"""Hold a request against the limits of accounts and QOS, as Slurm's accounting tells them.

A job beyond them is taken by Slurm and waits for ever, or is refused when it is handed over in the
middle of the night. Only what Slurm enforces counts; where somebody has several accounts and names
none, only what is beyond all of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from gateway.clusters.models import Found
from gateway.errors import FieldError
from gateway.jobs.resources import Resources, parse_time
from scheduler.base import Association, Qos
from scheduler.units import MIB, format_memory, format_time

_UNITS = {"": MIB, "K": 1 << 10, "M": MIB, "G": 1 << 30, "T": 1 << 40, "P": 1 << 50}
_SHOWN = 20
_Errors = list[FieldError]


def entitled(
    asked: Resources, tasks: int, found: Found, seen: str, *, shared: bool
) -> tuple[_Errors, _Errors]:
    """Say what can never run, and what runs slower than it might.

    Parameters
    ----------
    tasks
        Of its array; 1 for a single job.
    seen
        When that was found, in words.
    shared
        Whether all submit as who looked: else the limits of accounts are somebody else's.
    """
    enforced = set(found.manners.enforced)
    rows = _own(asked, found.associations) if shared else ()
    never: _Errors = []
    if shared and found.associations and not rows and enforced & {"associations", "limits"}:
        known = list(dict.fromkeys(one.account for one in found.associations))
        text = f"there was no account {asked.account!r} for this gateway {seen}"
        never.append(at_field("account", f"{text}: choose {', '.join(known[:_SHOWN])}"))
    if "limits" not in enforced:
        return never, []
    qos = next((one for one in found.qos or () if one.name == asked.qos), None)
    limits = _Limits(rows=rows, qos=qos, seen=seen)
    never += [*limits.too_long(asked), *limits.too_large(asked), *limits.too_many(tasks)]
    return never, list(limits.in_turns(tasks))


def _own(asked: Resources, all_rows: Sequence[Association]) -> tuple[Association, ...]:
    """Find what a request may count as; several where it names no account."""
    partitions = ["", *(asked.partition or "").split(",")]
    return tuple(
        one
        for one in all_rows
        if asked.account in (None, one.account) and one.partition in partitions
    )


@dataclass(frozen=True, kw_only=True)
class _Limits:
    rows: tuple[Association, ...]
    qos: Qos | None
    seen: str

    @property
    def _account(self) -> str:
        names = list(dict.fromkeys(one.account for one in self.rows))
        return f"account {names[0]!r}" if len(names) == 1 else "any account that may be used"

    def _most(self, name: str) -> int | None:
        """Say how many of something the most generous account gives; None without a limit."""
        counts = [_count(getattr(one, name)) for one in self.rows]
        known = [count for count in counts if count is not None]
        return max(known) if known and len(known) == len(counts) else None

    def too_long(self, asked: Resources) -> Iterator[FieldError]:
        limits = [limit(one.max_wall) for one in self.rows]
        known = [limit for limit in limits if limit is not None]
        most = max(known) if known and len(known) == len(limits) else None
        whose = self._account
        if self.qos is not None and (own := limit(self.qos.max_wall)) is not None:
            most, whose = own, f"QOS {self.qos.name!r}"  # Slurm asks the QOS first
        if most is not None and asked.time is not None and asked.time > most:
            text = f"{whose} gave a job at most {span(most)} {self.seen} (MaxWall)"
            yield at_field("time", f"{text}, and {span(asked.time)} is asked for: ask for less")

    def too_large(self, asked: Resources) -> Iterator[FieldError]:
        """Compare one job with what one may have, and with what all together may have."""
        for kind, (field, wanted) in _wanted(asked).items():
            for word, whose, most in self._tres(kind):
                if wanted > most:
                    verb = "is" if kind == "mem" or wanted == 1 else "are"
                    text = f"{_shown(kind, wanted)} {verb} more than the {_shown(kind, most)}"
                    text = f"{text} of {whose} {self.seen}"
                    yield at_field(field, f"{text} ({word}): ask for less")
                    break

    def _tres(self, kind: str) -> Iterator[tuple[str, str, int]]:
        if self.qos is not None:
            most = _tres(self.qos.max_tres_per_user).get(kind)
            if most is not None:
                yield "MaxTRESPerUser", f"QOS {self.qos.name!r}", most
        for word, name in (("MaxTRES", "max_tres"), ("GrpTRES", "grp_tres")):
            found = [_tres(getattr(one, name)).get(kind) for one in self.rows]
            known = [most for most in found if most is not None]
            if known and len(known) == len(found):
                yield word, self._account, max(known)

    def too_many(self, tasks: int) -> Iterator[FieldError]:
        for word, whose, most in self._counts("submit"):
            if tasks > most:
                text = f"{tasks} tasks are more than the {most} jobs that {whose} may have"
                detail = f"{text} {self.seen} ({word}): put more elements into a task"
                yield FieldError(pointer="/pack", detail=detail)
                return

    def in_turns(self, tasks: int) -> Iterator[FieldError]:
        for word, whose, most in self._counts("jobs"):
            if 0 < most < tasks:
                text = f"at most {most} jobs of {whose} run at once {self.seen} ({word})"
                yield FieldError(pointer="/pack", detail=f"{text}: its {tasks} tasks take turns")
                return

    def _counts(self, what: str) -> Iterator[tuple[str, str, int]]:
        words = {"submit": "SubmitJobs", "jobs": "Jobs"}
        if self.qos is not None:
            own = _count(getattr(self.qos, f"max_{what}_per_user"))
            if own is not None:
                yield f"Max{words[what]}PerUser", f"QOS {self.qos.name!r}", own
        for kind, name in (("Max", "max"), ("Grp", "grp")):
            if (most := self._most(f"{name}_{what}")) is not None:
                yield f"{kind}{words[what]}", self._account, most


def _wanted(asked: Resources) -> dict[str, tuple[str, int]]:
    """Say what a job asks for, by the names of Slurm's accounting, with the field that says it."""
    several = asked.tasks > 1 and not asked.cpus_per_gpu
    wanted = {
        "cpu": (asked.tasks_field if several else asked.cpus_field, asked.cpus),
        "node": ("nodes", asked.nodes or 1),
    }
    if asked.memory_bytes:
        of_all = (asked.nodes or 1) if asked.mem else 1
        wanted["mem"] = (asked.memory_field, asked.memory_bytes * of_all)
    if asked.gpu_count:
        ways = ("gpus", "gpus_per_task", "gpus_per_node", "gres")
        field = next(name for name in ways if getattr(asked, name))
        wanted["gres/gpu"] = (field, asked.gpu_count)
    return wanted


def _tres(text: str) -> dict[str, int]:
    """Read limits of resources.

    >>> _tres("cpu=8,mem=4G,gres/gpu=2") == {"cpu": 8, "mem": 4 << 30, "gres/gpu": 2}
    True
    """
    found: dict[str, int] = {}
    for part in text.split(","):
        if match := re.fullmatch(r"([a-z/_:A-Z0-9]+)=([0-9]+)(?:\.[0-9]+)?([KMGTP]?)", part):
            unit = _UNITS[match[3]] if match[1] == "mem" else 1
            found[match[1]] = int(match[2]) * unit
    return found


def _shown(kind: str, amount: int) -> str:
    names = {"cpu": "processors", "node": "nodes", "gres/gpu": "GPUs"}
    return format_memory(amount) if kind == "mem" else f"{amount} {names[kind]}"


def _count(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[0-9]{1,9}", text) else None


def limit(text: str) -> timedelta | None:
    """Read a limit; None where there is none, as ``infinite``.

    >>> limit("1:30:00"), limit("infinite"), limit("")
    (datetime.timedelta(seconds=5400), None, None)
    """
    try:
        return parse_time(text)
    except ValueError:
        return None


def span(time: timedelta) -> str:
    """Write a time as people do.

    >>> span(timedelta(minutes=90)), span(timedelta(hours=30))
    ('1:30:00', '1-06:00:00')
    """
    return format_time(time).removeprefix("0-").removeprefix("0")


def at_field(name: str, detail: str) -> FieldError:
    """Say what is wrong with a resource, at its field."""
    return FieldError(pointer=f"/resources/{name}", detail=detail)
