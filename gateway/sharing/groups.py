"""Groups to share with: those of the site's policy, as they are now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.policy.file import NoPolicyError
from gateway.policy.service import Policies


@dataclass(frozen=True)
class PolicyGroups:
    """What a policy says of groups; while it cannot be read, nobody is in any."""

    policies: Policies

    def groups_of(self, user: str) -> Sequence[str]:
        """Say where somebody belongs."""
        return self.policies.groups_of(user)

    def members_of(self, group: str) -> Sequence[str] | None:
        """Say who belongs to a group; None when there is no such group, or nobody knows."""
        try:
            found = self.policies.current().groups.get(group)
        except NoPolicyError:
            return None
        return None if found is None else found.members
