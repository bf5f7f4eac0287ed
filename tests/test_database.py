"""The store's server: durable, ours to start and to stop, of a known version."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis as redis_client

from gateway.database import (
    SCHEMA,
    EmbeddedServer,
    check_store,
    connect,
    require_schema,
    schema_version,
    upgrade,
)
from gateway.settings import Settings, SettingsError, load_settings, prepare_state


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    state = tmp_path / "s"
    prepare_state(state)
    return load_settings({"GATEWAY_STATE": str(state)})


@pytest.fixture
def server(settings: Settings) -> Iterator[EmbeddedServer]:
    started = EmbeddedServer(settings)
    yield started
    started.stop()


@pytest.fixture
def client(settings: Settings, server: EmbeddedServer) -> Iterator[redis_client.Redis]:
    assert server.ours
    made = connect(settings)
    yield made
    made.close()


def test_our_own_server_is_durable_and_listens_on_no_port(client: redis_client.Redis) -> None:
    assert check_store(client) == []
    assert client.config_get("port")["port"] == "0"


def test_what_was_acknowledged_survives_a_kill(settings: Settings, server: EmbeddedServer) -> None:
    with connect(settings) as client:
        for number in range(200):
            client.set(f"k{number}", number)
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    while not server.ended():
        pass

    server.restart()

    with connect(settings) as client:
        assert all(client.get(f"k{number}") == str(number) for number in range(200))


def test_a_server_that_runs_already_is_used_and_left_alone(
    settings: Settings, server: EmbeddedServer
) -> None:
    second = EmbeddedServer(settings)

    second.stop()

    assert not second.ours
    with connect(settings) as client:
        assert client.ping()
    assert server.ours


def test_a_store_that_forgets_is_not_trusted(client: redis_client.Redis) -> None:
    client.config_set("appendonly", "no")
    client.config_set("maxmemory-policy", "allkeys-lru")

    assert [fault.partition(" ")[0] for fault in check_store(client)] == [
        "maxmemory-policy",
        "appendonly",
    ]


def test_an_upgrade_can_run_twice(client: redis_client.Redis) -> None:
    assert upgrade(client) == (None, SCHEMA)
    assert upgrade(client) == (SCHEMA, SCHEMA)
    require_schema(client)


def number_the_jobs(client: redis_client.Redis) -> None:
    """Invented: version 0 has the jobs in a set, version 1 in an order."""
    for job in client.sscan_iter("old:jobs"):
        client.zadd("new:jobs", {job: int(str(job).removeprefix("j"))})
        client.srem("old:jobs", job)


def number_one_job_and_die(client: redis_client.Redis) -> None:
    client.zadd("new:jobs", {"j1": 1})
    client.srem("old:jobs", "j1")
    raise InterruptedError


def test_old_data_are_migrated_once(client: redis_client.Redis) -> None:
    client.set("gateway:schema", 0)
    client.sadd("old:jobs", "j1", "j2", "j3")

    assert upgrade(client, {0: number_the_jobs}) == (0, SCHEMA)

    require_schema(client)
    assert client.zrange("new:jobs", 0, -1) == ["j1", "j2", "j3"]
    client.sadd("old:jobs", "j4")
    assert upgrade(client, {0: number_the_jobs}) == (SCHEMA, SCHEMA)
    assert client.smembers("old:jobs") == {"j4"}


def test_a_migration_that_was_cut_short_is_taken_up_again(client: redis_client.Redis) -> None:
    client.set("gateway:schema", 0)
    client.sadd("old:jobs", "j1", "j2")

    with pytest.raises(InterruptedError):
        upgrade(client, {0: number_one_job_and_die})
    with pytest.raises(SettingsError, match="db upgrade"):
        require_schema(client)
    upgrade(client, {0: number_the_jobs})

    require_schema(client)
    assert client.zrange("new:jobs", 0, -1) == ["j1", "j2"]
    assert not client.exists("old:jobs")


def test_each_step_of_an_upgrade_is_kept(client: redis_client.Redis) -> None:
    client.set("gateway:schema", -1)
    steps = {-1: lambda store: store.incr("first"), 0: number_one_job_and_die}

    with pytest.raises(InterruptedError):
        upgrade(client, steps)
    upgrade(client, {**steps, 0: number_the_jobs})

    assert client.get("first") == "1"


def test_data_without_a_way_to_this_version_are_left_alone(client: redis_client.Redis) -> None:
    client.set("gateway:schema", 0)

    with pytest.raises(SettingsError, match="no way"):
        upgrade(client, {})

    assert schema_version(client) == 0


def test_data_of_a_newer_version_are_refused(client: redis_client.Redis) -> None:
    client.set("gateway:schema", SCHEMA + 1)

    with pytest.raises(SettingsError, match="newer"):
        require_schema(client)
    with pytest.raises(SettingsError, match="newer"):
        upgrade(client)
    assert schema_version(client) == SCHEMA + 1
