"""Fixtures for things with an end; everything else is made by factories."""

from __future__ import annotations

import gc
import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
import redis as redis_client
from hypothesis import settings
from playwright.sync_api import Browser

from tests.ci_guard import guard
from tests.leftovers import Leftovers
from tests.live import Api, LiveGateway, live_gateway
from tests.redis_server import private_redis
from tests.slurm.cluster import Cluster, private_cluster
from tests.web.chromium import chromium


def pytest_configure(config: pytest.Config) -> None:
    """Let nothing be skipped unnoticed where everything can run, and no test fail another."""
    guard(config)
    config.pluginmanager.register(Leftovers(), "leftovers")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect tests without looking for garbage: nothing is dropped, and it is a third of it."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


_LONGEST = (
    "tests/faults/test_campaigns.py",
    "tests/scheduler/test_contract.py",
    "tests/fitters/test_auto.py",
    "tests/problems/test_pages_browser.py",
    "tests/client/test_live.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest: the last one must not keep one process alone."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}

    def rank(item: pytest.Item) -> tuple[bool, bool]:
        return not item.nodeid.startswith(_LONGEST), item.path not in slow

    items.sort(key=rank)


# Each client of httpx reads all certificates of the world from a file, 30 ms, also for plain http;
# of a directory it reads those that it meets. What tests start inherits it.
_CERTIFICATES = Path("/etc/ssl/certs")
if Path(os.environ.get("SSL_CERT_FILE") or _CERTIFICATES / "all").parent == _CERTIFICATES:
    os.environ.pop("SSL_CERT_FILE", None)
    os.environ.setdefault("SSL_CERT_DIR", str(_CERTIFICATES))

# A build must not fail by luck: the same examples each time. At home they are new every time.
settings.register_profile("ci", derandomize=True, deadline=None)
settings.register_profile("home", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "home")


@pytest.fixture(scope="session")
def redis_server() -> Iterator[Path]:
    """Run a real Redis on a private unix socket; answer the socket's path."""
    with private_redis() as socket:
        yield socket


@pytest.fixture
def redis(redis_server: Path) -> Iterator[redis_client.Redis]:
    """Answer a client of an empty store."""
    client = redis_client.Redis(unix_socket_path=str(redis_server), decode_responses=True)
    client.flushall()
    yield client
    client.close()


@pytest.fixture(scope="session")
def slurm_cluster() -> Iterator[Cluster]:
    """Run a real Slurm cluster of three nodes; who hurts it heals it."""
    with private_cluster() as cluster:
        yield cluster


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Run a headless Chromium."""
    with chromium() as running:
        yield running


@pytest.fixture(scope="session")
def live() -> Iterator[LiveGateway]:
    """Run a whole gateway; answer it."""
    with live_gateway() as gateway:
        yield gateway


@pytest.fixture
def api(live: LiveGateway) -> Iterator[Api]:
    """Answer a program that talks to the gateway as a user of its own.

    What it left running ends with it: others wait for the same two processors.
    """
    user = live.user()
    yield user
    user.cancel_all()
