"""The verbs of policy: what requests, the reconciler and pages ask of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from math import ceil
from pathlib import Path

from gateway.accounts.audit import Audit
from gateway.errors import FieldError, TooManyRequestsError
from gateway.jobs.expert import Additions
from gateway.jobs.models import Job
from gateway.jobs.resources import Resources
from gateway.jobs.spent import Spent
from gateway.policy.file import UNREADABLE, NoPolicyError, PolicyFile
from gateway.policy.models import Holder, Policy, Proposal
from gateway.policy.proposals import under_proposal
from gateway.policy.ration import Halt, Ration, used_hours, used_up
from gateway.policy.store import SubmissionStore
from gateway.records import now

_HOUR_S = 3_600


@dataclass(kw_only=True)
class Turn:
    """A submission that was counted before it was known what comes of it."""

    used: bool = False


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How far somebody has come with what they may have."""

    holder: Holder
    core_hours: float
    """Used until now, also by what runs, where core-hours are limited."""

    submitted: int
    """In this hour, where that is limited."""


class Policies:
    """Groups, limits and proposals, as they hold now."""

    def __init__(
        self,
        *,
        file: PolicyFile,
        submissions: SubmissionStore,
        spent: Spent,
        living: Callable[[], Sequence[Job]],
        audit: Audit,
    ) -> None:
        self._file = file
        self._submissions = submissions
        self._spent = spent
        self._living = living
        self._audit = audit

    def current(self) -> Policy:
        """Give all of it; NoPolicyError when it cannot be read."""
        return self._file.current()

    def text(self) -> str:
        """Give it as its administrators wrote it; empty when there is none."""
        return self._file.text()

    def put(self, path: Path, text: str, by: str) -> Policy:
        """Let another policy hold from now on; PolicyError changes nothing."""
        policy = self._file.put(text, str(path))
        count = f"{len(policy.groups)} groups, {len(policy.proposals)} proposals"
        self._audit.record(by, "policy.set", f"{path.name}: {count}")
        return policy

    # ---- when a job is asked for

    def resources(self, user: str, proposal: str, cluster: str, asked: Resources) -> Resources:
        """Say what a request asks for under its proposal; InvalidError for what may not be."""
        return under_proposal(self.current(), user, proposal, cluster, asked, now().date())

    def errors(self, user: str, proposal: str, asked: Resources) -> list[FieldError]:
        """Say what would never go: one task that is larger than all that may be at once."""
        for holder in self.current().holders(user, proposal):
            most = holder.allowance.cpus
            if most and asked.cpus > most:
                text = f"{asked.cpus} processors are more than {holder.who} may have at once: "
                place = f"/resources/{asked.cpus_field}"
                return [FieldError(pointer=place, detail=f"{text}at most {most}")]
        return []

    def additions(self, user: str) -> Additions:
        """Say what somebody may add to the script of a job."""
        return self.current().additions(user)

    @contextmanager
    def turn(self, user: str) -> Iterator[Turn]:
        """Count a submission; it is taken back unless something has come of it.

        Raises
        ------
        TooManyRequestsError
            When as many were made in this hour as may be.
        """
        moment = now()
        holders = [
            one for one in self.current().holders(user) if one.allowance.submissions_per_hour
        ]
        if not holders:
            yield Turn(used=True)
            return
        if reached := self._submissions.take(user, holders, moment):
            raise _too_many(reached, moment)
        turn = Turn()
        try:
            yield turn
        finally:
            if not turn.used:
                self._submissions.give_back(user, moment)

    def why_waits(self, user: str, proposal: str) -> str:
        """Say why a job would wait however few there are: its core-hours are used up."""
        moment, policy = now(), self.current()
        holders = policy.holders(user, proposal)
        hours = self._used(policy, holders, moment)
        for one in holders:
            if one.key in hours and hours[one.key] >= one.allowance.core_hours:
                return used_up(one, moment)
        return ""

    def _used(
        self, policy: Policy, holders: Sequence[Holder], moment: datetime
    ) -> Mapping[str, float]:
        """Say what has been used where core-hours are limited, as jobs that wait are told it."""
        limited = [one for one in holders if one.allowance.core_hours]
        living = self._living() if limited else ()
        return used_hours(policy, limited, living, self._spent, moment)

    # ---- when jobs go to clusters

    def ration(self, jobs: Sequence[Job]) -> Ration | Halt | None:
        """Say what each may still have; None when nothing is limited.

        Parameters
        ----------
        jobs
            All that live, at all clusters.
        """
        try:
            policy = self.current()
        except NoPolicyError:
            return Halt(UNREADABLE)
        if policy.limits_jobs or any(job.attempt.proposal for job in jobs):
            return Ration(policy, jobs, self._spent, now())
        return None

    # ---- to be shown

    def groups_of(self, user: str) -> Sequence[str]:
        """Say where somebody belongs; nowhere while nobody knows, so that one can still sign in."""
        try:
            return self.current().groups_of(user)
        except NoPolicyError:
            return ()

    def proposals_of(self, user: str) -> Mapping[str, Proposal]:
        """Give the proposals of somebody that have not ended, by name."""
        today = now().date()
        return {
            name: one
            for name, one in self.current().proposals_of(user).items()
            if today <= one.last
        }

    def standing(self, user: str) -> list[Standing]:
        """Say how far somebody, their groups and their proposals have come."""
        moment, policy = now(), self.current()
        holders = list(policy.holders(user))
        for name in self.proposals_of(user):
            holders += [one for one in policy.holders(user, name) if one.until_the_end]
        hours = self._used(policy, holders, moment)
        return [
            Standing(
                holder=one,
                core_hours=hours.get(one.key, 0.0),
                submitted=self._made(one, moment),
            )
            for one in holders
        ]

    def _made(self, holder: Holder, moment: datetime) -> int:
        limited = holder.allowance.submissions_per_hour
        return self._submissions.made(holder, moment) if limited else 0


def _too_many(holder: Holder, moment: datetime) -> TooManyRequestsError:
    utc = moment.astimezone(UTC)
    begun = utc.replace(minute=0, second=0, microsecond=0)
    left_s = max(1, ceil(_HOUR_S - (utc - begun).total_seconds()))
    most = holder.allowance.submissions_per_hour
    return TooManyRequestsError(
        f"{holder.has} submitted {most} jobs since {begun:%H:%M} UTC, as many as may be in an hour "
        f"(submissions_per_hour): again in {ceil(left_s / 60)} min",
        left_s,
    )
