"""Slurm is text: how to read what comes back. Everything here is pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timezone

from scheduler.base import (
    Check,
    JobReport,
    JobState,
    Refused,
    Submission,
    Submitted,
    Uncertain,
)
from scheduler.slurm_argv import (
    ASSOCIATION_FIELDS,
    QOS_FIELDS,
    SACCT_FIELDS,
    SINFO_FIELDS,
    SQUEUE_FIELDS,
)

_UTC = timezone.utc  # noqa: UP017 - this file runs on login nodes, which may have Python 3.10
_JOB_ID = re.compile(r"([0-9]{1,18})(?:_(?:([0-9]{1,9})|\[([0-9,:%-]*)\]))?")
_PRINTED_ID = re.compile(
    r"(?:Submitted batch job )?([1-9][0-9]{0,17})(?:(?:;| on cluster )[A-Za-z0-9_.-]{1,64})?"
)
"""With --parsable, and as a site's own sbatch says it that does not pass that on."""

_MOST_TASKS = 4_000_001  # Slurm's own greatest MaxArraySize

_TAKEN = "REVOKED"
"""Another cluster of a federation took it: whether it runs there, no row of this one says. So it is
left out, and what it leaves in its directory tells its end."""

_FOLDED = {
    "CONFIGURING": JobState.PENDING,
    "POWER_UP_NODE": JobState.PENDING,
    "EXPEDITING": JobState.PENDING,
    "REQUEUED": JobState.PENDING,
    "REQUEUE_FED": JobState.PENDING,
    "REQUEUE_HOLD": JobState.PENDING,
    "RESV_DEL_HOLD": JobState.PENDING,
    "SPECIAL_EXIT": JobState.PENDING,
    "COMPLETING": JobState.RUNNING,
    "RESIZING": JobState.RUNNING,
    "SIGNALING": JobState.RUNNING,
    "UPDATE_DB": JobState.RUNNING,
    "STAGE_OUT": JobState.RUNNING,
    "STOPPED": JobState.SUSPENDED,
    "LAUNCH_FAILED": JobState.FAILED,
    "RECONFIG_FAIL": JobState.FAILED,
}
"""Slurm's flags, which squeue and sacct print in place of the base state."""

_COMMUNICATION = re.compile(
    "socket timed out|unable to contact|zero bytes|protocol authentication|connect failure|"
    "connection (refused|reset|timed out|failure)|broken pipe|transport endpoint|"
    "(send|receive) failure|receive failed|standby mode|unexpected message|insane message|"
    "header lengths|incompatible versions|munge|authentication credential|no route to host|"
    "network is unreachable|name or service not known|temporar(y|ily)|timed out",
    re.IGNORECASE,
)
"""Errors of a call that may have been carried out all the same."""

_REFUSAL = re.compile(
    r"batch job submission failed|allocation failure|unable to open file|unrecognized option|"
    r"invalid option|invalid --|ambiguous option|cli_filter",
    re.IGNORECASE,
)
_NO_ROOM = re.compile(
    r"\b(Assoc|QOS)(Grp|Max)SubmitJobs?(Per[A-Za-z]+)?Limit\b|MaxJobCount|job queue full|"
    "unable to accept job|resource temporarily unavailable",
    re.IGNORECASE,
)
"""One job too many: slurmctld counts those that wait as well, so nothing but an end makes room."""

_CUT_STATUS = (124, 137, 255)
"""What ``timeout``, SIGKILL and ssh leave."""


# What comes back: jobs


def parse_state(text: str) -> JobState:
    """Fold a state as squeue and sacct print it; a word that nobody listed is UNKNOWN.

    >>> parse_state("CANCELLED by 1000").value, parse_state("COMPLETING").value
    ('CANCELLED', 'RUNNING')
    >>> parse_state("A_WORD_OF_SLURM_30").value, parse_state("").value
    ('UNKNOWN', 'UNKNOWN')
    """
    word = text.partition(" ")[0].rstrip("+")
    if word in _FOLDED:
        return _FOLDED[word]
    return JobState(word) if word in JobState.__members__ else JobState.UNKNOWN


