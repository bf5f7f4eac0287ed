"""Fixtures of this room: a browser, and somebody who fits."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.jobs.making_pages import Fits
from tests.live import LiveGateway
from tests.web.chromium import chromium


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Run a headless Chromium."""
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def fits(live: LiveGateway) -> Iterator[Fits]:
    """Make jobs of one user."""
    user = live.user()
    yield Fits(user)
    user.cancel_all()
