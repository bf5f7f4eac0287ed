r"""A log as the page shows it: whole lines, in their colours, with the time at which they came.

What a program printed steers nothing: of escape sequences only colours act, all other control signs
are shown as signs, and all of it is text to the browser.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from gateway.jobs.log_folder import LogFolder

LOG_BYTES = 65_536
LOG_LINES = 2_000
"""So many are shown at once: of empty lines a browser would get 65,536, and be slow."""

_SGR = re.compile(r"\x1b\[([0-9;:]*)m")
_NAMES = ("", "red", "green", "yellow", "blue", "magenta", "cyan", "")
_CUBE = 16
_GREYS = 232
_CONTROLS = {
    **{code: f"^{chr(code + 64)}" for code in range(32) if chr(code) not in "\n\t"},
    0x7F: "^?",
    **dict.fromkeys(range(0x80, 0xA0), "\ufffd"),
    **dict.fromkeys((*range(0x202A, 0x202F), *range(0x2066, 0x206A)), "\ufffd"),
}


@dataclass(frozen=True, kw_only=True)
class Piece:
    """Some text in one style; the style is a list of class names of ours."""

    text: str
    style: str = ""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line."""

    pieces: tuple[Piece, ...]
    when: str = ""
    """When the gateway read it, UTC; empty where nobody noted it."""

    partial: bool = False
    """Not ended yet: it comes again, longer."""


@dataclass(frozen=True, kw_only=True)
class LogPart:
    """A part of a log."""

    lines: tuple[Line, ...]
    start: int
    end: int
    """Where to go on: behind the last line that has ended."""

    size: int
    cut: bool

    @property
    def earlier(self) -> int | None:
        """Where the part before this one may begin; None when this is the first."""
        return max(0, self.start - LOG_BYTES) if self.start else None

    @property
    def later(self) -> int | None:
        """Where the part behind this one begins; None when this is the last."""
        left = self.size - self.end
        return self.end if left and not (self.lines and self.lines[-1].partial) else None


@dataclass(frozen=True, kw_only=True)
class _Style:
    colour: str = ""
    bold: bool = False
    faint: bool = False
    underlined: bool = False
    marked: bool = False

    @property
    def names(self) -> str:
        own = {
            f"ansi-{self.colour}": bool(self.colour),
            "ansi-bold": self.bold,
            "ansi-faint": self.faint,
            "ansi-underlined": self.underlined,
            "ansi-marked": self.marked,
        }
        return " ".join(name for name, on in own.items() if on)


def read_log(logs: LogFolder, path: Path, offset: int | None, until: int | None) -> LogPart:
    """Read a part of a log.

    Parameters
    ----------
    offset
        From which byte on; None: its end.
    until
        Up to which byte; then it begins with a whole line, as at the end of the log.
    """
    wanted = LOG_BYTES if until is None or offset is None else max(1, until - offset)
    start, content, size = logs.read(
        path, -LOG_BYTES if offset is None else offset, min(LOG_BYTES, wanted)
    )
    if start and (offset is None or until is not None):
        first = content.find(b"\n") + 1
        start, content = start + first, content[first:]
    whole, ended, rest = content.rpartition(b"\n")
    if not ended and len(content) >= LOG_BYTES:  # one line longer than what is read
        whole, ended, rest = content, b"", b""
    texts = whole.split(b"\n") if whole or ended else []
    end = start + len(whole) + len(ended)
    if len(texts) > LOG_LINES:
        if offset is None or until is not None:
            texts = texts[-LOG_LINES:]
            start = end - sum(len(text) + 1 for text in texts)
        else:
            texts, rest = texts[:LOG_LINES], b""
            end = start + sum(len(text) + 1 for text in texts)
    lines = _lines(texts, start, logs.times(path))
    if rest:
        lines += [replace(line, partial=True) for line in _lines([rest], end, logs.times(path))]
    return LogPart(lines=tuple(lines), start=start, end=end, size=size, cut=logs.is_cut(path))


