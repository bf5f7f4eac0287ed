"""Do a fit again, here, from the bundle that a gateway gave; and say whether it comes out the same.

The bundle is a stranger's zip: every name, size and digest is checked before a byte of it lies on
the disk. Running it runs the model in it, as any script does.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bumps_remote.errors import JobFailedError, RefusedError, UsageError
from bumps_remote.fetch import safe_path
from bumps_remote.text import clean_line

_INPUTS = ("job.json", "driver.pyz", "data/", "resume/", "elements/")
_UNPACKED_BYTES = 8_000_000_000
_DOCUMENT_BYTES = 50_000_000
_ENTRIES = 50_000
_CHUNK = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The same fit, there and here."""

    label: str
    before: float | None
    now: float | None

    @property
    def difference(self) -> float | None:
        """Relative difference of the chi-squares; None when one is missing."""
        if self.before is None or self.now is None:
            return None
        return abs(self.now - self.before) / max(abs(self.before), 1e-300)

    def same(self, tolerance: float) -> bool:
        """Whether they agree; two that both have none do, too."""
        if self.difference is None:
            return self.before is self.now
        return self.difference <= tolerance


def unpack(bundle: Path, folder: Path) -> dict[str, Any]:
    """Unpack what a job needs into an empty folder; answer the earlier results by name.

    Raises
    ------
    RefusedError
        When a name leads elsewhere, or a content is not the one that the bundle lists.
    UsageError
        When it is no bundle, or the folder is not empty.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise UsageError(f"{folder} is not empty: name a new folder")
    try:
        with zipfile.ZipFile(bundle) as archive:
            return _unpack(archive, folder)
    except (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise UsageError(
            f"{clean_line(bundle)} is not a bundle that can be read: {error}"
        ) from error


def run(folder: Path, python: str, tasks: int) -> None:
    """Run the driver for every task, with the user's own Python.

    Raises
    ------
    UsageError
        When that Python has no bumps.
    JobFailedError
        When the driver itself fails.
    """
    found = subprocess.run([python, "-c", "import bumps"], capture_output=True, check=False)
    if found.returncode:
        raise UsageError(f"{python} has no bumps: name one that has, with --python=PATH")
    for task in range(tasks):
        environment = {**os.environ, "SLURM_ARRAY_TASK_ID": str(task)}
        done = subprocess.run(
            [python, "driver.pyz", "."],
            cwd=folder,
            env=environment,
            stdout=sys.stderr,
            check=False,
        )
        if done.returncode:
            raise JobFailedError(f"the driver ended with {done.returncode} in {folder}")


def count_tasks(folder: Path) -> int:
    """Say how many tasks a job has."""
    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    elements, pack = len(job.get("elements") or []), int(job.get("pack") or 1)
    return max(1, -(-elements // pack))


def compare(folder: Path, earlier: dict[str, Any]) -> list[Comparison]:
    """Compare the chi-squares of all tasks and elements."""
    found = []
    for name, before in sorted(earlier.items()):
        path = folder / name
        now = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        new = dict(_chisqs(name, now))
        found += [
            Comparison(label=label, before=chisq, now=new.get(label))
            for label, chisq in _chisqs(name, before)
        ]
    return found


def _chisqs(name: str, result: dict[str, Any]) -> Iterator[tuple[str, float | None]]:
    rows = result.get("elements")
    if not isinstance(rows, list):
        yield name, result.get("chisq")
        return
    for row in rows:
        yield f"element {row.get('index')}", row.get("chisq")


def _unpack(archive: zipfile.ZipFile, folder: Path) -> dict[str, Any]:
    entries = archive.infolist()
    _check_entries(entries, folder)
    names = {entry.filename for entry in entries}
    if not {"bundle.json", "job.json", "driver.pyz"} <= names:
        raise UsageError("this zip is no bundle of a gateway: it has no bundle.json or driver.pyz")
    listed = _document(archive, "bundle.json").get("files")
    digests: dict[str, Any] = listed if isinstance(listed, dict) else {}
    for entry in entries:
        if entry.filename.startswith(_INPUTS) and not entry.is_dir():
            _extract(archive, entry, folder, digests.get(entry.filename))
    return {
        name: _document(archive, name)
        for name in names
        if name.startswith("result.") and name.endswith(".json")
    }


def _check_entries(entries: list[zipfile.ZipInfo], folder: Path) -> None:
    if len(entries) > _ENTRIES or sum(entry.file_size for entry in entries) > _UNPACKED_BYTES:
        raise RefusedError("the bundle unpacks to more than a bundle can be")
    seen: set[str] = set()
    for entry in entries:
        name = entry.filename
        mode = entry.external_attr >> 16
        if mode and stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise RefusedError(f"{clean_line(name)} in the bundle is a link or a device")
        if name.casefold() in seen:
            raise RefusedError(f"{clean_line(name)} is in the bundle twice")
        seen.add(name.casefold())
        safe_path(folder, name.rstrip("/"))


def _extract(
    archive: zipfile.ZipFile, entry: zipfile.ZipInfo, folder: Path, digest: object
) -> None:
    target = safe_path(folder, entry.filename)
    target.parent.mkdir(parents=True, exist_ok=True)
    measured, left = hashlib.sha256(), entry.file_size
    with archive.open(entry) as source, target.open("xb") as out:
        while chunk := source.read(_CHUNK):
            left -= len(chunk)
            if left < 0:
                raise RefusedError(f"{clean_line(entry.filename)} is larger than it says")
            measured.update(chunk)
            out.write(chunk)
    if digest is not None and measured.hexdigest() != digest:
        raise RefusedError(f"{clean_line(entry.filename)} is not what the bundle lists: damaged?")


def _document(archive: zipfile.ZipFile, name: str) -> dict[str, Any]:
    if archive.getinfo(name).file_size > _DOCUMENT_BYTES:
        raise RefusedError(f"{clean_line(name)} is larger than such a file can be")
    try:
        document = json.loads(archive.read(name))
    except (ValueError, RecursionError) as error:
        raise RefusedError(f"{clean_line(name)} in the bundle cannot be read: {error}") from error
    if not isinstance(document, dict):
        raise RefusedError(f"{clean_line(name)} in the bundle is no JSON object")
    return document
