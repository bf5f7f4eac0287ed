"""A job whose record or directory is broken, or hostile, holds up no other of its cluster."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import redis as redis_client
from structlog.testing import capture_logs

from gateway.clusters.models import Found
from gateway.database import connect
from gateway.jobs.census import CensusStore
from gateway.jobs.entitled import entitled
from gateway.jobs.models import Job, Stage, Tracking, Wish
from gateway.jobs.parsed import UnreadableError
from gateway.jobs.resources import Resources
from gateway.jobs.unreadable import unreadable, unreadable_live
from gateway.records import from_document
from gateway.settings import load_settings
from gateway.sidecars import Sidecars
from scheduler.base import JobState, Launch, Submission
from scheduler.shell import LocalShell
from scheduler.slurm import Slurm, SlurmConfig
from tests.helpers import eventually
from tests.jobs.test_rounds import Site, make_site
from tests.scheduler.site import AGENT_PYTHON, open_local
from tests.slurm.cluster import Cluster


@pytest.fixture
def here(redis: redis_client.Redis, tmp_path: Path) -> Iterator[Site]:
    with open_local(tmp_path, cpus=16) as local:  # which ends what still runs
        yield make_site(redis, tmp_path, local.scheduler)


@pytest.fixture
def far(redis: redis_client.Redis, tmp_path: Path, slurm_cluster: Cluster) -> Iterator[Site]:
    """A real Slurm by its agent, which takes no directory that is not beneath its base."""
    (tmp_path / "base").mkdir()
    conf = str(slurm_cluster.folder / "slurm.conf")
    config = SlurmConfig(base=str(tmp_path / "base"), slurm_conf=conf, python=AGENT_PYTHON)
    site = make_site(redis, tmp_path, Slurm(shell := LocalShell(), config))
    site.resources = {"time": "10", "partition": "wide"}
    yield site
    slurm_cluster.clear()
    shell.close()


@pytest.fixture(params=["here", pytest.param("far", marks=pytest.mark.slow)])
def site(request: pytest.FixtureRequest) -> Site:
    found: Site = request.getfixturevalue(request.param)
    return found


def move(site: Site, job: Job, directory: str) -> None:
    """Let a record name another directory, as after a change of the cluster's base."""
    site.store.change(job.id, lambda job: job.with_attempt(directory=directory))


def lose(site: Site, job: Job) -> None:
    del site
    shutil.rmtree(job.attempt.directory)


def make_file(site: Site, job: Job) -> None:
    lose(site, job)
    Path(job.attempt.directory).write_text("no directory")


def make_loop(site: Site, job: Job) -> None:
    lose(site, job)
    Path(job.attempt.directory).symlink_to(job.attempt.directory)


def make_pipe(site: Site, job: Job) -> None:
    """Have a reader wait for ever, if it opens it."""
    del site
    (Path(job.attempt.directory) / "events.0.jsonl").unlink(missing_ok=True)
    os.mkfifo(Path(job.attempt.directory) / "events.0.jsonl")


RECORDS: dict[str, Callable[[bytes], bytes]] = {
    "no JSON": lambda _: b"{",
    "no text": lambda record: record.replace(b"a fit", b"\xff\xfe"),
    "another shape": lambda _: b'{"id": 7, "attempts": []}',
    "of nobody": lambda record: record.replace(b'"attempts":[', b'"attempts":[],"attempt":['),
    "a list": lambda _: b"[1]",
    "deep": lambda _: b"[" * 100_000,
    "another state": lambda record: record.replace(b'"PENDING"', b'"DREAMING"'),
}


SPOIL: dict[str, Callable[[Site, Job], None]] = {
    "outside": lambda site, job: move(site, job, "/elsewhere/ada/1"),
    "relative": lambda site, job: move(site, job, "../1"),
    "bytes": lambda site, job: move(site, job, f"{job.attempt.directory}/\udcff\n"),
    "null": lambda site, job: move(site, job, f"{job.attempt.directory}/\0"),
    "lost": lose,
    "file": make_file,
    "loop": make_loop,
    "pipe": make_pipe,
}


def rounds(site: Site, look: Callable[[], object], what: Callable[[], str]) -> None:
    """Do rounds until something is so."""

    def one() -> object:
        site.reconciler.round()
        return look()

    eventually(one, what=what)


def runs(site: Site, job: Job) -> bool:
    return site.store.get(job.id).attempt.state is JobState.RUNNING


def test_a_healthy_job_begins_is_followed_and_ends_beside_spoiled_ones(site: Site) -> None:
    healthy, bad = site.planned(600.0), {name: site.planned(600.0) for name in SPOIL}
    for job in (healthy, *bad.values()):
        site.store.add(job)
    begun = [Path(job.attempt.directory) / "starts" for job in (healthy, *bad.values())]
    rounds(site, lambda: all(path.exists() for path in begun), lambda: repr(begun))
    rounds(site, lambda: runs(site, healthy), lambda: repr(site.store.get(healthy.id).attempt))
    for name, spoil in SPOIL.items():
        spoil(site, bad[name])

    events = Path(healthy.attempt.directory) / "events.0.jsonl"
    events.write_text(json.dumps({"event": "step", "t": 1.0, "step": 7, "steps": 9, "chisq": 1.0}))
    with events.open("a") as stream:
        stream.write("\n")
    rounds(site, lambda: site.live.progress(healthy.id), lambda: "no progress is told")
    site.store.add(new := site.planned())
    assert site.end_of(new).attempt.exit_code == 0
    (Path(healthy.attempt.directory) / "go").touch()
    ended = site.end_of(healthy).attempt
    assert (ended.exit_code, ended.tracking, ended.try_number) == (0, Tracking.FRESH, 1)


