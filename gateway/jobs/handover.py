"""Hand jobs over to a scheduler: directories staged, scripts submitted, each try at most once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import PurePosixPath

import structlog

from gateway.datasets.blobs import BlobStore
from gateway.faults import crash_point
from gateway.jobs import outcome, words
from gateway.jobs.care import Care
from gateway.jobs.models import Job, Stage, Wish
from gateway.jobs.places import launch_of
from gateway.jobs.plan import staged_job
from gateway.jobs.room import Rooms, is_for_now
from gateway.jobs.store import JobStore
from gateway.records import now
from scheduler.base import (
    JobState,
    Scheduler,
    SchedulerError,
    SchedulerUnavailableError,
    Submission,
    Uncertain,
)

_SCRIPT = "job.sh"
_NO_OUTCOME = "the call failed before it had an outcome"

_Told = tuple[Sequence[Job], Mapping[str, Submission]]
_log = structlog.get_logger("reconcile")


class HandOver:
    """Takes jobs to their scheduler, many in one call.

    Parameters
    ----------
    at_once
        Jobs in a call: while their scheduler takes them, those before and after are written down.
    """

    def __init__(
        self, store: JobStore, blobs: BlobStore, care: Care, rooms: Rooms, at_once: int
    ) -> None:
        self._at_once = at_once
        self._rooms = rooms
        self._store = store
        self._blobs = blobs
        self._care = care
        self._staged: set[str] = set()
        """Markers of those whose directory was made or found in this round."""

    def stage(self, scheduler: Scheduler, jobs: Sequence[Job]) -> list[Job]:
        """Make the directories of jobs; answer those that have one."""
        crash_point("stage-before")
        jobs = self._care.apart(jobs, partial(self._stage, scheduler))
        crash_point("stage-after")
        self._staged |= {job.marker for job in jobs}
        # Written down with the try: who is killed before finds the directories there.
        return [outcome.staged(job) for job in jobs]

    def _stage(self, scheduler: Scheduler, jobs: Sequence[Job]) -> list[Job]:
        made = [self._care.safely(job, partial(staged_job, job, self._blobs)) for job in jobs]
        try:
            scheduler.stage([found for found in made if found is not None])
        except SchedulerUnavailableError:
            raise
        except (SchedulerError, OSError) as error:
            raise SchedulerError(f"its directory could not be made: {error}") from error
        return [job for job, found in zip(jobs, made, strict=True) if found is not None]

    def submit(
        self, scheduler: Scheduler, tries: Mapping[str, int], jobs: Sequence[Job]
    ) -> list[Job]:
        """Write the tries down, call once for many, write the outcomes down.

        Parameters
        ----------
        tries
            By the id of a job the number of its try.
        """
        going = self._with_directory(scheduler, self._with_room(jobs))
        parts = [
            going[first : first + self._at_once] for first in range(0, len(going), self._at_once)
        ]
        stored = self._in_parts(scheduler, tries, parts)
        # What was not reached is tried again in the next round, not in the next breath.
        return [job for job in stored if job.attempt.stage is not Stage.STAGED]

    def _in_parts(
        self, scheduler: Scheduler, tries: Mapping[str, int], parts: Sequence[Sequence[Job]]
    ) -> list[Job]:
        """Call for one part after the other; meanwhile write down what concerns its neighbours.

        The first part with an outcome that is unclear, or for want of room, is the last one called
        for: its cluster or the line to it is in trouble, for which each call would wait anew.
        """
        stored: list[Job] = []
        told: _Told = ([], {})
        written: list[Job] = []
        with ThreadPoolExecutor(max_workers=1) as caller:
            try:
                for following in (*parts, ()):
                    called, written = written, []
                    call = caller.submit(self._submit, scheduler, called)
                    try:
                        before, told = told, ([], {})
                        stored += self._write_outcomes(*before)
                        written = self._write_tries(following, tries)
                    finally:  # what the store cannot take now it may take in a moment
                        told = called, call.result()
                    if any(_is_trouble(outcome) for outcome in told[1].values()):
                        break
            finally:
                try:
                    stored += self._write_outcomes(*told)
                finally:
                    self._take_back(written)
        return stored

    def _write_tries(self, jobs: Sequence[Job], tries: Mapping[str, int]) -> list[Job]:
        if not jobs:
            return []
        written = self._care.replace_all(
            jobs,
            lambda job: job.with_attempt(
                stage=Stage.UNCERTAIN,
                try_number=tries[job.id],
                looks=0,
                looked=now(),
                reason="",
                reason_text=words.UNCERTAIN,
            ),
        )
        crash_point("try-written")
        return written

    def _write_outcomes(self, jobs: Sequence[Job], outcomes: Mapping[str, Submission]) -> list[Job]:
        if not jobs:
            return []
        crash_point("submit-after")
        self._rooms.learn(jobs, outcomes)
        stored = self._care.replace_all(jobs, lambda job: outcome.submitted(job, outcomes[job.id]))
        crash_point("submit-stored")
        for job in stored:
            _log.info(
                "submitted",
                job=job.id,
                attempt=job.attempt.number,
                try_number=job.attempt.try_number,
                native_id=job.attempt.native_id,
                stage=job.attempt.stage.value,
                correlation_id=job.correlation_id,
            )
        return stored

    def _take_back(self, jobs: Sequence[Job]) -> None:
        """Undo tries that nobody called for: they are as good as new, and go in the next round."""
        for job in jobs:
            undo = partial(_without_try, number=job.attempt.try_number)
            self._care.safely(job, partial(self._store.change, job.id, undo))

    def _with_room(self, jobs: Sequence[Job]) -> list[Job]:
        """Keep those back whose cluster has turned others away a moment ago, and tell them."""
        going = self._rooms.admit(jobs)
        for job in jobs:
            if job.id in going or job.attempt.turned_away:
                continue  # who was turned away itself knows more
            if (told := outcome.kept_back(job, words.full(job.cluster))) != job:
                self._care.safely(job, partial(self._store.replace, told))
        return [job for job in jobs if job.id in going]

    def _with_directory(self, scheduler: Scheduler, jobs: Sequence[Job]) -> list[Job]:
        """Stage again what was staged long ago: its directory may be gone, or the base another.

        What a cluster refuses for that would cost all of a call their try.
        """
        old = {
            job.id
            for job in jobs
            if job.attempt.stage is Stage.STAGED and job.marker not in self._staged
        }
        again = [job for job in jobs if job.id in old]
        there = {job.id for job in (self.stage(scheduler, again) if again else ())}
        self._staged.clear()
        return [job for job in jobs if job.id not in old or job.id in there]

    def _submit(self, scheduler: Scheduler, jobs: Sequence[Job]) -> dict[str, Submission]:
        """Call once for all; again for a part only if that failed, and the lock of a try holds.

        Who was in a call that failed may have been submitted by it: if the next one says that
        nothing was begun, it speaks of itself alone.
        """
        called: set[str] = set()

        def call(some: Sequence[Job]) -> list[tuple[str, Submission]]:
            launches = [launch_of(job) for job in some]
            again = called.intersection(job.id for job in some)
            called.update(job.id for job in some)
            return [
                (job.id, _doubted(outcome) if job.id in again else outcome)
                for job, outcome in zip(some, scheduler.submit(launches), strict=True)
            ]

        unknown: dict[str, Submission] = {job.id: Uncertain(text=_NO_OUTCOME) for job in jobs}
        return {**unknown, **dict(self._care.apart(jobs, call))}

    def claim(self, scheduler: Scheduler, job: Job, owner: str) -> Job:
        """Take the claim of a try; a job that may still run gets a lost directory back, whole."""
        directory = PurePosixPath(job.attempt.directory)
        may_run = job.wish is Wish.RUN and not job.attempt.restored
        if may_run and scheduler.read(directory, _SCRIPT, 0, 1) is None:
            scheduler.stage([staged_job(job, self._blobs)])
        scheduler.claim(directory, job.attempt.try_number, owner)
        return job

    def adopt(self, scheduler: Scheduler, job: Job, native_id: str, twins: tuple[str, ...]) -> Job:
        """Believe an id that holds the claim; only then end its twins."""
        if twins:
            scheduler.cancel(twins)
            _log.warning("twins cancelled", job=job.id, kept=native_id, twins=list(twins))
        return self._store.replace(
            job.with_attempt(
                stage=Stage.SUBMITTED,
                native_id=native_id,
                twins=job.attempt.twins + len(twins),
                reason_text=words.state_text(JobState.PENDING),
            )
        )


def _is_trouble(outcome: Submission) -> bool:
    return isinstance(outcome, Uncertain) or is_for_now(outcome)


def _without_try(job: Job, number: int) -> Job:
    """Take a try back, whatever else of the job has changed meanwhile."""
    if job.attempt.stage is not Stage.UNCERTAIN or job.attempt.try_number != number:
        return job
    return job.with_attempt(stage=Stage.STAGED, try_number=number - 1, reason_text=words.NEXT_ROUND)


def _doubted(outcome: Submission) -> Submission:
    return replace(outcome, begun=True) if isinstance(outcome, Uncertain) else outcome