def parse_tasks(text: str) -> tuple[int, ...]:
    """Read the indices that a folded row of an array stands for.

    >>> parse_tasks("4-9,12%2")
    (4, 5, 6, 7, 8, 9, 12)
    >>> parse_tasks("0-9:3"), parse_tasks(""), parse_tasks("9-1"), parse_tasks("0-99999999")
    ((0, 3, 6, 9), (), (), ())
    """
    found: list[int] = []
    for part in text.partition("%")[0].split(","):
        match = re.fullmatch(r"([0-9]{1,9})(?:-([0-9]{1,9})(?::([1-9][0-9]{0,8}))?)?", part)
        if match is None:
            continue
        first, last = int(match[1]), int(match[2] or match[1])
        indices = range(first, last + 1, int(match[3] or 1))
        if len(indices) <= _MOST_TASKS:
            found += indices
    return tuple(found)


def parse_exit(text: str) -> tuple[int | None, int | None]:
    """Read exit code and signal: ``rc:signal``, or squeue's bare wait status.

    >>> parse_exit("3:0"), parse_exit("0:9"), parse_exit("768"), parse_exit("9"), parse_exit("?")
    ((3, None), (0, 9), (3, None), (0, 9), (None, None))
    """
    if match := re.fullmatch(r"([0-9]{1,6}):([0-9]{1,6})", text):
        return int(match[1]), int(match[2]) or None
    if re.fullmatch(r"[0-9]{1,6}", text):
        return int(text) >> 8 & 255, int(text) & 127 or None
    return None, None


def parse_squeue(text: str, separator: str) -> list[JobReport]:
    r"""Read the rows of squeue, in the order of their start.

    >>> row = "|".join(["7_[1-2%1]", "PENDING", "Priority", "0", "N/A", "N/A", "0", "2",
    ...                 "gw-1-1"])
    >>> (report,) = parse_squeue(row + "|\nbanner\n", "|")
    >>> report.native_id, report.tasks_waiting, report.marker, report.reason
    ('7', (1, 2), 'gw-1-1', 'Priority')
    >>> [one.task for one in parse_squeue(row.replace("PENDING", "CANCELLED") + "|\n", "|")]
    [1, 2]
    >>> (report,) = parse_squeue(row.replace("N/A", "1700000000", 1) + "|\n", "|")
    >>> report.started, report.expected.year
    (None, 2023)
    """
    reports = []
    for fields in _rows(text.replace(f"{separator}\n", "\n"), separator, len(SQUEUE_FIELDS)):
        number, state, reason, status, start, end, restarts, cpus, name = fields
        report = _report(number, name, state, "squeue")
        if report is not None and report.raw_state != _TAKEN:
            report = _with_end(report, reason, status, start, end, cpus)
            begun_again = int(restarts) if restarts.isdigit() else 0
            reports += _unfolded(replace(report, restarts=begun_again))
    return reports


def parse_sacct(text: str, separator: str) -> list[JobReport]:
    r"""Read the rows of sacct: of a job that ran several times the last, and how often it began.

    >>> first = "|".join(["7", "REQUEUED", "None", "0:0", "10", "20", "1", "2", "gw-1-1"])
    >>> again = "|".join(["7", "COMPLETED", "None", "0:0", "30", "40", "1", "2", "gw-1-1"])
    >>> (report,) = parse_sacct(f"{again}\n{first}\n", "|")
    >>> report.state.value, report.restarts, report.ended.timestamp(), report.cpus
    ('COMPLETED', 1, 40.0, 2)
    >>> taken = "|".join(["7", "REVOKED", "None", "0:0", "Unknown", "20", "1", "2", "gw-1-1"])
    >>> [(one.state.value, one.restarts) for one in parse_sacct(f"{again}\n{taken}\n", "|")]
    [('COMPLETED', 0)]
    >>> parse_sacct(f"{taken}\n", "|")
    []
    """
    runs: dict[tuple[object, ...], list[tuple[float, JobReport]]] = {}
    for fields in _rows(text, separator, len(SACCT_FIELDS)):
        number, state, reason, status, start, end, submit, cpus, name = fields
        report = _report(number, name, state, "sacct")
        if report is not None and report.raw_state != _TAKEN:
            report = _with_end(report, reason, status, start, end, cpus)
            key = (report.native_id, report.task, report.tasks_waiting, name, submit)
            # What has not begun is the latest: it waits to begin again.
            began = _instant(start)
            rank = began.timestamp() if began else float("inf")
            runs.setdefault(key, []).append((rank, report))
    return [report for found in runs.values() for report in _unfolded(_last(found))]


