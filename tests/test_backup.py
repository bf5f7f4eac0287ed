"""What happens to records and contents while a backup is made."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

import pytest

from gateway import backup
from gateway.backup import Folder, back_up
from gateway.datasets.blobs import BlobStore
from gateway.errors import ConflictError, NoSpaceError
from gateway.policy.file import PolicyFile
from gateway.restoring import restore
from gateway.settings import Settings, load_settings, prepare_state
from gateway.sidecars import Sidecars


@dataclass
class Busy:
    """Takes a backup while users add what a record names, and the record, at each step."""

    state: Path
    taken: dict[str, bytes] = field(default_factory=dict)
    removed: list[int] = field(default_factory=list)
    made: int = 0

    def add(self, name: str, source: BinaryIO, size: int) -> None:
        self.taken[name] = source.read(size)
        for kind in ("jobs", "problems", "datasets"):
            self.made += 1
            if self.made < 60:
                make(self.state, kind, f"{self.made:04}")
        if not name.startswith(("sidecars/", "blobs/")):
            return  # all contents are copied
        blobs = BlobStore(self.state / "blobs")
        for path in list((self.state / "blobs").glob("??/*")):
            if (size_ := blobs.remove_unwanted(path.name, before=2e12)) is not None:
                self.removed.append(size_)


def make(state: Path, kind: str, id: str) -> None:
    blob = BlobStore(state / "blobs").put(f"{kind} {id}".encode())
    Sidecars(state / "sidecars" / kind).write(id, 0, {"names": blob.digest})


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    state = tmp_path / "state"
    prepare_state(state)
    make(state, "jobs", "first")
    return load_settings({"GATEWAY_STATE": str(state)})


def test_what_comes_while_it_is_made_is_whole_in_it_or_not_at_all(settings: Settings) -> None:
    busy = Busy(settings.state_directory)
    copy = backup._Copy(settings.state_directory, busy)  # its sink is what this test is about
    copy.all()
    named = {
        text.decode().split('"')[3] for name, text in busy.taken.items() if "sidecars/" in name
    }
    kept = {name.rpartition("/")[2] for name in busy.taken if name.startswith("blobs/")}
    assert len(named) > 1
    assert named - kept == set()


def test_the_policy_of_the_site_is_in_it_and_comes_back(settings: Settings, tmp_path: Path) -> None:
    text = "[limits.each_user]\njobs = 3\n"
    PolicyFile(settings.state_directory).put(text, "mine.toml")
    list(back_up(settings, tmp_path / "backup.tar"))
    elsewhere = replace(settings, state_directory=tmp_path / "elsewhere")
    list(restore(elsewhere, tmp_path / "backup.tar"))
    assert PolicyFile(elsewhere.state_directory).text() == text
    assert PolicyFile(elsewhere.state_directory).current().each_user.jobs == 3


def test_every_kind_of_record_that_is_in_it_comes_back(settings: Settings, tmp_path: Path) -> None:
    for kind in backup.SIDECARS:
        make(settings.state_directory, kind, f"one-of-{kind}")
    list(back_up(settings, tmp_path / "b"))
    elsewhere = replace(settings, state_directory=tmp_path / "elsewhere")
    list(restore(elsewhere, tmp_path / "b"))
    for kind in backup.SIDECARS:
        found = Sidecars(elsewhere.state_directory / "sidecars" / kind).read(f"one-of-{kind}")
        assert found is not None, kind


def test_nothing_is_removed_while_it_is_made(settings: Settings) -> None:
    busy = Busy(settings.state_directory)
    copy = backup._Copy(settings.state_directory, busy)
    copy.all()
    assert busy.removed == []
    contents = [name for name in busy.taken if name.startswith("blobs/")]
    assert contents
    assert [name for name in contents if not (settings.state_directory / name).exists()] == []
    path = settings.state_directory / contents[0]
    blobs = BlobStore(settings.state_directory / "blobs")
    assert blobs.remove_unwanted(path.name, before=2e12) is not None  # afterwards it may go


def test_the_newest_version_of_a_record_is_taken_and_the_deleted_stay_so(
    settings: Settings, tmp_path: Path
) -> None:
    jobs = Sidecars(settings.state_directory / "sidecars" / "jobs")
    jobs.write("first", 1, {"new": True})
    jobs.bury("gone", {"id": "gone"})
    list(back_up(settings, tmp_path / "b"))
    assert {path.name for path in (tmp_path / "b" / "sidecars").rglob("*.json")} == {
        "first.1.json", "gone.deleted.json",
    }  # fmt: skip


def test_a_full_disk_leaves_nothing_of_a_backup(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Folder, "add", full)
    with pytest.raises(NoSpaceError):
        list(back_up(settings, tmp_path / "b"))
    assert [path.name for path in tmp_path.iterdir()] == ["state"]


def test_one_that_was_killed_is_named_and_not_written_over(
    settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "b.tar.part").write_bytes(b"half")
    with pytest.raises(ConflictError, match=r"b\.tar\.part is there"):
        list(back_up(settings, tmp_path / "b.tar"))
    assert (tmp_path / "b.tar.part").read_bytes() == b"half"
