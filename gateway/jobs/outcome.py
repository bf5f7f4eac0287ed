"""From what a scheduler reports to what the record says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from gateway.jobs import efficiency, line, ran, words
from gateway.jobs.line import InLine
from gateway.jobs.models import Attempt, Job, Stage, Tracking, Wish
from gateway.jobs.prospects import expected_start
from gateway.records import altered, now
from scheduler.base import JobReport, JobState, Refused, Submission, Submitted, Uncertain

_WORST_FIRST = (
    JobState.OUT_OF_MEMORY,
    JobState.NODE_FAIL,
    JobState.BOOT_FAIL,
    JobState.TIMEOUT,
    JobState.DEADLINE,
    JobState.PREEMPTED,
    JobState.FAILED,
    JobState.CANCELLED,
    JobState.COMPLETED,
)
_ALIVE = (JobState.RUNNING, JobState.SUSPENDED, JobState.PENDING)
_TERM = 15
_SHELL_SIGNAL = 128
_MOST_STATUS = 255
_SAID = 1000
_COUNTDOWN = "; next attempt in "
"""What a way to a cluster says last while it waits: another number each round, and no news."""


@dataclass(frozen=True, kw_only=True)
class ExitRecord:
    """What the script's EXIT trap wrote for one task."""

    rc: int
    ended: datetime | None
    started: datetime | None = None
    task: int = 0
    in_lines: bool = False
    """Whether it ended in the shell lines that its owner added before the fit."""


def read_exit(document: Any) -> ExitRecord | None:
    """Read an exit file; None when it is not of that form (a user can write there)."""
    if not isinstance(document, dict):
        return None
    rc = document.get("rc")
    if type(rc) is not int or not 0 <= rc <= _MOST_STATUS:
        return None
    ended, started = _instant(document.get("end")), _instant(document.get("start"))
    return ExitRecord(rc=rc, ended=ended, started=started, in_lines=document.get("in") == "lines")


def _instant(value: Any) -> datetime | None:
    if not isinstance(value, int | float) or not 0 < value < 1 << 34:
        return None
    return datetime.fromtimestamp(value, UTC)


def observe(job: Job, reports: Sequence[JobReport]) -> Job:
    """Write down what a scheduler says; only the age changes when it says the same."""
    counts = Counter(state for report in reports for state in [report.state.value])
    state = _overall(reports)
    leading = next(report for report in reports if report.state is state)
    started = [report.started for report in reports if report.started]
    taken = [report.max_rss_bytes for report in reports if report.max_rss_bytes]
    return job.with_attempt(
        state=state,
        raw_state=leading.raw_state,
        reason=leading.reason,
        reason_text=words.reason_text(leading),
        source=leading.source or job.attempt.source,
        observed=now(),
        tracking=Tracking.FRESH,
        tracking_since=None,
        missing_polls=0,
        task_states=_counts(job.attempt, reports, counts),
        started=min(started) if started else job.attempt.started,
        expected_start=expected_start(job.attempt, reports),
        elapsed_s=_elapsed_s(job.attempt, reports),
        **ran.seen(job.attempt, reports),
        **efficiency.seen(reports),
        restarts=max(report.restarts for report in reports),
        max_rss_bytes=max(taken) if taken else job.attempt.max_rss_bytes,
        cpus_given=max((report.cpus for report in reports if report.cpus), default=None)
        or job.attempt.cpus_given,
        exit_code=leading.exit_code,
        signal=leading.signal,
        error="" if _answers_again(job.attempt) else job.attempt.error,
        **(_begun_again(job.attempt) if state in _ALIVE else {}),
    )


def _begun_again(attempt: Attempt) -> dict[str, Any]:
    """Take back that the results of an attempt wait."""
    if attempt.results_wait_since is None:
        return {}
    return {"results_wait_since": None, "results_wait_state": None, "ended": None}


def _answers_again(attempt: Attempt) -> bool:
    return attempt.tracking is Tracking.STALE or attempt.results_wait_since is not None


def is_news(before: Job, after: Job) -> bool:
    """Whether a report says more than that the job was seen once more."""
    old, new = before.attempt, after.attempt
    return old.observed is None or altered(old, observed=new.observed) != new


def missing(job: Job) -> Job:
    """Write down that a scheduler that answers does not know the job. Absent is not done.

    Of one that waits for its directory no more is asked than a few answers.
    """
    attempt = job.attempt
    if attempt.tracking not in (Tracking.UNCONFIRMED, Tracking.LOST):
        # However long nobody answered before: its absence begins with this answer.
        return job.with_attempt(
            tracking=Tracking.UNCONFIRMED,
            tracking_since=attempt.results_wait_since or now(),
            missing_polls=1,
        )
    return job.with_attempt(missing_polls=attempt.missing_polls + 1)


