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


def test_data_of_a_newer_version_are_refused(client: redis_client.Redis) -> None:
    client.set("gateway:schema", SCHEMA + 1)

    with pytest.raises(SettingsError, match="newer"):
        require_schema(client)
    with pytest.raises(SettingsError, match="newer"):
        upgrade(client)
    assert schema_version(client) == SCHEMA + 1
