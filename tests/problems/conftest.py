"""Fixtures of this room: a browser window with the new-fit form, and whose it is."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from tests.jobs.making_pages import Fits, Window
from tests.live import LiveGateway
from tests.problems import making_form as form


@pytest.fixture
def fits(live: LiveGateway) -> Iterator[Fits]:
    """Make jobs of a user of the test's own."""
    user = live.user()
    yield Fits(user)
    user.cancel_all()


@pytest.fixture
def window(browser: Browser, fits: Fits) -> Iterator[Window]:
    """Open a window in which nothing may happen that should not."""
    opened = Window(browser, fits)
    yield opened
    opened.context.close()
    assert form.faults(opened) == []


@pytest.fixture
def page(window: Window) -> Page:
    """Open the form."""
    return window.open(form.PATH)
