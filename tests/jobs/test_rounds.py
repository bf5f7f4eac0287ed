"""Rounds of the reconciler with jobs of which nobody knows whether they were handed over."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis as redis_client

from gateway.clusters.contacts import Contacts
from gateway.clusters.store import ContactStore
from gateway.datasets.blobs import BlobStore
from gateway.datasets.store import DatasetStore
from gateway.jobs import outcome
from gateway.jobs.conclude import Concluder
from gateway.jobs.follow import Follower
from gateway.jobs.live_store import LiveStore
from gateway.jobs.log_folder import LogFolder
from gateway.jobs.models import Job, Plan, PlannedFile, Stage, Wish
from gateway.jobs.places import FixedSchedulers, Place
from gateway.jobs.plan import keep_plan
from gateway.jobs.reconcile import Reconciler
from gateway.jobs.script import render_script
from gateway.jobs.store import JobStore
from gateway.jobs.words import RESTORED
from gateway.notifications.ends import Ends
from gateway.notifications.store import NotificationStore
from gateway.rebuild import to_be_looked_for
from gateway.records import now
from gateway.settings import Settings, load_settings
from gateway.sidecars import Sidecars
from scheduler.base import JobState, Launch, Scheduler, Submission, Uncertain
from scheduler.connect import connect
from scheduler.local import stop_executor
from tests.helpers import eventually
from tests.jobs.making import make_job
from tests.scheduler.site import sleeper


class NoPolicy:
    """Nothing is limited."""

    def ration(self, jobs: Sequence[Job]) -> None:
        del jobs


class Closed(dict[str, str]):
    """Cluster -> why nothing new goes there."""

    def why(self, cluster: str) -> str:
        return self.get(cluster, "")


@dataclass
class Site:
    """A reconciler on real files, and a place that runs jobs."""

    folder: Path
    scheduler: Scheduler
    store: JobStore
    blobs: BlobStore
    reconciler: Reconciler
    closed: Closed
    live: LiveStore
    resources: Mapping[str, str] = field(default_factory=lambda: {"time": "10"})

    def planned(self, seconds: float = 0.0, **changes: object) -> Job:
        """Have a job whose plan is kept and whose directory is not there."""
        job = make_job(**changes)
        directory = self.folder / "base" / job.owner / job.id / "1"
        script = render_script(
            self.resources,
            marker=job.marker,
            comment="gw:ada:test",
            workdir=str(directory),
            python="/usr/bin/python3",
            environment={},
            tasks=1,
            throttle=None,
            signal_lead_s=1,
        )
        driver = self.blobs.put(sleeper(seconds).encode()).digest
        files = (PlannedFile(path="driver.pyz", digest=driver),)
        plan = keep_plan(Plan(script=script, job={}, files=files), self.blobs)
        return job.with_attempt(plan=plan, directory=str(directory))

    def end_of(self, job: Job) -> Job:
        """Do rounds until a job has ended."""

        def look() -> Job | None:
            self.reconciler.round()
            found = self.store.get(job.id)
            return found if found.final else None

        ended = eventually(look, what=lambda: repr(self.store.get(job.id).attempt))
        assert ended is not None
        return ended


@pytest.fixture
def site(redis: redis_client.Redis, tmp_path: Path) -> Iterator[Site]:
    state = tmp_path / "state"
    yield make_site(redis, tmp_path, connect("local", {"state_directory": state, "cpus": 1}))
    stop_executor(state)


def make_site(
    redis: redis_client.Redis, tmp_path: Path, scheduler: Scheduler, **pace: float
) -> Site:
    """Make a reconciler of one cluster, which is called local whatever it is."""
    settings = quick(load_settings(with_secret=False), **pace)
    store, live = JobStore(redis, Sidecars(tmp_path / "sidecars")), LiveStore(redis, 600)
    blobs, follower = BlobStore(tmp_path / "blobs"), Follower(live, LogFolder(tmp_path / "l", 1000))
    reconciler = Reconciler(
        store=store,
        live=live,
        blobs=blobs,
        follower=follower,
        concluder=Concluder(
            store=store,
            live=live,
            datasets=DatasetStore(redis, Sidecars(tmp_path / "datasets")),
            blobs=blobs,
            limits=settings.limits,
            follower=follower,
        ),
        schedulers=FixedSchedulers({"local": scheduler}),
        settings=settings,
        ends=Ends(NotificationStore(redis), store),
        closings=(closings := Closed()),
        contacts=Contacts(ContactStore(redis)),
        policy=NoPolicy(),
    )
    return Site(tmp_path, scheduler, store, blobs, reconciler, closings, live)


def quick(settings: Settings, **pace: Any) -> Settings:
    local = replace(settings.clusters["local"], **{"look_again_s": 0.0, **pace})
    return replace(settings, clusters={"local": local})


def test_a_restored_job_that_was_never_staged_comes_to_its_end(site: Site) -> None:
    kept, unwanted = site.planned(), site.planned(wish=Wish.CANCEL)
    for job in (kept, unwanted):
        assert site.store.restore(outcome.stale(to_be_looked_for(job), "connection refused"))

    refused = site.end_of(kept)
    assert (refused.attempt.state, refused.attempt.stage) == (JobState.FAILED, Stage.REFUSED)
    assert refused.attempt.reason_text == f"Not handed over again: {RESTORED}."
    left = Path(kept.attempt.directory)
    assert [path.name for path in left.iterdir()] == ["claim.1"], "nothing was sent"
    assert (left / "claim.1").read_text() == "void\n"
    assert left.stat().st_mode & 0o777 == 0o700
    assert site.end_of(unwanted).attempt.state is JobState.CANCELLED
    site.store.delete(site.store.get(kept.id))

    again = replace(kept, id=unwanted.id, version=site.store.get(unwanted.id).version)
    second = left.with_name("2")
    attempt = replace(kept.attempt, number=2, directory=str(second))
    site.store.replace(replace(again, attempts=(kept.attempt, attempt)))
    assert site.end_of(again).attempt.try_number == 1
    assert (second / "driver.pyz").exists()


def test_who_only_waits_for_news_is_left_alone_until_it_is_time_for_some(
    redis: redis_client.Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = tmp_path / "state"
    with closing_executor(state) as scheduler:
        hour = {"look_s": 3600.0, "look_most_s": 3600.0, "follow_s": 3600.0}
        site = make_site(redis, tmp_path, scheduler, **hour)
        taken: list[list[str]] = []
        lease = site.live.lease

        def noted(ids: Sequence[str], token: str, ttl_s: float) -> set[str]:
            taken.append(list(ids))
            return lease(ids, token, ttl_s)

        monkeypatch.setattr(site.live, "lease", noted)
        site.store.add(job := site.planned(seconds=600))
        assert site.reconciler.round() == 1
        assert site.store.get(job.id).attempt.stage is Stage.SUBMITTED
        site.reconciler.round()  # the first question, which is due at once

        site.store.add(another := site.planned())
        taken.clear()
        assert site.reconciler.round() == site.reconciler.round() == 2, "both are alive"
        assert taken == [[another.id]], "each is taken while it needs a step"
        assert site.store.get(another.id).attempt.stage is Stage.SUBMITTED

        site.store.change(job.id, lambda found: replace(found, wish=Wish.CANCEL))
        assert site.end_of(job).attempt.state is JobState.CANCELLED
        assert site.end_of(another).attempt.exit_code == 0, "it was asked about with the other"


@contextmanager
def closing_executor(state: Path) -> Iterator[Scheduler]:
    try:
        yield connect("local", {"state_directory": state, "cpus": 1})
    finally:
        stop_executor(state)


def test_a_try_that_never_arrived_waits_while_its_cluster_is_closed(site: Site) -> None:
    job = site.planned(stage=Stage.UNCERTAIN, try_number=1)
    site.store.add(job)
    site.closed["local"] = "closed for cleaning"

    def look() -> bool:
        site.reconciler.round()
        return "closed for cleaning" in site.store.get(job.id).attempt.reason_text

    eventually(look)
    assert (Path(job.attempt.directory) / "claim.1").read_text() == "void\n", "it was looked for"
    version = site.store.get(job.id).version
    site.reconciler.round()
    assert site.store.get(job.id).version == version, "told once"
    site.closed.clear()
    assert site.end_of(job).attempt.try_number == 2
    assert len((Path(job.attempt.directory) / "starts").read_text().splitlines()) == 1


def test_a_try_after_a_lost_directory_runs_in_a_whole_one(site: Site) -> None:
    job = site.planned(stage=Stage.UNCERTAIN, try_number=1)
    site.store.add(job)
    ended = site.end_of(job)
    assert (ended.attempt.exit_code, ended.attempt.try_number) == (0, 2)
    assert len((Path(job.attempt.directory) / "starts").read_text().splitlines()) == 1


def test_a_try_is_given_up_only_after_two_looks_with_the_pause_of_its_cluster_between(
    redis: redis_client.Redis, tmp_path: Path
) -> None:
    with closing_executor(tmp_path / "state") as scheduler:
        site = make_site(redis, tmp_path, scheduler, look_again_s=3600.0)
        site.store.add(job := site.planned(stage=Stage.UNCERTAIN, try_number=1))
        claim = Path(job.attempt.directory) / "claim.1"
        for _ in range(3):
            site.reconciler.round()
        found = site.store.get(job.id).attempt
        assert (found.stage, found.looks, claim.exists()) == (Stage.UNCERTAIN, 1, False)
        before = now() - timedelta(seconds=3601)
        site.store.change(job.id, lambda found: found.with_attempt(looked=before))
        site.reconciler.round()
        assert claim.read_text() == "void\n"
        assert site.end_of(job).attempt.try_number == 2


def test_a_place_whose_answer_nobody_foresaw_holds_up_no_other(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd, job = site.planned(cluster="odd"), site.planned()
    for one in (odd, job):
        site.store.add(one)
    get = FixedSchedulers.get

    def odd_get(self: FixedSchedulers, asked: Place) -> Scheduler:
        if asked.cluster == "odd":
            raise OverflowError("timestamp out of range")
        return get(self, asked)

    monkeypatch.setattr(FixedSchedulers, "get", odd_get)
    assert site.end_of(job).attempt.exit_code == 0
    held = site.store.get(odd.id)
    assert not held.final
    assert "timestamp out of range" in held.attempt.reason_text


def test_a_job_of_which_no_try_arrived_tells_what_was_said_of_each(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = site.planned()
    site.store.add(job)
    said = iter(["Socket timed out", "", "Unable to contact slurmctld"])

    def lost(_: object, launches: Sequence[Launch]) -> list[Submission]:
        return [Uncertain(text=next(said)) for _ in launches]

    monkeypatch.setattr(type(site.scheduler), "submit", lost)
    attempt = site.end_of(job).attempt
    assert (attempt.state, attempt.reason) == (JobState.FAILED, "NotHandedOver")
    assert attempt.reason_text == (
        "Not handed over after 3 tries: try 1: Socket timed out; try 2: no answer; "
        "try 3: Unable to contact slurmctld"
    )
