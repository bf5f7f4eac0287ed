"""A gateway that can be killed part by part; one for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.rig import Rig, running_rig


@pytest.fixture
def rig() -> Iterator[Rig]:
    """Run a gateway whose parts come back when they are killed."""
    with running_rig() as running:
        yield running
