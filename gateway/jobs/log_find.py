"""Words in the whole of a log, however much of it a page shows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gateway.jobs.log_folder import LogFolder
from gateway.jobs.log_view import parse_line

MOST_HITS = 200
"""So many lines are listed; the others are counted."""

_WORDS = 200
_CHUNK_BYTES = 1 << 20
_AROUND = 120


@dataclass(frozen=True, kw_only=True)
class Hit:
    """A line that has the words."""

    offset: int
    """Of its first byte."""

    text: str


@dataclass(frozen=True, kw_only=True)
class LogHits:
    """What was found in a log."""

    words: str
    hits: tuple[Hit, ...]
    count: int
    """Of lines, those that are not listed, too."""


def find_in_log(logs: LogFolder, path: Path, words: str) -> LogHits | None:
    """Find the lines that have some words, in either case; None where none are asked for.

    A log is never longer than its limit, so that all of it is looked at.
    """
    words = words[:_WORDS]
    if not words.strip():
        return None
    pattern = re.compile(re.escape(words.encode("utf-8", "replace")), re.IGNORECASE)
    hits: list[Hit] = []
    count = 0
    for start, content in _whole_lines(logs, path):
        at = 0
        while found := pattern.search(content, at):
            first = content.rfind(b"\n", 0, found.start()) + 1
            last = content.find(b"\n", found.start())
            at = len(content) if last < 0 else last + 1
            count += 1
            if len(hits) < MOST_HITS:
                near = slice(max(first, found.start() - _AROUND), min(at, found.end() + _AROUND))
                hits.append(Hit(offset=start + first, text=_text(content[near])))
    return LogHits(words=words, hits=tuple(hits), count=count)


def _whole_lines(logs: LogFolder, path: Path) -> Iterator[tuple[int, bytes]]:
    """Read a log in pieces that end with a line; of a line longer than a piece, its parts."""
    at = 0
    while True:
        start, content, _ = logs.read(path, at, _CHUNK_BYTES)
        if not content:
            return
        if len(content) == _CHUNK_BYTES:
            content = content[: content.rfind(b"\n") + 1] or content
        yield start, content
        at = start + len(content)


def _text(content: bytes) -> str:
    pieces, _ = parse_line(content.strip(b"\n").decode("utf-8", "replace"))
    return "".join(piece.text for piece in pieces)
