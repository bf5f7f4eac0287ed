"""What the site's policy says of who asks."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint

from gateway.policy import windows
from gateway.policy.models import Proposal
from gateway.policy.schemas import MyPolicySchema
from gateway.policy.service import Standing
from gateway.records import Document, now, time_text
from gateway.web.context import gateway, identity

bp = APIBlueprint("policy", __name__, tag="policy")


@bp.get("/me/policy")
@bp.output(MyPolicySchema)
def my_policy() -> dict[str, Any]:
    """Say which groups you are in, what you may have, and which proposals you may name."""
    policies, user = gateway().policies, identity().user
    return {
        "groups": policies.groups_of(user),
        "limits": [_limit(one) for one in policies.standing(user)],
        "proposals": [_proposal(name, one) for name, one in policies.proposals_of(user).items()],
        "expert": policies.additions(user),
    }


def _limit(standing: Standing) -> Document:
    holder, most = standing.holder, standing.holder.allowance
    window = None if holder.until_the_end else most.window
    return {
        "of": holder.kind,
        "name": holder.name,
        "jobs": most.jobs,
        "cpus": most.cpus,
        "core_hours": most.core_hours,
        "core_hours_used": standing.core_hours,
        "window": window,
        "window_ends": time_text(windows.end(window, now())) if window else None,
        "submissions_per_hour": most.submissions_per_hour,
        "submitted": standing.submitted,
    }


def _proposal(name: str, proposal: Proposal) -> Document:
    return {**vars(proposal), "name": name, "open": proposal.is_open(now().date())}
