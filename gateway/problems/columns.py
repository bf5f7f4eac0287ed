"""Read the columns of pasted or uploaded text: comma, semicolon, tab or blank between numbers.

Header and comment lines give names and units. What is doubtful is a warning with its line number;
what cannot be right is refused.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.errors import InvalidError

ROW_LIMIT = 200_000
COLUMN_LIMIT = 50
CELL_LIMIT = 2_000_000
LINE_LIMIT = 20_000
NAMED_LINES = 5

_COMMENTS = ("#", "%", "!", "//")
_NUMBER = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eEdD][-+]?[0-9]+)?")
_COMMA_NUMBER = re.compile(r"[-+]?[0-9]*,[0-9]+(?:[eEdD][-+]?[0-9]+)?")
_PLAIN = re.compile(r"[-+0-9.eE \t,;]*")
_MISSING = frozenset({"", "-", "--", "nan", "na", "n/a", "null", "none"})
_INFINITE = frozenset({"inf", "+inf", "-inf", "infinity"})
_UNIT = re.compile(r"^(?P<name>.*?)\s*[\(\[](?P<unit>[^\)\]]*)[\)\]]\s*$")
_HEADER_WORD = re.compile(r"[^\s(\[]+(?:\s*[(\[][^)\]]*[)\]])?")


@dataclass(frozen=True, kw_only=True)
class Table:
    """What was read from a text."""

    names: tuple[str, ...]
    units: tuple[str, ...]
    columns: tuple[tuple[float, ...], ...]
    """As many as names, all of one length; nan where a cell is empty or no number."""
    lines: tuple[int, ...]
    """The line of each row, counted from 1."""
    separator: str
    decimal_comma: bool
    warnings: tuple[str, ...]

    @property
    def rows(self) -> int:
        """How many rows of numbers there are."""
        return len(self.lines)


@dataclass(frozen=True, kw_only=True)
class _Format:
    separator: str
    decimal_comma: bool

    def split(self, line: str) -> list[str]:
        """Take a line apart into cells."""
        if self.separator == " ":
            return line.split()
        cells = [cell.strip().strip("\"'").strip() for cell in line.split(self.separator)]
        return cells[:-1] if len(cells) > 1 and not cells[-1] else cells

    def numbers(self, line: str) -> list[float | None]:
        """Read a line; most lines are plain numbers, which float alone reads fast."""
        cells = self.split(line)
        if not self.decimal_comma and _PLAIN.fullmatch(line):
            try:
                return list(map(float, cells))
            except ValueError:
                pass
        return [self.number(cell) for cell in cells]

    def number(self, cell: str) -> float | None:
        """Read a cell: nan for an empty one, None for one that is no number."""
        if self.decimal_comma:
            cell = cell.replace(",", ".")
        if _NUMBER.fullmatch(cell):
            return float(cell.replace("d", "e").replace("D", "e"))
        word = cell.lower()
        if word in _INFINITE:
            return -math.inf if word.startswith("-") else math.inf
        return math.nan if word in _MISSING else None


def decode(raw: bytes, pointer: str = "/data") -> str:
    """Decode a text of numbers; refuse what is no text."""
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return raw.decode("utf-16", errors="replace")
    if b"\0" in raw:
        raise InvalidError.at(
            pointer, "the data are not text: there is a zero byte; export them as columns of text"
        )
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def read_columns(text: str | bytes, pointer: str = "/data") -> Table:
    r"""Read columns of numbers.

    Raises
    ------
    InvalidError
        Without any numbers, with rows of different length, beyond the limits.

    >>> read_columns("q (1/A), I\n0.1, 5\n0.2, 3\n").names
    ('q', 'I')
    """
    if isinstance(text, bytes):
        text = decode(text, pointer)
    lines = text.removeprefix("\ufeff").splitlines()
    if any(len(line) > LINE_LIMIT for line in lines):
        number = next(n for n, line in enumerate(lines, 1) if len(line) > LINE_LIMIT)
        raise InvalidError.at(
            pointer, f"line {number} has more than {LINE_LIMIT} characters; one row is one line"
        )
    plain = [(number, line.strip(" \r\v\f")) for number, line in enumerate(lines, 1)]
    data = [(n, line) for n, line in plain if line.strip() and not line.startswith(_COMMENTS)]
    form = _guess_format([line for _, line in data[:200]])
    rows, skipped = _read_rows(data, form)
    _check_rows(rows, pointer)
    first = rows[0][0]
    width = len(rows[0][1])
    names, units, header = _read_header(plain, first, width, form)
    columns = tuple(zip(*(cells for _, cells in rows), strict=True))
    warnings = _warnings(skipped, header, form, columns, [number for number, _ in rows])
    return Table(
        names=names,
        units=units,
        columns=columns,
        lines=tuple(number for number, _ in rows),
        separator=form.separator,
        decimal_comma=form.decimal_comma,
        warnings=tuple(warnings),
    )


def _guess_format(lines: Sequence[str]) -> _Format:
    numeric = [line for line in lines if re.match(r"\s*[\"']?[-+.]?[0-9]", line)] or list(lines)
    text = "\n".join(numeric)
    for separator in (";", "\t"):
        if separator in text and _parts_cells(numeric, separator):
            commas = "," in text and "." not in text
            return _Format(separator=separator, decimal_comma=commas)
    words = [word for line in numeric for word in line.split()]
    inner = [word for word in words if "," in word]
    pairs = all(len(line.split()) > 1 for line in numeric)
    if inner and pairs and all(_COMMA_NUMBER.fullmatch(word) for word in inner):
        return _Format(separator=" ", decimal_comma=True)
    if inner:
        return _Format(separator=",", decimal_comma=False)
    return _Format(separator=" ", decimal_comma=False)


def _parts_cells(lines: Sequence[str], separator: str) -> bool:
    # Blanks within the cells: the tabs are blanks too, as in "1   2<tab>3".
    cells = [cell.strip() for line in lines for cell in line.split(separator)]
    return not any(re.search(r"[0-9]\s+[-+.]?[0-9]", cell) for cell in cells)


_Row = tuple[int, list[float]]


def _read_rows(data: Sequence[tuple[int, str]], form: _Format) -> tuple[list[_Row], list[int]]:
    rows: list[_Row] = []
    skipped: list[int] = []
    for number, line in data:
        cells = form.numbers(_uncommented(line))
        if any(cell is not None and not math.isnan(cell) for cell in cells):
            # Words beside numbers, such as the name of a sample, are no reason to lose the row.
            rows.append((number, [math.nan if cell is None else cell for cell in cells]))
        else:
            skipped.append(number)
        if len(rows) > ROW_LIMIT or len(rows) * len(cells) > CELL_LIMIT:
            break
    return rows, skipped


def _uncommented(line: str) -> str:
    return line.split("#", 1)[0].rstrip() if "#" in line else line


def _check_rows(rows: Sequence[_Row], pointer: str) -> None:
    if not rows:
        raise InvalidError.at(
            pointer,
            "no line has a number; give columns of numbers, one point a line, as '1.0 2.5 0.1'",
        )
    width = len(rows[0][1])
    if width > COLUMN_LIMIT:
        raise InvalidError.at(
            pointer, f"line {rows[0][0]} has {width} columns; at most {COLUMN_LIMIT} are read"
        )
    if len(rows) > ROW_LIMIT or len(rows) * width > CELL_LIMIT:
        raise InvalidError.at(
            pointer,
            f"there are more than {min(ROW_LIMIT, CELL_LIMIT // width)} rows of {width} columns; "
            "rebin the data or leave columns out",
        )
    ragged = [(number, len(cells)) for number, cells in rows if len(cells) != width]
    if ragged:
        shown = ", ".join(f"line {n} has {count}" for n, count in ragged[:NAMED_LINES])
        more = f" and {len(ragged) - NAMED_LINES} more" if len(ragged) > NAMED_LINES else ""
        raise InvalidError.at(
            pointer,
            f"rows differ in length: line {rows[0][0]} has {width} columns, {shown}{more}; "
            "complete the rows or turn them into comments with #",
        )


def _read_header(
    plain: Sequence[tuple[int, str]], first: int, width: int, form: _Format
) -> tuple[tuple[str, ...], tuple[str, ...], int]:
    """Find names and units in the lines above the first row, the nearest first."""
    for number, line in reversed(plain[: first - 1]):
        words = _header_words(line.lstrip("#%!/ "), width, form)
        if words:
            pairs = [_name_and_unit(word) for word in words]
            return tuple(p[0] for p in pairs), tuple(p[1] for p in pairs), number
    return tuple(f"column {n}" for n in range(1, width + 1)), ("",) * width, 0


def _header_words(line: str, width: int, form: _Format) -> list[str]:
    cells = form.split(line)
    if form.separator == " " or len(cells) != width:
        cells = _HEADER_WORD.findall(line)
    cells = [cell.strip(" ,;") for cell in cells]
    words = any(re.match(r"[^\W\d]", cell) for cell in cells)
    return cells if len(cells) == width and words and all(cells) else []


def _name_and_unit(word: str) -> tuple[str, str]:
    match = _UNIT.match(word)
    name, unit = (match["name"], match["unit"]) if match else (word, "")
    return _printable(name), _printable(unit)


def _printable(text: str) -> str:
    return "".join(c for c in text if c.isprintable())[:60]


def _warnings(
    skipped: Sequence[int],
    header: int,
    form: _Format,
    columns: Sequence[Sequence[float]],
    lines: Sequence[int],
) -> list[str]:
    found = []
    lost = [number for number in skipped if number > lines[0]]
    if lost:
        found.append(f"{_these('line', lost)} without numbers left out")
    above = [number for number in skipped if number < lines[0] and number != header]
    if above:
        found.append(f"{_these('line', above)} above the data left out")
    if form.decimal_comma:
        found.append("commas were read as decimal points")
    gaps = [
        line
        for line, row in zip(lines, zip(*columns, strict=True), strict=True)
        if not all(map(math.isfinite, row))
    ]
    if gaps:
        found.append(f"{_these('line', gaps)} with a cell that is no finite number")
    return found


def _these(word: str, numbers: Sequence[int]) -> str:
    shown = ", ".join(map(str, numbers[:NAMED_LINES]))
    more = f" and {len(numbers) - NAMED_LINES} more" if len(numbers) > NAMED_LINES else ""
    return f"{word}{'s' if len(numbers) > 1 else ''} {shown}{more}"
