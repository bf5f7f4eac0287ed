"""A lost store comes back from files: what was there, and what was deleted stays deleted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest
import redis as redis_client

from gateway.datasets.blobs import BlobStore
from gateway.datasets.models import Dataset
from gateway.datasets.service import Files
from gateway.datasets.store import DatasetStore
from gateway.errors import ConflictError, NotFoundError
from gateway.ids import new_id
from gateway.jobs import gone
from gateway.jobs.log_folder import LogFolder
from gateway.jobs.models import Job, dataset_id
from gateway.jobs.places import FixedSchedulers
from gateway.jobs.store import JobStore
from gateway.jobs.sweep import Sweeper
from gateway.problems.store import ProblemStore
from gateway.rebuild import Rebuild
from gateway.settings import load_settings
from gateway.sidecars import Sidecars
from scheduler.base import JobState, Scheduler
from scheduler.connect import connect
from scheduler.local import stop_executor
from tests.jobs.making import THEN, make_job, make_problem

KEY, HASH = "a-key", "a-hash"


@dataclass
class Site:
    """The stores of a gateway, and its files."""

    redis: redis_client.Redis
    folder: Path
    scheduler: Scheduler

    @property
    def root(self) -> Path:
        return self.folder / "sidecars"

    @property
    def blobs(self) -> BlobStore:
        return BlobStore(self.folder / "blobs")

    @property
    def jobs(self) -> JobStore:
        return JobStore(self.redis, Sidecars(self.root / "jobs"))

    @property
    def problems(self) -> ProblemStore:
        return ProblemStore(self.redis, Sidecars(self.root / "problems"))

    @property
    def datasets(self) -> DatasetStore:
        return DatasetStore(self.redis, Sidecars(self.root / "datasets"))

    def sweep(self) -> None:
        """Do what the worker does in each round."""
        settings = load_settings(with_secret=False)
        files = Files(self.datasets, self.blobs, settings)
        logs = LogFolder(self.folder / "logs", 1000)
        Sweeper(self.jobs, files, logs, FixedSchedulers({"local": self.scheduler})).sweep()

    def rebuild(self) -> str:
        """Rebuild what the store lacks; answer what was said."""
        pieces = Rebuild(
            self.root, self.blobs, datasets=self.datasets, problems=self.problems, jobs=self.jobs
        )
        return "\n".join(pieces.lines())

    def lose(self) -> None:
        """Lose the store."""
        self.redis.flushall()

    def ended(self, key: str = KEY) -> Job:
        """Have a job that has ended, with a directory and a dataset."""
        job = make_job(state=JobState.COMPLETED, collected=True)
        directory = self.folder / "jobs" / job.id / "1"
        directory.mkdir(parents=True)
        job = job.with_attempt(directory=str(directory), dataset=dataset_id(job, job.attempt))
        self.jobs.add(job, key, HASH)
        self.datasets.add(make_dataset(job))
        return self.jobs.get(job.id)


def make_dataset(job: Job) -> Dataset:
    return Dataset(
        id=dataset_id(job, job.attempt),
        owner=job.owner,
        type="fit-result",
        created=THEN,
        files=(),
        provenance={"job": job.id},
    )


@pytest.fixture
def site(redis: redis_client.Redis, tmp_path: Path) -> Iterator[Site]:
    state = tmp_path / "state"
    scheduler = connect("local", {"state_directory": state, "cpus": 1})
    yield Site(redis, tmp_path, scheduler)
    stop_executor(state)


def test_a_deleted_job_stays_deleted_and_what_it_left_is_still_removed(site: Site) -> None:
    gone, kept = site.ended(), site.ended("another-key")
    site.jobs.delete(gone)
    site.lose()
    said = site.rebuild()

    assert "1 restored, 0 of them" in said
    assert "1 that were deleted stay deleted" in said
    assert site.jobs.get(kept.id) == kept
    assert site.jobs.active() == []
    with pytest.raises(NotFoundError):
        site.jobs.get(gone.id)
    with pytest.raises(NotFoundError):
        site.datasets.get(dataset_id(gone, gone.attempt))
    assert Path(gone.attempt.directory).exists()
    site.sweep()
    assert not Path(gone.attempt.directory).exists()
    assert Path(kept.attempt.directory).exists()


def test_the_id_and_the_key_of_a_deleted_job_make_no_other_one_after_a_rebuild(site: Site) -> None:
    gone = site.ended()
    site.jobs.delete(gone)
    site.lose()
    site.rebuild()

    with pytest.raises(ConflictError, match="was given before"):
        site.jobs.add(make_job(id=gone.id))
    with pytest.raises(ConflictError, match="was deleted"):
        site.jobs.add(make_job(), KEY, HASH)
    assert 0 < int(site.redis.ttl(f"idempotency:jobs:ada:{KEY}")) <= 30 * 24 * 3600


def test_the_key_of_a_job_that_was_deleted_long_ago_is_free_again(site: Site) -> None:
    gone = site.ended()
    site.jobs.delete(gone)
    rubbish = site.jobs.rubbish(1)[0]
    site.lose()
    site.jobs.restore_deleted(replace(rubbish, deleted=rubbish.deleted - timedelta(days=31)))

    site.jobs.add(make_job(), KEY, HASH)
    with pytest.raises(ConflictError, match="was given before"):
        site.jobs.add(make_job(id=gone.id))


def test_what_stays_of_a_deleted_job_is_in_its_file_until_its_time_is_over(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = site.ended()
    site.jobs.delete(job)
    kept = gone.find(site.redis, job.id)
    assert kept is not None
    assert (kept.job.title, kept.job.keys, kept.job.attempt.dataset) == ("", {}, None)
    for swept in (False, True):
        if swept:
            site.sweep()
        site.lose()
        site.rebuild()
        assert gone.find(site.redis, job.id) == kept, f"swept: {swept}"

    monkeypatch.setattr(gone, "KEPT", timedelta(seconds=-2))
    site.sweep()
    assert gone.find(site.redis, job.id) is None
    assert [key for key in site.redis.keys("*") if "gone" in str(key)] == []
    [(_, document)] = Sidecars(site.root / "jobs").buried()
    assert "line" not in document
    site.lose()
    assert "1 that were deleted stay deleted" in site.rebuild()


def test_a_damaged_line_of_a_deleted_job_is_named_and_it_stays_deleted(site: Site) -> None:
    job = site.ended()
    site.jobs.delete(job)
    [path] = (site.root / "jobs").rglob("*.deleted.json")
    document = json.loads(path.read_text())
    path.write_text(json.dumps({**document, "line": {"id": job.id}}))
    site.lose()
    assert f"jobs/{job.id} (deleted)" in site.rebuild()
    with pytest.raises(NotFoundError):
        site.jobs.get(job.id)
    assert gone.find(site.redis, job.id) is None


def test_what_was_swept_is_not_swept_again(site: Site) -> None:
    gone = site.ended()
    site.jobs.delete(gone)
    site.sweep()
    site.lose()
    site.rebuild()

    assert site.jobs.rubbish(5) == []
    with pytest.raises(ConflictError):
        site.jobs.add(make_job(id=gone.id))


def test_a_deletion_that_was_cut_short_is_finished_by_the_sweeper(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = site.ended()

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(JobStore, "bury", killed)
    with pytest.raises(KeyboardInterrupt):
        site.jobs.delete(gone)
    monkeypatch.undo()
    site.sweep()
    site.lose()
    site.rebuild()

    with pytest.raises(NotFoundError):
        site.jobs.get(gone.id)
    with pytest.raises(NotFoundError):
        site.datasets.get(dataset_id(gone, gone.attempt))
    assert not Path(gone.attempt.directory).exists()


def test_results_that_outlived_their_job_are_not_restored(site: Site) -> None:
    gone = site.ended()
    site.jobs.delete(gone)
    site.sweep()
    site.datasets.add(make_dataset(gone))  # by a collection that was held up
    site.lose()

    assert "datasets: 0 restored" in site.rebuild()
    assert list(Sidecars(site.root / "datasets")) == []


def test_what_the_store_still_has_is_left_as_it_is(site: Site) -> None:
    job = site.ended()
    problem, kept = make_problem()
    site.problems.put(problem, kept)
    site.redis.hset(f"problem:{problem.id}", "record", "newer")
    site.redis.hset(f"job:{job.id}", "version", "9")

    said = site.rebuild()

    assert site.redis.hget(f"problem:{problem.id}", "record") == "newer"
    assert site.redis.hget(f"job:{job.id}", "version") == "9"
    assert "problems: 0 restored" in said
    assert "jobs: 0 restored" in said


def test_a_restored_problem_has_all_its_versions_and_its_file_follows(site: Site) -> None:
    problem, kept = make_problem()
    site.problems.put(problem, kept)
    second = replace(kept, version=replace(kept.version, number=2))
    site.problems.put(replace(problem, version=2), second, replaces=1)
    site.problems.describe(replace(problem, version=2, name="named"))
    site.lose()
    assert "problems: 1 restored" in site.rebuild()

    assert site.problems.versions(problem.id) == [second, kept]
    assert site.problems.get(problem.id).name == "named"
    site.problems.describe(replace(problem, version=2, name="renamed"))
    site.lose()
    site.rebuild()
    assert site.problems.get(problem.id).name == "renamed"
    assert site.problems.count("ada") == 1


def test_the_files_of_restored_problems_and_jobs_are_their_owners_again(site: Site) -> None:
    digests = [site.blobs.put(bytes(number)).digest for number in range(1, 5)]
    problem, kept = make_problem(**{"model.py": digests[0]})
    uploaded = {"script": {"files": [{"digest": digests[1], "name": "raw.py"}]}}
    kept = replace(kept, version=replace(kept.version, document=uploaded))
    site.problems.put(problem, kept)
    site.jobs.add(make_job(request={"elements": [{"files": {"a.dat": digests[2]}}]}))
    site.lose()
    site.rebuild()

    owned = {digest for owner, digest, _ in site.datasets.uploads() if owner == "ada"}
    assert owned == set(digests[:3])
    assert site.datasets.usage("ada").files == 1 + 2 + 3
    found = site.datasets.file("ada", digests[1])
    assert found is not None
    assert (found.path, found.size) == ("raw.py", 2)


def test_a_deleted_problem_stays_deleted(site: Site) -> None:
    problem, kept = make_problem()
    site.problems.put(problem, kept)
    site.problems.delete(problem)
    site.lose()

    assert "problems: 0 restored" in site.rebuild()
    with pytest.raises(NotFoundError):
        site.problems.get(problem.id)


def test_a_damaged_file_is_named_and_keeps_no_other_away(site: Site) -> None:
    kept = site.ended()
    torn, strange = new_id(), new_id()
    for name, text in ((torn, '{"id": "'), (strange, '{"id": 7}')):
        place = site.root / "jobs" / name[-2:]
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{name}.0.json").write_text(text)
    site.lose()
    said = site.rebuild()

    assert site.jobs.get(kept.id) == kept
    assert "NOT restored" in said
    assert {torn, strange} == {word.strip(", ").removeprefix("jobs/")
                               for word in said.split() if word.startswith("jobs/")}  # fmt: skip
