"""A job directory is hostile ground: what is read there, and what is not."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import pytest

from scheduler.base import VOID, SchedulerError, StagedFile
from scheduler.directory import read_claim, read_native_id, take_claim, take_lock
from scheduler.files import list_beneath, read_beneath, remove_tree, stage, used_bytes
from tests.helpers import eventually

QUICK_S = 2.0


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A job directory with all that may lie there."""
    secret = tmp_path / "secret"
    secret.write_text("root:x:0:0")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "data").write_text("another's")
    job = tmp_path / "job"
    (job / "out").mkdir(parents=True)
    (job / "out" / "good.json").write_text("{}")
    (job / "link").symlink_to(secret)
    (job / "folder").symlink_to(tmp_path / "other")
    (job / "loop").symlink_to(job)
    (job / "hard").hardlink_to(secret)
    (job / "new\nline").write_text("x")
    (job / "r\u202etl").write_text("x")
    Path(os.fsdecode(os.fsencode(job) + b"/\xff\xfe")).write_text("x")
    os.mkfifo(job / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(job / "socket"))
    with (job / "sparse").open("wb") as stream:
        stream.truncate(1 << 40)
    return job


def test_hostile_files_are_listed_as_not_to_be_read(hostile: Path) -> None:
    begun = time.monotonic()
    entries = {entry.path: entry for entry in list_beneath(hostile, 1000)}
    assert time.monotonic() - begun < QUICK_S
    regular = {path for path, entry in entries.items() if entry.regular}
    assert regular == {"out/good.json", "sparse"}
    assert entries["sparse"].size == 1 << 40
    assert {"link", "folder", "loop", "hard", "pipe", "socket"} <= set(entries)
    assert all(path.isprintable() for path in entries)
    assert not any("data" in path for path in entries)


@pytest.mark.parametrize(
    "path",
    ["link", "folder/data", "hard", "pipe", "socket", "out", "", ".", "../secret",
     "loop/out/good.json", "out/../../secret", "/etc/passwd", "missing", "out/good.json/x", "a\0b"],
)  # fmt: skip
def test_what_is_no_plain_file_beneath_is_not_read(hostile: Path, path: str) -> None:
    begun = time.monotonic()
    assert read_beneath(hostile, path, 0, 1000) is None
    assert time.monotonic() - begun < QUICK_S


@pytest.mark.skipif(os.getuid() != 0, reason="only root makes devices")
def test_a_device_is_not_read(hostile: Path) -> None:
    os.mknod(hostile / "zero", 0o666 | 0o020000, os.makedev(1, 5))
    assert read_beneath(hostile, "zero", 0, 1000) is None
    assert not {e.path: e for e in list_beneath(hostile, 100)}["zero"].regular


def test_a_terabyte_of_nothing_is_read_only_where_it_is_asked(hostile: Path) -> None:
    begun = time.monotonic()
    assert read_beneath(hostile, "sparse", -10, 1000) == bytes(10)
    assert read_beneath(hostile, "sparse", 1 << 39, 5) == bytes(5)
    assert used_bytes(hostile) < 1 << 20
    assert time.monotonic() - begun < QUICK_S


def test_a_directory_that_is_a_link_is_not_entered(hostile: Path) -> None:
    alias = hostile.parent / "alias"
    alias.symlink_to(hostile)
    assert list_beneath(alias, 10) == []
    assert read_beneath(alias, "out/good.json", 0, 10) is None
    with pytest.raises(SchedulerError, match="not a directory"):
        remove_tree(alias)
    assert (hostile / "out" / "good.json").exists()


def test_a_listing_ends_at_its_limit(tmp_path: Path) -> None:
    for number in range(3000):
        (tmp_path / f"f{number:04}").touch()
    begun = time.monotonic()
    assert len(list_beneath(tmp_path, 1000)) == 1000
    assert time.monotonic() - begun < QUICK_S


def test_a_listing_does_not_follow_depth_without_end(tmp_path: Path) -> None:
    _dig(tmp_path, 400)
    begun = time.monotonic()
    (entry,) = list_beneath(tmp_path, 1000)
    assert not entry.regular
    assert time.monotonic() - begun < QUICK_S


