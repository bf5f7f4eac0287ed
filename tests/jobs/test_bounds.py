"""Whatever a job left in its directory, the work with it has an end, and what is cut is said."""

from __future__ import annotations

import json
import time
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import redis as redis_client

from gateway.datasets.blobs import BlobStore
from gateway.datasets.service import Files
from gateway.datasets.store import DatasetStore
from gateway.jobs.collect import Collector
from gateway.jobs.documents import result_documents
from gateway.jobs.follow import EVENT_BYTES, Follower, Running
from gateway.jobs.live_store import LiveStore
from gateway.jobs.log_folder import LogFolder
from gateway.jobs.models import Job
from gateway.jobs.places import FixedSchedulers
from gateway.jobs.store import JobStore
from gateway.jobs.sweep import Sweeper
from gateway.settings import load_settings
from gateway.sidecars import Sidecars
from scheduler.base import Scheduler
from scheduler.connect import connect
from scheduler.local import stop_executor
from tests.jobs.making import make_job

_QUICK_S = 5.0
_LOG_BYTES = 100_000


@pytest.fixture
def scheduler(tmp_path: Path) -> Iterator[Scheduler]:
    state = tmp_path / "state"
    yield connect("local", {"state_directory": state, "cpus": 1})
    stop_executor(state)


@pytest.fixture
def store(redis: redis_client.Redis, tmp_path: Path) -> JobStore:
    return JobStore(redis, Sidecars(tmp_path / "sidecars"))


@pytest.fixture
def files(redis: redis_client.Redis, tmp_path: Path) -> Files:
    datasets = DatasetStore(redis, Sidecars(tmp_path / "datasets"))
    return Files(datasets, BlobStore(tmp_path / "blobs"), load_settings(with_secret=False))


@pytest.fixture
def live(redis: redis_client.Redis) -> LiveStore:
    return LiveStore(redis, 600)


@pytest.fixture
def logs(tmp_path: Path) -> LogFolder:
    return LogFolder(tmp_path / "logs", _LOG_BYTES)


def place(tmp_path: Path, job: Job) -> tuple[Job, Path]:
    """Give a job a directory of its own, as staging would."""
    directory = tmp_path / "jobs" / job.id / "1"
    directory.mkdir(parents=True)
    return job.with_attempt(directory=str(directory)), directory


def follow(follower: Follower, scheduler: Scheduler, job: Job, running: list[int]) -> bool:
    (look,) = follower.look([Running(job=job, running=running, ended=[])])
    return follower.follow(scheduler, look)


def event(**members: Any) -> str:
    return json.dumps({"t": 1.0, "element": 0, **members}) + "\n"


def shown(live: LiveStore, job: Job) -> list[dict[str, Any]]:
    return [json.loads(data) for data in read_all(live, job.id)]


def read_all(live: LiveStore, id: str) -> list[str]:
    """Read the stream of a job to its end, as a reader does."""
    found, at = [], "0"
    while entries := live.events(id, at, 1):
        found += [data for _, _, data in entries]
        at = entries[-1][0]
    return found


def test_a_sparse_file_of_events_holds_nobody_up(
    tmp_path: Path, scheduler: Scheduler, live: LiveStore, logs: LogFolder
) -> None:
    job, directory = place(tmp_path, make_job())
    path = directory / "events.0.jsonl"
    path.write_text(event(event="start", labels=["thickness"], steps=7))
    with path.open("r+b") as stream:
        stream.truncate(7 << 30)
        stream.seek(0, 2)
        stream.write(("\n" + event(event="step", step=7)).encode())
    began = time.monotonic()
    for _ in range(2):
        Follower(live, logs).finish(scheduler, job)
    assert time.monotonic() - began < _QUICK_S
    events = shown(live, job)
    assert [seen["event"] for seen in events] == ["start", "message", "step"]
    assert "not all shown" in events[1]["text"]
    progress = live.progress(job.id)
    assert progress is not None
    assert (progress.step, progress.labels) == (7, ("thickness",))


