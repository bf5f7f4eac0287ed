"""How the gateway and its agent on a login node talk: a JSON document and bytes, by length.

A frame is the length of the document and of the bytes, then both. It is the same in both
directions and over every kind of line, and nothing in it is ever read by a shell.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

CHUNK_BYTES = 1 << 20
"""How much of a file goes into one frame."""

_HEAD = struct.Struct("!II")
_MOST_BYTES = 64 << 20


class FrameError(Exception):
    """What came is no frame."""


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One message."""

    document: dict[str, Any]
    blob: bytes = b""

    def encode(self) -> bytes:
        """Write it.

        Raises
        ------
        FrameError
            If it is longer than any frame: nobody would read it.
        """
        text = json.dumps(self.document).encode("ascii")
        _check(len(text) + len(self.blob))
        return _HEAD.pack(len(text), len(self.blob)) + text + self.blob


def read_frame(read_exactly: Callable[[int], bytes]) -> Frame:
    r"""Read one frame from something that gives exactly as many bytes as it is asked for.

    >>> import io
    >>> read_frame(io.BytesIO(Frame(document={"verb": "read"}, blob=b"\0").encode()).read)
    Frame(document={'verb': 'read'}, blob=b'\x00')

    Raises
    ------
    FrameError
        If it is longer than any frame, or holds no JSON object.
    """
    text_bytes, blob_bytes = _HEAD.unpack(read_exactly(_HEAD.size))
    _check(text_bytes + blob_bytes)
    text, blob = read_exactly(text_bytes), read_exactly(blob_bytes)
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FrameError(f"a frame holds no JSON: {text[:80]!r}") from error
    if not isinstance(document, dict):
        raise FrameError(f"a frame holds no JSON object: {text[:80]!r}")
    return Frame(document=document, blob=blob)


def _check(count: int) -> None:
    if count > _MOST_BYTES:
        raise FrameError(f"a frame of {count} bytes is more than {_MOST_BYTES}")