def _last(runs: Sequence[tuple[float, JobReport]]) -> JobReport:
    """Choose the last run of a job."""
    return replace(max(runs, key=lambda run: run[0])[1], restarts=len(runs) - 1)


def _unfolded(report: JobReport) -> list[JobReport]:
    """Give each element its row when a folded row has ended: cancelled before it began."""
    if not report.tasks_waiting or not report.state.final:
        return [report]
    return [replace(report, task=task, tasks_waiting=()) for task in report.tasks_waiting]


def _rows(text: str, separator: str, width: int) -> Iterator[list[str]]:
    for line in text.split("\n"):
        fields = line.split(separator)
        if len(fields) == width:
            yield [field.strip() for field in fields]


def _report(number: str, name: str, state: str, source: str) -> JobReport | None:
    match = _JOB_ID.fullmatch(number)
    if match is None:
        return None
    return JobReport(
        native_id=match[1],
        task=int(match[2]) if match[2] else None,
        tasks_waiting=parse_tasks(match[3] or ""),
        marker=name,
        state=parse_state(state),
        raw_state=state,
        source=source,
    )


def _with_end(
    report: JobReport, reason: str, status: str, start: str, end: str, cpus: str
) -> JobReport:
    final, waiting = report.state.final, report.state is JobState.PENDING
    code, signal = parse_exit(status) if final else (None, None)
    return replace(
        report,
        reason="" if reason in ("None", "(null)") else reason,
        exit_code=code,
        signal=signal,
        # Of what waits and of what runs, squeue prints when it believes that it will be.
        started=(started := None if waiting else _instant(start)),
        expected=_instant(start) if waiting else None,
        # Of what has not begun it is what was asked for.
        cpus=int(cpus) if started and re.fullmatch("[1-9][0-9]{0,8}", cpus) else None,
        ended=_instant(end) if final else None,
    )


def _instant(text: str) -> datetime | None:
    return (
        datetime.fromtimestamp(int(text), _UTC) if re.fullmatch(r"[1-9][0-9]{0,10}", text) else None
    )


# What comes back: submissions


def is_communication_error(text: str) -> bool:
    """Whether an error may hide a call that was carried out.

    >>> is_communication_error("sbatch: error: ... Socket timed out on send/recv operation")
    True
    >>> is_communication_error("sbatch: error: ... Invalid partition name specified")
    False
    """
    return _COMMUNICATION.search(text) is not None


def has_no_room(text: str) -> bool:
    r"""Whether sbatch said that there are too many jobs for one more.

    >>> has_no_room("sbatch: error: AssocMaxSubmitJobLimit\nsbatch: error: Batch job ...")
    True
    >>> has_no_room("sbatch: error: Slurm temporarily unable to accept job, sleeping and retrying")
    True
    >>> has_no_room("sbatch: error: QOSMaxWallDurationPerJobLimit\\n... (job submit limit, ...)")
    False
    """
    return _NO_ROOM.search(text) is not None


def is_cut(status: int) -> bool:
    """Whether a command was ended by a deadline, a signal, or with the line it ran on."""
    return status in _CUT_STATUS or status < 0


