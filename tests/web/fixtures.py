"""Fixtures that the tests of several rooms import into their conftest."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis as redis_client
import structlog

from tests.web.site import PASSWORD, Site, make_site

SiteMaker = Callable[..., Site]


@pytest.fixture
def make(redis: redis_client.Redis, redis_server: Path, tmp_path: Path) -> Iterator[SiteMaker]:
    """Make sites on one empty store; settings as in the environment."""
    sites: list[Site] = []

    def maker(**environment: str) -> Site:
        sites.append(make_site(redis_server, tmp_path / "state", **environment))
        return sites[-1]

    assert redis.dbsize() == 0
    yield maker
    for site in sites:
        site.services.redis.close()
    logging.getLogger().handlers = []
    structlog.reset_defaults()


_users: dict[str, bytes] = {}
"""The store with its users, kept for the next test: hashing passwords is slow on purpose."""


@pytest.fixture
def site(make: SiteMaker, redis: redis_client.Redis) -> Site:
    """Make a site with a user ada, an administrator root, and a stranger bob."""
    site = make()
    if not _users:
        for name in ("ada", "bob", "root"):
            site.accounts.add_user(name, PASSWORD, admin=name == "root")
        for key in map(str, redis.keys("*")):
            _users[key] = redis.dump(key) or b""
    for key, value in _users.items():
        redis.restore(key, 0, value, replace=True)
    return site
