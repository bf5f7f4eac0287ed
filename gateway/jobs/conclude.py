"""Close an attempt: its files into a dataset, its verdict into the record."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta

import structlog
from redis import RedisError

from gateway.datasets.blobs import BlobStore
from gateway.datasets.models import Dataset
from gateway.datasets.store import DatasetStore
from gateway.errors import NotFoundError
from gateway.faults import crash_point
from gateway.jobs import outcome, words
from gateway.jobs.backoff import Backoff
from gateway.jobs.collect import Collected, Collector, Fetched, UnfinishedError
from gateway.jobs.declared import output_type
from gateway.jobs.efficiency import told_memory
from gateway.jobs.follow import Follower
from gateway.jobs.judge import close
from gateway.jobs.live_store import LiveStore
from gateway.jobs.models import Job, Wish, dataset_id
from gateway.jobs.outcome import ExitRecord
from gateway.jobs.reported import of_this_attempt
from gateway.jobs.store import JobStore, StaleError
from gateway.records import Document, now, to_document
from gateway.settings import LimitSettings
from scheduler.base import JobState, Scheduler, SchedulerUnavailableError

_MOST_BEGUN = 32
_BLAMELESS = (SchedulerUnavailableError, StaleError, RedisError)
_LEAST_BYTES = 4 << 20
"""Of results that are kept whatever a user has: they begin with the numbers of the fit."""

_TURN_S = 3.0
"""So long is fetched in a round for one owner: a hundred thousand files must not hold up others."""

_PATIENCE = timedelta(days=1)
"""So long a directory that cannot be read is waited for, with all that a job has left in it."""

_CAUSE = timedelta(hours=2)
"""So long the accounting may be silent before a signal is taken for all that there is to know."""

_SEEK_AGAIN_S = 900.0

_log = structlog.get_logger("conclude")


class _UnreadableError(Exception):
    """What we staged ourselves cannot be read: nobody knows what else is there."""


@dataclass(frozen=True, kw_only=True)
class Concluder:
    """Ends attempts; a second time finds it done."""

    store: JobStore
    live: LiveStore
    datasets: DatasetStore
    blobs: BlobStore
    limits: LimitSettings
    follower: Follower
    backoff: Backoff = field(default_factory=Backoff)
    learn: Callable[[Job], None] = lambda _: None
    """Takes from a job that has ended what it tells of those to come."""

    told: Callable[[str, object], None] = lambda *_: None
    """Takes what a result says of the libraries of its cluster."""

    begun: dict[str, Fetched] = field(default_factory=dict)
    """What there is already of attempts whose files take more than a turn, by dataset."""

    sought: dict[str, float] = field(default_factory=dict)
    """When those were looked for by name last that were not there, by their names."""

    clock: Callable[[], float] = time.monotonic

    used_s: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    """How long was fetched in this round, by owner."""

    def begin_round(self) -> None:
        """Give each owner a turn again."""
        self.used_s.clear()

    def by_files(self, scheduler: Scheduler, job: Job) -> Job:
        """End a job that its scheduler has forgotten, if its exit files say how it ended.

        Of one whose directory alone is away, its scheduler has told that before.
        """
        if job.attempt.waits_for_results:
            return self.conclude(scheduler, outcome.as_it_ended(job))
        if job.wish is Wish.CANCEL:
            self._cancel_by_name(scheduler, job)
        decided = outcome.by_exit_files(job, self._collector().exits(scheduler, job))
        if outcome.was_killed(decided) and self._may_hear_why(scheduler, job):
            told = job.with_attempt(reason_text=words.CAUSE_AWAITED)
            return self.store.replace(told) if told != job else job
        if decided.attempt.state.final:
            return self.conclude(scheduler, decided)
        return self.store.replace(decided) if decided != job else job

    def _may_hear_why(self, scheduler: Scheduler, job: Job) -> bool:
        """Whether the accounting may yet say why a job was killed that nobody wished to end."""
        since = job.attempt.tracking_since
        waits = job.wish is Wish.RUN and since is not None and now() - since < _CAUSE
        return waits and scheduler.keeps_accounts()

    def _cancel_by_name(self, scheduler: Scheduler, job: Job) -> None:
        """End what is there under its name after all: its id may be another job's by now.

        In vain it is looked for only now and then: each look takes of its cluster's few calls.
        """
        if self.clock() - self.sought.get(job.marker, -_SEEK_AGAIN_S) < _SEEK_AGAIN_S:
            return
        self.sought.pop(job.marker, None)
        reports = scheduler.find([job.marker]).get(job.marker, [])
        if not reports:
            self.sought[job.marker] = self.clock()
        if alive := sorted({one.native_id for one in reports if not one.state.final}):
            scheduler.cancel(alive)

    def conclude(self, scheduler: Scheduler, job: Job) -> Job:
        """Fetch what a job left, make its dataset, and close the attempt.

        What failed is not tried again at once: all is fetched from the beginning then. What takes
        more than its owner's turn goes on in the next round; until then the job is answered as it
        is.
        """
        name = dataset_id(job, job.attempt)
        if self.backoff.waits(name) or self.used_s[job.owner] >= _TURN_S:
            return job
        begun = time.monotonic()
        fetched = self.begun.pop(name, None) or Fetched()
        try:
            with self.backoff.trying(name, UnfinishedError, *_BLAMELESS):
                return self._conclude(scheduler, job, fetched)
        except UnfinishedError:
            self.begun[name] = fetched
            if len(self.begun) > _MOST_BEGUN:  # one whose job was deleted meanwhile, most likely
                self.begun.pop(next(iter(self.begun)))
            return job
        except _UnreadableError:
            return self._wait_for_directory(job)
        finally:
            self.used_s[job.owner] += time.monotonic() - begun

    def _wait_for_directory(self, job: Job) -> Job:
        """Keep a job that has ended until it can be collected.

        What its results may yet make another end is not written down as one.
        """
        stored = self.store.get(job.id)
        since = job.attempt.results_wait_since or now()
        waits = outcome.results_wait(job, since, since + _PATIENCE)
        if job.attempt.state in (JobState.COMPLETED, JobState.CANCELLED):
            waits = waits.with_attempt(state=stored.attempt.state)
        if not outcome.is_news(stored, waits):
            return stored
        _log.warning("directory unreadable", job=job.id, directory=job.attempt.directory)
        return self.store.replace(waits)

    def _conclude(self, scheduler: Scheduler, job: Job, fetched: Fetched) -> Job:
        crash_point("collect-before")
        self.follower.finish(scheduler, job)
        collected, exits = self._found(scheduler, job, fetched)
        job = self._with_memory(outcome.waits_no_more(job), collected.results)
        crash_point("collect-after-files")
        dataset = self._dataset(job, collected)
        crash_point("collect-after-dataset")
        try:
            closed = self.store.replace(close(job, collected, exits, dataset))
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
        self.learn(closed)
        for result in collected.results[:1]:
            self.told(job.cluster, result.get("versions"))
        return closed

    def _found(
        self, scheduler: Scheduler, job: Job, fetched: Fetched
    ) -> tuple[Collected, list[ExitRecord]]:
        """Fetch what a job left; of nothing, make sure that it is nothing.

        A base that is not mounted, or a file server that is away, looks like an empty directory.

        Raises
        ------
        _UnreadableError
            When it may be there later. Who cancelled the job does not wait for it.
        """
        collected = self._collect(scheduler, job, fetched)
        exits = self._collector().exits(scheduler, job)
        if collected.complete or exits or self._collector().finds_directory(scheduler, job):
            return collected, exits
        since = job.attempt.results_wait_since or now()
        if job.wish is not Wish.CANCEL and now() - since < _PATIENCE:
            raise _UnreadableError
        faults = (words.unreadable(job.attempt.directory), *collected.faults)
        return replace(collected, gone=True, faults=faults), exits

    def _with_memory(self, job: Job, results: Sequence[Document]) -> Job:
        """Take the job's own word for the memory that it took where its scheduler has none.

        Of several ranks only the first has a word, and it knows nothing of the others.
        """
        if job.attempt.max_rss_bytes is not None or job.attempt.ranks > 1:
            return job
        told = of_this_attempt(job.attempt, self.live.progress(job.id))
        found = (told.max_rss_bytes if told else None, told_memory(results))
        return job.with_attempt(max_rss_bytes=max(filter(None, found), default=None))

    def _collect(self, scheduler: Scheduler, job: Job, fetched: Fetched) -> Collected:
        """Fetch as much as its owner may keep, and say when that was too little."""
        room, left_s = self._room(job), _TURN_S - self.used_s[job.owner]
        if room >= self.limits.result_bytes:
            return self._collector().collect(scheduler, job, fetched, left_s)
        limits = replace(self.limits, result_bytes=room)
        collected = Collector(self.blobs, limits).collect(scheduler, job, fetched, left_s)
        if collected.complete:
            return collected
        return replace(collected, faults=(words.no_room(room), *collected.faults))

    def _collector(self) -> Collector:
        return Collector(self.blobs, self.limits)

    def _room(self, job: Job) -> int:
        """Say how many bytes of results its owner may keep more; some always, for its last word.

        What an earlier collection of the same attempt has brought is in its own way no more.
        """
        allowed = self.limits.bytes_per_user
        if not allowed:
            return self.limits.result_bytes
        kept = self.datasets.usage(job.owner).total
        with suppress(NotFoundError):
            earlier = self.datasets.get(dataset_id(job, job.attempt))
            kept -= sum(ref.size for ref in earlier.files)
        return max(allowed - kept, _LEAST_BYTES)

    def _dataset(self, job: Job, collected: Collected) -> Dataset | None:
        if not collected.files:
            return None
        return self.datasets.add(
            Dataset(
                id=dataset_id(job, job.attempt),
                owner=job.owner,
                type=output_type(job.kind),
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
        "kept_from": attempt.kept_from,
    }