def classify(status: int, stdout: str, stderr: str) -> Submission:
    r"""Say what a call of sbatch came to; communication errors win over all else.

    >>> classify(0, "Welcome to Stampede\n4711;alpha\n", "sbatch: note: no partition specified")
    Submitted(native_id='4711')
    >>> isinstance(classify(0, "2026\nSubmitted batch job 4711\n", ""), Uncertain)
    True
    >>> classify(1, "", "sbatch: error: Batch job submission failed: Invalid qos").text
    'sbatch: error: Batch job submission failed: Invalid qos'
    >>> classify(1, "", "Batch job submission failed: Socket timed out").begun
    True
    >>> isinstance(classify(0, "", ""), Uncertain), isinstance(classify(124, "", ""), Uncertain)
    (True, True)
    """
    said = "\n".join(part for part in (stderr.strip(), stdout.strip()) if part)
    lines = map(str.strip, stdout.split("\n"))
    ids = {match[1] for line in lines if (match := _PRINTED_ID.fullmatch(line))}
    if status == 0 and len(ids) == 1:
        return Submitted(native_id=ids.pop())
    text = said[:2000] or f"sbatch said nothing and left status {status}"
    full = has_no_room(said)
    sure = status != 0 and not ids and not is_cut(status) and not is_communication_error(said)
    if sure and _REFUSAL.search(said):
        return Refused(text=text, for_now=full)
    return Uncertain(text=text, for_now=full)


def parse_check(status: int, stderr: str) -> Check:
    """Read what ``sbatch --test-only`` said.

    >>> parse_check(0, "sbatch: Job 12 to start at 1700000000 using 1 processors on n1").start.year
    2023
    >>> parse_check(1, "allocation failure: Invalid qos specification").accepted
    False
    """
    match = re.search(r"to start at ([0-9T:-]+)", stderr)
    return Check(
        accepted=status == 0,
        text=stderr.strip()[:2000],
        start=_instant(match[1]) if match else None,
    )


# What comes back: the site


def is_up(text: str) -> bool:
    r"""Whether ``scontrol ping`` found a controller, primary or backup.

    >>> is_up("Slurmctld(primary) at a is DOWN\nSlurmctld(backup) at b is UP")
    True
    >>> is_up("Slurmctld(primary) at up is DOWN")
    False
    """
    return re.search(r"\bis UP\b", text) is not None


def parse_config(text: str) -> dict[str, str]:
    r"""Read ``scontrol show config``.

    >>> parse_config("MaxArraySize            = 1001\nnoise\nMinJobAge  = 300 sec")
    {'MaxArraySize': '1001', 'MinJobAge': '300 sec'}
    """
    pairs = (line.partition("=") for line in text.split("\n") if " = " in line)
    return {name.strip(): value.strip() for name, _, value in pairs}


def parse_partitions(text: str, separator: str) -> list[dict[str, str]]:
    """Read the rows of sinfo."""
    cleaned = text.replace(f"{separator}\n", "\n")
    return [
        dict(zip(SINFO_FIELDS, fields, strict=True))
        for fields in _rows(cleaned, separator, len(SINFO_FIELDS))
    ]


def parse_qos(text: str) -> list[dict[str, str]]:
    r"""Read the rows of sacctmgr.

    >>> parse_qos("normal||4|10|cpu=8\nnoise\n")[0]["MaxTRESPerUser"]
    'cpu=8'
    """
    return _table(text, QOS_FIELDS)


def parse_associations(text: str) -> list[dict[str, str]]:
    r"""Read the rows of sacctmgr.

    >>> parse_associations("lab||normal|4|10|1:00:00|cpu=8|||\nnoise\n")[0]["MaxTRES"]
    'cpu=8'
    """
    return _table(text, ASSOCIATION_FIELDS)


def _table(text: str, fields: Sequence[str]) -> list[dict[str, str]]:
    rows = (line.split("|") for line in text.split("\n"))
    return [dict(zip(fields, row, strict=True)) for row in rows if len(row) == len(fields)]
