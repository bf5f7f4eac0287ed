"""A policy for tests, with something of everything."""

from __future__ import annotations

from gateway.policy.models import Policy
from gateway.policy.reading import read_policy

FULL = """
[groups.imaging]
title = "Imaging"
members = ["ada", "bob"]

[limits.each_user]
jobs = 3
submissions_per_hour = 200

[limits.users.bob]
jobs = 1

[limits.groups.imaging]
core_hours = 1000
window = "week"

[proposals.hp-117]
title = "Membranes"
account = "hp117"
reservation = "d17"
first = 2026-11-20
last = 2026-11-24
groups = ["imaging"]
clusters = ["hpc"]
core_hours = 50

[proposals.xr-3]
qos = "beam"
first = 2026-12-01
last = 2026-12-31
users = ["eve"]
"""


def policy(text: str = FULL) -> Policy:
    """Read it."""
    return read_policy(text, "policy.toml")
