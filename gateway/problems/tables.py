"""Tables that were read a moment ago, by the content of their text.

While somebody fills the form, the same data are looked at with each key; and one look needs them
more than once. To read 190,000 rows takes most of a second of a web process. What is kept depends
on the content alone, so it may be anybody's: who asks must have got the text in the first place.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from threading import Lock

from gateway.problems.columns import Table, read_columns

KEPT_CELLS = 1_000_000
"""Of all tables in one process: 32 bytes each."""

_SMALL = 10_000
"""A text of so many signs is read as fast as it is found."""


class Tables:
    """The tables that were read last, up to a number of cells."""

    def __init__(self, most_cells: int) -> None:
        self._most_cells = most_cells
        self._kept: OrderedDict[bytes, Table] = OrderedDict()
        self._lock = Lock()

    def read(self, text: str | bytes, pointer: str = "/data") -> Table:
        """Read columns of numbers, or find them read.

        Raises
        ------
        InvalidError
            As `read_columns` does; nothing is kept then.
        """
        if len(text) <= _SMALL:
            return read_columns(text, pointer)
        key = _key(text)
        with self._lock:
            if (table := self._kept.get(key)) is not None:
                self._kept.move_to_end(key)
                return table
        table = read_columns(text, pointer)
        with self._lock:
            self._keep(key, table)
        return table

    def _keep(self, key: bytes, table: Table) -> None:
        if _cells(table) > self._most_cells:
            return
        self._kept[key] = table
        while sum(map(_cells, self._kept.values())) > self._most_cells:
            self._kept.popitem(last=False)


def _cells(table: Table) -> int:
    return table.rows * len(table.columns)


def _key(text: str | bytes) -> bytes:
    # Bytes say how they are encoded: the same signs may have been others.
    if isinstance(text, bytes):
        return b"bytes" + hashlib.sha256(text).digest()
    return b"text" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


_TABLES = Tables(KEPT_CELLS)


def read_table(text: str | bytes, pointer: str = "/data") -> Table:
    """Read columns of numbers, or find them as this process has read them a moment ago."""
    return _TABLES.read(text, pointer)
