"""Fixtures of this room: a small real site, and a browser."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.web.chromium import chromium
from tests.web.fixtures import make, site

__all__ = ["make", "site"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Run a headless Chromium."""
    with chromium() as running:
        yield running
