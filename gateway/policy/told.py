"""Limits of a policy in words, for whom they hold."""

from __future__ import annotations

from datetime import datetime

from gateway.policy import windows
from gateway.policy.service import Standing


def told(standing: Standing, moment: datetime) -> str:
    """Say what somebody may have, and how much of it is left; empty where it is any amount."""
    holder, most = standing.holder, standing.holder.allowance
    said = []
    if most.jobs:
        said.append(f"{_count(most.jobs, 'job')} at once")
    if most.cpus:
        said.append(f"{_count(most.cpus, 'processor')} at once")
    if most.core_hours:
        left = max(0.0, most.core_hours - standing.core_hours)
        until = (
            "" if holder.until_the_end else f" until {windows.end(most.window, moment):%Y-%m-%d}"
        )
        said.append(f"{left:.4g} of {most.core_hours:g} core-hours{until}")
    if most.submissions_per_hour:
        left_now = max(0, most.submissions_per_hour - standing.submitted)
        said.append(f"{left_now} of {_count(most.submissions_per_hour, 'submission')} this hour")
    if not said:
        return ""
    whose = {"user": "You", "group": f"Your group {holder.name} together"}.get(
        holder.kind, f"The proposal {holder.name}"
    )
    return f"{whose}: {', '.join(said)}."


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'s' if number != 1 else ''}"
