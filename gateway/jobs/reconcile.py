"""The loop that puts everything right.

Each round reads the live jobs, asks each place one question for all of its jobs, lets `decide` say
the next step for each, and carries the steps out, many jobs in one call. Nothing else submits,
cancels or collects. It may be killed at any point: what it had in mind stands in the records, and
the next round goes on from there. Two of them may run at once: a lease keeps them from working on
the same job, and where a lease has run out, compare-and-set and the claims keep them from harm.
"""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import structlog
from redis import RedisError

from gateway.datasets.blobs import BlobStore
from gateway.jobs import decide as steps
from gateway.jobs import line, outcome
from gateway.jobs.care import Care
from gateway.jobs.conclude import Concluder
from gateway.jobs.decide import Evidence, decide
from gateway.jobs.dependencies import review, waited_for, waits
from gateway.jobs.follow import Follower
from gateway.jobs.handover import HandOver
from gateway.jobs.inquiry import Inquiry, Reports
from gateway.jobs.live_store import LiveStore
from gateway.jobs.models import Job, Stage, Wish
from gateway.jobs.parsed import Views
from gateway.jobs.places import Place, Schedulers, place_of
from gateway.jobs.room import Rooms
from gateway.jobs.store import JobStore
from gateway.jobs.watch import Watch
from gateway.records import now
from gateway.settings import Settings
from scheduler.base import Scheduler, SchedulerError

_PASSES = 12
"""Steps that one round may take with one job: staging, submitting, adopting ... in one go."""

_log = structlog.get_logger("reconcile")
_HANDS_OVER = (steps.StageIt, steps.SubmitIt, steps.NextTry)
_ORDERS = (steps.CancelIt, steps.StopIt)
_SETTLED = (steps.Wait, steps.Update, steps.Missing, steps.LookAgain, steps.DecideByFiles)


@dataclass(frozen=True, kw_only=True)
class _Pair:
    job: Job
    action: steps.Action
    evidence: Evidence


class SeesJobs(Protocol):
    """Whoever is to know what lives, and so what has ended."""

    def see(self, active: Sequence[Job], /) -> None:
        """Take note, before anything is done with these jobs; the same come again and again."""


class Policy(Protocol):
    """What the site gives to whom."""

    def ration(self, jobs: Sequence[Job], /) -> line.Rations | None:
        """Say what each may still have while these live; None when nothing is limited."""


class HearsClusters(Protocol):
    """Whoever is to know how clusters answer."""

    def answered(self, cluster: str, /) -> None:
        """Take note that one did what it was asked."""

    def failed(self, cluster: str, error: str, /) -> None:
        """Take note that one did not, and why."""


