"""Files to the server: small ones at once, large ones in pieces (tus 1.0).

What has come of a large file stays there for a day. Where it lies is written down here under its
content, so that it goes on after a cut line, and when the command is given again. A file that the
server has already is not sent a second time.
"""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

import httpx

from bumps_remote.config import state_folder, write_private
from bumps_remote.errors import NotFoundError, UnreachableError, UsageError
from bumps_remote.journal import LocalFile
from bumps_remote.text import clean_line
from bumps_remote.transport import Call, Document, Transport, retry_after_s

PIECE = 8 << 20
"""So much is lost behind a proxy that hands on only whole requests, at most."""

LARGE = PIECE
_BLOCK = 1 << 16
_FORGOTTEN_S = 2 * 24 * 3600.0
_ASK_AGAIN = frozenset({404, 409, 423, 429, 502, 503, 504})
"""Answers to a piece after which only the server knows how much is there."""

_TUS = {"Tus-Resumable": "1.0.0"}
Told = Callable[[int, int], None]
"""Hears how many bytes the server has, of how many."""


class Sender:
    """Sends the files of one submission, each content once."""

    def __init__(self, transport: Transport, told: Told | None = None) -> None:
        self._transport = transport
        self._told = told or (lambda _done, _total: None)

    def send(self, files: Sequence[LocalFile]) -> None:
        """Have all of them there.

        Raises
        ------
        UsageError
            When one cannot be read, or is not what it was when it was looked at.
        """
        once = list({file.digest: file for file in files}.values())
        done, total = 0, sum(file.size for file in once)
        for file in once:
            try:
                digest = self._one(file, partial(self._count, done, total))
            except OSError as error:
                shown = clean_line(file.path)
                raise UsageError(f"{shown} cannot be read: {error.strerror}") from error
            if digest != file.digest:
                raise UsageError(
                    f"{clean_line(file.path)} has changed while it was being submitted: submit "
                    "again"
                )
            done += file.size
            self._told(done, total)

    def _count(self, before: int, total: int, here: int) -> None:
        self._told(before + here, total)

    def _one(self, file: LocalFile, told: Callable[[int], None]) -> str:
        if file.size >= LARGE:
            return self._kept(file) or _Pieces(self._transport, file, told).run()
        call = Call(
            method="POST",
            path="/files",
            params={"name": file.name},
            file=Path(file.path),
            harmless=True,
        )
        return str(self._transport.document(call).get("digest"))

    def _kept(self, file: LocalFile) -> str:
        """Answer the digest of a file that the server has; else nothing."""
        try:
            found = self._transport.document(Call(method="GET", path=f"/files/{file.digest}"))
        except NotFoundError:
            return ""
        return str(found.get("digest"))


class _Pieces:
    """One large file, continued where the line was cut."""

    def __init__(self, transport: Transport, file: LocalFile, told: Callable[[int], None]) -> None:
        self._transport = transport
        self._file = file
        self._told = told
        self._note = _note(transport.server.url, file)

    def run(self) -> str:
        """Send what is missing; answer the digest as the server took it."""
        place, offset, digest = self._begin()
        patience = self._transport.patience
        end, failures = time.monotonic() + patience.total_s, 0
        while not digest:
            self._told(offset)
            before, trouble = offset, self._piece(place, offset)
            if trouble is not None:  # what was on its way still arrives meanwhile
                self._wait(trouble, patience.pause_s(failures), end, offset)
                failures += 1
            offset, digest = self._ask(place)
            if offset > before:  # the patience counts from the last byte that came
                end, failures = time.monotonic() + patience.total_s, 0
        self._note.unlink(missing_ok=True)
        return digest

    def _begin(self) -> tuple[str, int, str]:
        """Go on with an upload that was begun, or announce one."""
        try:
            place = self._note.read_text(encoding="ascii")
            return place, *self._ask(place)
        except (FileNotFoundError, NotFoundError):
            pass
        name = base64.b64encode(self._file.name.encode()).decode()
        headers = {
            **_TUS,
            "Upload-Length": str(self._file.size),
            "Upload-Metadata": f"filename {name}",
        }
        call = Call(method="POST", path="/uploads", headers=headers, harmless=True)
        made = self._transport.document(call)
        place = f"/uploads/{made['id']}"
        _remember(self._note, place)
        return place, *_progress(made)

    def _ask(self, place: str) -> tuple[int, str]:
        return _progress(self._transport.document(Call(method="GET", path=place)))

    def _piece(self, place: str, offset: int) -> _Trouble | None:
        """Send one piece; answer what was in the way, if something was."""
        size = min(PIECE, self._file.size - offset)
        headers = {
            **_TUS,
            "Upload-Offset": str(offset),
            "Content-Type": "application/offset+octet-stream",
            "Content-Length": str(size),
        }
        with Path(self._file.path).open("rb") as source:
            source.seek(offset)
            body = self._blocks(source, offset, size)
            call = Call(method="PATCH", path=place, content=body, headers=headers)
            try:
                answer = self._transport.once(call)
            except httpx.TransportError as error:
                return _Trouble(clean_line(error, 200) or type(error).__name__)
        if answer.status_code in _ASK_AGAIN:
            wait_s = retry_after_s(answer.headers.get("Retry-After"))
            return _Trouble(f"the server answered {answer.status_code}", wait_s or 0.0)
        if not answer.is_success:
            raise self._transport.error_of(answer)
        return None

    def _blocks(self, source: BinaryIO, offset: int, size: int) -> Iterator[bytes]:
        end = offset + size
        while offset < end:
            block = source.read(min(_BLOCK, end - offset))
            if not block:
                raise UsageError(
                    f"{clean_line(self._file.path)} has become shorter while it was being "
                    "submitted: submit again"
                )
            offset += len(block)
            yield block
            self._told(offset)

    def _wait(self, trouble: _Trouble, pause_s: float, end: float, offset: int) -> None:
        pause_s = max(pause_s, trouble.wait_s)
        what = f"{clean_line(self._file.name, 80)}: {trouble.text}"
        if time.monotonic() + pause_s > end:
            raise UnreachableError(
                f"{what}; {offset} bytes are there, and the same command goes on from them"
            )
        self._transport.notice(f"{what}; going on with what is there in {pause_s:.1f} s")
        time.sleep(pause_s)


@dataclass(frozen=True)
class _Trouble:
    """What a piece met, and how long the server wants to be left alone."""

    text: str
    wait_s: float = 0.0


def _progress(upload: Document) -> tuple[int, str]:
    return int(upload["offset"]), str(upload["digest"])


def _note(url: str, file: LocalFile) -> Path:
    """Say where it is written down which upload a file is; another user's is not found there."""
    name = hashlib.sha256(f"{url} {file.digest}".encode()).hexdigest()
    return state_folder() / "uploads" / name


def _remember(note: Path, place: str) -> None:
    write_private(note, place)
    for other in note.parent.iterdir():
        with suppress(FileNotFoundError):
            if time.time() - other.stat().st_mtime > _FORGOTTEN_S:
                other.unlink()
