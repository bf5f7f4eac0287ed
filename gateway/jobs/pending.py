"""Why a job waits, in plain words: every reason of Slurm, and whether waiting helps.

Slurm names some two hundred reasons. Those of one kind are told apart by the parts of their names
(``QOSMaxMemoryPerJob``), the others stand in a table. Three things can be true of each: it ends
by itself, somebody who runs the cluster must do something, or the request itself must change.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum


class Ends(Enum):
    """What ends the waiting."""

    BY_ITSELF = "waiting"
    BY_ADMIN = "administrator"
    BY_CHANGE = "change"


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """What a reason means."""

    text: str
    ends: Ends = Ends.BY_ITSELF
    advice: str = ""
    """What to do; empty where waiting does it."""

    about: str = ""
    """What of the request is in the way: a name of `Resources`; empty when it is nothing of it."""


def waiting_for(reason: str) -> Waiting | None:
    """Say what a pending reason means; None for a word that nobody listed.

    >>> waiting_for("QOSMaxMemoryPerJob").text
    'It can never start: it asks for more memory than the QOS allows one job.'
    >>> waiting_for("ReqNodeNotAvail, UnavailableNodes:n1").ends.value
    'administrator'
    >>> waiting_for("AReasonOfSlurm30")
    """
    word = reason.partition(",")[0].strip()
    return _KNOWN.get(word) or _described(reason) or _limit(word)


def _by_itself(text: str) -> Waiting:
    return Waiting(text=text)


def _by_admin(text: str, advice: str) -> Waiting:
    return Waiting(text=text, ends=Ends.BY_ADMIN, advice=advice)


def _never(text: str, advice: str, about: str = "") -> Waiting:
    said = f"It can never start: {text}"
    return Waiting(text=said, ends=Ends.BY_CHANGE, advice=advice, about=about)


_ASK = "Ask the administrators of the cluster, or ask for it elsewhere."
_TELL = "Tell the administrators of the cluster."
_LESS_TIME = "Ask for less time."
_ACCOUNT = "Ask without an account or with another one; an administrator can give access."
_QOS = "Ask without a QOS or with another one; an administrator can give access."
_RESERVATION = "Ask again without the reservation."
_FEATURES = (
    "Ask without the constraint, or for fewer processors, less memory or no special devices."
)

_KNOWN = {
    "None": _by_itself("Waiting for the scheduler to look at it."),
    "Resources": _by_itself("Waiting for processors or memory to become free."),
    "Priority": _by_itself("Other jobs come first."),
    "Dependency": _by_itself("Waiting for another job to end."),
    "JobArrayTaskLimit": _by_itself(
        "Waiting for earlier elements: the array runs a few at a time."
    ),
    "BeginTime": _by_itself("Waiting for its begin time."),
    "Licenses": _by_itself("Waiting for a licence to become free."),
    "Reservation": _by_itself("Waiting for its reservation to begin."),
    "Cleaning": _by_itself("Being cleaned up after an earlier run; it goes on by itself."),
    "Prolog": _by_itself("Its machine is being made ready."),
    "SchedDefer": _by_itself("The scheduler is busy and looks at it later."),
    "FedJobLock": _by_itself("Waiting for the other clusters of the federation to agree."),
    "PowerNotAvail": _by_itself("Waiting for electrical power to become free."),
    "PowerReserved": _by_itself("Waiting for electrical power that is reserved for other jobs."),
    "BurstBufferResources": _by_itself("Waiting for room in the burst buffer."),
    "BurstBufferStageIn": _by_itself("Its data are being copied into the burst buffer."),
    "BlockFreeAction": _by_itself("Waiting for machines to be given free."),
    "AssociationJobLimit": _by_itself("As many jobs of its account run as may."),
    "AssociationResourceLimit": _by_itself("The jobs of its account use as much as they may."),
    "QOSJobLimit": _by_itself("As many jobs of its QOS run as may."),
    "QOSResourceLimit": _by_itself("The jobs of its QOS use as much as they may."),
    "QOSUsageThreshold": _by_itself("Its account has used too much lately for this QOS."),
    "JobHeldUser": Waiting(
        text="Held; release it to let it run.",
        ends=Ends.BY_ADMIN,
        advice="Somebody held it with the scheduler's own commands: release it there "
        "(scontrol release), or cancel it.",
    ),
    "JobHeldAdmin": _by_admin("Held by an administrator: ask them.", _ASK),
    "PartitionDown": _by_admin("Its partition is closed.", _ASK),
    "PartitionInactive": _by_admin("Its partition starts no jobs now.", _ASK),
    "NodeDown": _by_admin("A machine that it needs is down.", _ASK),
    "ReqNodeNotAvail": _by_admin(
        "A machine that it needs is down, drained or kept for others.", _ASK
    ),
    "FrontEndDown": _by_admin("No front end of the cluster is up.", _TELL),
    "SystemFailure": _by_admin("The scheduler, the file system or the network failed.", _TELL),
    "JobLaunchFailure": _by_admin("It could not be launched.", _TELL),
    "BurstBufferOperation": _by_admin("The burst buffer failed.", _TELL),
    "BlockMaxError": _by_admin("Machines that it needs are in error.", _TELL),
    "AccountingPolicy": _by_admin("A rule of the cluster's accounting is in the way.", _ASK),
    "JobHoldMaxRequeue": _never(
        "it was started too often without success.",
        "Ask for it anew; if that ends in the same way, tell the administrators.",
        "anew",
    ),
    "PartitionTimeLimit": _never(
        "it asks for more time than the partition allows.", _LESS_TIME, "time"
    ),
    "AssociationTimeLimit": _never(
        "it asks for more time than its account may have.", _LESS_TIME, "time"
    ),
    "QOSTimeLimit": _never("it asks for more time than its QOS allows.", _LESS_TIME, "time"),
    "PartitionNodeLimit": _never(
        "it asks for more machines than the partition gives, or for one that is down.",
        "Ask for fewer machines.",
        "nodes",
    ),
    "PartitionConfig": _never(
        "the partition is not set up for what it asks for.",
        "Ask for less, or for another partition.",
        "partition",
    ),
    "BadConstraints": _never("no machine has what it asks for.", _FEATURES, "constraint"),
    "Constraints": _never("no machine has what it asks for.", _FEATURES, "constraint"),
    "MaxMemPerLimit": _never(
        "it asks for more memory than a machine or processor of the partition gives.",
        "Ask for less memory.",
        "mem",
    ),
    "InvalidAccount": _never("its account is not known there.", _ACCOUNT, "account"),
    "AccountNotAllowed": _never("its account may not use the partition.", _ACCOUNT, "account"),
    "InvalidQOS": _never("its QOS is not known there.", _QOS, "qos"),
    "QOSNotAllowed": _never("its QOS may not be used in the partition.", _QOS, "qos"),
    "DependencyNeverSatisfied": _never(
        "the job it waits for has failed.",
        "Run the other job again, or ask for this one without waiting for it.",
        "dependency",
    ),
    "ReservationDeleted": _never("its reservation is gone.", _RESERVATION, "reservation"),
    "ReservationInvalid": _never(
        "its reservation cannot be used.", _RESERVATION, "reservation"
    ),
    "DeadLine": _never(
        "it cannot end before its deadline.", "Ask without the deadline, or for less time."
    ),
    "AssocGrpWallLimit": _never(
        "the time of its account is used up.", "Ask the administrators for more, or with another "
        "account.", "account"
    ),
    "QOSGrpWallLimit": _never(
        "the time of its QOS is used up.", "Ask the administrators for more, or with another QOS.",
        "qos",
    ),
    "AssocMaxWallDurationPerJobLimit": _never(
        "it asks for more time than its account gives one job.", _LESS_TIME, "time"
    ),
    "QOSMaxWallDurationPerJobLimit": _never(
        "it asks for more time than its QOS gives one job.", _LESS_TIME, "time"
    ),
    "NonZeroExitCode": _by_itself("The script ended with an error."),
    "RaisedSignal": _by_itself("The script was ended by a signal."),
    "TimeLimit": _by_itself("The time limit ran out."),
    "InactiveLimit": _by_itself("It did nothing for longer than the cluster allows."),
    "OutOfMemory": _by_itself("It needed more memory than it had asked for."),
}  # fmt: skip

END_REASONS = frozenset(
    {"NonZeroExitCode", "RaisedSignal", "TimeLimit", "InactiveLimit", "OutOfMemory"}
)
"""What Slurm says of jobs that have ended; all others are left over from their waiting."""

_DESCRIBED = (
    (
        re.compile(r"held", re.IGNORECASE),
        _by_admin("Held by the scheduler: it could not be launched.", _TELL),
    ),
    (
        re.compile(r"Nodes.required.for.job.are.DOWN", re.IGNORECASE),
        _by_admin("The machines that it needs are down, drained or kept for others.", _ASK),
    ),
)
"""Sentences that Slurm gives in the place of a word, with ``_`` for each blank."""


def _described(reason: str) -> Waiting | None:
    """Read what is a sentence and no word."""
    if not re.search(r"[_\s]", reason):
        return None
    return next((found for pattern, found in _DESCRIBED if pattern.search(reason)), None)


# ---- limits, by the parts of their names

_LIMIT = re.compile(
    r"(?P<of>QOS|Assoc|)(?P<kind>Grp|Max|Min)"
    r"(?P<what>Cpu|CPU|Mem(?:ory)?|Node|Energy|GRES|License|BB|Billing|Unknown|Jobs?|SubmitJobs?)"
    r"(?P<minutes>Minutes|RunMinutes|)(?P<per>PerJob|PerNode|PerUser|PerAccount|)"
    r"(?:Limit|NotSatisfied|)"
)
_THINGS = {
    "Cpu": ("processors", "cpus_per_task"),
    "CPU": ("processors", "cpus_per_task"),
    "Mem": ("memory", "mem"),
    "Memory": ("memory", "mem"),
    "Node": ("machines", "nodes"),
    "Energy": ("energy", ""),
    "GRES": ("devices", "gres"),
    "License": ("licences", "licenses"),
    "BB": ("burst buffer", ""),
    "Billing": ("billed resources", ""),
    "Unknown": ("other resources", ""),
}
_WHOSE = {"QOS": "QOS", "Assoc": "account", "": "QOS"}
_ONE = {"PerJob": "one job", "PerNode": "a job on one machine", "": "one job"}
_SHARED = {
    "PerUser": "your jobs in this QOS",
    "PerAccount": "the jobs of your account in this QOS",
}


def _limit(word: str) -> Waiting | None:
    """Read the name of a limit of an account or a QOS."""
    match = _LIMIT.fullmatch(word)
    if match is None:
        return None
    kind, whose, per = match["kind"], _WHOSE[match["of"]], match["per"]
    if match["what"] not in _THINGS:
        who = _SHARED.get(per, f"jobs of its {whose}")
        return _by_itself(f"As many of {who} are there as may be." if per else
                          f"As many {who} are there as may be.")  # fmt: skip
    thing, name = _THINGS[match["what"]]
    if kind == "Min":
        return _never(
            f"it asks for too little for the {whose}: {thing}.", f"Ask for more {thing}, or "
            f"with another {whose}."
        )  # fmt: skip
    if match["minutes"]:
        return _minutes(kind, match["minutes"], whose, thing)
    if kind == "Grp" or per in _SHARED:
        who = _SHARED.get(per, f"the jobs of its {whose}")
        return _by_itself(
            f"Waiting for {who} to give {thing} free: together they may have no more. If it alone "
            "asks for more than that, it never starts."
        )
    return _never(
        f"it asks for more {thing} than the {whose} allows {_ONE[per]}.",
        f"Ask for less {thing}.",
        name,
    )


def _minutes(kind: str, minutes: str, whose: str, thing: str) -> Waiting:
    """Say what a limit on an amount multiplied by its time means."""
    if kind == "Max":
        return _never(
            f"it asks for more {thing} for longer than the {whose} allows one job.",
            f"Ask for less time, or less {thing}.",
            "time",
        )
    if minutes == "RunMinutes":
        return _by_itself(
            f"Waiting for running jobs of its {whose} to end: with their {thing} and time they "
            "have all that they may."
        )
    return _never(
        f"what its {whose} may use of {thing} and time is used up.",
        f"Ask the administrators for more, or with another {whose}.",
        {"QOS": "qos", "account": "account"}[whose],
    )