def test_names_that_nobody_keeps_are_said_in_short(tmp_path: Path) -> None:
    folder = tmp_path
    for _ in range(2):
        folder /= "\u00e9" * 127
    folder.mkdir(parents=True)
    for number in range(300):
        (folder / (f"{number:04}" + "\u00e9" * 123)).touch()
        (folder / (f"{number:04}\n" + "\u202e" * 83)).touch()
    entries = list_beneath(tmp_path, 1000)
    assert len(entries) == 600
    assert max(len(entry.path.encode()) for entry in entries) <= 1000
    assert [entry.regular for entry in entries].count(True) == 300


def test_a_listing_that_would_be_too_long_says_where_it_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "result.0.json").touch()
    for number in range(300):
        (tmp_path / "out" / f"{number:0200}").touch()
    monkeypatch.setattr("scheduler.files._LISTING_BYTES", 10_000)
    *entries, last = list_beneath(tmp_path, 1000)
    assert "result.0.json" in [entry.path for entry in entries]
    assert 30 < len(entries) < 60
    assert (last.path, last.regular) == ("out/...", False)
    monkeypatch.setattr("scheduler.files._LISTING_S", -1.0)
    assert [entry.path for entry in list_beneath(tmp_path, 1000)] == ["./..."]


def test_folders_are_counted_like_files(tmp_path: Path) -> None:
    """Else hundreds of thousands of empty ones keep a line until it is given up."""
    for number in range(4000):
        (tmp_path / "out" / f"{number % 40}" / f"{number}").mkdir(parents=True)
    (tmp_path / "result.0.json").touch()
    begun = time.monotonic()
    entries = list_beneath(tmp_path, 1000)
    assert len(entries) == 1000
    assert {entry.path for entry in entries if entry.regular} == {"result.0.json"}
    assert time.monotonic() - begun < QUICK_S


def test_folders_that_leave_no_room_for_files_are_said(tmp_path: Path) -> None:
    for number in range(1500):
        (tmp_path / "out" / f"{number}").mkdir(parents=True)
    entries = list_beneath(tmp_path, 1000)
    assert "out/..." in [entry.path for entry in entries]
    assert not any(entry.regular for entry in entries)


def test_a_deep_tree_is_removed(tmp_path: Path) -> None:
    _dig(tmp_path / "job", 2000)
    remove_tree(tmp_path / "job")
    assert not (tmp_path / "job").exists()


def test_removal_follows_no_link(hostile: Path) -> None:
    remove_tree(hostile)
    assert not hostile.exists()
    assert (hostile.parent / "secret").read_text() == "root:x:0:0"
    assert (hostile.parent / "other" / "data").exists()


def _dig(folder: Path, depth: int) -> None:
    folder.mkdir(exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=handle)  # deeper than a path can say
        inner = os.open("d", os.O_RDONLY, dir_fd=handle)
        os.close(handle)
        handle = inner
    os.close(handle)


# Claims


def _race(call: Callable[[Path, int], object], folder: Path) -> list[object]:
    with multiprocessing.get_context("fork").Pool(8) as pool:
        return pool.starmap(call, [(folder, number) for number in range(1, 65)])


def _claim(folder: Path, owner: int) -> str:
    return take_claim(folder, 1, str(owner))


def _lock(folder: Path, _: int) -> bool:
    return take_lock(folder, 1)


def test_a_claim_has_one_owner_whoever_asks(tmp_path: Path) -> None:
    owners = set(_race(_claim, tmp_path))
    assert owners == {read_claim(tmp_path, 1)}
    assert take_claim(tmp_path, 1, VOID) in owners
    assert [path.name for path in tmp_path.iterdir()] == ["claim.1"]


def test_a_lock_is_taken_once_whoever_asks(tmp_path: Path) -> None:
    assert _race(_lock, tmp_path).count(True) == 1


@pytest.mark.parametrize("owner", ["", "x", "1\n2", "1 ", "../1", "-1"])
def test_only_a_native_id_or_void_can_own_a_claim(tmp_path: Path, owner: str) -> None:
    with pytest.raises(SchedulerError, match="own"):
        take_claim(tmp_path, 1, owner)
    assert read_claim(tmp_path, 1) is None