def _lines(
    texts: Sequence[bytes], start: int, times: tuple[Sequence[int], Sequence[float]]
) -> list[Line]:
    offsets, moments = times
    lines, style, at = [], _Style(), start
    for content in texts:
        pieces, style = parse_line(content.decode("utf-8", "replace"), style)
        noted = bisect_right(offsets, at) - 1
        lines.append(Line(pieces=pieces, when=_time(moments[noted]) if noted >= 0 else ""))
        at += len(content) + 1
    return lines


def _time(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%m-%d %H:%M:%S")


def parse_line(text: str, style: _Style = _Style()) -> tuple[tuple[Piece, ...], _Style]:
    r"""Read a line with its colours; what was written over the rest of it is what stays.

    >>> [(piece.text, piece.style) for piece in parse_line("a\x1b[1;31mb\x1b[0m\x07")[0]]
    [('a', ''), ('b', 'ansi-red ansi-bold'), ('^G', '')]
    >>> parse_line("10 %\r20 %\r")[0][0].text
    '20 %'
    """
    runs: list[tuple[str, _Style]] = []
    at = 0
    for found in _SGR.finditer(text):
        runs.append((text[at : found.start()], style))
        style, at = _restyled(style, found[1]), found.end()
    runs.append((text[at:], style))
    printed = "".join(run for run, _ in runs).rstrip("\r")
    return tuple(_between(runs, printed.rfind("\r") + 1, len(printed))), style


def _between(runs: Sequence[tuple[str, _Style]], first: int, last: int) -> Iterator[Piece]:
    """Give what stands between two places; neighbours of one style are one piece."""
    at, kept, names = 0, "", ""
    for text, style in runs:
        part = text[max(0, first - at) : max(0, last - at)]
        at += len(text)
        if part and style.names != names:
            if kept:
                yield Piece(text=visible(kept), style=names)
            kept, names = "", style.names
        kept += part
    if kept:
        yield Piece(text=visible(kept), style=names)


def visible(text: str) -> str:
    """Write control signs, and those that turn the direction of text, as signs."""
    return text.translate(_CONTROLS)


def _restyled(style: _Style, codes: str) -> _Style:
    """Read the numbers of one escape sequence (ECMA-48, SGR)."""
    numbers = [int(code) if code and len(code) < 4 else 0 for code in re.split("[;:]", codes)]
    while numbers:
        code = numbers.pop(0)
        if code in (38, 48):
            colour, used = _extended(numbers)
            del numbers[:used]
            style = replace(style, colour=colour) if code == 38 else replace(style, marked=True)
        else:
            style = _plainly(style, code)
    return style


def _plainly(style: _Style, code: int) -> _Style:
    if code == 0:
        return _Style()
    if switch := _SWITCHES.get(code):
        return switch(style)
    if 30 <= code <= 37 or 90 <= code <= 97:
        return replace(style, colour=_NAMES[code % 10])
    if 40 <= code <= 47 or 100 <= code <= 107:
        return replace(style, marked=True)
    return replace(style, colour="") if code == 39 else style


_SWITCHES: Mapping[int, Callable[[_Style], _Style]] = {
    1: partial(replace, bold=True),
    2: partial(replace, faint=True),
    4: partial(replace, underlined=True),
    7: partial(replace, marked=True),
    22: partial(replace, bold=False, faint=False),
    24: partial(replace, underlined=False),
    27: partial(replace, marked=False),
    49: partial(replace, marked=False),
}


def _extended(numbers: Sequence[int]) -> tuple[str, int]:
    """Take the nearest of our colours for one of 256 or of 16 million; say how many it used."""
    if numbers[:1] == [5] and len(numbers) > 1:
        code = numbers[1]
        if code < _CUBE:
            return _NAMES[code % 8], 2
        if code >= _GREYS:
            return "", 2
        code -= _CUBE
        return _nearest(code // 36 / 5, code // 6 % 6 / 5, code % 6 / 5), 2
    if numbers[:1] == [2] and len(numbers) > 3:
        red, green, blue = (value / 255 for value in numbers[1:4])
        return _nearest(red, green, blue), 4
    return "", len(numbers)


def _nearest(red: float, green: float, blue: float) -> str:
    middle = (max(red, green, blue) + min(red, green, blue)) / 2
    return _NAMES[(red > middle) + 2 * (green > middle) + 4 * (blue > middle)]
