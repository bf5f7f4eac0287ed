"""Who works on a job: one reconciler at a time, and the same one again after a lost reply."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from gateway.jobs.store import JobStore
from gateway.sidecars import Sidecars
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
def store(client: redis.Redis, tmp_path: Path) -> JobStore:
    client.flushall()
    return JobStore(client, Sidecars(tmp_path / "sidecars"))


def test_what_one_reconciler_has_another_does_not_get(store: JobStore) -> None:
    assert store.lease(JOBS[:2], "one", TTL_S) == {"01A", "01B"}
    assert store.lease(JOBS, "other", TTL_S) == {"01C"}


def test_a_reconciler_whose_release_was_lost_goes_on_at_once(
    store: JobStore, client: redis.Redis
) -> None:
    store.lease(JOBS, "one", TTL_S)
    client.pexpire("job:01A:lease", 1000)

    assert store.lease(JOBS, "one", TTL_S) == set(JOBS)
    assert int(client.pttl("job:01A:lease")) > 1000 * (TTL_S - 10)


def test_a_release_gives_back_only_what_is_ones_own(store: JobStore) -> None:
    store.lease(JOBS[:1], "one", TTL_S)
    store.lease(JOBS[1:], "other", TTL_S)

    store.release(JOBS, "one")

    assert store.lease(JOBS, "third", TTL_S) == {"01A"}
    assert store.lease(JOBS, "other", TTL_S) == {"01B", "01C"}


def test_nothing_to_lease_is_no_error(store: JobStore) -> None:
    assert store.lease([], "one", TTL_S) == set()
    store.release([], "one")