def test_a_claim_that_names_no_owner_is_an_error_and_not_free(tmp_path: Path) -> None:
    (tmp_path / "claim.1").write_text("x" * 1_000_000)
    assert read_claim(tmp_path, 1) is None
    with pytest.raises(SchedulerError, match="names no owner"):
        take_claim(tmp_path, 1, "5")


def test_a_forged_native_id_is_none(tmp_path: Path) -> None:
    assert take_lock(tmp_path, 1)
    (tmp_path / "submit.1" / "native_id").write_text("5; rm -rf /")
    assert read_native_id(tmp_path, 1) is None


def test_a_directory_that_cannot_be_made_is_a_fault_of_that_job_alone(tmp_path: Path) -> None:
    digest = hashlib.sha256(b"").hexdigest()
    both = tuple(
        StagedFile(path=PurePosixPath(path), sha256=digest)
        for path in ("data/elements", "data/elements/0/points.dat")
    )
    with pytest.raises(SchedulerError, match=r"job cannot be made: .*data/elements"):
        stage(tmp_path / "job", both)
    assert not (tmp_path / "job").exists()


def _content(path: str, content: bytes) -> StagedFile:
    digest = hashlib.sha256(content).hexdigest()
    return StagedFile(path=PurePosixPath(path), sha256=digest, content=content)


def _stage_in_background(directory: Path, pipe: Path) -> threading.Thread:
    """Begin to stage three files, of which the second comes when somebody writes into a pipe."""
    os.mkfifo(pipe)
    digest = hashlib.sha256(b"slow").hexdigest()
    slow = StagedFile(
        path=PurePosixPath("slow"), source=PurePosixPath(pipe), sha256=digest, mode=0o600
    )
    files = (_content("first", b"1"), slow, _content("in/last", b"3"))
    thread = threading.Thread(target=lambda: stage(directory, files), daemon=True)
    thread.start()
    return thread


def test_two_who_stage_one_directory_leave_it_whole(tmp_path: Path) -> None:
    directory = tmp_path / "job" / "1"
    first = _stage_in_background(directory, tmp_path / "one")
    begun = eventually(lambda: _slow_ones(tmp_path / "job"))
    second = _stage_in_background(directory, tmp_path / "two")
    eventually(lambda: _slow_ones(tmp_path / "job") - begun)
    for pipe, thread in (("one", first), ("two", second)):
        (tmp_path / pipe).write_text("slow")
        thread.join(20)
        found = {entry.path: entry.size for entry in list_beneath(directory, 100)}
        assert found == {"first": 1, "slow": 4, "in/last": 1}, pipe
    assert os.listdir(tmp_path / "job") == ["1"]  # noqa: PTH208 - with hidden names


def _slow_ones(folder: Path) -> set[int]:
    """Say which files wait for their content."""
    return {path.stat().st_ino for path in folder.glob("*/slow")}


def test_a_staging_that_failed_leaves_nothing(tmp_path: Path) -> None:
    good = _content("x", b"content")
    bad = StagedFile(path=good.path, sha256=good.sha256, content=b"other")
    with pytest.raises(SchedulerError, match="SHA-256"):
        stage(tmp_path / "job", (bad,))
    assert list(tmp_path.iterdir()) == []
    stage(tmp_path / "job", (good,))
    assert (tmp_path / "job" / "x").read_bytes() == b"content"


def test_only_what_a_staging_left_long_ago_is_swept(tmp_path: Path) -> None:
    mark = "0123456789abcdef"
    fresh, others = f".1.{mark}.part", (f".11.{mark}.part", f".1.{mark}", "11", "11.part")
    old = (f".1.{mark[::-1]}.part", "1.part")
    for name in (fresh, *others, *old):
        (tmp_path / name / "in").mkdir(parents=True)
        if name != fresh:
            os.utime(tmp_path / name, (0, 0))
    (tmp_path / f".1.{'f' * 16}.part").symlink_to(tmp_path / "11")
    stage(tmp_path / "1", (_content("x", b"content"),))
    assert not any((tmp_path / name).exists() for name in old)
    assert all((tmp_path / name / "in").exists() for name in (fresh, *others))
