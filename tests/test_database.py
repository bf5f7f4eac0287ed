"""The store's server: durable, ours to start and to stop, of a known version."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import redis as redis_client
from click.testing import CliRunner

from gateway.cli import main
from gateway.database import (
    SCHEMA,
    EmbeddedServer,
    check_store,
    connect,
    require_schema,
    running_store,
    schema_version,
    store_place,
    upgrade,
)
from gateway.jobs.models import Job
from gateway.jobs.store import JobStore
from gateway.settings import Settings, SettingsError, load_settings, prepare_state
from gateway.sidecars import Sidecars
from scheduler.base import JobState
from tests.jobs.making import make_job


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


def nothing(client: redis_client.Redis) -> None:
    """Invented: a step that changes no data."""
    assert client.ping()


LATER = dict.fromkeys(range(1, SCHEMA), nothing)
"""The steps after the invented ones."""


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

    assert upgrade(client, {0: number_the_jobs, **LATER}) == (0, SCHEMA)

    require_schema(client)
    assert client.zrange("new:jobs", 0, -1) == ["j1", "j2", "j3"]
    client.sadd("old:jobs", "j4")
    assert upgrade(client, {0: number_the_jobs, **LATER}) == (SCHEMA, SCHEMA)
    assert client.smembers("old:jobs") == {"j4"}


def test_a_migration_that_was_cut_short_is_taken_up_again(client: redis_client.Redis) -> None:
    client.set("gateway:schema", 0)
    client.sadd("old:jobs", "j1", "j2")

    with pytest.raises(InterruptedError):
        upgrade(client, {0: number_one_job_and_die})
    with pytest.raises(SettingsError, match="db upgrade"):
        require_schema(client)
    upgrade(client, {0: number_the_jobs, **LATER})

    require_schema(client)
    assert client.zrange("new:jobs", 0, -1) == ["j1", "j2"]
    assert not client.exists("old:jobs")


def test_each_step_of_an_upgrade_is_kept(client: redis_client.Redis) -> None:
    client.set("gateway:schema", -1)
    steps = {-1: lambda store: store.incr("first"), 0: number_one_job_and_die}

    with pytest.raises(InterruptedError):
        upgrade(client, steps)
    upgrade(client, {**steps, 0: number_the_jobs, **LATER})

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


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("redis://ada:pa%40ss@store.lab:6380/3?password=pass", "redis://store.lab:6380/3"),
        ("rediss://:pa@ss@store.lab/0", "rediss://store.lab/0"),
        ("unix://ada:pass@/run/redis.sock?db=1", "unix:///run/redis.sock"),
    ],
)
def test_the_password_of_the_store_is_not_said(url: str, said: str, settings: Settings) -> None:
    assert store_place(replace(settings, redis=replace(settings.redis, url=url))) == said


# Version 1 to 2: where the jobs of a user are


RESERVED = ("active", "deleted", "rubbish", "wake", "pulse", "of")


def as_version_1(client: redis_client.Redis, jobs: JobStore, owners: Sequence[str]) -> list[Job]:
    """Have a job of each, written as version 1 did."""
    made = [make_job(owner=owner) for owner in owners]
    for job in made:
        jobs.add(job)
    for owner in owners:
        if owner not in RESERVED[:1]:  # there is a set already: it could not be written
            client.rename(f"jobs:of:{owner}", f"jobs:{owner}")
        client.rename(f"jobs:of:{owner}:PENDING", f"jobs:{owner}:PENDING")
    client.set("gateway:schema", 1)
    return made


def test_the_jobs_of_users_move_and_nothing_else_does(
    client: redis_client.Redis, tmp_path: Path
) -> None:
    jobs = JobStore(client, Sidecars(tmp_path / "sidecars"))
    ada, bob = as_version_1(client, jobs, ["ada", "bob"])
    jobs.delete(jobs.get(bob.id))
    client.zrem("jobs:bob", bob.id)  # as its own version would have
    for _ in range(2):
        client.set("gateway:schema", 1)
        assert upgrade(client) == (1, SCHEMA)
        assert list(jobs.newest("ada", "PENDING", None)) == list(jobs.newest("ada", None, None))
        assert list(jobs.newest("ada", None, None)) == [jobs.get(ada.id)] == jobs.active()
        assert jobs.count("bob") == 0
        assert client.smembers("jobs:deleted") == {bob.id}
        assert not client.exists("jobs:ada", "jobs:ada:PENDING")


def test_a_user_whose_name_was_in_the_way_is_nobodys_trouble_any_more(
    client: redis_client.Redis, tmp_path: Path
) -> None:
    jobs = JobStore(client, Sidecars(tmp_path / "sidecars"))
    made = as_version_1(client, jobs, [*RESERVED, "ada"])
    client.srem("jobs:active", made[0].id)
    upgrade(client)
    assert [job.id for job in jobs.active()] == [job.id for job in made]
    for owner in (*RESERVED, "ada"):
        assert jobs.count(owner) == 1
        (job,) = jobs.newest(owner, "PENDING", None)
        assert job.owner == owner
        jobs.delete(jobs.replace(job.with_attempt(state=JobState.CANCELLED)))
        jobs.add(make_job(owner=owner))
        assert jobs.count(owner) == 1
    assert len(jobs.rubbish(100)) == len(made) == len(jobs.active())


def test_our_own_server_is_started_for_an_upgrade_and_stopped(settings: Settings) -> None:
    with running_store(settings) as client:
        client.set("gateway:schema", 1)
    with pytest.raises(redis_client.ConnectionError), connect(settings) as client:
        client.ping()
    command = CliRunner().invoke(
        main, ["db", "upgrade"], env={"GATEWAY_STATE": str(settings.state_directory)}
    )
    assert command.output == f"data: 1 -> {SCHEMA}\n"
