"""A bundle is a stranger's zip until it has been looked at."""

from __future__ import annotations

import hashlib
import json
import stat
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.client.site import Shell

DRIVER = """
import json, sys, os
task = os.environ["SLURM_ARRAY_TASK_ID"]
chisq = json.load(open("job.json"))["gives"] + float(open("data/model.py").read())
json.dump({"status": "done", "chisq": chisq}, open(f"result.{task}.json", "w"))
"""


def write_bundle(
    path: Path, gives: float = 1.5, more: Mapping[str, bytes] | None = None, digest: str = ""
) -> Path:
    """Write a bundle whose driver answers *gives*, and whose result was 1.5."""
    with zipfile.ZipFile(path.parent / "driver.pyz", "w") as driver:
        driver.writestr("__main__.py", DRIVER)
    contents: dict[str, bytes] = {
        "job.json": json.dumps({"gives": gives, "elements": [], "pack": 1}).encode(),
        "driver.pyz": (path.parent / "driver.pyz").read_bytes(),
        "data/model.py": b"0",
        "result.0.json": b'{"status": "done", "chisq": 1.5}',
        "out/session.h5": b"old",
        **(more or {}),
    }
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    digests["data/model.py"] = digest or digests["data/model.py"]
    contents["bundle.json"] = json.dumps({"format": 1, "files": digests}).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return path


def rerun(shell: Shell, bundle: Path, *more: str, code: int = 0) -> str:
    done = shell.run("rerun", str(bundle), "--local", "-o", "new", *more, code=code)
    return done.out + done.err


def test_a_bundle_that_comes_out_the_same_says_both_numbers(shell: Shell, tmp_path: Path) -> None:
    said = rerun(shell, write_bundle(tmp_path / "b.zip"))

    assert "chi² 1.5 then, 1.5 now" in said


def test_a_bundle_that_comes_out_otherwise_is_a_failure(shell: Shell, tmp_path: Path) -> None:
    said = rerun(shell, write_bundle(tmp_path / "b.zip", gives=1.6), code=1)

    assert "chi² 1.5 then, 1.6 now" in said
    assert "does not come out the same" in said


def test_old_results_are_not_taken_for_new_ones(shell: Shell, tmp_path: Path) -> None:
    rerun(shell, write_bundle(tmp_path / "b.zip"))

    assert not (shell.work / "new" / "out").exists()


@pytest.mark.parametrize("name", ["data/../../evil", "/evil", "data/..\\evil", "C:/evil"])
def test_a_name_that_leads_elsewhere_stops_everything(
    shell: Shell, tmp_path: Path, name: str
) -> None:
    bundle = write_bundle(tmp_path / "b.zip", more={name: b"evil"})

    rerun(shell, bundle, code=6)

    assert not list(tmp_path.rglob("evil"))
    assert list((shell.work / "new").iterdir()) == []


def test_a_link_in_a_bundle_stops_everything(shell: Shell, tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "b.zip")
    with zipfile.ZipFile(bundle, "a") as archive:
        link = zipfile.ZipInfo("data/link")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")

    assert "is a link or a device" in rerun(shell, bundle, code=6)


def test_a_name_that_comes_twice_stops_everything(shell: Shell, tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "b.zip", more={"DATA/model.py": b"0"})

    assert "is in the bundle twice" in rerun(shell, bundle, code=6)


def test_a_changed_file_stops_everything(shell: Shell, tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "b.zip", digest="0" * 64)

    assert "is not what the bundle lists" in rerun(shell, bundle, code=6)


def test_what_is_no_bundle_is_refused(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "b.zip").write_bytes(b"PK nothing")
    assert "not a bundle that can be read" in rerun(shell, tmp_path / "b.zip", code=2)
    assert "there is no file" in rerun(shell, tmp_path / "none.zip", code=2)


def test_a_folder_that_is_not_empty_is_left_alone(shell: Shell, tmp_path: Path) -> None:
    shell.write("new/mine", "")

    assert "is not empty" in rerun(shell, write_bundle(tmp_path / "b.zip"), code=2)


def test_a_python_without_bumps_is_named(shell: Shell, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    bare.write_text(f'#!/bin/sh\nexec {sys.executable} -S -I "$@"\n', encoding="utf-8")
    bare.chmod(0o755)

    said = rerun(shell, write_bundle(tmp_path / "b.zip"), f"--python={bare}", code=2)

    assert "has no bumps" in said
