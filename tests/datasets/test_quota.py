"""What one user keeps has a limit that is said in words, and counted right whatever happens."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import redis as redis_client

from gateway.accounts.models import Identity
from gateway.datasets.blobs import BlobStore
from gateway.datasets.models import Dataset, FileRef, Usage
from gateway.datasets.service import Files
from gateway.datasets.store import DatasetStore
from gateway.errors import NoSpaceError, QuotaError, TooLargeError
from gateway.settings import load_settings
from gateway.sidecars import Sidecars
from tests.jobs.making import THEN

ADA = Identity(user="ada", admin=False, scopes=frozenset())
BOB = Identity(user="bob", admin=False, scopes=frozenset())
ALLOWED = 10_000


@pytest.fixture
def store(redis: redis_client.Redis, tmp_path: Path) -> DatasetStore:
    return DatasetStore(redis, Sidecars(tmp_path / "sidecars"))


@pytest.fixture
def blobs(tmp_path: Path) -> BlobStore:
    return BlobStore(tmp_path / "blobs")


@pytest.fixture
def files(store: DatasetStore, blobs: BlobStore) -> Files:
    return make_files(store, blobs, bytes_per_user=ALLOWED, file_bytes=8_000)


def make_files(store: DatasetStore, blobs: BlobStore, **limits: int) -> Files:
    settings = load_settings(with_secret=False)
    return Files(store, blobs, replace(settings, limits=replace(settings.limits, **limits)))


def contents(blobs: BlobStore) -> set[str]:
    return {path.name for folder in blobs.folders() for path in folder.iterdir()}


def make_dataset(id: str, size: int) -> Dataset:
    files = (FileRef(path="out/a", digest="0" * 64, size=size),)
    return Dataset(id=id, owner="ada", type="fit-result", created=THEN, files=files)


def test_more_than_is_allowed_is_refused_with_what_is_used_and_nothing_of_it_is_kept(
    files: Files, store: DatasetStore, blobs: BlobStore
) -> None:
    files.add(ADA, "a.dat", [bytes(6_000)])
    store.add(make_dataset("J1-1", 3_000))
    before = contents(blobs)
    with pytest.raises(QuotaError) as caught:
        files.add(ADA, "b.dat", [b"b" * 1_001])
    text = str(caught.value)
    assert "with the 1.0 kB of 'b.dat'" in text
    assert "10 kB that this site allows" in text
    assert "results have 3.0 kB, your files 6.0 kB" in text
    assert "Delete jobs" in text
    assert contents(blobs) == before
    assert store.usage("ada") == Usage(files=6_000, results=3_000)
    files.add(ADA, "b.dat", [b"b" * 1_000])
    assert store.usage("ada").total == ALLOWED


def test_the_same_bytes_again_cost_nothing_even_at_the_limit(
    files: Files, store: DatasetStore
) -> None:
    files.add(ADA, "a.dat", [bytes(5_000), bytes(3_000)])
    files.put("ada", "b.dat", bytes(2_000))
    for name in ("a.dat", "again.dat"):
        files.add(ADA, name, [bytes(8_000)])
    files.put("ada", "c.dat", bytes(2_000))
    assert store.usage("ada") == Usage(files=ALLOWED)


def test_what_others_keep_does_not_count(files: Files, store: DatasetStore) -> None:
    for who in (ADA, BOB):
        files.add(who, "a.dat", [bytes(8_000)])
    assert store.usage("ada") == store.usage("bob") == Usage(files=8_000)


def test_a_file_that_this_site_takes_from_nobody_is_another_error(files: Files) -> None:
    with pytest.raises(TooLargeError, match="8000 bytes, the most"):
        files.add(ADA, "a.dat", [bytes(8_001)])


def test_many_uploads_at_once_do_not_pass_the_limit_together(
    files: Files, store: DatasetStore, blobs: BlobStore
) -> None:
    def upload(number: int) -> bool:
        try:
            files.add(ADA, f"{number}.dat", [bytes([number]) * 3_000])
        except QuotaError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(upload, range(24)))
    assert sum(taken) == 3
    assert store.usage("ada") == Usage(files=9_000)
    assert len(contents(blobs)) == 3


def test_who_keeps_too_much_may_not_ask_for_more_results(files: Files, store: DatasetStore) -> None:
    files.require_room("ada")
    store.add(make_dataset("J1-1", ALLOWED))
    with pytest.raises(QuotaError, match="your results have 10 kB"):
        files.require_room("ada")
    files.delete_dataset("J1-1")
    files.require_room("ada")
    assert store.usage("ada") == Usage()


def test_results_count_once_however_often_they_are_collected_or_deleted(
    store: DatasetStore,
) -> None:
    for size in (700, 0, 900, 900):
        store.add(make_dataset("J1-1", size))
    assert store.usage("ada") == Usage(results=900)
    for _ in range(2):
        store.delete(make_dataset("J1-1", 1))
    assert store.usage("ada") == Usage()


def test_an_upload_that_is_forgotten_is_given_back_once(files: Files, store: DatasetStore) -> None:
    empty = files.add(ADA, "empty.dat", [])
    ref = files.add(ADA, "a.dat", [bytes(5_000)])
    for _ in range(2):
        store.forget_file("ada", empty.digest, float("inf"))
        store.forget_file("ada", ref.digest, float("inf"))
    assert store.usage("ada") == Usage()


def test_without_a_limit_only_the_disk_counts(store: DatasetStore, blobs: BlobStore) -> None:
    files = make_files(store, blobs, bytes_per_user=0)
    files.add(ADA, "a.dat", [bytes(50_000)])
    files.require_room("ada")
    assert store.usage("ada") == Usage(files=50_000)


def test_an_upload_that_breaks_off_is_not_counted(
    files: Files, store: DatasetStore, blobs: BlobStore, tmp_path: Path
) -> None:
    def broken() -> Iterator[bytes]:
        yield bytes(1_000)
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        files.add(ADA, "a.dat", broken())
    assert store.usage("ada") == Usage()
    assert contents(blobs) == set()
    assert list(tmp_path.glob("blobs/.*.part")) == []


def test_a_disk_that_is_nearly_full_takes_no_file_and_says_so(
    files: Files, store: DatasetStore, blobs: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.disk._RESERVE", 1.0)
    with pytest.raises(NoSpaceError, match=r"nearly full.*administrator"):
        files.add(ADA, "a.dat", [bytes(10)])
    with pytest.raises(NoSpaceError):
        files.put("ada", "a.dat", bytes(10))
    assert store.usage("ada") == Usage()
    assert contents(blobs) == set()
