"""What to say of an attempt that has ended: its state, its reason and its verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from gateway.datasets.models import Dataset
from gateway.jobs import efficiency, ran, words
from gateway.jobs.campaign import Best, best_of
from gateway.jobs.collect import Collected, read_chisq, read_verdict
from gateway.jobs.forecast import measured
from gateway.jobs.kinds import is_resumable_method
from gateway.jobs.models import Attempt, Job, Verdict, Wish
from gateway.jobs.outcome import ExitRecord, counted_by_files
from gateway.records import Document, now
from scheduler.base import JobState

_KEPT = ("done", "stopped")


def close(
    job: Job,
    collected: Collected,
    exits: Sequence[ExitRecord],
    dataset: Dataset | None,
) -> Job:
    """Write down how the current attempt of a job has ended."""
    attempt = job.attempt
    first = collected.results[0] if collected.results else {}
    best = _best(job, collected)
    times = [(record.task, record.started, record.ended) for record in exits]
    closed = replace(
        attempt,
        **ran.told(attempt, times),
        **efficiency.told(attempt, collected.results),
        task_states=counted_by_files(attempt, exits),
        collected=True,
        dataset=dataset.id if dataset else None,
        ended=_ended(attempt, exits),
        verdict=_verdict(job, collected, best),
        chisq=best.chisq if best else read_chisq(first),
        measured=None if job.elements else measured(first),
        resumable=_is_resumable(attempt, collected, first),
        exit_code=attempt.exit_code
        if attempt.exit_code is not None
        else max((record.rc for record in exits), default=None),
        error="; ".join(collected.faults)[:2000],
    )
    return replace(job, attempts=(*job.attempts[:-1], _judged(job, closed, collected, exits)))


def _ended(attempt: Attempt, exits: Sequence[ExitRecord]) -> datetime:
    """Say when it ended: by its own files, but never later than now.

    Unless the cluster's clock is ahead of ours. Then both would cut the time that it ran, and the
    scheduler, which told of its start by that clock, says how long that was.
    """
    moment, told = now(), [record.ended for record in exits if record.ended]
    ended = max(told, default=attempt.ended or moment)
    if ended <= moment:
        return ended
    if attempt.started is None or attempt.tasks > 1 or attempt.elapsed_s is None:
        return max(moment, attempt.started or moment)
    return attempt.started + timedelta(seconds=max(0.0, attempt.elapsed_s))


def _judged(
    job: Job, attempt: Attempt, collected: Collected, exits: Sequence[ExitRecord]
) -> Attempt:
    """Scheduler's word + exit file + complete manifest + the result's own word.

    A script that ended well with a failed fit is FAILED for a person and for a program that asks.
    An array that was stopped with some of its tasks still waiting has ended as it was asked to,
    with what it has. Its scheduler says CANCELLED of those: so do ``raw_state``, ``task_states``.
    """
    kept = _kept(job, collected)
    if attempt.state is JobState.CANCELLED and job.wish is Wish.STOP:
        if kept and (collected.vouched or job.elements):
            return _stopped(job, replace(attempt, state=JobState.COMPLETED, source="result"), kept)
        if kept:
            return _unbelieved(replace(attempt, reason="Stopped", reason_text=words.INCOMPLETE))
        text = words.STOPPED_WITHOUT_RESULT if attempt.started else words.STOPPED_BEFORE_START
        return replace(attempt, reason="Stopped", reason_text=text)
    if attempt.state is not JobState.COMPLETED:
        return attempt if collected.results else _in_lines(attempt, exits)
    return _completed(job, attempt, collected, kept)


def _completed(job: Job, attempt: Attempt, collected: Collected, kept: int) -> Attempt:
    """Hold the scheduler's word that all is well against what is there."""
    if not collected.results or not (collected.vouched or job.elements):
        return _without_result(attempt, collected)
    statuses = [result.get("status") for result in collected.results]
    if all(status == "failed" for status in statuses):
        text = attempt.verdict.text if attempt.verdict else words.NO_RESULT
        return replace(
            attempt, state=JobState.FAILED, reason="FitFailed", reason_text=text, source="result"
        )
    if "stopped" in _words_of(job, collected):
        if job.wish is Wish.STOP:
            return _stopped(job, attempt, kept)
        text = words.time_limit(resumable=attempt.resumable)
        return replace(attempt, reason="TimeLimit", reason_text=text)
    if not collected.vouched:
        return replace(attempt, reason="Incomplete", reason_text=words.INCOMPLETE_ARRAY)
    return replace(attempt, reason_text=words.state_text(attempt.state))


def _without_result(attempt: Attempt, collected: Collected) -> Attempt:
    """Believe no number that no manifest vouches for, however well the script has ended."""
    text = words.INCOMPLETE if collected.results else words.NO_RESULT
    return _unbelieved(
        replace(
            attempt,
            state=JobState.FAILED,
            reason="NoResult",
            reason_text=words.DIRECTORY_GONE if collected.gone else text,
            source="result",
        )
    )


def _unbelieved(attempt: Attempt) -> Attempt:
    """Show none of the numbers of a result."""
    return replace(attempt, verdict=None, chisq=None, measured=None)


def _in_lines(attempt: Attempt, exits: Sequence[ExitRecord]) -> Attempt:
    """Say of a failure whether the lines before the fit were it."""
    statuses = [record.rc for record in exits if record.in_lines]
    if attempt.state is not JobState.FAILED or not attempt.expert.get("lines") or not statuses:
        return attempt
    text = words.lines_failed(max(statuses))
    # That no manifest is there goes without saying.
    return replace(attempt, reason="LinesFailed", reason_text=text, source="exit file", error="")


def _stopped(job: Job, attempt: Attempt, kept: int) -> Attempt:
    text = words.stopped_array(kept, job.elements) if job.elements else words.STOPPED
    return replace(attempt, reason="Stopped", reason_text=text)


def _words_of(job: Job, collected: Collected) -> list[object]:
    """List what each element that began, or the only result, says of itself."""
    if not job.elements:
        return [result.get("status") for result in collected.results]
    rows = [row for result in collected.results for row in _rows(result)]
    return [row.get("status") for row in rows if _began(row)]


def _began(row: Document) -> bool:
    """Whether an element was worked on: the driver gives one that was not an empty table."""
    return row.get("status") != "stopped" or row.get("parameters") != []


def _kept(job: Job, collected: Collected) -> int:
    """Count the results that are worth something."""
    return sum(1 for status in _words_of(job, collected) if status in _KEPT)


def _best(job: Job, collected: Collected) -> Best | None:
    """Find the best element of a campaign; those of other data cannot be compared."""
    if not job.request.get("campaign"):
        return None
    return best_of(row for result in collected.results for row in _rows(result))


def _verdict(job: Job, collected: Collected, best: Best | None) -> Verdict | None:
    """Take the word of a single result; sum up those of an array."""
    if not job.elements:
        return read_verdict(collected.results[0]) if collected.results else None
    states = _words_of(job, collected)
    text = f"{_kept(job, collected)} of {job.elements} elements have a result"
    if stopped := states.count("stopped"):
        text = f"{text}; {stopped} of them were stopped early"
    whole = states.count("done") == job.elements
    text = f"{text}. {best.text}" if best else f"{text}."
    return Verdict(code="elements" if whole else "partial", text=text)


def _rows(result: Document) -> list[Document]:
    rows = result.get("elements")
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def _is_resumable(attempt: Attempt, collected: Collected, result: Document) -> bool:
    if not collected.has_session or not is_resumable_method(attempt.method):
        return False
    return result.get("resumable") is not False