def test_a_running_task_is_followed_up_to_a_limit_and_says_so_once(
    tmp_path: Path, scheduler: Scheduler, live: LiveStore, logs: LogFolder
) -> None:
    job, directory = place(tmp_path, make_job())
    path = directory / "events.0.jsonl"
    path.write_text(event(event="step", step=1))
    follower = Follower(live, logs)
    follow(follower, scheduler, job, [0])
    live.add_events(job.id, [], followed={"1/events.0.jsonl": EVENT_BYTES - 10})
    with path.open("r+b") as stream:
        stream.seek(EVENT_BYTES - 10)
        stream.write((event(event="step", step=2) * 2).encode())
    for _ in range(2):
        follow(follower, scheduler, job, [0])
        with path.open("a") as stream:
            stream.write(event(event="step", step=3))
    follower.finish(scheduler, job)
    assert [seen["event"] for seen in shown(live, job)] == ["step", "step", "step", "message"]


def test_what_is_left_of_short_files_is_read_whole_at_the_end(
    tmp_path: Path, scheduler: Scheduler, live: LiveStore, logs: LogFolder
) -> None:
    job, directory = place(tmp_path, make_job(tasks=3))
    for task in range(3):
        lines = "".join(event(event="step", step=step) for step in range(100))
        (directory / f"events.{task}.jsonl").write_text(lines)
        (directory / f"stdout.{task}.txt").write_bytes(b"x" * (_LOG_BYTES + task - 1))
    Follower(live, logs).finish(scheduler, job)
    assert len(shown(live, job)) == 300
    assert {seen["event"] for seen in shown(live, job)} == {"step"}
    for task, cut in enumerate((False, False, True)):
        path = logs.path(job.id, 1, "stdout", task)
        log = path.read_text()
        assert log.startswith("x" * (_LOG_BYTES - 1))
        assert (
            log.endswith(f"[cut here: {_LOG_BYTES} bytes of this log are kept; print less]\n")
            == cut
        )
        assert logs.is_cut(path) == cut