def stale(job: Job, why: str) -> Job:
    """Write down that nobody answered, and why: the state stays, only its age grows."""
    attempt = job.attempt
    why = why.partition(_COUNTDOWN)[0][:2000]
    if attempt.tracking is Tracking.STALE and attempt.error == why:
        return job
    since = attempt.tracking_since if attempt.tracking is Tracking.STALE else None
    waits = attempt.stage is not Stage.SUBMITTED
    return job.with_attempt(
        tracking=Tracking.STALE,
        tracking_since=since or now(),
        error=why,
        reason_text=f"Held up: {why}" if waits else attempt.reason_text,
    )


def results_wait(job: Job, since: datetime, until: datetime) -> Job:
    """Write down that a job has ended, and that its directory cannot be read: that ends nothing.

    One that its scheduler has forgotten meanwhile stays so, or it would be missed anew each time.
    """
    attempt = job.attempt
    forgotten = attempt.tracking in (Tracking.UNCONFIRMED, Tracking.LOST)
    return job.with_attempt(
        tracking=attempt.tracking if forgotten else Tracking.STALE,
        tracking_since=attempt.tracking_since if forgotten else since,
        reason_text=words.results_wait(attempt.reason_text, attempt.directory, until),
        error=words.unreadable(attempt.directory),
        ended=attempt.ended or since,
        results_wait_since=since,
        results_wait_state=attempt.state,
    )


def as_it_ended(job: Job) -> Job:
    """Give a job whose results wait the end that its scheduler had told before it forgot it."""
    return job.with_attempt(state=job.attempt.results_wait_state or job.attempt.state)


def waits_no_more(job: Job) -> Job:
    """Take back what was said while its directory could not be read."""
    if job.attempt.results_wait_since is None:
        return job
    return job.with_attempt(
        tracking=Tracking.FRESH,
        tracking_since=None,
        reason_text=words.without_wait(job.attempt.reason_text),
        error="",
        results_wait_since=None,
        results_wait_state=None,
    )


def in_line(job: Job, waiting: InLine) -> Job:
    """Write down that it waits in the gateway, and where in line."""
    return job.with_attempt(reason=line.REASON, reason_text=waiting.text)


def kept_back(job: Job, why: str) -> Job:
    """Write down that it may not go now, though it stands in no line."""
    return job.with_attempt(reason=line.REASON, reason_text=line.waits(why))


def staged(job: Job) -> Job:
    """Write down that its directory is there, and that it waits for nothing here."""
    return job.with_attempt(
        stage=Stage.STAGED, reason="", error="", tracking=Tracking.FRESH, tracking_since=None
    )


def cancelled_before_start(job: Job) -> Job:
    """End a job of which nothing ever ran."""
    text = words.STOPPED_BEFORE_START if job.wish is Wish.STOP else words.CANCELLED_BEFORE_START
    return job.with_attempt(
        state=JobState.CANCELLED,
        raw_state="",
        reason_text=text,
        source="gateway",
        observed=now(),
        ended=now(),
        collected=True,
    )


def submitted(job: Job, result: Submission) -> Job:
    """Write down what came of a call that submits; what got lost is looked for later."""
    match result:
        case Submitted(native_id=native_id):
            return job.with_attempt(
                stage=Stage.SUBMITTED,
                native_id=native_id,
                reason_text=words.state_text(JobState.PENDING),
                observed=now(),
                tracking=Tracking.FRESH,
                tracking_since=None,
                turned_try=0,
                error="",
            )
        case Refused(for_now=True, text=text):
            # The claim of the try is void: none of it will ever run, and the next one is another.
            return turned_away(job, text)
        case Refused(text=text):
            return refused(job, text)
        case Uncertain(begun=False, for_now=True):
            back = {"stage": Stage.STAGED, "try_number": job.attempt.try_number - 1}
            return kept_back(job.with_attempt(**back), words.full(job.cluster))
        case Uncertain(begun=False, text=text):
            # The cluster was not reached and the try is as good as new: it costs none of the few.
            back = {"stage": Stage.STAGED, "try_number": job.attempt.try_number - 1}
            return stale(job.with_attempt(**back, reason_text=words.NOT_REACHED), text)
        case Uncertain(text=text):
            said = f"try {job.attempt.try_number}: {text.strip() or 'no answer'}"[:_SAID]
            if result.for_now:
                turned = job.attempt.try_number
                return job.with_attempt(looked=now(), turned_try=turned, error=text[:_SAID])
            return job.with_attempt(looked=now(), unanswered=(*job.attempt.unanswered, said))


