"""Find out how jobs are: what their cluster says, and what their directories hold.

One question for all submitted jobs of a place, at its pace; a look into its directory for each
job of which nobody knows whether it was submitted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from gateway.clusters.settings import ClusterSettings
from gateway.jobs.decide import Evidence
from gateway.jobs.models import Job, Stage, Tracking, Wish
from gateway.jobs.pace import Pace, PaceLimits
from gateway.jobs.places import Place, launch_of, place_of
from gateway.records import now
from gateway.settings import Settings
from scheduler.base import JobReport, JobState, Scheduler

UNBEGUN_AT_ONCE = 100
"""Waiting jobs, new and old, that are looked at for a beginning each time: it costs a file system
a little."""

Reports = Mapping[str, list[JobReport]]
"""By native id."""

_TELL_AGAIN = timedelta(seconds=30)
"""Between two orders to stop for what waits again."""

_Wished = tuple[str, int, Wish]
"""Of which job, and of which of its attempts."""


@dataclass(kw_only=True)
class _Tasks:
    running: list[int] = field(default_factory=list)
    ended: list[int] = field(default_factory=list)


class Inquiry:
    """Asks clusters and reads job directories; decides nothing."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._paces: dict[Place, Pace] = {}
        self._asked: dict[Place, datetime] = {}
        self._tasks: dict[Place, dict[str, _Tasks]] = {}
        self._questions: dict[Place, int] = {}
        """How many there were when last looked: other ones take from the same calls of a minute."""

        self._expected: dict[Place, set[str]] = defaultdict(set)
        """Jobs whose end their own files have told, or that somebody wants to end."""

        self._heard: dict[Place, set[_Wished]] = {}
        """What somebody wants, and what a question was asked for already."""

    def is_due(self, place: Place, jobs: Sequence[Job]) -> bool:
        """Whether it is time to ask a place, or somebody wants one of its jobs to end."""
        if place.cluster not in self._settings.clusters:
            return True
        return any(job.wish is not Wish.RUN for job in jobs) or self._pace(place).due()

    def ask(self, place: Place, scheduler: Scheduler, jobs: Sequence[Job]) -> Reports | None:
        """Ask how jobs are if it is time to; None when it is not.

        Whoever wants a job to end does not wait until others' questions are a minute old: each wish
        lets one question go past the ceiling. To cancel without any would be quicker, and wrong:
        Slurm gives ids away again, and only a report under its own name says that one is a job's.
        """
        pace = self._pace(place)
        pace.spend(max(0, scheduler.questions - self._questions.get(place, scheduler.questions)))
        self._questions[place] = scheduler.questions
        last = self._asked.get(place)
        wishes = _wishes(jobs)
        fresh = wishes - self._heard.get(place, set())
        wished = {job.id for job in jobs if last and _is_wished(job, last)}
        wished |= {job for job, _, _ in fresh}
        self._expected[place] |= wished
        if wished:
            pace.hurry()
        if not pace.due(urgent=bool(fresh)):
            return None
        # Before the answer: one that does not come is waited for as all others are.
        self._heard[place] = wishes
        self._asked[place] = now()
        reports = _reports(scheduler, jobs)
        calls = scheduler.questions - self._questions[place]
        self._questions[place] = scheduler.questions
        pace.asked(changed=_changed(jobs, reports), calls=calls)
        self._tasks[place] = {job.id: _tasks(job, reports) for job in jobs}
        self._expected[place] &= {job.id for job in jobs if not _has_ended(job, reports)}
        if not self._expected[place]:
            pace.settle()
        return reports

    @contextmanager
    def ordering(self, place: Place, scheduler: Scheduler) -> Iterator[None]:
        """Leave the calls made meanwhile out of the pace: orders ask nothing, and never wait.

        They are counted with all others where calls are shown.
        """
        before = scheduler.questions
        known = self._questions.get(place, before)
        try:
            yield
        finally:
            self._questions[place] = known + scheduler.questions - before

    def running(self, job: Job) -> list[int]:
        """Say which tasks of a job ran when its cluster was last asked."""
        return self._known(job).running

    def ended(self, job: Job) -> list[int]:
        """Say which tasks of an array had ended then, while others had not."""
        return self._known(job).ended

    def _known(self, job: Job) -> _Tasks:
        return self._tasks.get(place_of(job), {}).get(job.id, _Tasks())

    def may_have_begun(self, job: Job) -> bool:
        """Whether a job was waiting when its cluster was last asked, so that it may run by now."""
        attempt = job.attempt
        waits = attempt.stage is Stage.SUBMITTED and attempt.state is JobState.PENDING
        return waits and self._known(job) == _Tasks()

    def has_begun(self, job: Job) -> None:
        """Take a job for running: its own files tell of it."""
        place = place_of(job)
        self._tasks.setdefault(place, {})[job.id] = _Tasks(running=[job.attempt.numbers[0]])
        self._pace(place).sooner()

    def expect_an_end(self, job: Job) -> None:
        """Ask soon: a job's own files say that it has ended."""
        place = place_of(job)
        self._expected[place].add(job.id)
        self._pace(place).hurry()

    def _pace(self, place: Place) -> Pace:
        if place not in self._paces:
            self._paces[place] = _pace(self._settings.clusters[place.cluster])
        return self._paces[place]

    def look_for(self, scheduler: Scheduler, jobs: Sequence[Job]) -> dict[str, Evidence]:
        """Look for those of which nobody knows whether they were submitted, all at once.

        By name first, then in their directories: a claim may be taken in between, never given up.
        """
        lost = [job for job in jobs if job.attempt.stage is Stage.UNCERTAIN]
        if not lost:
            return {}
        due = {job.id: self._may_look_again(job) for job in lost}
        asked = [job for job in lost if due[job.id] or not job.attempt.looks]
        reports = scheduler.find([job.marker for job in asked]) if asked else {}
        traces = scheduler.traces([launch_of(job) for job in lost])
        return {
            job.id: Evidence(
                asked=job.marker in reports,
                reports=tuple(reports.get(job.marker, ())),
                claim=trace.claim,
                native_id=trace.native_id,
                may_look_again=due[job.id],
            )
            for job, trace in zip(lost, traces, strict=True)
        }

    def evidence(self, job: Job, reports: Reports | None) -> Evidence:
        """Gather what is known of one job that was submitted.

        Parameters
        ----------
        reports
            What its cluster has just said; None when it was not asked.
        """
        attempt = job.attempt
        if attempt.stage is Stage.SUBMITTED:
            if reports is None:
                return Evidence()
            # What only the accounting could tell, which does not answer, is absent as well: that
            # proves nothing either, and after a while its own files do.
            found = tuple(
                report
                for report in reports.get(attempt.native_id or "", [])
                if report.marker == job.marker
            )
            return Evidence(
                asked=True,
                reports=found,
                absent_long=self._absent_long(job),
                told_long_ago=attempt.stop_sent is not None
                and now() - attempt.stop_sent >= _TELL_AGAIN,
            )
        return Evidence()

    def _may_look_again(self, job: Job) -> bool:
        looked = job.attempt.looked
        pause = timedelta(seconds=self._settings.clusters[job.cluster].look_again_s)
        return looked is None or now() - looked >= pause

    def _absent_long(self, job: Job) -> bool:
        attempt, worker = job.attempt, self._settings.worker
        since = attempt.tracking_since
        return (
            attempt.tracking in (Tracking.UNCONFIRMED, Tracking.LOST)
            and attempt.missing_polls >= worker.unconfirmed_polls
            and since is not None
            and now() - since >= timedelta(seconds=worker.unconfirmed_s)
        )