class Reconciler:
    """Brings every live job one step on, a round at a time."""

    def __init__(
        self,
        *,
        store: JobStore,
        live: LiveStore,
        blobs: BlobStore,
        follower: Follower,
        concluder: Concluder,
        schedulers: Schedulers,
        settings: Settings,
        ends: SeesJobs,
        closings: line.Closings,
        contacts: HearsClusters,
        policy: Policy,
    ) -> None:
        self._policy = policy
        self._contacts = contacts
        self._store = store
        self._closings = closings
        self._ends = ends
        self._live = live
        self._care = Care(store)
        rooms = Rooms(lambda job: settings.clusters[job.cluster].look_again_s)
        self._hand_over = HandOver(store, blobs, self._care, rooms, settings.worker.submit_at_once)
        self._concluder = concluder
        self._schedulers = schedulers
        self._settings = settings
        # One for life: what an interrupted round had taken is still its own in the next one.
        self._token = secrets.token_hex(8)
        self._inquiry = Inquiry(settings)
        self._watch = Watch(settings, self._inquiry, follower, self._care)
        self._standings = Views(_standing)
        self._silent: set[Place] = set()

    def round(self) -> int:
        """Bring every live job on; answer how many are left alive."""
        groups: dict[Place, list[Job]] = defaultdict(list)
        active = self._store.active()
        self._concluder.begin_round()
        self._ends.see(active)
        held = self._held(active)
        for job, (final, place) in zip(active, self._standings.of(active), strict=True):
            if final:
                self._care.safely(job, partial(self._store.settle, job))
            elif job.id not in held:
                groups[place].append(job)
        rations = self._policy.ration([job for jobs in groups.values() for job in jobs])
        # Who was silent comes last: what cannot go must not have the room of what can.
        for place, jobs in sorted(groups.items(), key=lambda group: group[0] in self._silent):
            waiting = line.in_line(jobs, self._line_limits(place), rations)
            self._bring_on(place, jobs, waiting)
            if rations is not None:
                line.give_back(self._store.get_many(line.let_go(jobs, waiting)), rations)
        return len(held) + sum(len(jobs) for jobs in groups.values())

    def _held(self, active: Sequence[Job]) -> set[str]:
        """Look at jobs that run after others: none of them takes another step in this round."""
        held = [job for job in active if waits(job)]
        if held:
            named = self._store.get_many(sorted(waited_for(held)))
            found = {job.id: job for job in (*active, *named)}
            for job in held:
                if (seen := review(job, found)) != job:
                    self._care.safely(job, partial(self._store.replace, seen))
        return {job.id for job in held}

    def _line_limits(self, place: Place) -> line.LineLimits:
        cluster = self._settings.clusters.get(place.cluster)
        return line.limits_of(cluster, self._closings.why(place.cluster))

    def _bring_on(
        self, place: Place, jobs: Sequence[Job], waiting: Mapping[str, line.InLine]
    ) -> None:
        """Hand over first: who has just asked does not wait until all others were looked at.

        Of thousands most only wait for news: while there are none they need no step, and cost none.
        Where something failed in the last round that comes first, or one upload that never gets
        through would keep all that is there already from being asked about, and from its end.
        """
        there = [job for job in jobs if job.attempt.stage is Stage.SUBMITTED]
        moving = [job for job in jobs if job.attempt.stage is not Stage.SUBMITTED]
        turns = [(moving, False)]
        if self._watch.is_due(place) or self._inquiry.is_due(place, there):
            turns.insert(0 if place in self._silent else 1, (there, True))
        why = ""
        for some, news in turns:
            if why:  # a host that does not answer is not waited for twice in a round
                self._hold(some, why)
            else:
                why = self._leased(place, some, waiting, news=news)

    def _leased(
        self,
        place: Place,
        jobs: Sequence[Job],
        waiting: Mapping[str, line.InLine],
        *,
        news: bool,
    ) -> str:
        """Make a round with jobs that no other reconciler has; say why a place did not answer."""
        if not jobs:
            return ""
        mine = self._live.lease(
            [job.id for job in jobs], self._token, self._settings.worker.lease_s
        )
        try:
            # Read again under the lease: another reconciler may have moved them on.
            fresh = self._store.get_many([job.id for job in jobs if job.id in mine])
            return self._place_round(place, self._not_waiting(fresh, waiting), news=news)
        finally:
            self._live.release(mine, self._token)

    def _not_waiting(self, jobs: list[Job], waiting: Mapping[str, line.InLine]) -> list[Job]:
        """Tell those that wait in line where they stand; give the others."""
        for job in jobs:
            if job.id in waiting and (told := outcome.in_line(job, waiting[job.id])) != job:
                self._care.safely(job, partial(self._store.replace, told))
        return [job for job in jobs if job.id not in waiting or job.wish is not Wish.RUN]

    def _place_round(self, place: Place, jobs: list[Job], *, news: bool) -> str:
        try:
            scheduler = self._schedulers.get(place)
            before = scheduler.calls
            reports = self._inquiry.ask(place, scheduler, jobs) if news else None
            moving = jobs
            for _ in range(_PASSES):
                if not moving:
                    break
                moving = self._one_pass(scheduler, moving, reports)
            if news:
                self._watch.look(place, scheduler, jobs)
            if reports or scheduler.calls != before:
                self._silent.discard(place)
                self._contacts.answered(place.cluster)
        except (SchedulerError, OSError) as error:
            _log.warning("unreachable", cluster=place.cluster, owner=place.owner, error=str(error))
            return self._hold_failed(place, jobs, str(error))
        except RedisError:
            raise
        except Exception as error:  # noqa: BLE001 - what one place says must not end the others' turns
            _log.exception("a place failed", cluster=place.cluster, owner=place.owner)
            return self._hold_failed(place, jobs, f"its answer could not be worked with: {error!r}")
        return ""

    def _one_pass(
        self, scheduler: Scheduler, jobs: Sequence[Job], reports: Reports | None
    ) -> list[Job]:
        """Take one step with each job; answer those that may take another at once."""
        by_kind: dict[type, list[_Pair]] = defaultdict(list)
        found = self._look_for(scheduler, jobs)
        for job in jobs:
            if job.attempt.stage is Stage.UNCERTAIN and job.id not in found:
                continue  # it was told why
            known = found.get(job.id)
            pair = self._care.safely(job, partial(self._decide, job, reports, known))
            if pair is not None:
                by_kind[type(pair.action)].append(pair)
        moved: list[Job] = []
        for kind, pairs in by_kind.items():
            if kind in _HANDS_OVER and self._closed(pairs):
                continue
            done = self._carry_out(scheduler, kind, pairs)
            if kind not in _SETTLED:
                moved.extend(done)
        return [job for job in moved if not job.final and job.attempt.stage is not Stage.SUBMITTED]

    def _closed(self, pairs: Sequence[_Pair]) -> bool:
        """Ask at the last moment whether anything may go, and tell those that were about to.

        A round may have begun before the switch was thrown, and a try whose outcome was not known
        is never in line: what it needs is to be looked for, and only then to go again.
        """
        why = self._closings.why(pairs[0].job.cluster)
        for job in [pair.job for pair in pairs] if why else ():
            if (told := outcome.kept_back(job, why)) != job:
                self._care.safely(job, partial(self._store.replace, told))
        return bool(why)

    # ---- finding out

    def _look_for(self, scheduler: Scheduler, jobs: Sequence[Job]) -> dict[str, Evidence]:
        """Look at once for all that may have been submitted; who is in the way is left out."""
        lost = [job for job in jobs if job.attempt.stage is Stage.UNCERTAIN]
        return dict(
            self._care.apart(
                lost, lambda some: list(self._inquiry.look_for(scheduler, some).items())
            )
        )

    def _decide(self, job: Job, reports: Reports | None, found: Evidence | None) -> _Pair:
        evidence = found or self._inquiry.evidence(job, reports)
        action = decide(job, evidence, max_tries=self._settings.worker.max_tries)
        return _Pair(job=job, action=action, evidence=evidence)

    # ---- carrying out

    def _carry_out(self, scheduler: Scheduler, kind: type, pairs: Sequence[_Pair]) -> list[Job]:
        if kind is steps.StageIt:
            return self._hand_over.stage(scheduler, [pair.job for pair in pairs])
        if kind in (steps.SubmitIt, steps.NextTry):
            tries = {pair.job.id: _try_number(pair.action) for pair in pairs}
            return self._hand_over.submit(scheduler, tries, [pair.job for pair in pairs])
        if kind is steps.Update:
            return self._update_all(pairs)
        if kind in _ORDERS:
            return self._order(scheduler, pairs)
        done = [self._care.safely(pair.job, partial(self._step, scheduler, pair)) for pair in pairs]
        return [job for job in done if job is not None]

    def _step(self, scheduler: Scheduler, pair: _Pair) -> Job | None:
        """Carry out a step that concerns one job alone; answer it if it may take another."""
        if pair.job.attempt.stage is Stage.SUBMITTED:
            return self._step_submitted(scheduler, pair)
        job = pair.job
        match pair.action:
            case steps.TakeClaim(owner=owner):
                return self._hand_over.claim(scheduler, job, owner)
            case steps.Adopt(native_id=native_id, twins=twins):
                return self._hand_over.adopt(scheduler, job, native_id, twins)
            case steps.LookAgain():
                self._store.replace(job.with_attempt(looks=job.attempt.looks + 1, looked=now()))
            case steps.WaitForRoom():
                self._store.replace(outcome.turned_away(job, job.attempt.error))
            case steps.EndCancelled():
                return self._store.replace(outcome.cancelled_before_start(job))
            case steps.Refuse():
                return self._store.replace(outcome.given_up(job))
        return None

    def _step_submitted(self, scheduler: Scheduler, pair: _Pair) -> Job | None:
        job = pair.job
        match pair.action:
            case steps.Missing():
                self._store.replace(outcome.missing(job))
            case steps.DecideByFiles():
                self._concluder.by_files(scheduler, job)
            case steps.Collect():
                return self._concluder.conclude(scheduler, self._last_word(job, pair.evidence))
        return None

    def _order(self, scheduler: Scheduler, pairs: Sequence[_Pair]) -> list[Job]:
        """Have many jobs cancelled, or many stopped, in one call; then write it down of each.

        Both may be said twice: who is in the way of a call is found, and the others go on.
        """
        by_id = {pair.job.id: pair for pair in pairs}
        done = self._care.apart(
            [pair.job for pair in pairs],
            lambda some: self._call(scheduler, [by_id[job.id] for job in some]),
        )
        if done and isinstance(done[0].action, steps.CancelIt):
            return self._update_all(done)
        seen = {pair.job.id: pair.evidence.reports for pair in done}
        # With what was seen: who is requeued later is known by that, and told again.
        return self._care.replace_all(
            [pair.job for pair in done],
            lambda job: outcome.observe(job, seen[job.id]).with_attempt(stop_sent=now()),
        )

    def _call(self, scheduler: Scheduler, pairs: list[_Pair]) -> list[_Pair]:
        if stopped := [p.action.native_id for p in pairs if isinstance(p.action, steps.StopIt)]:
            scheduler.signal(stopped, "USR1")
        ended = [p.action.native_ids for p in pairs if isinstance(p.action, steps.CancelIt)]
        if ended:
            with self._inquiry.ordering(place_of(pairs[0].job), scheduler):
                scheduler.cancel([one for ids in ended for one in ids])
        return pairs

    def _update_all(self, pairs: Sequence[_Pair]) -> list[Job]:
        """Write down what is new of jobs; most were only seen once more, as they were."""
        news: dict[str, Job] = {}
        fresh, same = [], []
        for pair in pairs:
            job = pair.job
            found = self._care.safely(job, partial(outcome.observe, job, pair.evidence.reports))
            if found is not None and outcome.is_news(job, found):
                news[job.id] = found
                fresh.append(job)
            elif found is not None:
                same.append(job)
        self._store.seen(same)
        return self._care.replace_all(fresh, lambda job: news[job.id])

    def _last_word(self, job: Job, evidence: Evidence) -> Job:
        return outcome.observe(job, evidence.reports) if evidence.reports else job

    def _hold_failed(self, place: Place, jobs: Sequence[Job], why: str) -> str:
        self._silent.add(place)
        self._contacts.failed(place.cluster, why)
        self._hold(jobs, why)
        return why

    def _hold(self, jobs: Sequence[Job], why: str) -> None:
        """Say of jobs why nothing can be done for them now; nothing of them is lost.

        One that nobody has handed over yet ends without its cluster, if that is wished.
        """
        for job in jobs:
            if isinstance(decide(job, Evidence()), steps.EndCancelled):
                self._care.safely(
                    job, partial(self._store.replace, outcome.cancelled_before_start(job))
                )
            elif (held := outcome.stale(job, why)) != job:
                self._care.safely(job, partial(self._store.replace, held))


def _try_number(action: steps.Action) -> int:
    if not isinstance(action, steps.SubmitIt | steps.NextTry):
        raise TypeError(f"{action} submits nothing")
    return action.try_number


def _standing(job: Job) -> tuple[bool, Place]:
    """Say whether a job has ended, and where it is."""
    return job.final, place_of(job)
