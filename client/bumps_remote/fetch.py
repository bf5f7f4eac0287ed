"""Bring result files home: each checked against its digest, none outside its folder.

What a job left behind has names that a stranger may have chosen. They are checked twice: as text,
and by looking where they really lead.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from bumps_remote.alone import alone, require_room, writing
from bumps_remote.errors import RefusedError, RemoteError, UnreachableError
from bumps_remote.journal import digest_file
from bumps_remote.text import clean_line
from bumps_remote.transport import Call, Document, Transport

MANIFEST = "manifest.json"
_CHUNK = 1 << 18
_DIGITS = frozenset("0123456789abcdef")
_SHA256 = 64
_PICKLES = (".pkl", ".pickle", ".p", ".dill", ".cloudpickle", ".joblib")
_FRAME = 0x95
WHY_NOT = (
    "who loads one runs what the job has put into it: --trust fetches it, if you trust the model "
    "and all that it imports"
)
Told = Callable[[int, int], None]
"""Hears how many bytes have come, of how many."""


@dataclass(frozen=True, kw_only=True)
class RemoteFile:
    """A result file as the server lists it."""

    path: str
    size: int
    digest: str


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """What lies here now."""

    folder: Path
    files: tuple[Path, ...]
    complete: bool
    """False when the job left less than it said."""

    refused: tuple[str, ...] = ()
    """Names of pickles, which were left there: who loads one runs what the job has put into it."""


def is_pickle(path: Path) -> bool:
    """Say whether a file begins as pickles of protocol 2 to 5 do, such as joblib's and dill's."""
    with path.open("rb") as file:
        head = file.read(3)
    if head[:1] != b"\x80" or len(head) < len(b"\x80\x04\x95"):
        return False
    return head[1] in (2, 3) or (head[1] in (4, 5) and head[2] == _FRAME)


def safe_path(folder: Path, name: str) -> Path:
    """Say where a file of that name goes.

    Raises
    ------
    RefusedError
        When it would not lie in the folder.
    """
    parts = name.split("/")
    bad = (
        not name
        or not name.isprintable()
        or any(sign in name for sign in "\\:")
        or any(part in ("", ".", "..") for part in parts)
    )
    target = folder.joinpath(*parts) if not bad else folder
    if bad or not target.parent.resolve().is_relative_to(folder.resolve()):
        raise RefusedError(
            f"{clean_line(name, 100)!r} would be written outside {folder}: nothing was fetched"
        )
    if target.is_symlink() or target.is_dir():
        raise RefusedError(f"{target} is there already and is no plain file: choose another folder")
    return target


def read_files(results: Document) -> list[RemoteFile]:
    """Read the list of files of a results document.

    Raises
    ------
    UnreachableError
        When it is not of that form.
    """
    files = []
    for row in results.get("files", []):
        path, size, digest = row.get("path"), row.get("size"), row.get("digest")
        right = isinstance(path, str) and isinstance(size, int) and isinstance(digest, str)
        if not right or len(digest) != _SHA256 or not set(digest) <= _DIGITS:
            raise UnreachableError(f"the list of result files has a wrong row: {clean_line(row)}")
        files.append(RemoteFile(path=path, size=size, digest=digest))
    return files


def part_of(target: Path) -> Path:
    """Say where a file lies until it is whole."""
    return target.with_name(f"{target.name}.part")


def _missing(file: RemoteFile, target: Path) -> int:
    """Say how many bytes of a file have still to come, if what is here is of it."""
    for path in (target, part_of(target)):
        if path.is_file() and not path.is_symlink():
            return max(0, file.size - path.stat().st_size)
    return file.size


class Fetcher:
    """Fetches the files of one job into one folder."""

    def __init__(
        self, transport: Transport, job_id: str, folder: Path, told: Told | None = None
    ) -> None:
        self._transport = transport
        self._id = job_id
        self._folder = folder
        self._told = told or (lambda _done, _total: None)
        self._done = self._total = 0

    def fetch(
        self,
        results: Document,
        only: Sequence[str] = (),
        *,
        replace: bool = False,
        trust: bool = False,
    ) -> Fetched:
        """Fetch result files; those that are here already are not fetched again.

        Parameters
        ----------
        only
            Paths to fetch; empty for all.
        replace
            Whether files of another content may be replaced.
        trust
            Whether pickles may come: by their names or by how they begin.

        Raises
        ------
        RefusedError
            For a pickle that was asked for by its name, and for names that lead elsewhere.
        """
        listed = read_files(results)
        wanted = [file for file in listed if not only or file.path in only]
        if missing := sorted(set(only) - {file.path for file in listed}):
            raise RefusedError(f"job {self._id} left no file {clean_line(missing[0])!r}")
        self._folder.mkdir(parents=True, exist_ok=True)
        targets = {file.path: safe_path(self._folder, file.path) for file in wanted}
        self._done, self._total = 0, sum(file.size for file in wanted)
        kept, refused = [], []
        with alone(self._folder, self._transport.notice):
            require_room(self._folder, sum(_missing(one, targets[one.path]) for one in wanted))
            for file in wanted:
                if self._one(file, targets[file.path], replace=replace, trust=trust):
                    kept.append(file)
                elif file.path in only:
                    raise RefusedError(f"{clean_line(file.path)} is a pickle: {WHY_NOT}")
                else:
                    refused.append(file.path)
            self._write_manifest(results, kept)
        return Fetched(
            folder=self._folder,
            files=tuple(targets[file.path] for file in kept),
            complete=bool(results.get("complete")),
            refused=tuple(refused),
        )

    def _one(self, file: RemoteFile, target: Path, *, replace: bool, trust: bool) -> bool:
        """Bring one file home; False for a pickle, of which nothing stays."""
        if not trust and file.path.lower().endswith(_PICKLES):
            self._count(file.size)
            return False
        if target.exists():
            if digest_file(target)[0] == file.digest:
                self._count(file.size)
                return True
            if not replace:
                raise RefusedError(
                    f"{target} is there already with another content: choose another folder, "
                    "or say --force"
                )
        target.parent.mkdir(parents=True, exist_ok=True)
        safe_path(self._folder, file.path)  # again: now its folders are there
        unfinished = part_of(target)
        where = f"/jobs/{self._id}/files/{quote(file.path)}"
        _Download(self._transport, where, unfinished, self._count).run(file)
        if not trust and is_pickle(unfinished):
            unfinished.unlink()
            return False
        unfinished.replace(target)
        return True

    def _count(self, size: int) -> None:
        self._done += size
        self._told(self._done, self._total)

    def _write_manifest(self, results: Document, files: Sequence[RemoteFile]) -> None:
        document = {
            "format": 1,
            "job": self._id,
            "attempt": results.get("attempt"),
            "server": self._transport.server.url,
            "complete": bool(results.get("complete")),
            "files": [{"path": f.path, "size": f.size, "sha256": f.digest} for f in files],
        }
        path = safe_path(self._folder, MANIFEST)
        path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def read_document(transport: Transport, job_id: str, file: RemoteFile) -> Document:
    """Read a small result file that holds a JSON object, checked against its digest.

    Raises
    ------
    RemoteError
        When it is not what the server listed, or holds something else.
    """
    call = Call(method="GET", path=f"/jobs/{job_id}/files/{quote(file.path)}")
    content = transport.send(call).content
    name = clean_line(file.path)
    if hashlib.sha256(content).hexdigest() != file.digest:
        raise RemoteError(f"{name} came with another digest than listed: ask for it again")
    try:
        document = json.loads(content)
    except ValueError as error:
        raise RemoteError(f"{name} cannot be read: {error}") from error
    if not isinstance(document, dict):
        raise RemoteError(f"{name} holds no JSON object")
    return document


class _Download:
    """One file, continued where the line was cut."""

    def __init__(
        self, transport: Transport, url_path: str, target: Path, count: Callable[[int], None]
    ) -> None:
        self._transport = transport
        self._url_path = url_path
        self._target = target
        self._count = count

    def run(self, file: RemoteFile) -> None:
        """Fetch it, or what is missing of it, and check it; a wrong one does not stay."""
        digest = hashlib.sha256()
        before = size = self._here(file, digest)
        if not size:
            self._target.unlink(missing_ok=True)
        flags = os.O_WRONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)
        flags |= os.O_APPEND if size else os.O_CREAT | os.O_EXCL
        mode = "ab" if size else "wb"
        with (
            writing(self._target),
            os.fdopen(os.open(self._target, flags, 0o666), mode) as out,
        ):
            self._count(size)
            size = self._pieces(file, out, digest, size)
            out.flush()
            # Where no lock kept others out, another fetch may have put its own in this place.
            here, there = os.fstat(out.fileno()), self._target.lstat()
            whole = os.path.samestat(here, there) and here.st_size == size
        if size != file.size or digest.hexdigest() != file.digest or not whole:
            self._target.unlink(missing_ok=True)
            if before:  # what was here was of something else: once more, from its beginning
                self._count(-size)
                self.run(file)
                return
            raise RemoteError(
                f"{clean_line(file.path)} came with {size} bytes and another digest than listed "
                f"({file.size} bytes): fetch it again, and tell the site if it stays so"
            )

    def _here(self, file: RemoteFile, digest: Any) -> int:
        """Say how much of it an earlier fetch has left here."""
        try:
            status = self._target.lstat()
        except FileNotFoundError:
            return 0
        if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1 or status.st_size > file.size:
            return 0
        with self._target.open("rb") as part:
            while piece := part.read(_CHUNK):
                digest.update(piece)
        return status.st_size

    def _pieces(self, file: RemoteFile, out: Any, digest: Any, size: int) -> int:
        patience = self._transport.patience
        end, failures = time.monotonic() + patience.total_s, 0
        while True:
            before = size
            try:
                for piece in self._from(size, file):
                    out.write(piece)
                    digest.update(piece)
                    size += len(piece)
                    self._count(len(piece))
            except httpx.TransportError as error:
                # The patience counts from the last byte that came.
                end = time.monotonic() + patience.total_s if size > before else end
                failures = 0 if size > before else failures + 1
                if time.monotonic() > end:
                    raise UnreachableError(
                        f"{clean_line(file.path)}: the line was cut after {size} bytes ({error})"
                    ) from error
                time.sleep(patience.pause_s(failures))
            else:
                return size

    def _from(self, offset: int, file: RemoteFile) -> Any:
        headers = {"Accept": "*/*", "Accept-Encoding": "identity"}
        if offset:
            headers |= {"Range": f"bytes={offset}-", "If-Range": f'"{file.digest}"'}
        if offset >= file.size:
            return
        with self._transport.stream(self._url_path, headers) as answer:
            if answer.status_code in (502, 503, 504):
                raise httpx.ReadError(f"answered {answer.status_code}", request=answer.request)
            if not answer.is_success:
                answer.read()
                raise self._transport.error_of(answer)
            skip = offset if answer.status_code == httpx.codes.OK else 0
            left = file.size + 1 - offset  # one byte too many is enough to know
            for piece in answer.iter_bytes(_CHUNK):
                kept = piece[skip:][:left]
                skip = max(0, skip - len(piece))
                left -= len(kept)
                yield kept
                if not left:
                    return