def test_what_the_cluster_refuses_of_one_job_is_told_of_it_alone(far: Site) -> None:
    healthy, bad = far.planned(600.0), far.planned(600.0)
    for job in (healthy, bad):
        far.store.add(job)
    rounds(far, lambda: runs(far, healthy) and runs(far, bad), lambda: "they do not run")
    move(far, bad, "/elsewhere/ada/1")
    rounds(far, lambda: far.store.get(bad.id).attempt.error, lambda: "nothing is said")
    said = far.store.get(bad.id).attempt
    assert "/elsewhere/ada/1 does not lie beneath" in said.error
    assert said.tracking is Tracking.FRESH, "its cluster was reached"
    assert far.store.get(healthy.id).attempt.error == ""
    far.reconciler.round()  # in which squeue says that it runs
    version = far.store.get(bad.id).version
    for _ in range(3):
        far.reconciler.round()
    assert far.store.get(bad.id).version == version, "told once"
    move(far, bad, bad.attempt.directory)
    (Path(bad.attempt.directory) / "go").touch()
    assert far.end_of(bad).attempt.exit_code == 0, "and found again when it is put right"


@pytest.mark.parametrize("stage", [Stage.STAGED, Stage.UNCERTAIN])
def test_a_try_in_a_wrong_place_takes_no_try_of_another(far: Site, stage: Stage) -> None:
    bad = far.planned(stage=stage, try_number=int(stage is Stage.UNCERTAIN))
    bad = bad.with_attempt(directory="/elsewhere/ada/1")
    healthy = far.planned()
    far.store.add(bad)
    staged = healthy.with_attempt(stage=Stage.STAGED)
    far.store.add(staged if stage is Stage.STAGED else healthy)
    if stage is Stage.STAGED:
        far.reconciler._hand_over.stage(far.scheduler, [staged])
    ended = far.end_of(healthy).attempt
    assert (ended.exit_code, ended.try_number) == (0, 1)
    held = far.store.get(bad.id)
    assert not held.final
    assert "does not lie beneath" in held.attempt.reason_text
    assert held.attempt.try_number == bad.attempt.try_number
    assert held.version <= 3, "told once"