def turned_away(job: Job, why: str) -> Job:
    """Write down that its cluster has no room for it now: it waits here, one void try later."""
    count = job.attempt.turned_away + 1
    return job.with_attempt(
        stage=Stage.STAGED,
        turned_away=count,
        turned_try=0,
        looks=0,
        reason=line.REASON,
        reason_text=line.waits(words.turned_away(job.cluster, why, count)),
        tracking=Tracking.FRESH,
        tracking_since=None,
        error=why[:_SAID],
    )


def refused(job: Job, why: str) -> Job:
    """End a job that the scheduler did not take."""
    text = f"The scheduler refused it: {why.strip() or 'without a reason'}"
    return _not_taken(job, "Refused", text, why)


def given_up(job: Job) -> Job:
    """End a job of which no try arrived, though nobody refused it."""
    attempt = job.attempt
    if attempt.restored:
        return _not_taken(job, "Restored", words.NOT_SENT_AGAIN, words.RESTORED)
    said = "; ".join(attempt.unanswered) or "no answer came"
    text = f"Not handed over after {attempt.try_number} tries: {said}"
    return _not_taken(job, "NotHandedOver", text, said)


def _not_taken(job: Job, reason: str, text: str, error: str) -> Job:
    return job.with_attempt(
        stage=Stage.REFUSED,
        state=JobState.FAILED,
        reason=reason,
        reason_text=text,
        source="submission",
        observed=now(),
        ended=now(),
        collected=True,
        error=error[:4000],
    )


def by_exit_files(job: Job, exits: Sequence[ExitRecord]) -> Job:
    """Say how a job ended that its scheduler has forgotten."""
    if len(exits) < job.attempt.tasks:
        return job.with_attempt(
            tracking=Tracking.LOST,
            tracking_since=job.attempt.tracking_since or now(),
            reason_text=words.LOST,
        )
    worst = max((record.rc for record in exits), default=0)
    state = _by_status(worst, job.wish)
    return job.with_attempt(
        state=state,
        raw_state="",
        reason_text=words.state_text(state),
        source="exit file",
        observed=now(),
        tracking=Tracking.FRESH,
        tracking_since=None,
        exit_code=worst,
    )


def was_killed(job: Job) -> bool:
    """Whether a job's own files know of its end only that a signal made it.

    The ends of its time, of its memory and of its node look alike there.
    """
    attempt = job.attempt
    by_signal = (attempt.exit_code or 0) > _SHELL_SIGNAL
    return attempt.state is JobState.FAILED and attempt.source == "exit file" and by_signal


def counted_by_files(attempt: Attempt, exits: Sequence[ExitRecord]) -> dict[str, int]:
    """Count tasks of an array, of which their scheduler has forgotten some, by what they left.

    squeue forgets tasks one by one, and the accounting may not have heard of them by then. An index
    that was cancelled before it had begun left nothing, and stays uncounted.
    """
    counts = Counter(attempt.task_states)
    missing = attempt.tasks - counts.total()
    if not counts or missing <= 0:
        return dict(attempt.task_states)
    done = JobState.COMPLETED.value
    others = counts.total() - counts[done]
    well = sum(record.rc == 0 for record in exits)
    more = min(missing, max(0, well - counts[done]))
    counts[done] += more
    if worse := min(missing - more, max(0, len(exits) - well - others)):
        counts[JobState.FAILED.value] += worse
    return {state: count for state, count in counts.items() if count}


def _by_status(rc: int, wish: Wish) -> JobState:
    if rc == 0:
        return JobState.COMPLETED
    if rc == _SHELL_SIGNAL + _TERM and wish is not Wish.RUN:
        return JobState.CANCELLED
    return JobState.FAILED


def _overall(reports: Sequence[JobReport]) -> JobState:
    states = {report.state for report in reports}
    if found := [state for state in (*_ALIVE, JobState.UNKNOWN) if state in states]:
        return found[0]
    return next(state for state in _WORST_FIRST if state in states)


def _elapsed_s(attempt: Attempt, reports: Sequence[JobReport]) -> float | None:
    """Add up how long the tasks ran, once all of them are known to have ended."""
    ran = [
        (one.ended - one.started).total_seconds() for one in reports if one.started and one.ended
    ]
    whole = len(ran) == attempt.tasks and all(report.state.final for report in reports)
    return sum(ran) if whole else attempt.elapsed_s


def _counts(attempt: Attempt, reports: Sequence[JobReport], counts: Counter[str]) -> dict[str, int]:
    """Count the tasks of an array by state; folded rows count for each index they stand for."""
    if attempt.tasks == 1:
        return {}
    own = sum(report.task is not None for report in reports)
    for report in reports:
        if report.task is None:
            counts[report.state.value] += (len(report.tasks_waiting) or attempt.tasks - own) - 1
    return dict(counts)