def take_turn(waiting: Sequence[Job], first: int) -> tuple[list[Job], int]:
    """Choose which of many waiting jobs are looked at for a beginning, and who is first next time.

    The newest each time: there may be room for them at once, though their scheduler has shown them
    as waiting a moment ago. The others one after the other.

    Parameters
    ----------
    waiting
        Oldest first.
    first
        What was answered last time; 0 at first.
    """
    new, old = waiting[-UNBEGUN_AT_ONCE:], waiting[:-UNBEGUN_AT_ONCE]
    first = first if first < len(old) else 0
    after = first + UNBEGUN_AT_ONCE
    return [*new, *old[first:after]], after


def _reports(scheduler: Scheduler, jobs: Sequence[Job]) -> Reports:
    """Ask one question for all submitted jobs of a cluster."""
    ids = [
        job.attempt.native_id
        for job in jobs
        if job.attempt.stage is Stage.SUBMITTED and job.attempt.native_id
    ]
    return scheduler.states(ids) if ids else {}


def _wishes(jobs: Sequence[Job]) -> set[_Wished]:
    wishes: set[_Wished] = {(job.id, job.attempt.number, job.wish) for job in jobs}
    return {one for one in wishes if one[2] is not Wish.RUN}


def _is_wished(job: Job, since: datetime) -> bool:
    return job.wish is not Wish.RUN and job.updated > since


def _own(job: Job, reports: Reports) -> list[JobReport]:
    found = reports.get(job.attempt.native_id or "", [])
    return [report for report in found if report.marker == job.marker]


def _has_ended(job: Job, reports: Reports) -> bool:
    own = _own(job, reports)
    return bool(own) and all(report.state.final for report in own)


def _tasks(job: Job, reports: Reports) -> _Tasks:
    own = _own(job, reports)
    if all(report.state.final for report in own):
        return _Tasks()  # it is collected, and what is left of it read, with all its tasks
    return _Tasks(
        running=[report.task or 0 for report in own if report.state is JobState.RUNNING],
        ended=[
            report.task
            for report in own
            if report.task is not None and report.state.final and report.started
        ],
    )


def _pace(cluster: ClusterSettings) -> Pace:
    return Pace(
        PaceLimits(
            least_s=cluster.look_s,
            most_s=cluster.look_most_s,
            calls_per_minute=cluster.calls_per_minute,
        )
    )


def _changed(jobs: Sequence[Job], reports: Reports) -> bool:
    """Whether any job is in another state than its record says."""
    return any(
        {report.state for report in reports.get(job.attempt.native_id or "", [])}
        != {job.attempt.state}
        for job in jobs
        if job.attempt.stage is Stage.SUBMITTED
    )
