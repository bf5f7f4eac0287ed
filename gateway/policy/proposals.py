"""What becomes of a request that names a proposal, and of one that takes what a proposal gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date

from gateway.errors import FieldError, InvalidError
from gateway.jobs.resources import Resources
from gateway.policy.models import GIVEN, Policy, Proposal

POINTER = "/proposal"
_EXACT = "reservation"
"""The only option whose case Slurm heeds: ``--account=BEAM`` is charged to the account beam."""


def under_proposal(
    policy: Policy, user: str, name: str, cluster: str, resources: Resources, today: date
) -> Resources:
    """Give a request what its proposal decides.

    Raises
    ------
    InvalidError
        When there is no such proposal for this user, not now, or not there, or when something that
        was typed contradicts it. One of strangers is as if it did not exist.
    """
    if not name:
        _refuse(_taken(policy, cluster, resources))
        return resources
    proposal = _usable(policy, user, name, cluster, today)
    given = proposal.given
    left = _with(resources, dict.fromkeys(given, None))
    _refuse([*_against(name, given, resources), *_taken(policy, cluster, left)])
    return _with(resources, given)


def no_longer(policy: Policy, user: str, name: str, cluster: str, today: date) -> str:
    """Say why a job that was taken under a proposal may not go now; empty when it may."""
    if not name:
        return ""
    proposal = policy.proposals.get(name)
    again = "cancel this job and run it again under another, or under none"
    if proposal is None:
        return f"there is no proposal {name} any more: {again}"
    if name not in policy.proposals_of(user):
        return f"you are no longer in the proposal {name}: {again}"
    if today > proposal.last:
        return f"the proposal {name} ended on {proposal.last}: {again}"
    if today < proposal.first:
        return f"the proposal {name} begins on {proposal.first} now; it goes on then"
    if proposal.clusters and cluster not in proposal.clusters:
        return f"the proposal {name} is not for the cluster {cluster} any more: {again}"
    return ""


def _with(resources: Resources, values: Mapping[str, str | None]) -> Resources:
    """Set what a proposal may decide."""
    kept = {option: getattr(resources, option) for option in GIVEN}
    return replace(resources, **{**kept, **values})


def _usable(policy: Policy, user: str, name: str, cluster: str, today: date) -> Proposal:
    own = policy.proposals_of(user)
    proposal = own.get(name)
    if proposal is None:
        usable = [known for known, one in own.items() if one.is_open(today)]
        what = f"yours are {', '.join(usable)}" if usable else "none of yours is open: leave it out"
        raise InvalidError.at(POINTER, f"you have no proposal {name[:64]!r}; {what}")
    if not proposal.is_open(today):
        days = f"from {proposal.first} to {proposal.last}, and today is {today}"
        what = "wait until then, or leave it out" if today < proposal.first else "leave it out"
        raise InvalidError.at(POINTER, f"the proposal {name} is for jobs {days} (UTC): {what}")
    if proposal.clusters and cluster not in proposal.clusters:
        known = ", ".join(proposal.clusters)
        raise InvalidError.at(
            POINTER, f"the proposal {name} is not for the cluster {cluster}: choose {known}"
        )
    return proposal


def _against(name: str, given: Mapping[str, str], resources: Resources) -> list[FieldError]:
    """Say what was typed other than the proposal has it."""
    errors = []
    for option, value in given.items():
        typed = getattr(resources, option)
        if typed is not None and _name(option, typed) != _name(option, value):
            text = f"the proposal {name} has {value}, not {typed}: leave this empty"
            errors.append(FieldError(pointer=f"/resources/{option}", detail=text))
    return errors


def _taken(policy: Policy, cluster: str, resources: Resources) -> list[FieldError]:
    """Say what was typed that only a proposal gives: else nobody would need to be a member."""
    errors = []
    for option in GIVEN:
        typed = getattr(resources, option)
        if typed is not None and _name(option, typed) in _kept(policy, cluster, option):
            text = f"only a proposal gives {typed}: choose one of yours, or leave this empty"
            errors.append(FieldError(pointer=f"/resources/{option}", detail=text))
    return errors


def _kept(policy: Policy, cluster: str, option: str) -> set[str]:
    return {
        _name(option, getattr(one, option))
        for one in policy.proposals.values()
        if not one.clusters or cluster in one.clusters
    }


def _name(option: str, value: str) -> str:
    """Write a name as Slurm compares it."""
    return value if option == _EXACT else value.casefold()


def _refuse(errors: list[FieldError]) -> None:
    if errors:
        raise InvalidError(errors)
