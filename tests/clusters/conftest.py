"""A gateway beside a cluster on which each user has an account, and a site for its pages."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.clusters.making import PER_USER
from tests.live import LiveGateway, live_gateway
from tests.web.fixtures import SiteMaker, make
from tests.web.site import PASSWORD, Site

__all__ = ["make"]


@pytest.fixture(scope="module")
def live() -> Iterator[LiveGateway]:
    """Run a gateway whose second cluster nobody reaches."""
    with live_gateway(**PER_USER, GATEWAY_WORKER__IDLE_TICK_S="0.3") as gateway:
        yield gateway


@pytest.fixture
def site(make: SiteMaker) -> Site:
    """Make a site with a user ada."""
    site = make(**PER_USER)
    site.accounts.add_user("ada", PASSWORD)
    return site
