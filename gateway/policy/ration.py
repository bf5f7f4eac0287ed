"""Who has had as much as the policy gives: the others go, these wait in line.

It counts all jobs that live, at all clusters, once a round; of what has ended it reads sums.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from gateway.jobs import ran
from gateway.jobs.line import cpus_of, cpus_of_task, holds_a_place
from gateway.jobs.models import Attempt, Job, Stage, Tracking
from gateway.jobs.spent import Spent
from gateway.policy import windows
from gateway.policy.models import Holder, Policy
from gateway.policy.proposals import no_longer

_HOUR = 3_600.0


class Ration:
    """What each holder of a limit has now, and may still get in this round."""

    def __init__(self, policy: Policy, jobs: Iterable[Job], spent: Spent, moment: datetime) -> None:
        self._policy = policy
        self._moment = moment
        self._known: dict[tuple[str, str], Sequence[Holder]] = {}
        self._jobs: Counter[str] = Counter()
        self._cpus: Counter[str] = Counter()
        self._hours: dict[str, float] = defaultdict(float)
        self._turn: dict[str, str] = {}
        self._refused: dict[tuple[str, str, str], str] = {}
        living = list(jobs)
        for job in living:
            if job.attempt.stage is not Stage.NONE and holds_a_place(job):
                self.add(job)
        holders = {one.key: one for job in living for one in self._holders(job)}
        self._hours |= used_hours(policy, list(holders.values()), living, spent, moment)

    def add(self, job: Job) -> None:
        """Count a job that is, or goes, over there."""
        for holder in self._holders(job):
            self._jobs[holder.key] += 1
            self._cpus[holder.key] += cpus_of(job)

    def take_back(self, job: Job) -> None:
        """Count a job no more that was to go, and did not."""
        for holder in self._holders(job):
            self._jobs[holder.key] -= 1
            self._cpus[holder.key] -= cpus_of(job)

    def full(self, job: Job) -> str:
        """Say which limit this job would break; empty for none."""
        if gone := self._no_proposal(job):
            return gone
        holders = self._holders(job)
        if why := next((why for one in holders if (why := self._why(one))), ""):
            return why
        # Only what nothing else keeps back may stand before smaller ones.
        return next((why for one in holders if (why := self._why_wide(one, job))), "")

    def _no_proposal(self, job: Job) -> str:
        """Say why a job may no longer go under its proposal; empty when it may."""
        key = job.owner, job.attempt.proposal, job.cluster
        if key not in self._refused:
            today = self._moment.astimezone(UTC).date()
            self._refused[key] = no_longer(self._policy, *key, today)
        return self._refused[key]

    def _why(self, holder: Holder) -> str:
        """Say which limit of one holder is used up, whatever the size of the job."""
        most, there = holder.allowance, self._jobs[holder.key]
        if most.core_hours and self._hours[holder.key] >= most.core_hours:
            return used_up(holder, self._moment)
        if most.jobs and there >= most.jobs:
            return f"{there} of {holder.whose} jobs are at clusters, as many as may be at once"
        return ""

    def _why_wide(self, holder: Holder, job: Job) -> str:
        """Say whether it takes more processors than are left.

        Who does not fit is next when there is room: else small jobs would pass a large one for
        ever.
        """
        key, most = holder.key, holder.allowance
        there, cpus = self._jobs[key], self._cpus[key]
        if not most.cpus:
            return ""
        first = self._turn.get(key, job.id)
        if first != job.id:
            return f"a larger one of {holder.whose} jobs is before it, until processors are free"
        if there and cpus + cpus_of(job) > most.cpus:
            self._turn[key] = job.id
            return (
                f"{holder.whose} jobs take {cpus} processors, and with this one's {cpus_of(job)} "
                f"they would take more than {most.cpus}"
            )
        return ""

    def _holders(self, job: Job) -> Sequence[Holder]:
        key = job.owner, job.attempt.proposal
        if key not in self._known:
            found = self._policy.holders(*key)
            self._known[key] = [one for one in found if _limits_jobs(one)]
        return self._known[key]


def _limits_jobs(holder: Holder) -> bool:
    most = holder.allowance
    return bool(most.jobs or most.cpus or most.core_hours)


def used_hours(
    policy: Policy,
    holders: Iterable[Holder],
    jobs: Iterable[Job],
    spent: Spent,
    moment: datetime,
) -> dict[str, float]:
    """Say what holders have used until now whose core-hours are limited, by their keys.

    Parameters
    ----------
    jobs
        All that live: of these it counts how far they have come.
    """
    limited = {one.key: one for one in holders if one.allowance.core_hours}
    if not limited:
        return {}
    total = dict(_spent_hours(list(limited.values()), spent, moment))
    known: dict[tuple[str, str], list[Holder]] = {}
    for job in jobs:
        if job.attempt.started is None:
            continue
        key = job.owner, job.attempt.proposal
        if key not in known:
            known[key] = [one for one in policy.holders(*key) if one.key in limited]
        for one in known[key]:
            total[one.key] += _running_hours(job.attempt, one, moment)
    return total


def _spent_hours(limited: list[Holder], spent: Spent, moment: datetime) -> Mapping[str, float]:
    """Read what jobs have used that have ended."""
    proposals = spent.of_proposals([one.name for one in limited if one.until_the_end])
    found = {f"proposal:{name}": hours for name, hours in proposals.items()}
    for window in windows.WINDOWS:
        within = [one for one in limited if _window(one) == window]
        users = sorted({name for one in within for name in one.members})
        hours = spent.of_users(users, windows.days(window, moment))
        found |= {one.key: sum(hours[name] for name in one.members) for one in within}
    return found


def _running_hours(attempt: Attempt, holder: Holder, moment: datetime) -> float:
    """Say what a job that lives has used until now, of what counts for a holder.

    One that is lost, until it was last seen: nobody knows that it ran longer.
    """
    if attempt.tracking is Tracking.LOST:
        moment = min(moment, attempt.observed or moment)
    window = _window(holder)
    since = windows.midnight(windows.begin(window, moment)) if window else None
    seconds = ran.until_now_s(attempt, since, moment)
    return seconds * cpus_of_task(attempt.resources) / _HOUR


def used_up(holder: Holder, moment: datetime) -> str:
    """Say that all core-hours are used, and what happens next."""
    most = holder.allowance
    whole = f"{holder.has} used all of {'your' if holder.kind == 'user' else 'its'} "
    hours = f"{number(most.core_hours)} core-hours"
    if holder.until_the_end:
        return f"{whole}{hours}; it goes on when its administrators give it more"
    again = windows.in_words(windows.end(most.window, moment))
    return f"{whole}{hours} until {again}; it goes on then"


def number(hours: float) -> str:
    """Write core-hours for people.

    >>> number(1000.0), number(0.25)
    ('1,000', '0.25')
    """
    return f"{hours:,.4f}".rstrip("0").rstrip(".")


def _window(holder: Holder) -> str:
    """Name the window of its core-hours; empty where there is none."""
    return "" if holder.until_the_end else holder.allowance.window


class Halt:
    """What holds while nobody can read the policy: nothing new goes."""

    def __init__(self, why: str) -> None:
        self._why = why

    def add(self, job: Job) -> None:
        """Count nothing."""

    def take_back(self, job: Job) -> None:
        """Count nothing."""

    def full(self, job: Job) -> str:  # noqa: ARG002 - whichever it is
        """Say why."""
        return self._why