def test_all_logs_of_an_array_together_are_bounded_while_it_runs(
    tmp_path: Path,
    scheduler: Scheduler,
    live: LiveStore,
    logs: LogFolder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gateway.jobs.follow.LOGS_BYTES", 3 * _LOG_BYTES)
    job, directory = place(tmp_path, make_job(tasks=8, elements=8))
    follower = Follower(live, logs)
    paths = [logs.path(job.id, 1, "stdout", task) for task in range(8)]
    for size in (_LOG_BYTES // 2, _LOG_BYTES):
        for task in range(8):
            (directory / f"stdout.{task}.txt").write_text("x" * size)
        follow(follower, scheduler, job, list(range(8)))
    follow(follower, scheduler, job, list(range(8)))
    follower.finish(scheduler, job)
    texts = [path.read_text() for path in paths]
    assert sum(text.count("x") for text in texts) == 3 * _LOG_BYTES
    cut = ["[cut here: " in text for text in texts]
    assert cut == [len(text.partition("\n")[0]) < _LOG_BYTES for text in texts]
    assert any(cut)


def test_each_log_says_of_itself_alone_that_it_was_cut(
    tmp_path: Path, scheduler: Scheduler, live: LiveStore, logs: LogFolder
) -> None:
    job, directory = place(tmp_path, make_job(tasks=2))
    (directory / "stdout.0.txt").write_bytes(b"x" * (_LOG_BYTES // 2))
    (directory / "stderr.0.txt").write_bytes(b"x" * (2 * _LOG_BYTES))
    (directory / "stdout.1.txt").write_text(
        "[cut here: 5 bytes of this log are kept; print less]\n"
    )
    follower = Follower(live, logs)
    follow(follower, scheduler, job, [0, 1])
    assert not logs.is_cut(logs.path(job.id, 1, "stdout", 0))
    follower.finish(scheduler, job)
    cut = {
        (stream, task)
        for stream in ("stdout", "stderr")
        for task in (0, 1)
        if logs.is_cut(logs.path(job.id, 1, stream, task))
    }
    assert cut == {("stderr", 0)}
    logs.remove(job.id)
    assert not logs.is_cut(logs.path(job.id, 1, "stderr", 0))


def test_large_events_leave_the_small_ones_in_the_stream_and_go_themselves(
    redis: redis_client.Redis, live: LiveStore
) -> None:
    def add(name: str, count: int, text: str = "") -> None:
        event = {"event": "message", "t": 1.0, "text": text, "name": name}
        live.add_events("J1", [event] * count)

    add("first", 1)
    for number in range(4):
        add(f"large {number}", 50, "x" * 100_000)
        add(f"small {number}", 50)
    names = [json.loads(data)["name"] for data in read_all(live, "J1")]
    assert names[0] == "first"
    assert [names.count(f"small {number}") for number in range(4)] == [50] * 4
    assert [names.count(f"large {number}") for number in range(4)] == [0, 0, 14, 50]
    assert (redis.memory_usage("job:J1:events", samples=0) or 0) < 8 << 20
    add("many at once", 1_000, "x" * 100_000)
    names = [json.loads(data)["name"] for data in read_all(live, "J1")]
    assert (names.count("large 3"), names.count("many at once")) == (0, 64)
    assert sum(len(data) for _, _, data in live.events("J1", "0", 1)) < 8 << 20


def test_what_is_no_result_leaves_the_results_their_room(
    tmp_path: Path, scheduler: Scheduler
) -> None:
    job, directory = place(tmp_path, make_job())
    (directory / "data").mkdir()
    (directory / "out").mkdir()
    for number in range(30):
        (directory / "data" / f"{number}.dat").write_text("1 2\n")
        (directory / f"a{number}.tmp").touch()
    (directory / "out" / "fit.dat").write_text("1 2\n")
    (directory / "result.0.json").write_text("{}")
    (directory / "manifest.0.json").write_text('{"files": []}')
    collector = make_collector(tmp_path, result_files=2)
    collected = collector.collect(scheduler, job)
    assert [ref.path for ref in collected.files] == ["out/fit.dat", "result.0.json"]
    assert (collected.complete, collected.faults) == (True, ())


def test_too_many_results_are_cut_with_a_word_and_the_result_itself_is_kept(
    tmp_path: Path, scheduler: Scheduler
) -> None:
    job, directory = place(tmp_path, make_job())
    (directory / "out").mkdir()
    for number in range(30):
        (directory / "out" / f"{number}.dat").write_text("1 2\n")
    (directory / "result.0.json").write_text("{}")
    (directory / "manifest.0.json").write_text('{"files": []}')
    collected = make_collector(tmp_path, result_files=10).collect(scheduler, job)
    assert "result.0.json" in [ref.path for ref in collected.files]
    assert collected.results == ({},)
    assert not collected.complete
    assert "more than 10 result files" in collected.faults[0]


def test_too_many_bytes_of_results_leave_the_result_itself(
    tmp_path: Path, scheduler: Scheduler
) -> None:
    job, directory = place(tmp_path, make_job())
    (directory / "out").mkdir()
    (directory / "out" / "big").write_bytes(bytes(2000))
    (directory / "result.0.json").write_text("{}")
    collected = make_collector(tmp_path, result_bytes=1000).collect(scheduler, job)
    assert [ref.path for ref in collected.files] == ["result.0.json"]
    assert "more than 1000 bytes of results" in collected.faults[0]


def test_documents_of_very_many_values_are_kept_and_not_read(
    tmp_path: Path, scheduler: Scheduler
) -> None:
    job, directory = place(tmp_path, make_job())
    many = ",".join(["{}"] * 2_000_000)
    (directory / "manifest.0.json").write_text(f'{{"files": [{many}]}}')
    (directory / "result.0.json").write_text(f'{{"status": "done", "elements": [{many}]}}')
    (directory / "exit.0.json").write_text('{"rc": 0, "end": 1' + " " * 5_000 + "}")
    collector = make_collector(tmp_path)
    tracemalloc.start()
    try:
        collected = collector.collect(scheduler, job)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 64 << 20
    assert [ref.path for ref in collected.files] == ["result.0.json"]
    assert (collected.results, collected.complete) == ((), False)
    assert collected.faults == (
        "1 of 1 tasks left no manifest that can be read",
        "result.0.json is kept, but not read: it is no JSON object, or the results of this job "
        "are too large",
    )
    blobs = BlobStore(tmp_path / "blobs")
    assert list(result_documents(blobs, collected.files)) == []
    assert collector.exits(scheduler, job) == []


def test_results_and_manifests_of_all_tasks_together_have_a_limit(
    tmp_path: Path, scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, directory = place(tmp_path, make_job(tasks=4, elements=4))
    for task in range(4):
        rows = [{"status": "done", "parameters": [], "text": "x" * 100}] * 9
        (directory / f"result.{task}.json").write_text(json.dumps({"elements": rows}))
        row = {"path": f"result.{task}.json", "size": 1, "sha256": "x" * 2_000}
        (directory / f"manifest.{task}.json").write_text(json.dumps({"files": [row] * 1}))
    for module in ("collect", "documents"):
        monkeypatch.setattr(f"gateway.jobs.{module}.DOCUMENTS_BYTES", 4_500)
    collected = make_collector(tmp_path).collect(scheduler, job)
    assert len(collected.files) == 4
    # Of a result that is what its end is judged by, of no more elements than the job has.
    assert collected.results == ({"elements": [{"status": "done", "parameters": []}] * 4},
                                 {"elements": []}, {"elements": []})  # fmt: skip
    said = "\n".join(collected.faults)
    assert "manifest.2.json was not read" in said
    assert "result.3.json is kept, but not read" in said
    assert "left no manifest" not in said, "they are there"
    assert collected.vouched is False, "what was read is not as it is there"


def test_results_and_manifests_of_tasks_that_there_are_not_are_left_behind(
    tmp_path: Path, scheduler: Scheduler
) -> None:
    job, directory = place(tmp_path, make_job(tasks=2, elements=2))
    for task in ("0", "1", "2", "01", "7000000"):
        (directory / f"result.{task}.json").write_text("{}")
        (directory / f"manifest.{task}.json").write_text('{"files": [1]}')
    collected = make_collector(tmp_path).collect(scheduler, job)
    assert collected.faults.count("a manifest has a row without a path") == 2
    assert collected.results == ({}, {})
    assert "result.2.json is of no task of this job, so it was left behind" in collected.faults
    assert "result.2.json" not in [ref.path for ref in collected.files]


def make_collector(tmp_path: Path, **limits: int) -> Collector:
    settings = load_settings(with_secret=False)
    return Collector(BlobStore(tmp_path / "blobs"), replace(settings.limits, **limits))


def test_a_deleted_job_leaves_neither_directory_nor_logs(
    tmp_path: Path, scheduler: Scheduler, store: JobStore, files: Files, logs: LogFolder
) -> None:
    job, directory = place(tmp_path, make_job())
    kept, other = place(tmp_path, make_job())
    for each in (job, kept):
        store.add(each)
        logs.append(logs.path(each.id, 1, "stdout", 0), 0, b"hello")
    (directory / "events.0.jsonl").touch()
    store.delete(job)
    assert directory.exists()
    for _ in range(2):
        Sweeper(store, files, logs, FixedSchedulers({"local": scheduler})).sweep()
    assert not directory.parent.exists()
    assert not logs.path(job.id, 1, "stdout", 0).parent.parent.exists()
    assert other.exists()
    assert logs.path(kept.id, 1, "stdout", 0).exists()
    assert store.rubbish(5) == []


def test_what_cannot_be_removed_now_lets_the_others_pass(
    tmp_path: Path, scheduler: Scheduler, store: JobStore, files: Files, logs: LogFolder
) -> None:
    for number in range(8):
        job, directory = place(tmp_path, make_job(cluster="away" if number < 6 else "local"))
        store.add(job)
        store.delete(job)
    for _ in range(2):
        Sweeper(store, files, logs, FixedSchedulers({"local": scheduler})).sweep()
    assert not directory.exists()
    assert {rubbish.cluster for rubbish in store.rubbish(10)} == {"away"}
    assert len(store.rubbish(10)) == 6


def test_what_is_no_directory_is_given_up_after_some_tries(
    tmp_path: Path, scheduler: Scheduler, store: JobStore, files: Files, logs: LogFolder
) -> None:
    strange = tmp_path / "strange"
    strange.write_text("no directory")
    job = make_job(directory=str(strange))
    store.add(job)
    store.delete(job)
    sweeper = Sweeper(store, files, logs, FixedSchedulers({"local": scheduler}))
    sweeper.sweep()
    assert [rubbish.tries for rubbish in store.rubbish(5)] == [1]
    for _ in range(9):
        sweeper.sweep()
    assert store.rubbish(5) == []
    assert strange.exists()
