"""States and reasons in plain words, for a tired reader at 2 a.m."""

from __future__ import annotations

import re
from datetime import datetime

from gateway.jobs.models import Job, Tracking
from gateway.jobs.pending import END_REASONS, waiting_for
from gateway.records import time_text
from gateway.texts import size_text
from scheduler.base import JobReport, JobState

_STATES = {
    JobState.PENDING: "Waiting for a free place.",
    JobState.RUNNING: "Running.",
    JobState.SUSPENDED: "Paused by the scheduler; it goes on by itself.",
    JobState.COMPLETED: "Finished.",
    JobState.CANCELLED: "Cancelled.",
    JobState.FAILED: "The job failed.",
    JobState.TIMEOUT: "The time limit ran out.",
    JobState.NODE_FAIL: "The machine it ran on failed.",
    JobState.PREEMPTED: "Another job took its place.",
    JobState.BOOT_FAIL: "The machine it should run on did not start.",
    JobState.DEADLINE: "It could not end before its deadline.",
    JobState.OUT_OF_MEMORY: "It needed more memory than it had asked for.",
    JobState.UNKNOWN: "The scheduler reports a state that this gateway does not know.",
}

_KILL = 9
_SHELL_SIGNAL = 128
_SUBMIT_LIMIT = re.compile(r"\b(?:Assoc|QOS)[A-Za-z]*Submit[A-Za-z]*Limit\b")

STOPPED_BEFORE_START = "Stopped before it had started, so there is nothing to keep."
CANCELLED_BEFORE_START = "Cancelled before it had started."
STOPPED = "Stopped early; the result was kept."
STOPPED_WITHOUT_RESULT = "Stopped as asked, and it left no result: see its log."
NO_RESULT = "It ended without a result: see its log."
INCOMPLETE = (
    "It ended without a complete result: what it left is kept, but nothing says that it is whole. "
    "See its log."
)
INCOMPLETE_ARRAY = "It ended without a complete result of some of its tasks: see its log."
DIRECTORY_GONE = (
    "It ended, and nothing of its results is here: its directory is gone, or could not be read."
)
UNCERTAIN = "Handed over, no answer yet: it is looked for before anything else is tried."
NEXT_ROUND = "Waits to be handed over: those before it are still going."
NOT_REACHED = "Waits to be handed over: its cluster cannot be reached now."
RESTORED = "it was restored from files and is not at its cluster: run it again if you want it"
NOT_SENT_AGAIN = f"Not handed over again: {RESTORED}."
ADOPTED = "Submitted by hand and brought under watch: looking for it at its cluster."
ADOPTED_NOTE = "Submitted by hand."
KILLED = "It was killed (signal 9), most often because it took more memory than it had asked for."
CAUSE_AWAITED = (
    "It has ended: a signal killed it, and its scheduler has not said why. That is waited for, two "
    "hours at most."
)
LOST = (
    "The scheduler no longer knows it and it left no exit file; it is still being looked for. It "
    "keeps no other job waiting, and can be deleted."
)
_WAITING = " Its results wait: "


def unreadable(directory: str) -> str:
    """Say why nothing can be fetched of a job that has ended.

    >>> unreadable("/scratch/ada/j/1")
    'its directory /scratch/ada/j/1 cannot be read at the moment'
    """
    return f"its directory {directory[-500:]} cannot be read at the moment"


def away(directory: str) -> str:
    """Say that a job waits for its directory.

    >>> away("/scratch/1")
    'It has ended, and its directory /scratch/1 cannot be read at the moment.'
    """
    return f"It has ended, and {unreadable(directory)}."


def results_wait(text: str, directory: str, until: datetime) -> str:
    """Say of a job that has ended, and why it has, that its directory is waited for."""
    why = f"{unreadable(directory)}; it is tried again until {time_text(until)}, or until you"
    return f"{without_wait(text)}{_WAITING}{why} cancel the job."


def without_wait(text: str) -> str:
    """Say only what was said before its directory was waited for."""
    return text.partition(_WAITING)[0]


