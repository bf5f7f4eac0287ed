"""Copy all that a gateway keeps in files, while it runs.

What names comes before what is named: jobs, problems, datasets, contents, and nothing is removed
meanwhile. So whatever a record in the backup names is in the backup too; what is named by nobody
yet does no harm. `gateway.restoring` is the way back.

``SHA256SUMS`` is written last: a backup without it is none, and ``sha256sum -c`` can read it.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import tarfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

from gateway.datasets.blobs import BlobStore
from gateway.disk import create, make_folders, told_when_full
from gateway.errors import ConflictError
from gateway.keepsakes import KINDS
from gateway.policy.file import NAME as POLICY_FILE
from gateway.settings import SECRET_FILE, Settings, check_state
from gateway.sidecars import Sidecars
from gateway.texts import size_text

SUMS = "SHA256SUMS"
SIDECARS = ("jobs", "problems", "datasets", *KINDS)
"""In the order in which one names the other."""

_PART = ".part"


class DamagedError(ConflictError):
    """A file is not what its digest says."""


class Sink(Protocol):
    """Where a backup goes."""

    def add(self, name: str, source: BinaryIO, size: int) -> None:
        """Take so many bytes as a file."""


class Folder:
    """A backup as a folder."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def add(self, name: str, source: BinaryIO, size: int) -> None:
        """Take so many bytes as a file that only its owner can read."""
        path = self._root / name
        make_folders(path.parent)
        with os.fdopen(create(path), "wb") as file:
            shutil.copyfileobj(Bounded(source, size), file)
            file.flush()
            os.fsync(file.fileno())


class Archive:
    """A backup as one tar file."""

    def __init__(self, tar: tarfile.TarFile) -> None:
        self._tar = tar

    def add(self, name: str, source: BinaryIO, size: int) -> None:
        """Take so many bytes as a file that only its owner can read."""
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode, entry.mtime = size, 0o600, int(time.time())
        self._tar.addfile(entry, source)


class Bounded:
    """The first bytes of a file that may grow."""

    def __init__(self, source: BinaryIO, size: int) -> None:
        self._source = source
        self._left = size

    def read(self, size: int = -1) -> bytes:
        """Read on."""
        piece = self._source.read(self._left if size < 0 else min(size, self._left))
        self._left -= len(piece)
        return piece


def back_up(settings: Settings, target: Path) -> Iterator[str]:
    """Copy sidecars, contents, logs and the secret; say what was copied.

    Parameters
    ----------
    target
        A tar file when its name ends so, else a folder; it must not be there yet.

    Raises
    ------
    ConflictError
        When it is there.
    DamagedError
        When contents on the disk are not what they were; all others are in the backup.
    NoSpaceError
        When the disk of the target takes no more; nothing is left there.
    """
    check_state(settings.state_directory)
    with _sink(target) as sink:
        copy = _Copy(settings.state_directory, sink)
        copy.all()
    for part in ("sidecars", "blobs", "logs"):
        yield f"{part}: {copy.files[part]} files, {size_text(copy.sizes[part])}"
    if not copy.files[SECRET_FILE]:
        yield f"NO {SECRET_FILE}: the secret is GATEWAY_SECRET_KEY's, so keep that as well"
    yield f"{target} holds the gateway's secret and its users' data: let nobody else read it"
    yield "accounts, API tokens and cluster accounts are in the store alone, and not in this backup"
    if copy.damaged:
        raise DamagedError(
            f"left out, for they are damaged on the disk: {', '.join(copy.damaged)}; "
            "take them from an older backup"
        )


class _Copy:
    """One pass through a state directory."""

    def __init__(self, state: Path, sink: Sink) -> None:
        self._state = state
        self._sink = sink
        self._sums: list[str] = []
        self.files: Counter[str] = Counter()
        self.sizes: Counter[str] = Counter()
        self.damaged: list[str] = []

    def all(self) -> None:
        """Copy what names first, what is named after it, and the sums last."""
        blobs = BlobStore(self._state / "blobs")
        with blobs.nothing_removed():
            for kind in SIDECARS:
                for name, content in Sidecars(self._state / "sidecars" / kind).files():
                    self._add_bytes(f"sidecars/{kind}/{name}", content)
            for folder in blobs.folders():
                for path in sorted(folder.glob("[0-9a-f]*")):
                    self._add_content(path)
        for path in sorted((self._state / "logs").rglob("*")):
            if path.is_file():
                self._add_log(path)
        self._add_single()
        sums = "".join(self._sums).encode()
        self._sink.add(SUMS, io.BytesIO(sums), len(sums))

    def _add_single(self) -> None:
        for name in (SECRET_FILE, POLICY_FILE):
            path = self._state / name
            if path.exists():
                self._add_bytes(name, path.read_bytes())

    def _add_content(self, path: Path) -> None:
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != path.name:
                self.damaged.append(path.name)
                return
            size = file.tell()
            file.seek(0)
            self._add(f"blobs/{path.parent.name}/{path.name}", file, size, path.name)

    def _add_log(self, path: Path) -> None:
        try:
            content = path.read_bytes()  # at most limits.log_bytes
        except FileNotFoundError:  # its job was deleted just now
            return
        self._add_bytes(path.relative_to(self._state).as_posix(), content)

    def _add_bytes(self, name: str, content: bytes) -> None:
        digest = hashlib.sha256(content).hexdigest()
        self._add(name, io.BytesIO(content), len(content), digest)

    def _add(self, name: str, source: BinaryIO, size: int, digest: str) -> None:
        self._sink.add(name, source, size)
        self._sums.append(f"{digest}  {name}\n")
        part = name.partition("/")[0]
        self.files[part] += 1
        self.sizes[part] += size


@contextmanager
def _sink(target: Path) -> Iterator[Sink]:
    """Open a backup that is there under its name only when it is whole."""
    if target.exists():
        raise ConflictError(f"{target} is there already: name a new one")
    unfinished = target.with_name(target.name + _PART)
    is_archive = target.suffix == ".tar"
    try:
        if is_archive:
            unfinished.touch(0o600, exist_ok=False)
        else:
            unfinished.mkdir(0o700)
    except FileExistsError as error:
        raise ConflictError(
            f"{unfinished} is there: another backup runs, or one was killed; then remove it"
        ) from error
    try:
        with told_when_full():
            if is_archive:
                with unfinished.open("wb") as file:
                    with tarfile.open(fileobj=file, mode="w") as tar:
                        yield Archive(tar)
                    file.flush()
                    os.fsync(file.fileno())
            else:
                yield Folder(unfinished)
            unfinished.rename(target)
    finally:  # when it is whole it has another name
        _remove(unfinished)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
