"""A gateway of its own: a switch for all clusters must hold up no other test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.live import LiveGateway, live_gateway
from tests.web.fixtures import make, site

__all__ = ["make", "site"]


@pytest.fixture(scope="package")
def live() -> Iterator[LiveGateway]:
    """Run a gateway that is quick to look."""
    with live_gateway(GATEWAY_WORKER__IDLE_TICK_S="0.3") as gateway:
        gateway.add_user("boss", admin=True)
        yield gateway