def reason_text(report: JobReport) -> str:
    """Say in plain words why a job is as it is."""
    if report.state is JobState.FAILED and was_killed(report.signal, report.exit_code):
        return KILLED  # Slurm without cgroups calls that a failure to launch
    if report.reason and report.reason not in ("None", ""):
        found = waiting_for(report.reason)
        if found is None:
            return f"{_STATES[report.state]} ({report.reason})"
        if report.state is JobState.PENDING or report.reason in END_REASONS:
            return found.text
    return _STATES[report.state]


def was_killed(signal: int | None, exit_code: int | None) -> bool:
    """Whether something ended with signal 9, or its script says that of what it ran.

    >>> was_killed(None, 137), was_killed(9, 0), was_killed(None, 1)
    (True, True, False)
    """
    return signal == _KILL or exit_code == _SHELL_SIGNAL + _KILL


def lines_failed(status: int) -> str:
    """Say that what its owner added before the fit ended the job.

    >>> lines_failed(7)[:58]
    'Your lines before the fit ended with status 7, so nothing '
    """
    return (
        f"Your lines before the fit ended with status {status}, so nothing was fitted: see the "
        "errors (stderr) in its log, and run it again with other lines."
    )


def stopped_array(kept: int, elements: int) -> str:
    """Say what is left of an array that was stopped.

    >>> stopped_array(3, 10)
    'Stopped as asked: 3 of 10 elements have a result, which was kept.'
    """
    return f"Stopped as asked: {kept} of {elements} elements have a result, which was kept."


def time_limit(*, resumable: bool) -> str:
    """Say what is left of a fit that the end of its time stopped.

    >>> time_limit(resumable=False)
    'Its time was nearly up, so it stopped and saved what it had: run it again with more time.'
    """
    next_step = "it can be continued" if resumable else "run it again with more time"
    return f"Its time was nearly up, so it stopped and saved what it had: {next_step}."


def no_room(room_bytes: int) -> str:
    """Say why some results were left behind.

    >>> no_room(4 << 20)[:39]
    'there was room for 4.2 MB of results: y'
    """
    return (
        f"there was room for {size_text(room_bytes)} of results: you keep nearly as much as this "
        "site allows; delete jobs that you no longer need"
    )


def full(cluster: str) -> str:
    """Say why a job waits whose cluster has turned others away.

    >>> full("hpc")
    'hpc takes no more jobs of this account now; it is handed over by itself when there is room'
    """
    return (
        f"{cluster} takes no more jobs of this account now; "
        "it is handed over by itself when there is room"
    )


def turned_away(cluster: str, said: str, count: int) -> str:
    """Say that a cluster turned a job away for now, for which limit, and how often.

    >>> turned_away("hpc", "sbatch: error: AssocMaxSubmitJobLimit ...", 2)[-45:]
    '(AssocMaxSubmitJobLimit; turned away 2 times)'
    """
    limit = _SUBMIT_LIMIT.search(said)
    why = limit[0] if limit else "it holds as many jobs as it can"
    times = "once" if count == 1 else f"{count} times"
    return f"{full(cluster)} ({why}; turned away {times})"


def state_text(state: JobState) -> str:
    """Say a state in plain words."""
    return _STATES[state]


def tracking_text(job: Job) -> str:
    """Say what the state is worth when it is not from just now; empty when it is.

    The state itself never changes by silence: this says who saw it last, and what is in the way.
    """
    attempt = job.attempt
    if job.final or attempt.tracking is Tracking.FRESH:
        return ""
    seen = "not seen there yet"
    if attempt.observed is not None:
        seen = f"last seen at {time_text(attempt.observed)} by {attempt.source or 'the scheduler'}"
    if attempt.waits_for_results and attempt.results_wait_since is not None:
        since = time_text(attempt.results_wait_since)
        return f"{seen}; it has ended, but since {since} {unreadable(attempt.directory)}"
    since = f" since {time_text(attempt.tracking_since)}" if attempt.tracking_since else ""
    cluster = f"the cluster {job.cluster}"
    troubles = {
        Tracking.STALE: f"{cluster} cannot be reached{since}: {attempt.error or 'no answer'}",
        Tracking.UNCONFIRMED: f"{cluster} does not list it{since}, which proves nothing yet",
        Tracking.LOST: f"no trace of it{since}: neither {cluster} nor its files say how it "
        "ended; it is still being looked for",
    }
    return f"{seen}; {troubles[attempt.tracking]}"
