"""What a site's policy says: who belongs together, how much each may have, who pays for what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from gateway.jobs.expert import Additions
from gateway.policy.windows import WINDOWS

GIVEN = ("account", "qos", "reservation")
"""The options of sbatch that a proposal decides."""


def not_negative(name: str, value: float) -> None:
    """Refuse a limit below nothing; the message names its key."""
    if not 0 <= value < float("inf"):
        raise ValueError(f"{name} = {value!r}: give 0 for no limit, or a positive number")


@dataclass(frozen=True, kw_only=True)
class Group:
    """Users who belong together."""

    members: tuple[str, ...]
    title: str = ""


@dataclass(frozen=True, kw_only=True)
class Allowance:
    """How much somebody may have over all clusters; 0: any amount."""

    jobs: int = 0
    """At once on the clusters, waiting or running there."""

    cpus: int = 0
    """Of these jobs together; who has nothing there may send one array of any length."""

    core_hours: float = 0.0
    window: str = "week"
    """In which the core-hours may be used; it begins at 00:00 UTC."""

    submissions_per_hour: int = 0
    """Of jobs and of further attempts, in each hour of the clock."""

    def __post_init__(self) -> None:
        for name in ("jobs", "cpus", "core_hours", "submissions_per_hour"):
            not_negative(name, getattr(self, name))
        if self.window not in WINDOWS:
            raise ValueError(f"window = {self.window!r}: choose {', '.join(WINDOWS)}")


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """Beamtime, or any grant: what its jobs are charged to, when, and whose they may be."""

    first: date
    last: date
    title: str = ""
    account: str = ""
    qos: str = ""
    reservation: str = ""
    users: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    clusters: tuple[str, ...] = ()
    """Where it may be used; empty: everywhere."""

    jobs: int = 0
    cpus: int = 0
    core_hours: float = 0.0
    """In all its days together; 0: any amount."""

    def __post_init__(self) -> None:
        for name in ("jobs", "cpus", "core_hours"):
            not_negative(name, getattr(self, name))
        if self.last < self.first:
            raise ValueError(f"last = {self.last} is before first = {self.first}")
        if not self.users and not self.groups:
            raise ValueError("has neither users nor groups: nobody could use it")

    def is_open(self, day: date) -> bool:
        """Whether jobs may be submitted under it that day."""
        return self.first <= day <= self.last

    @property
    def allowance(self) -> Allowance:
        """How much all its jobs may have."""
        return Allowance(jobs=self.jobs, cpus=self.cpus, core_hours=self.core_hours)

    @property
    def given(self) -> Mapping[str, str]:
        """What it decides of the options of sbatch."""
        return {name: value for name in GIVEN if (value := getattr(self, name))}


@dataclass(frozen=True, kw_only=True)
class Holder:
    """Who has a limit: a user, a group, or a proposal."""

    kind: str
    name: str
    members: tuple[str, ...]
    """Whose jobs count; of a proposal, what counts is the proposal itself."""

    allowance: Allowance

    @property
    def key(self) -> str:
        """Name it among all."""
        return f"{self.kind}:{self.name}"

    @property
    def whose(self) -> str:
        """Say to a user whose jobs are meant."""
        return {"user": "your", "group": f"your group {self.name}'s"}.get(
            self.kind, f"the proposal {self.name}'s"
        )

    @property
    def who(self) -> str:
        """Say to a user who is meant."""
        return {"user": "you", "group": f"your group {self.name}"}.get(
            self.kind, f"the proposal {self.name}"
        )

    @property
    def has(self) -> str:
        """Say it with its verb."""
        return f"{self.who} {'have' if self.kind == 'user' else 'has'}"

    @property
    def until_the_end(self) -> bool:
        """Whether its core-hours are for all its days, and no window brings them back."""
        return self.kind == "proposal"


@dataclass(frozen=True, kw_only=True)
class Policy:
    """All of it; without a word everything is allowed, and there is no proposal."""

    groups: Mapping[str, Group] = field(default_factory=dict)
    proposals: Mapping[str, Proposal] = field(default_factory=dict)
    each_user: Allowance = Allowance()
    each_group: Allowance = Allowance()
    users: Mapping[str, Allowance] = field(default_factory=dict)
    """Of those who have limits of their own."""

    group_limits: Mapping[str, Allowance] = field(default_factory=dict)
    expert: Additions = field(default_factory=Additions)
    """What everybody may add to scripts."""

    expert_users: Mapping[str, Additions] = field(default_factory=dict)
    """Of users and of groups: what they may add beyond that."""

    expert_groups: Mapping[str, Additions] = field(default_factory=dict)

    def additions(self, user: str) -> Additions:
        """Say what somebody may add to the script of a job."""
        found = self.expert | self.expert_users.get(user, Additions())
        for name in self.groups_of(user):
            found |= self.expert_groups.get(name, Additions())
        return found

    def groups_of(self, user: str) -> tuple[str, ...]:
        """Say where somebody belongs."""
        return tuple(sorted(name for name, one in self.groups.items() if user in one.members))

    def proposals_of(self, user: str) -> dict[str, Proposal]:
        """Give the proposals that somebody may use, whenever."""
        groups = self.groups_of(user)
        return {
            name: one
            for name, one in sorted(self.proposals.items())
            if user in one.users or not set(groups).isdisjoint(one.groups)
        }

    @property
    def limits_jobs(self) -> bool:
        """Whether anybody may have to wait for it."""
        own = (*self.users.values(), *self.group_limits.values())
        grants = [one.allowance for one in self.proposals.values()]
        return any(
            one.jobs or one.cpus or one.core_hours
            for one in (self.each_user, self.each_group, *own, *grants)
        )

    def holders(self, user: str, proposal: str = "") -> Sequence[Holder]:
        """Say whose limits a job of somebody has to keep, in which order they are told."""
        own = Holder(
            kind="user",
            name=user,
            members=(user,),
            allowance=self.users.get(user, self.each_user),
        )
        groups = [
            Holder(
                kind="group",
                name=name,
                members=self.groups[name].members,
                allowance=self.group_limits.get(name, self.each_group),
            )
            for name in self.groups_of(user)
        ]
        return [own, *groups, *self._of_proposal(proposal)]

    def _of_proposal(self, name: str) -> list[Holder]:
        found = self.proposals.get(name)
        if found is None:  # taken out of the policy since: nothing is left to be kept
            return []
        return [Holder(kind="proposal", name=name, members=(), allowance=found.allowance)]