def test_a_file_system_that_goes_away_between_two_steps_fails_no_job(
    far: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = far.planned()
    far.store.add(job)
    submit, calls = far.scheduler.submit, 0

    def as_it_is_away(launches: Sequence[Launch]) -> list[Submission]:
        nonlocal calls
        calls += 1
        if calls == 1:
            shutil.rmtree(launches[0].directory)
        return submit(launches)

    monkeypatch.setattr(far.scheduler, "submit", as_it_is_away)
    far.reconciler.round()
    held = far.store.get(job.id).attempt
    assert (held.stage, held.try_number, held.state.final) == (Stage.STAGED, 0, False)
    assert "is not there now" in held.reason_text
    ended = far.end_of(job).attempt
    assert (ended.exit_code, ended.try_number, calls) == (0, 1, 2)


@pytest.fixture
def full(far: Site, slurm_cluster: Cluster) -> Iterator[Site]:
    """Let Slurm take one job at a time; it is as it was afterwards."""
    conf = slurm_cluster.folder / "slurm.conf"
    text = conf.read_text()
    conf.write_text(f"{text}AccountingStorageEnforce=associations,limits\n")
    limit(slurm_cluster, "1")
    slurm_cluster.restart_slurmctld()
    yield far
    slurm_cluster.clear()
    conf.write_text(text)
    limit(slurm_cluster, "-1")
    slurm_cluster.restart_slurmctld()


def limit(cluster: Cluster, jobs: str) -> None:
    words = f"modify user root set maxsubmitjobs={jobs}"
    cluster.run("sacctmgr", "-i", *words.split())


@pytest.mark.slow
def test_who_is_one_too_many_for_slurm_waits_and_then_runs(
    full: Site, slurm_cluster: Cluster
) -> None:
    found = Found.of(full.scheduler.probe())
    assert {one.account: one.max_submit for one in found.associations}["lab"] == "1"
    (error,) = entitled(Resources(account="lab"), 2, found, "now", shared=True)[0]
    assert "2 tasks are more than the 1 jobs that account 'lab' may have" in error.detail

    first, second, third = (full.planned(600.0) for _ in range(3))
    full.store.add(first)
    rounds(full, lambda: runs(full, first), lambda: "it does not run")
    for job in (second, third):
        full.store.add(job)

    def turned_away(job: Job, times: int) -> bool:
        return full.store.get(job.id).attempt.turned_away >= times

    # More often than a try may fail.
    rounds(full, lambda: turned_away(second, 5), lambda: repr(full.store.get(second.id).attempt))
    told = full.store.get(second.id).attempt
    assert (told.state, told.reason, told.native_id) == (JobState.PENDING, "InLine", None)
    assert "takes no more jobs of this account now" in told.reason_text
    assert "AssocMaxSubmitJobLimit; turned away 5 times" in told.reason_text
    assert full.store.get(third.id).attempt.turned_away == 1, "one of those who wait tries"

    full.store.change(third.id, lambda job: replace(job, wish=Wish.CANCEL))
    assert full.end_of(third).attempt.state is JobState.CANCELLED
    (Path(first.attempt.directory) / "go").touch()
    assert full.end_of(first).attempt.exit_code == 0
    rounds(full, lambda: runs(full, second), lambda: repr(full.store.get(second.id).attempt))
    (Path(second.attempt.directory) / "go").touch()
    assert full.end_of(second).attempt.exit_code == 0
    made = slurm_cluster.run("squeue", "-h", "-t", "all", "-n", second.marker, "-o", "%F")
    assert len(made.split()) == 1
    assert len((Path(second.attempt.directory) / "starts").read_text().splitlines()) == 1
    assert not (Path(third.attempt.directory) / "starts").exists()


@pytest.mark.slow
def test_a_cluster_with_as_many_jobs_as_it_holds_makes_a_job_wait(
    far: Site, slurm_cluster: Cluster
) -> None:
    conf = slurm_cluster.folder / "slurm.conf"
    text = conf.read_text()
    conf.write_text(f"{text}MaxJobCount=1\n")
    slurm_cluster.restart_slurmctld()
    try:
        far.store.add(job := far.planned())
        rounds(
            far,
            lambda: far.store.get(job.id).attempt.turned_away,
            lambda: repr(far.store.get(job.id).attempt),
        )
        told = far.store.get(job.id).attempt
        assert "it holds as many jobs as it can; turned away once" in told.reason_text
        assert (told.stage, told.unanswered) == (Stage.STAGED, ())
    finally:
        conf.write_text(text)
        slurm_cluster.restart_slurmctld()
    assert far.end_of(job).attempt.exit_code == 0


@pytest.fixture
def damaged(
    redis: redis_client.Redis, redis_server: Path, tmp_path: Path
) -> Iterator[tuple[Site, redis_client.Redis]]:
    """A site whose store is read as a gateway reads it; answer its client, too."""
    assert redis.dbsize() == 0
    settings = load_settings({"GATEWAY_REDIS_URL": f"unix://{redis_server}"}, with_secret=False)
    client = connect(settings)
    with open_local(tmp_path, cpus=16) as local:
        yield make_site(client, tmp_path, local.scheduler), client
    client.close()


def test_a_record_that_cannot_be_read_is_set_apart_and_every_other_job_ends(
    damaged: tuple[Site, redis_client.Redis], redis_server: Path
) -> None:
    here, redis = damaged
    raw = redis_client.Redis(unix_socket_path=str(redis_server))
    bad = {name: here.planned() for name in RECORDS}
    healthy, kept = here.planned(), dict[str, bytes]()
    for job in (*bad.values(), healthy):
        here.store.add(job)
    for name, job in bad.items():
        record = raw.hget(f"job:{job.id}", "record")
        assert isinstance(record, bytes)
        kept[name] = record
        raw.hset(f"job:{job.id}", "record", RECORDS[name](record))
    other = here.planned()
    here.store.add(other)
    raw.hset(f"job:{other.id}", "record", raw.hget(f"job:{healthy.id}", "record"))

    with capture_logs() as said:
        assert here.end_of(healthy).attempt.exit_code == 0
    ids = sorted(job.id for job in (*bad.values(), other))
    assert sorted(line["job"] for line in said if line["log_level"] == "error") == ids, "each once"
    for told in (unreadable_live(redis), unreadable(redis)):
        assert sorted(told) == ids
        assert f"says that it is of job {healthy.id!r}" in told[other.id]
    with pytest.raises(UnreadableError, match=other.id):
        here.store.get(other.id)
    listed = [job.id for job in here.store.newest("ada", None, None)]
    assert listed == [healthy.id]
    assert CensusStore(redis).look().unreadable >= len(ids) - 2, "it reads little of each"

    for name, job in bad.items():
        raw.hset(f"job:{job.id}", "record", kept[name])
        assert here.end_of(job).attempt.exit_code == 0, "mended, it goes on"


def test_a_damaged_record_comes_back_from_its_file(
    here: Site, redis: redis_client.Redis, tmp_path: Path
) -> None:
    here.store.add(job := here.planned())
    redis.hset(f"job:{job.id}", "record", "{")
    here.reconciler.round()
    assert not here.store.active()
    redis.delete(f"job:{job.id}")
    (document,) = [found for _, found in Sidecars(tmp_path / "sidecars")]
    assert here.store.restore(from_document(Job, document))
    assert here.end_of(job).attempt.exit_code == 0
    assert not unreadable(redis)
