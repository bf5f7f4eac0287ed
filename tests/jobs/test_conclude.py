"""How an attempt is closed: what is said of a stopped array, and what happens when it cannot be."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path, PurePosixPath

import pytest
import redis as redis_client

from gateway.datasets.blobs import BlobStore
from gateway.datasets.models import FileRef
from gateway.datasets.store import DatasetStore
from gateway.errors import NoSpaceError, NotFoundError
from gateway.jobs import collect, judge, outcome, words
from gateway.jobs.backoff import Backoff
from gateway.jobs.collect import Collected
from gateway.jobs.conclude import Concluder
from gateway.jobs.decide import Collect, DecideByFiles, Missing, decide
from gateway.jobs.follow import Follower
from gateway.jobs.history import history_of, with_history
from gateway.jobs.inquiry import Inquiry
from gateway.jobs.live_store import LiveStore
from gateway.jobs.log_folder import LogFolder
from gateway.jobs.models import Job, Plan, Progress, Stage, Tracking, Wish, dataset_id
from gateway.jobs.outcome import ExitRecord
from gateway.jobs.plan import keep_plan
from gateway.jobs.store import JobStore, StaleError
from gateway.records import Document, now
from gateway.settings import load_settings
from gateway.sidecars import Sidecars
from scheduler.base import JobReport, JobState, Scheduler
from scheduler.connect import connect
from scheduler.local import stop_executor
from tests.jobs.making import make_job
from tests.scheduler.site import Site as Place
from tests.scheduler.site import sleeper

DONE = {"status": "done", "parameters": [{"label": "a", "value": 1.0}]}
STOPPED = {"status": "stopped", "parameters": [{"label": "a", "value": 1.0}]}
NOT_BEGUN = {"status": "stopped", "parameters": []}
FAILED = {"status": "failed", "parameters": []}


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Site:
    """What closes attempts, on real files."""

    redis: redis_client.Redis
    folder: Path
    scheduler: Scheduler
    clock: Clock
    concluder: Concluder

    def ended(
        self, states: Sequence[JobState], results: dict[int, list[Document]], **changes: object
    ) -> Job:
        """Have an array whose tasks ended so, with the results that some of them left."""
        job = make_job(
            tasks=len(states), elements=len(states), stage=Stage.SUBMITTED, native_id="7", **changes
        )
        directory = self.folder / "jobs" / job.id / "1"
        directory.mkdir(parents=True)
        (directory / "job.sh").write_text("#!/bin/bash\n")
        for task, rows in results.items():
            text = json.dumps({"status": "partial", "elements": rows})
            (directory / f"result.{task}.json").write_text(text)
            vouch(directory, task)
        job = job.with_attempt(directory=str(directory))
        self.concluder.store.add(job)
        reports = [
            JobReport(native_id="7", task=task, marker=job.marker, state=state,
                      raw_state=state.value)
            for task, state in enumerate(states)
        ]  # fmt: skip
        return outcome.observe(job, reports)

    def close(
        self, states: Sequence[JobState], results: dict[int, list[Document]], **changes: object
    ) -> Job:
        job = self.concluder.conclude(self.scheduler, self.ended(states, results, **changes))
        assert job.final
        return job


def vouch(directory: Path, task: int) -> None:
    """Write the manifest of a task, as its driver does at last."""
    name = f"result.{task}.json"
    content = (directory / name).read_bytes()
    row = {"path": name, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    (directory / f"manifest.{task}.json").write_text(json.dumps({"files": [row]}))


@pytest.fixture
def site(redis: redis_client.Redis, tmp_path: Path) -> Iterator[Site]:
    state = tmp_path / "state"
    scheduler = connect("local", {"state_directory": state, "cpus": 1})
    settings = load_settings(with_secret=False)
    live, clock = LiveStore(redis, 600), Clock()
    concluder = Concluder(
        store=JobStore(redis, Sidecars(tmp_path / "jobs-sidecars")),
        live=live,
        datasets=DatasetStore(redis, Sidecars(tmp_path / "datasets")),
        blobs=BlobStore(tmp_path / "blobs"),
        limits=settings.limits,
        follower=Follower(live, LogFolder(tmp_path / "logs", 1000)),
        backoff=Backoff(clock),
    )
    yield Site(redis, tmp_path, scheduler, clock, concluder)
    stop_executor(state)


C, X, F = JobState.COMPLETED, JobState.CANCELLED, JobState.FAILED


def test_a_stopped_array_says_how_many_of_its_results_were_kept(site: Site) -> None:
    job = site.close([C, C, X, X], {0: [DONE], 1: [STOPPED]}, wish=Wish.STOP)
    attempt = job.attempt
    assert (attempt.state, attempt.reason) == (C, "Stopped")
    assert attempt.reason_text == (
        "Stopped as asked: 2 of 4 elements have a result, which was kept."
    )
    assert attempt.raw_state == "CANCELLED"
    assert attempt.task_states == {"COMPLETED": 2, "CANCELLED": 2}
    assert attempt.verdict is not None
    assert attempt.verdict.code == "partial"
    assert attempt.verdict.text == ("2 of 4 elements have a result; 1 of them were stopped early.")
    dataset = site.concluder.datasets.get(attempt.dataset or "")
    assert not dataset.complete, "two manifests are missing, and nobody hides that"


def test_an_element_that_never_began_is_not_counted_as_kept(site: Site) -> None:
    job = site.close([C, X], {0: [STOPPED, NOT_BEGUN, NOT_BEGUN]}, wish=Wish.STOP)
    assert "1 of 2 elements" in job.attempt.reason_text


def test_an_array_that_was_stopped_before_any_result_is_cancelled(site: Site) -> None:
    job = site.close([X, X], {}, wish=Wish.STOP)
    assert job.attempt.state is X
    assert job.attempt.reason_text == (
        "Stopped before it had started, so there is nothing to keep."
    )
    job = site.close([C, X], {0: [NOT_BEGUN]}, wish=Wish.STOP)
    assert (job.attempt.state, job.attempt.reason) == (X, "Stopped")


def test_a_cancelled_array_is_cancelled_whatever_it_left(site: Site) -> None:
    job = site.close([C, X], {0: [DONE]}, wish=Wish.CANCEL)
    assert job.attempt.state is X
    assert job.attempt.verdict is not None
    assert job.attempt.verdict.text == "1 of 2 elements have a result."
    job = site.close([C, X], {0: [DONE]})
    assert job.attempt.state is X, "nobody here has asked for it"


def test_a_task_that_failed_is_not_hidden_by_a_stop(site: Site) -> None:
    job = site.close([F, X, C], {2: [DONE]}, wish=Wish.STOP)
    assert job.attempt.state is F


def test_an_array_that_ended_before_its_stop_arrived_is_finished(site: Site) -> None:
    job = site.close([C, C], {0: [DONE], 1: [DONE]}, wish=Wish.STOP)
    assert (job.attempt.state, job.attempt.reason_text) == (C, "Finished.")


def test_a_stopped_array_of_which_all_had_begun_says_so_as_well(site: Site) -> None:
    job = site.close([C, C], {0: [STOPPED], 1: [FAILED]}, wish=Wish.STOP)
    assert "1 of 2 elements" in job.attempt.reason_text


@pytest.mark.parametrize(
    ("statuses", "wish", "state"),
    [
        ([0, 0, 0], Wish.RUN, C),
        ([0, 3, 0], Wish.RUN, F),
        ([0, 143, 0], Wish.RUN, F),
        ([0, 143, 0], Wish.CANCEL, X),
        ([0, 0], Wish.RUN, None),
        ([], Wish.CANCEL, None),
    ],
)
def test_what_slurm_forgot_ends_by_the_files_of_all_its_tasks_and_else_is_lost(
    statuses: list[int], wish: Wish, state: JobState | None
) -> None:
    seen = {"stage": Stage.SUBMITTED, "state": JobState.RUNNING}
    job = make_job(**seen, tasks=3, elements=3, tracking=Tracking.UNCONFIRMED, wish=wish)
    exits = [ExitRecord(rc=rc, ended=None, task=task) for task, rc in enumerate(statuses)]
    attempt = outcome.by_exit_files(job, exits).attempt
    if state is None:
        assert (attempt.tracking, attempt.state) == (Tracking.LOST, JobState.RUNNING)
    else:
        assert (attempt.tracking, attempt.state) == (Tracking.FRESH, state)


@pytest.mark.parametrize(
    ("ahead", "elapsed_s", "took_s"),
    [
        (timedelta(), 300.0, 300.0),
        (timedelta(minutes=10), 300.0, 300.0),
        (timedelta(minutes=10), None, 0.0),
        (timedelta(minutes=-10), 300.0, 300.0),
        (timedelta(hours=-1), None, 300.0),
    ],
)
def test_a_clock_that_is_wrong_by_minutes_changes_no_time_that_a_job_ran(
    ahead: timedelta, elapsed_s: float | None, took_s: float
) -> None:
    end = now() + ahead
    begun = end - timedelta(seconds=300)
    job = make_job(stage=Stage.SUBMITTED, state=C, started=begun, elapsed_s=elapsed_s)
    collected = Collected(files=(), complete=True, results=(), faults=())
    attempt = judge.close(job, collected, [ExitRecord(rc=0, ended=end)], None).attempt
    assert attempt.ended is not None
    assert (attempt.ended - begun).total_seconds() == pytest.approx(took_s, abs=5)


def test_what_cannot_be_kept_is_fetched_again_only_after_longer_and_longer_times(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = site.ended([C], {0: [DONE]})
    tries: list[float] = []
    add = BlobStore.add

    def counted(self: BlobStore, *arguments: object, **named: object) -> object:
        tries.append(site.clock.now)
        return add(self, *arguments, **named)  # type: ignore[arg-type]  # as it was called

    monkeypatch.setattr(BlobStore, "add", counted)
    monkeypatch.setattr("gateway.disk._RESERVE", 1.0)
    while site.clock.now < 300:
        with suppress(NoSpaceError):
            assert not site.concluder.conclude(site.scheduler, job).attempt.collected
        site.clock.now += 0.5
    assert tries == [0, 1, 3, 7, 15, 31, 63, 123, 183, 243]

    monkeypatch.setattr("gateway.disk._RESERVE", 0.0)
    site.clock.now += 60
    closed = site.concluder.conclude(site.scheduler, job)
    assert (closed.attempt.state, closed.attempt.collected) == (C, True)
    assert site.concluder.store.get(job.id) == closed


def test_one_job_that_fails_does_not_keep_another_waiting(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = site.ended([C], {0: [DONE]})
    with monkeypatch.context() as patch:
        patch.setattr("gateway.disk._RESERVE", 1.0)
        with pytest.raises(NoSpaceError):
            site.concluder.conclude(site.scheduler, job)
    assert not site.concluder.conclude(site.scheduler, job).attempt.collected
    assert site.close([C], {0: [DONE]}).attempt.collected


def test_somebody_elses_change_in_between_is_no_failure(site: Site) -> None:
    job = site.ended([C], {0: [DONE]})
    store = site.concluder.store
    newer = store.change(job.id, lambda found: replace(found, title="changed"))
    for _ in range(2):
        with pytest.raises(StaleError):
            site.concluder.conclude(site.scheduler, job)
    fresh = outcome.observe(newer, [
        JobReport(native_id="7", task=0, marker=job.marker, state=C, raw_state="COMPLETED")
    ])  # fmt: skip
    assert site.concluder.conclude(site.scheduler, fresh).attempt.collected


def test_the_results_of_a_job_that_was_deleted_meanwhile_go_with_it(site: Site) -> None:
    job = site.ended([C], {0: [DONE]})
    store = site.concluder.store
    store.delete(store.get(job.id))
    with pytest.raises(NotFoundError):
        site.concluder.conclude(site.scheduler, job)
    with pytest.raises(NotFoundError):
        site.concluder.datasets.get(dataset_id(job, job.attempt))


def test_a_forgotten_id_that_is_somebody_elses_by_now_is_not_cancelled(site: Site) -> None:
    place = Place(scheduler=site.scheduler, base=site.folder / "jobs")
    theirs = place.stage(sleeper(60))
    native_id = place.submit(theirs)
    directory = str(theirs.directory)
    forgotten = make_job(
        stage=Stage.SUBMITTED, native_id=native_id, wish=Wish.CANCEL, directory=directory
    )
    site.concluder.store.add(forgotten)
    place.runs(theirs, native_id)
    site.concluder.by_files(site.scheduler, forgotten)
    (Path(directory) / "go").touch()
    assert place.end_of(native_id).state is C

    known = place.stage(sleeper(60))
    native_id = place.submit(known)
    known_id = known.marker.split("-")[1]
    wished = replace(forgotten, id=known_id).with_attempt(native_id="9", directory=directory)
    site.concluder.store.add(wished)
    site.concluder.by_files(site.scheduler, wished)
    assert place.end_of(native_id).state is X, "it is there under its own name"


def test_of_results_no_more_is_kept_than_their_owner_may(site: Site) -> None:
    megabyte = 1 << 20
    limits = replace(site.concluder.limits, bytes_per_user=100 * megabyte)
    concluder = replace(site.concluder, limits=limits)

    def ended(used_bytes: int) -> Job:
        digest = f"{used_bytes:064x}"
        upload = FileRef(path="x", digest=digest, size=used_bytes)
        assert concluder.datasets.add_file("ada", upload)
        job = site.ended([C], {0: [DONE]})
        out = Path(job.attempt.directory) / "out"
        out.mkdir()
        (out / "chain.bin").write_bytes(bytes(6 * megabyte))
        return job

    fits = ended(93 * megabyte)
    for _ in range(2):  # the second one after a crash, or beside another reconciler
        with suppress(StaleError):
            concluder.conclude(site.scheduler, fits)
        files = concluder.datasets.get(dataset_id(fits, fits.attempt)).files
        assert [ref.path for ref in files] == ["out/chain.bin", "result.0.json"]
    full = concluder.conclude(site.scheduler, ended(5 * megabyte))
    dataset = concluder.datasets.get(full.attempt.dataset or "")
    assert [ref.path for ref in dataset.files] == ["result.0.json"]
    assert not dataset.complete
    assert full.attempt.state is C
    assert full.attempt.error.startswith("there was room for 4.2 MB of results: you keep nearly")


@pytest.mark.parametrize(("measured", "kept"), [(None, 2 << 20), (7 << 20, 7 << 20)])
def test_a_job_is_believed_about_its_memory_only_where_its_scheduler_measured_none(
    site: Site, measured: int | None, kept: int
) -> None:
    job = make_job(max_rss_bytes=measured)
    told = Progress(t=1.0, step=1, steps=2, chisq=None, max_rss_bytes=2 << 20)
    site.concluder.live.add_events(job.id, [], progress=told, followed={})
    results: list[Document] = [{"usage": {"max_rss_bytes": 1 << 20}}, {"status": "done"}]
    assert site.concluder._with_memory(job, results).attempt.max_rss_bytes == kept
    results = [{"usage": {"max_rss_bytes": 3 << 20}}]
    more = max(3 << 20, measured or 0)
    assert site.concluder._with_memory(job, results).attempt.max_rss_bytes == more
    ranks = job.with_attempt(ranks=8)  # of which one told
    assert site.concluder._with_memory(ranks, results).attempt.max_rss_bytes == measured


def test_what_an_earlier_attempt_took_is_not_counted_again(site: Site) -> None:
    def result(cpu_s: float, size: int) -> bytes:
        usage = {"cpu_s": cpu_s, "elapsed_s": 100.0, "max_rss_bytes": size << 20}
        return json.dumps({"status": "done", "elements": [DONE], "usage": usage}).encode()

    blob = site.concluder.blobs.put(result(1.0, 900))  # of a task that does not run again
    idle = FileRef(path="result.0.json", digest=blob.digest, size=blob.size)
    plan = keep_plan(Plan(script="", job={}, files=(), kept=(idle,)), site.concluder.blobs)
    job = site.ended([C], {}, plan=plan, indices="1", number=2)
    folder = Path(job.attempt.directory)
    (folder / "result.1.json").write_bytes(result(99.0, 300))
    vouch(folder, 1)
    attempt = site.concluder.conclude(site.scheduler, job).attempt
    assert (attempt.cpu_s, attempt.cpu_over_s, attempt.max_rss_bytes) == (99.0, 100.0, 300 << 20)
    dataset = site.concluder.datasets.get(attempt.dataset or "")
    assert [ref.path for ref in dataset.files] == ["result.0.json", "result.1.json"]


def test_many_files_are_fetched_in_turns_that_hold_up_no_other_owner(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.jobs.conclude._TURN_S", 0.02)
    large, other = site.ended([C], {0: [DONE]}), site.ended([C], {0: [DONE]}, owner="eve")
    own = site.ended([C], {0: [DONE]})
    out = Path(large.attempt.directory, "out")
    out.mkdir()
    for number in range(100):
        (out / f"{number:03}.dat").write_text(f"curve {number}")
    read: list[str] = []
    plain = site.scheduler.read

    def count(directory: PurePosixPath, name: str, offset: int, size: int) -> bytes | None:
        read.append(name)
        return plain(directory, name, offset, size)

    monkeypatch.setattr(site.scheduler, "read", count)

    for rounds in range(1, 400):
        site.concluder.begin_round()
        seen = site.concluder.conclude(site.scheduler, large)
        if rounds == 1:
            assert not seen.final
            assert site.concluder.conclude(site.scheduler, own) == own, "the turn is over"
            assert site.concluder.conclude(site.scheduler, other).final
        if seen.final:
            break
    assert rounds > 2
    dataset = site.concluder.datasets.get(seen.attempt.dataset or "")
    kept = {ref.path: site.concluder.blobs.read(ref.digest) for ref in dataset.files}
    assert [kept[f"out/{n:03}.dat"] for n in range(100)] == [b"curve %d" % n for n in range(100)]
    again = sum(path.startswith("out/") for path in read) - 100
    assert again < 40 * rounds, "what earlier turns brought is not fetched again"
    assert site.concluder.begun == {}
    site.concluder.begin_round()
    assert site.concluder.conclude(site.scheduler, own).final


@pytest.mark.parametrize(
    ("known", "exits", "told"),
    [
        ({"COMPLETED": 5}, [0] * 8, {"COMPLETED": 8}),
        ({"COMPLETED": 5, "FAILED": 1}, [0] * 6 + [1] * 2, {"COMPLETED": 6, "FAILED": 2}),
        ({"COMPLETED": 4, "TIMEOUT": 2}, [0] * 6 + [143] * 2, {"COMPLETED": 6, "TIMEOUT": 2}),
        ({"COMPLETED": 5}, [0] * 5, {"COMPLETED": 5}),
        ({"COMPLETED": 8}, [1] * 30, {"COMPLETED": 8}),
        ({"CANCELLED": 8}, [], {"CANCELLED": 8}),
        ({"RUNNING": 1}, [0] * 9, {"RUNNING": 1, "COMPLETED": 7}),
        ({}, [0] * 8, {}),
    ],
)
def test_tasks_that_slurm_has_forgotten_are_counted_by_what_they_left(
    known: dict[str, int], exits: list[int], told: dict[str, int]
) -> None:
    attempt = make_job(tasks=8, task_states=known).attempt
    left = [outcome.ExitRecord(rc=rc, ended=None, task=task) for task, rc in enumerate(exits)]

    assert outcome.counted_by_files(attempt, left) == told


def single(site: Site, state: JobState = C, wish: Wish = Wish.RUN) -> tuple[Job, Path]:
    """Have a fit that left its result, its manifest and its exit file, as Slurm says that it is."""
    job = make_job(stage=Stage.SUBMITTED, native_id="7", wish=wish)
    directory = site.folder / "jobs" / job.id / "1"
    directory.mkdir(parents=True)
    (directory / "job.sh").write_text("#!/bin/bash\n")
    (directory / "exit.0.json").write_text('{"rc": 0, "end": 1700000000}')
    result = {"status": "done", "chisq": 1.5, "verdict": {"code": "good", "text": "It fits."}}
    (directory / "result.0.json").write_text(json.dumps(result))
    vouch(directory, 0)
    job = job.with_attempt(directory=str(directory))
    site.concluder.store.add(job)
    return seen(job, state), directory


def seen(job: Job, state: JobState = C) -> Job:
    """Have Slurm say that it is so."""
    report = JobReport(
        native_id="7", task=None, marker=job.marker, state=state, raw_state=state.value
    )
    return outcome.observe(job, [report])


def test_a_job_whose_directory_is_away_is_not_closed_and_has_its_results_when_it_is_back(
    site: Site, tmp_path: Path
) -> None:
    job, directory = single(site)
    before = site.concluder.store.get(job.id).attempt.state
    directory.parent.rename(tmp_path / "away")  # as a base that is not mounted
    held = site.concluder.conclude(site.scheduler, job)
    assert (held.final, held.attempt.tracking) == (False, Tracking.STALE)
    assert held.attempt.state is before, "its result may say that it failed"
    assert f"its directory {directory} cannot be read at the moment" in held.attempt.reason_text
    assert "cannot be reached" not in words.tracking_text(held)
    assert site.concluder.store.get(job.id) == held

    again = site.concluder.conclude(site.scheduler, seen(held))
    assert again.attempt.tracking is Tracking.FRESH, "it is not looked for again at once"
    site.clock.now += 100
    again = site.concluder.conclude(site.scheduler, seen(held))
    assert (again.version, again.attempt.tracking_since) == (
        held.version,
        held.attempt.tracking_since,
    ), "told once"

    (tmp_path / "away").rename(directory.parent)
    site.clock.now += 100
    closed = site.concluder.conclude(site.scheduler, seen(site.concluder.store.get(job.id))).attempt
    assert (closed.state, closed.reason_text, closed.chisq) == (C, "Finished.", 1.5)
    assert (closed.tracking, closed.tracking_since, closed.error) == (Tracking.FRESH, None, "")
    assert site.concluder.datasets.get(closed.dataset or "").complete


@pytest.mark.parametrize("state", [C, JobState.TIMEOUT])
def test_a_directory_that_is_gone_is_waited_for_a_day(
    site: Site, tmp_path: Path, state: JobState
) -> None:
    job, directory = single(site, state)
    plain = job.attempt.reason_text
    directory.parent.rename(tmp_path / "away")
    held = site.concluder.conclude(site.scheduler, job)
    assert held.attempt.reason_text.startswith(f"{plain} Its results wait: ")
    almost = now() - timedelta(hours=23)
    held = site.concluder.store.replace(held.with_attempt(results_wait_since=almost))
    site.clock.now += 100
    assert not site.concluder.conclude(site.scheduler, seen(held, state)).final

    held = site.concluder.store.get(job.id)
    held = site.concluder.store.replace(
        held.with_attempt(results_wait_since=almost - timedelta(hours=2))
    )
    site.clock.now += 100
    # What Slurm has forgotten by then is closed with the word that it had for it.
    last = seen(held) if state is C else held
    closed = site.concluder.conclude(site.scheduler, last)
    assert closed.final
    assert "cannot be read" in closed.attempt.error
    if state is C:
        assert (closed.attempt.state, closed.attempt.reason) == (F, "NoResult")
        assert "its directory is gone" in closed.attempt.reason_text
    else:
        assert (closed.attempt.state, closed.attempt.reason_text) == (state, plain)


def asked(site: Site, job: Job, *reports: JobReport) -> Job:
    """Ask a cluster once, and take the step that is decided then."""
    site.clock.now += 100
    job = site.concluder.store.get(job.id)
    inquiry = Inquiry(load_settings(with_secret=False))
    match decide(job, inquiry.evidence(job, {"7": list(reports)})):
        case Missing():
            return site.concluder.store.replace(outcome.missing(job))
        case DecideByFiles():
            return site.concluder.by_files(site.scheduler, job)
        case Collect():
            seen = outcome.observe(job, reports) if reports else job
            return site.concluder.conclude(site.scheduler, seen)
        case other:
            raise AssertionError(other)


@pytest.mark.parametrize("state", [C, X, JobState.TIMEOUT])
def test_a_cluster_that_is_silent_in_between_begins_no_day_anew(
    site: Site, tmp_path: Path, state: JobState
) -> None:
    job, directory = single(site, state)
    directory.parent.rename(tmp_path / "away")
    held = site.concluder.conclude(site.scheduler, job)
    began = now() - timedelta(hours=23)
    held = site.concluder.store.replace(held.with_attempt(results_wait_since=began))
    silent = site.concluder.store.replace(outcome.stale(held, "connection refused"))
    assert words.unreadable(str(directory)) in words.tracking_text(silent)
    report = JobReport(
        native_id="7", task=None, marker=job.marker, state=state, raw_state=state.value
    )
    held = asked(site, silent, report)
    assert (held.final, held.attempt.results_wait_since) == (False, began)
    assert held.attempt.error == words.unreadable(str(directory)), "that again is what it is"
    assert asked(site, held, report) == held, "told once"
    over = began - timedelta(hours=2)
    site.concluder.store.replace(held.with_attempt(results_wait_since=over))
    assert asked(site, held, report).final


@pytest.mark.parametrize("silent", [False, True])
@pytest.mark.parametrize("state", [C, X, JobState.TIMEOUT])
def test_what_is_forgotten_while_its_directory_is_away_ends_as_its_scheduler_had_told(
    site: Site, tmp_path: Path, state: JobState, *, silent: bool
) -> None:
    job, directory = single(site, state)
    plain = job.attempt.reason_text
    directory.parent.rename(tmp_path / "away")
    held = site.concluder.conclude(site.scheduler, job)
    assert held.attempt.ended is not None, "its hours go on no more"
    began = now() - timedelta(hours=1)
    held = site.concluder.store.replace(held.with_attempt(results_wait_since=began))
    for _ in range(12):
        if silent:
            held = site.concluder.store.replace(outcome.stale(held, "connection refused"))
        for _ in range(4):
            held = asked(site, held)
        assert (held.final, held.attempt.results_wait_since) == (False, began)
        assert held.attempt.tracking is not Tracking.LOST
        assert "it has ended, but since" in words.tracking_text(held)
    told = [one.text for one in history_of(held)]
    assert told.count(words.away(str(directory))) == 1

    (tmp_path / "away").rename(directory.parent)
    for _ in range(4):
        held = held if held.final else asked(site, held)
    closed = held.attempt
    assert (closed.state, closed.reason_text, closed.chisq) == (state, plain, 1.5)
    assert (closed.tracking, closed.results_wait_since, closed.error) == (Tracking.FRESH, None, "")


def test_what_is_forgotten_and_whose_directory_is_away_ends_after_a_day_or_when_cancelled(
    site: Site, tmp_path: Path
) -> None:
    for wish, hours in ((Wish.RUN, 25), (Wish.CANCEL, 1)):
        job, directory = single(site, wish=Wish.RUN)
        directory.parent.rename(tmp_path / f"away-{wish.value}")
        held = site.concluder.conclude(site.scheduler, job)
        began = now() - timedelta(hours=hours)
        held = replace(held.with_attempt(results_wait_since=began), wish=wish)
        held = site.concluder.store.replace(held)
        for _ in range(4):
            held = held if held.final else asked(site, held)
        assert (held.attempt.state, held.attempt.reason_text) == (F, words.DIRECTORY_GONE)


def test_what_is_begun_again_waits_for_no_results(site: Site, tmp_path: Path) -> None:
    job, directory = single(site)
    directory.parent.rename(tmp_path / "away")
    held = site.concluder.conclude(site.scheduler, job)
    for state in (JobState.PENDING, JobState.RUNNING, JobState.SUSPENDED):
        again = seen(outcome.missing(held), state).attempt
        assert (again.waits_for_results, again.ended, again.error) == (False, None, "")
        assert again.results_wait_state is None
    doubted = seen(held, JobState.UNKNOWN).attempt
    assert doubted.results_wait_since == held.attempt.results_wait_since, "its accounting is late"


def test_a_job_that_was_never_staged_is_not_told_to_have_ended() -> None:
    why = "its directory could not be made: No space left on device"
    held = outcome.stale(make_job(), why)
    assert "it has ended" not in words.tracking_text(held)
    assert why in words.tracking_text(held)
    told = [one.text for one in history_of(with_history(held))]
    assert not any("It has ended" in text for text in told)


def test_who_cancels_a_job_does_not_wait_for_its_directory(site: Site, tmp_path: Path) -> None:
    job, directory = single(site, X, Wish.CANCEL)
    directory.parent.rename(tmp_path / "away")
    closed = site.concluder.conclude(site.scheduler, job)
    assert (closed.final, closed.attempt.state) == (True, X)


@pytest.mark.parametrize("manifest", [None, "no", '{"files": []}', "other"])
def test_no_number_is_shown_that_no_manifest_vouches_for(site: Site, manifest: str | None) -> None:
    job, directory = single(site)
    left = directory / "manifest.0.json"
    if manifest == "other":
        (directory / "result.0.json").write_text('{"status": "done", "chisq": 1}')
    elif manifest is None:
        left.unlink()
    else:
        left.write_text(manifest)
    closed = site.concluder.conclude(site.scheduler, job).attempt
    assert (closed.state, closed.reason) == (F, "NoResult")
    assert closed.reason_text == words.INCOMPLETE
    assert (closed.chisq, closed.verdict) == (None, None)
    dataset = site.concluder.datasets.get(closed.dataset or "")
    assert [ref.path for ref in dataset.files] == ["result.0.json"], "what it left is kept"
    assert not dataset.complete or manifest == '{"files": []}'


def test_a_stop_makes_no_result_of_what_no_manifest_vouches_for(site: Site) -> None:
    job, directory = single(site, X, Wish.STOP)
    (directory / "manifest.0.json").unlink()
    closed = site.concluder.conclude(site.scheduler, job).attempt
    assert (closed.state, closed.reason_text, closed.chisq) == (X, words.INCOMPLETE, None)


def test_a_manifest_too_long_to_be_read_vouches_by_being_there(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collect, "DOCUMENT_BYTES", 10)
    job, _ = single(site)
    closed = site.concluder.conclude(site.scheduler, job).attempt
    assert (closed.state, closed.chisq) == (C, 1.5)
    assert "manifest.0.json was not read" in closed.error


def test_an_array_of_which_a_task_left_no_manifest_says_so(site: Site) -> None:
    job = site.ended([C, C], {0: [DONE], 1: [DONE]})
    Path(job.attempt.directory, "manifest.1.json").unlink()
    closed = site.concluder.conclude(site.scheduler, job).attempt
    assert (closed.state, closed.reason) == (C, "Incomplete")
    assert closed.reason_text == words.INCOMPLETE_ARRAY


def test_what_a_signal_killed_waits_for_the_accounting_to_say_why(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site.scheduler, "keeps_accounts", lambda: True)
    missing = {"tracking": Tracking.UNCONFIRMED, "tracking_since": now() - timedelta(minutes=20)}
    job, directory = single(site, JobState.RUNNING)
    (directory / "exit.0.json").write_text('{"rc": 143}')
    job = site.concluder.store.replace(job.with_attempt(**missing))
    held = site.concluder.by_files(site.scheduler, job)
    assert (held.final, held.attempt.state) == (False, JobState.RUNNING)
    assert held.attempt.reason_text == words.CAUSE_AWAITED
    assert site.concluder.by_files(site.scheduler, held) == held, "told once"
    told = site.concluder.conclude(site.scheduler, seen(held, JobState.TIMEOUT)).attempt
    assert (told.state, told.reason_text) == (JobState.TIMEOUT, "The time limit ran out.")

    for rc, state, hours in ((0, C, 0), (1, F, 0), (143, F, 3)):
        job, directory = single(site, JobState.RUNNING)
        (directory / "exit.0.json").write_text(json.dumps({"rc": rc}))
        since = now() - timedelta(hours=hours)
        job = site.concluder.store.replace(job.with_attempt(**{**missing, "tracking_since": since}))
        ended = site.concluder.by_files(site.scheduler, job)
        assert (ended.final, ended.attempt.state) == (True, state)


@pytest.mark.parametrize(
    ("accounts", "wish"), [(False, Wish.RUN), (True, Wish.CANCEL), (True, Wish.STOP)]
)
def test_nobody_waits_for_a_cause_that_nobody_can_tell_or_that_is_known(
    site: Site, monkeypatch: pytest.MonkeyPatch, wish: Wish, *, accounts: bool
) -> None:
    assert not site.scheduler.keeps_accounts(), "here is none"
    monkeypatch.setattr(site.scheduler, "keeps_accounts", lambda: accounts)
    job, directory = single(site, JobState.RUNNING, wish)
    (directory / "exit.0.json").write_text('{"rc": 137}')
    since = now() - timedelta(minutes=20)
    job = site.concluder.store.replace(
        job.with_attempt(tracking=Tracking.UNCONFIRMED, tracking_since=since)
    )
    assert site.concluder.by_files(site.scheduler, job).final


def test_a_lost_job_is_looked_for_by_name_only_now_and_then(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, asked = Clock(), list[Sequence[str]]()
    concluder = replace(site.concluder, clock=clock)

    def find(markers: Sequence[str]) -> dict[str, list[JobReport]]:
        asked.append(markers)
        return {}

    monkeypatch.setattr(site.scheduler, "find", find)
    job = make_job(
        stage=Stage.SUBMITTED, native_id="7", wish=Wish.CANCEL, directory=str(site.folder / "no")
    )
    concluder.store.add(job)
    for _ in range(20):
        job = concluder.by_files(site.scheduler, job)
        clock.now += 120
    assert job.attempt.tracking is Tracking.LOST
    assert len(asked) == 3, "of 40 minutes"
