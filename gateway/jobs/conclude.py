"""Close an attempt: its files into a dataset, its verdict into the record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import structlog

from gateway.datasets.models import Dataset
from gateway.datasets.store import DatasetStore
from gateway.errors import NotFoundError
from gateway.faults import crash_point
from gateway.jobs import outcome, words
from gateway.jobs.collect import Collected, Collector, read_chisq, read_verdict
from gateway.jobs.follow import Follower
from gateway.jobs.kinds import is_resumable_method
from gateway.jobs.live_store import LiveStore
from gateway.jobs.models import Attempt, Job, Verdict, Wish, dataset_id
from gateway.jobs.store import JobStore
from gateway.records import Document, now, to_document
from scheduler.base import JobState, Scheduler

_log = structlog.get_logger("conclude")


@dataclass(frozen=True, kw_only=True)
class Concluder:
    """Ends attempts; a second time finds it done."""

    store: JobStore
    live: LiveStore
    datasets: DatasetStore
    collector: Collector
    follower: Follower

    def by_files(self, scheduler: Scheduler, job: Job) -> Job:
        """End a job that its scheduler has forgotten, if its exit files say how it ended."""
        if job.wish is Wish.CANCEL and job.attempt.native_id:
            scheduler.cancel([job.attempt.native_id])  # it may be known there after all
        decided = outcome.by_exit_files(job, self.collector.exits(scheduler, job))
        if decided.attempt.state.final:
            return self.conclude(scheduler, decided)
        return self.store.replace(decided) if decided != job else job

    def conclude(self, scheduler: Scheduler, job: Job) -> Job:
        """Fetch what a job left, make its dataset, and close the attempt."""
        crash_point("collect-before")
        self.follower.finish(scheduler, job)
        collected = self.collector.collect(scheduler, job)
        exits = self.collector.exits(scheduler, job)
        crash_point("collect-after-files")
        dataset = self._dataset(job, collected)
        crash_point("collect-after-dataset")
        try:
            closed = self.store.replace(_close(job, collected, exits, dataset))
        except NotFoundError:
            if dataset is not None:  # deleted meanwhile, and what it left may be swept already
                self.datasets.delete(dataset)
            raise
        crash_point("collect-stored")
        self.live.end(job.id, {"event": "state", "state": closed.attempt.state.value})
        _log.info(
            "ended",
            job=job.id,
            attempt=job.attempt.number,
            state=closed.attempt.state.value,
            verdict=closed.attempt.verdict.code if closed.attempt.verdict else None,
            correlation_id=job.correlation_id,
        )
        return closed

    def _dataset(self, job: Job, collected: Collected) -> Dataset | None:
        if not collected.files:
            return None
        return self.datasets.add(
            Dataset(
                id=dataset_id(job, job.attempt),
                owner=job.owner,
                type="fit-result",
                created=now(),
                files=collected.files,
                complete=collected.complete,
                provenance=_provenance(job),
            )
        )


def _provenance(job: Job) -> Document:
    attempt = job.attempt
    return {
        "job": job.id,
        "attempt": attempt.number,
        "problem": to_document(job.problem),
        "plan": attempt.plan,
        "script_sha256": attempt.script_sha256,
        "options": job.options,
        "seed": job.seed,
        "resumed_from": attempt.resumed_from,
    }


def _close(
    job: Job,
    collected: Collected,
    exits: Sequence[outcome.ExitRecord],
    dataset: Dataset | None,
) -> Job:
    attempt = job.attempt
    first = collected.results[0] if collected.results else {}
    ended = [record.ended for record in exits if record.ended]
    closed = replace(
        attempt,
        collected=True,
        dataset=dataset.id if dataset else None,
        ended=max(ended) if ended else attempt.ended or now(),
        verdict=_verdict(job, collected),
        chisq=read_chisq(first),
        resumable=_is_resumable(attempt, collected, first),
        exit_code=attempt.exit_code
        if attempt.exit_code is not None
        else max((record.rc for record in exits), default=None),
        error="; ".join(collected.faults)[:2000],
    )
    return replace(job, attempts=(*job.attempts[:-1], _judged(job, closed, collected)))


def _judged(job: Job, attempt: Attempt, collected: Collected) -> Attempt:
    """Scheduler's word + exit file + complete manifest + the result's own word.

    A script that ended well with a failed fit is FAILED for a person and for a program that asks;
    the scheduler's own word stays in ``raw_state``.
    """
    if attempt.state is not JobState.COMPLETED:
        return attempt
    if not collected.results:
        return replace(
            attempt,
            state=JobState.FAILED,
            reason="NoResult",
            reason_text=words.NO_RESULT,
            source="result",
        )
    statuses = [result.get("status") for result in collected.results]
    if all(status == "failed" for status in statuses):
        text = attempt.verdict.text if attempt.verdict else words.NO_RESULT
        return replace(
            attempt, state=JobState.FAILED, reason="FitFailed", reason_text=text, source="result"
        )
    if "stopped" in statuses:
        asked = job.wish is Wish.STOP
        reason, text = ("Stopped", words.STOPPED) if asked else ("TimeLimit", words.TIME_LIMIT)
        return replace(attempt, reason=reason, reason_text=text)
    return replace(attempt, reason_text=words.state_text(attempt.state))


def _verdict(job: Job, collected: Collected) -> Verdict | None:
    """Take the word of a single result; sum up those of an array."""
    if not job.elements:
        return read_verdict(collected.results[0]) if collected.results else None
    states = [row.get("status") for result in collected.results for row in _rows(result)]
    kept = sum(1 for state in states if state in ("done", "stopped"))
    text = f"{kept} of {job.elements} elements have a result"
    if stopped := states.count("stopped"):
        text = f"{text}; {stopped} of them were stopped early"
    whole = states.count("done") == job.elements
    return Verdict(code="elements" if whole else "partial", text=f"{text}.")


def _rows(result: Document) -> list[Document]:
    rows = result.get("elements")
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def _is_resumable(attempt: Attempt, collected: Collected, result: Document) -> bool:
    if not collected.has_session or not is_resumable_method(attempt.method):
        return False
    return result.get("resumable") is not False
