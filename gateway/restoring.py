"""Bring a backup into an empty state directory; ``bumps-gateway rebuild`` then fills the store.

Everything is laid aside and its digests are looked at before anything is in its place, so what was
begun and did not end is begun again.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from gateway.backup import SIDECARS, SUMS, DamagedError
from gateway.disk import create, make_folders, told_when_full
from gateway.errors import BadRequestError, ConflictError
from gateway.policy.file import NAME as POLICY_FILE
from gateway.settings import SECRET_FILE, Settings, check_state

_ASIDE = ".restore"
_NAME = re.compile(
    rf"{SUMS}|{re.escape(SECRET_FILE)}|{re.escape(POLICY_FILE)}|blobs/[0-9a-f]{{2}}/[0-9a-f]{{64}}"
    rf"|sidecars/({'|'.join(SIDECARS)})(/(?!\.)[\w.-]+){{2}}|logs(/(?!\.\.)[\w.-]+){{4}}"
)
"""What a backup is made of, and nothing that could lead elsewhere."""

_CHUNK_BYTES = 1 << 20


def restore(settings: Settings, source: Path) -> Iterator[str]:
    """Bring a backup back, whole or not at all; say what to do next.

    Raises
    ------
    ConflictError
        When the state directory is not empty.
    DamagedError
        When a file is not what its digest says, or one is missing.
    BadRequestError
        When this is no backup.
    """
    state = settings.state_directory
    _require_empty(state)
    aside = state / _ASIDE
    if aside.exists():
        shutil.rmtree(aside)
    aside.mkdir(mode=0o700)
    try:
        with told_when_full():
            count = _lay_aside(source, aside)
            _put_in_place(aside, state)
    finally:  # when all is in its place it is gone
        shutil.rmtree(aside, ignore_errors=True)
    yield f"{count} files restored into {state}, each with its digest"
    if not (state / SECRET_FILE).exists():
        yield f"NO {SECRET_FILE}: set GATEWAY_SECRET_KEY to what it was"
    yield "start the store, then 'bumps-gateway rebuild' lists jobs and problems again"


def _require_empty(state: Path) -> None:
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    check_state(state)
    found = sorted(path.name for path in state.iterdir() if path.name != _ASIDE)
    if found:
        raise ConflictError(
            f"{state} is not empty ({', '.join(found[:3])}): nothing is restored over what is "
            "there; name an empty directory in GATEWAY_STATE, or move that one away"
        )


def _lay_aside(source: Path, aside: Path) -> int:
    """Copy all files, and compare them with the sums."""
    sums: dict[str, str] | None = None
    found: dict[str, str] = {}
    with _files(source) as files:
        for name, file in files:
            if not _NAME.fullmatch(name):
                raise BadRequestError(f"{source} is no backup of a gateway: it has {name[:80]!r}")
            if name == SUMS:
                sums = _read_sums(file.read())
            else:
                found[name] = _copy(file, aside / name)
    if sums is None:
        raise DamagedError(f"{source} has no {SUMS}: it is cut, or it is no backup of a gateway")
    wrong = sorted(name for name in {*sums, *found} if sums.get(name) != found.get(name))
    wrong += [name for name in found if name.startswith("blobs/") and name[9:] != found[name]]
    if wrong:
        raise DamagedError(
            f"{len(wrong)} files of {source} are not what {SUMS} says, such as {wrong[0]}: "
            "nothing was restored; take another backup"
        )
    return len(found)


def _copy(source: IO[bytes], path: Path) -> str:
    """Copy a file; answer its digest."""
    digest = hashlib.sha256()
    make_folders(path.parent)
    with os.fdopen(create(path), "wb") as file:
        while piece := source.read(_CHUNK_BYTES):
            digest.update(piece)
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest()


def _read_sums(content: bytes) -> dict[str, str]:
    lines = content.decode("utf-8").splitlines()
    return {name: digest for digest, _, name in (line.partition("  ") for line in lines)}


def _put_in_place(aside: Path, state: Path) -> None:
    """Move everything to where it belongs, the secret last."""
    for path in sorted(aside.iterdir(), key=lambda path: path.name == SECRET_FILE):
        path.rename(state / path.name)
    aside.rmdir()


@contextmanager
def _files(source: Path) -> Iterator[Iterator[tuple[str, IO[bytes]]]]:
    if source.is_dir():
        yield _files_of_folder(source)
        return
    try:
        with tarfile.open(source, "r:") as tar:
            yield _files_of_archive(tar)
    except tarfile.TarError as error:
        raise BadRequestError(f"{source} cannot be read: {error}") from error


def _files_of_folder(root: Path) -> Iterator[tuple[str, IO[bytes]]]:
    for path in sorted(root.rglob("*")):
        if not path.is_dir():
            with path.open("rb") as file:
                yield path.relative_to(root).as_posix(), file


def _files_of_archive(tar: tarfile.TarFile) -> Iterator[tuple[str, IO[bytes]]]:
    for entry in tar:
        if entry.isdir():  # as tar itself writes them, when a folder was packed by hand
            continue
        file = tar.extractfile(entry) if entry.isreg() else None
        if file is None:
            raise BadRequestError(f"{entry.name[:80]!r} in the backup is no plain file")
        with file:
            yield entry.name.removeprefix("./"), file
