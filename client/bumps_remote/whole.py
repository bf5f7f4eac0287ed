"""Fetch what is made while it is sent: it cannot go on, so it begins anew."""

from __future__ import annotations

import time
import uuid
from pathlib import Path

import httpx

from bumps_remote.alone import writing
from bumps_remote.errors import UnreachableError, UsageError
from bumps_remote.transport import Transport

_CHUNK = 1 << 18


def fetch_whole(transport: Transport, url_path: str, target: Path) -> Path:
    """Fetch something that is made while it is sent, whole or not at all.

    Raises
    ------
    UsageError
        When the file is there already, or finds no room.
    """
    if target.exists():
        raise UsageError(f"{target} is there already: name another file")
    target.parent.mkdir(parents=True, exist_ok=True)
    # It begins anew each time, so nobody else has to find it.
    unfinished = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.part")
    end, repetition = time.monotonic() + transport.patience.total_s, 0
    try:
        while (cut := _try_whole(transport, url_path, unfinished)) is not None:
            if time.monotonic() > end:
                raise UnreachableError(f"{target.name}: the line was cut ({cut})") from cut
            time.sleep(transport.patience.pause_s(repetition))
            repetition += 1
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)
    return target


def _try_whole(
    transport: Transport, url_path: str, unfinished: Path
) -> httpx.TransportError | None:
    """Fetch once; answer what cut the line, if something did."""
    try:
        with transport.stream(url_path, {"Accept": "*/*"}) as answer:
            if not answer.is_success:
                answer.read()
                raise transport.error_of(answer)
            with writing(unfinished), unfinished.open("wb") as out:
                for piece in answer.iter_bytes(_CHUNK):
                    out.write(piece)
    except httpx.TransportError as error:
        return error
    return None
