"""Who works on a job: one reconciler at a time, and the same one again after a lost reply."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from gateway.jobs.live_store import LiveStore
from tests.redis_server import private_redis

JOBS = ["01A", "01B", "01C"]
TTL_S = 60.0


@pytest.fixture(scope="module")
def client() -> Iterator[redis.Redis]:
    with private_redis() as socket:
        connected = redis.Redis(unix_socket_path=str(socket), decode_responses=True)
        yield connected
        connected.close()


@pytest.fixture
def live(client: redis.Redis) -> LiveStore:
    client.flushall()
    return LiveStore(client, 600)


def test_what_one_reconciler_has_another_does_not_get(live: LiveStore) -> None:
    assert live.lease(JOBS[:2], "one", TTL_S) == {"01A", "01B"}
    assert live.lease(JOBS, "other", TTL_S) == {"01C"}


def test_a_reconciler_whose_release_was_lost_goes_on_at_once(
    live: LiveStore, client: redis.Redis
) -> None:
    live.lease(JOBS, "one", TTL_S)
    client.pexpire("job:01A:lease", 1000)

    assert live.lease(JOBS, "one", TTL_S) == set(JOBS)
    assert int(client.pttl("job:01A:lease")) > 1000 * (TTL_S - 10)


def test_a_release_gives_back_only_what_is_ones_own(live: LiveStore) -> None:
    live.lease(JOBS[:1], "one", TTL_S)
    live.lease(JOBS[1:], "other", TTL_S)

    live.release(JOBS, "one")

    assert live.lease(JOBS, "third", TTL_S) == {"01A"}
    assert live.lease(JOBS, "other", TTL_S) == {"01B", "01C"}


def test_nothing_to_lease_is_no_error(live: LiveStore) -> None:
    assert live.lease([], "one", TTL_S) == set()
    live.release([], "one")
