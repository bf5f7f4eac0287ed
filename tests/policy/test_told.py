"""What may still be used, in words."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.policy.models import Allowance, Holder
from gateway.policy.service import Standing
from gateway.policy.told import told

NOON = datetime(2026, 12, 3, 12, tzinfo=UTC)


def standing(kind: str, used: float = 0.0, submitted: int = 0, **limits: Any) -> Standing:
    allowance = Allowance(**limits)
    holder = Holder(kind=kind, name="imaging", members=("ada",), allowance=allowance)
    return Standing(holder=holder, core_hours=used, submitted=submitted)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (standing("user", jobs=4, cpus=1), "You: 4 jobs at once, 1 processor at once."),
        (
            standing("group", used=12.5, core_hours=100, window="month"),
            "Your group imaging together: 87.5 of 100 core-hours until 2027-01-01.",
        ),
        (
            standing("proposal", used=7.0, core_hours=5.0),
            "The proposal imaging: 0 of 5 core-hours.",
        ),
        (
            standing("user", submitted=25, submissions_per_hour=20),
            "You: 0 of 20 submissions this hour.",
        ),
        (standing("user"), ""),
    ],
)
def test_what_is_left_of_each_limit_is_said(found: Standing, words: str) -> None:
    assert told(found, NOON) == words
