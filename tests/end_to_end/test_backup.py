"""A backup of a gateway that runs becomes a gateway elsewhere, with nothing run again."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from gateway.datasets.garbage import digests_in
from tests.helpers import eventually
from tests.live import Api, LiveGateway, live_gateway

pytestmark = pytest.mark.slow

CURVE: dict[str, Any] = {
    "name": "decay", "type": "curve",
    "curve": {
        "data": {"text": "0 10.1\n1 6.0\n2 3.7\n3 2.2\n4 1.4\n"},
        "columns": {"x": 0, "y": 1, "dy": {"from": "percent", "value": 5}},
        "expression": "a*exp(-k*x)",
        "parameters": [{"name": "a", "value": 8}, {"name": "k", "value": 0.3}],
    },
}  # fmt: skip

MOST = 15
"""Jobs that are made meanwhile: they end one after the other, and hold up the end."""


@dataclass
class Stage:
    """A gateway with a finished fit and a job that runs, and backups of it."""

    live: LiveGateway
    api: Api
    fit: str
    running: str
    folder: Path
    tar: Path


@contextmanager
def busy(api: Api) -> Iterator[None]:
    """Make jobs and problems all the time, as users do while a backup is made."""
    enough = Event()
    made: list[dict[str, Any]] = []

    def work() -> None:
        for number in range(MOST):
            if enough.is_set():
                break
            problem = api.problem({**CURVE, "name": f"n{number}"})
            made.append(api.submit(kind="dummy", options={"seconds": 0}, title=problem["name"]))

    thread = Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        enough.set()
        thread.join()
        for job in made:
            api.wait(job["id"])


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    place = tmp_path_factory.mktemp("backups")
    with live_gateway() as live:
        api = live.user()
        problem = api.problem(CURVE)
        fit = api.submit(problem={"id": problem["id"]}, options={"fit": "lm"})["id"]
        running = api.submit(kind="dummy", options={"seconds": 120})["id"]
        assert api.wait(fit)["state"] == "COMPLETED"
        api.wait_for_state(running, "RUNNING")
        with busy(api):
            live.command("backup", str(place / "b"))
            said = live.command("backup", str(place / "b.tar"))
        assert "blobs: " in said
        assert "let nobody else read it" in said
        yield Stage(live, api, fit, running, place / "b", place / "b.tar")


def tried(live: LiveGateway, *arguments: str) -> str:
    """Run a command that must be refused; answer its one line."""
    done = subprocess.run(
        [sys.executable, "-m", "gateway.cli", *arguments],
        env=live.environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stdout
    assert len(done.stderr.splitlines()) == 1, done.stderr
    return done.stderr


def elsewhere(folder: Path, state: str = "state") -> LiveGateway:
    """Give a gateway that does not run, and has no state yet."""
    environment = {"GATEWAY_STATE": str(folder / state), "PATH": "/usr/bin:/bin"}
    return LiveGateway(state=folder / state, port=0, environment=environment)


def files_of(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}


def test_whatever_a_record_of_the_backup_names_is_in_it(stage: Stage) -> None:
    kept = {path.name for path in (stage.folder / "blobs").glob("*/*")}
    contents = {path.name for path in (stage.live.state / "blobs").glob("*/*")}
    texts = [path.read_text() for path in (stage.folder / "sidecars").rglob("*.json")]
    named = {digest for text in texts for digest in digests_in(text)} & contents
    plans = {one["plan"] for text in texts for one in json.loads(text).get("attempts", ())}
    assert len(plans) >= 2
    assert plans <= named
    named |= {
        digest
        for plan in plans
        for digest in digests_in((stage.folder / "blobs" / plan[:2] / plan).read_text())
    } & contents
    assert len(named) > len(plans)
    assert named - kept == set()


def test_only_the_owner_can_read_it_and_other_programs_can_check_it(stage: Stage) -> None:
    assert stage.folder.stat().st_mode & 0o777 == 0o700
    assert stage.tar.stat().st_mode & 0o777 == 0o600
    assert (stage.folder / "secret.key").stat().st_mode & 0o777 == 0o600
    assert {path.stat().st_mode & 0o077 for path in stage.folder.rglob("*")} == {0}
    checked = subprocess.run(
        ["/usr/bin/sha256sum", "--strict", "--quiet", "-c", "SHA256SUMS"],
        cwd=stage.folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (checked.returncode, checked.stdout) == (0, "")
    listed = len((stage.folder / "SHA256SUMS").read_text().splitlines())
    assert listed == len(files_of(stage.folder)) - 1
    with tarfile.open(stage.tar) as tar:
        assert {entry.mode for entry in tar} == {0o600}


def test_a_backup_never_takes_the_place_of_another(stage: Stage) -> None:
    before = stage.tar.stat()
    assert "is there already" in tried(stage.live, "backup", str(stage.tar))
    assert stage.tar.stat() == before
    assert "No such file" in tried(stage.live, "backup", str(stage.folder / "no" / "b.tar"))


def test_damaged_contents_are_left_out_and_named(stage: Stage, tmp_path: Path) -> None:
    other = elsewhere(tmp_path)
    other.command("restore", str(stage.folder))
    bad = next((other.state / "blobs").glob("*/*"))
    bad.write_bytes(b"rotten")
    assert bad.name in tried(other, "backup", str(tmp_path / "b"))
    assert files_of(stage.folder) - files_of(tmp_path / "b") == {f"blobs/{bad.name[:2]}/{bad.name}"}
    again = elsewhere(tmp_path, "again")
    again.command("restore", str(tmp_path / "b"))


@pytest.mark.parametrize("how", ["changed", "missing", "added", "cut", "strange", "no sums"])
def test_a_backup_that_is_not_whole_restores_nothing(
    stage: Stage, tmp_path: Path, how: str
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(stage.folder, copy)
    victim = next((copy / "blobs").glob("*/*"))
    source = copy
    if how == "changed":
        victim.write_bytes(victim.read_bytes()[:-1] + b"?")
    elif how == "missing":
        victim.unlink()
    elif how == "added":
        extra = hashlib.sha256(b"x").hexdigest()
        (copy / "blobs" / victim.parent.name / extra).write_bytes(b"x")
    elif how == "cut":
        source = tmp_path / "cut.tar"
        source.write_bytes(stage.tar.read_bytes()[: stage.tar.stat().st_size // 2])
    elif how == "strange":
        (copy / "authorized_keys").write_text("mine")
    else:
        (copy / "SHA256SUMS").unlink()
    other = elsewhere(tmp_path)
    tried(other, "restore", str(source))
    assert list(other.state.iterdir()) == []


def test_an_archive_cannot_lead_out_of_the_directory(tmp_path: Path) -> None:
    for name, kind in (("../../evil", tarfile.REGTYPE), ("logs/a/b/c/d", tarfile.SYMTYPE)):
        evil = tmp_path / "evil.tar"
        with tarfile.open(evil, "w") as tar:
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = kind, "/etc/passwd"
            tar.addfile(entry)
        other = elsewhere(tmp_path)
        tried(other, "restore", str(evil))
        assert list(other.state.iterdir()) == []
    assert not (tmp_path / "evil").exists()


@pytest.mark.timeout(300)  # four starts and stops of a whole gateway
def test_it_becomes_a_gateway_elsewhere_and_nothing_is_submitted_again(stage: Stage) -> None:
    results = stage.api.results(stage.fit)
    log = stage.api.http.get(f"/jobs/{stage.fit}/log", params={"stream": "stdout"}).content
    stage.live.stop()
    with live_gateway() as two:
        assert "is not empty" in tried(two, "restore", str(stage.tar))
        two.stop()
        shutil.rmtree(two.state)
        two.command("restore", str(stage.tar))
        assert two.state.stat().st_mode & 0o777 == 0o700
        secret = (stage.live.state / "secret.key").read_text()
        assert (two.state / "secret.key").read_text() == secret
        two.start()

        said = two.command("rebuild")

        assert "NOT restored" not in said
        two.add_user(stage.api.name)
        api = Api(two, stage.api.name)
        assert api.results(stage.fit) == results
        for ref in results["files"]:
            content = api.http.get(ref["href"].removeprefix("/api/v1")).content
            assert hashlib.sha256(content).hexdigest() == ref["digest"]
        assert api.http.get(f"/jobs/{stage.fit}/log", params={"stream": "stdout"}).content == log
        assert api.job(stage.fit)["state"] == "COMPLETED"
        # The one that runs: found by its claim, and its one run stays the only one.
        found = eventually(
            lambda: (job := api.job(stage.running))["submission"] != "uncertain" and job,
            what="the job that ran to be found",
        )
        assert found["submission"] == "submitted"
        (directory,) = (stage.live.state / "jobs").rglob(f"{stage.running}/1")
        assert sorted(path.name for path in directory.glob("submit.*")) == ["submit.1"]
        events = (directory / "events.0.jsonl").read_text()
        assert events.count('"event": "start"') == 1
        assert list((two.state / "jobs").rglob("job.sh")) == []
