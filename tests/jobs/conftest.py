"""Fixtures of this room: somebody who fits."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.jobs.making_pages import Fits
from tests.live import LiveGateway
from tests.web.fixtures import make

__all__ = ["make"]


@pytest.fixture(scope="module")
def fits(live: LiveGateway) -> Iterator[Fits]:
    """Make jobs of one user."""
    user = live.user()
    yield Fits(user)
    user.cancel_all()
