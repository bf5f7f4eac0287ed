"""Frozen dataclasses to JSON objects and back, by their annotations.

One place for all rooms, so that a record reads the same in the store, in a sidecar and in a test.
A field that the data lack takes its default: that is how a record grows without a migration.
"""

from __future__ import annotations

import math
import types
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from enum import Enum
from functools import cache, partial
from typing import Any, TypeGuard, TypeVar, Union, cast, get_args, get_origin, get_type_hints

Record = TypeVar("Record")
Document = dict[str, Any]
_PLAIN = frozenset({str, int, float, bool, type(None)})


def now() -> datetime:
    """Tell the time: aware, UTC."""
    return datetime.now(UTC)


def time_text(instant: datetime) -> str:
    """Write an instant as RFC 3339 in UTC.

    >>> time_text(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    '2026-01-02T03:04:05.000000Z'
    """
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether a JSON value is a finite number, as a float can hold it; a bool is none.

    >>> is_number(1.5), is_number(True), is_number(float("nan")), is_number(10**400)
    (True, False, False, False)
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number of more digits than a float holds
        return False


def to_document(value: Any) -> Any:
    """Write a record, or a part of one, as JSON knows it."""
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind is dict:
        return {str(key): to_document(item) for key, item in value.items()}
    if is_dataclass(kind):
        return {
            name: getattr(value, name) if is_json else to_document(getattr(value, name))
            for name, is_json in _written(kind)
        }
    return _other_document(value)


@cache
def _written(kind: Any) -> list[tuple[str, bool]]:
    """Say of each field whether its annotation says that JSON has its value as it is."""
    return [(name, _is_json(hint)) for name, hint in _hints(kind).items()]


def _is_json(hint: Any) -> bool:
    if get_origin(hint) in (Union, types.UnionType):
        return all(map(_is_json, get_args(hint)))
    return hint in _PLAIN or hint == Document


def _other_document(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime):
        return time_text(value)
    if isinstance(value, Mapping):
        return {str(key): to_document(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [to_document(item) for item in value]
    return value


def altered(record: Record, **changes: Any) -> Record:
    """Copy a record with some of its fields changed, many times as fast as `dataclasses.replace`.

    Only for records that check nothing when they are made, as those of the store are: each round
    of the reconciler copies all live jobs.

    Raises
    ------
    TypeError
        If a record has no such field.

    >>> from dataclasses import make_dataclass
    >>> Point = make_dataclass("Point", [("x", int), ("y", int)], frozen=True)
    >>> altered(Point(x=1, y=2), y=3)
    Point(x=1, y=3)
    >>> altered(Point(x=1, y=2), z=3)
    Traceback (most recent call last):
    TypeError: Point has no field z
    """
    kind: Any = type(record)
    if unknown := changes.keys() - _hints(kind).keys():
        raise TypeError(f"{kind.__name__} has no field {', '.join(sorted(unknown))}")
    copy = object.__new__(kind)
    copy.__dict__.update(record.__dict__)
    copy.__dict__.update(changes)
    return cast("Record", copy)


def from_document(kind: type[Record], document: Mapping[str, Any]) -> Record:
    """Read a record; fields that it does not know are left out."""
    known: Any = kind  # mypy takes no type variable as a cache key
    readers = _readers(known)
    return kind(
        **{
            key: value if (read := readers[key]) is None else read(value)
            for key, value in document.items()
            if key in readers
        }
    )


@cache
def _readers(kind: Any) -> dict[str, Callable[[Any], Any] | None]:
    return {name: _reader(hint) for name, hint in _hints(kind).items()}


@cache
def _hints(kind: Any) -> dict[str, Any]:
    hints = get_type_hints(kind)
    return {item.name: hints[item.name] for item in fields(kind)}


@cache
def _reader(hint: Any) -> Callable[[Any], Any] | None:
    """Say how a value with this annotation is read; None when JSON has it as it is.

    Lists of jobs are read by the thousand, so an annotation is looked at once.
    """
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        inner = [arg for arg in get_args(hint) if arg is not type(None)]
        read = _reader(inner[0]) if len(inner) == 1 else None
        return read and (lambda value: None if value is None else read(value))
    if origin is tuple:
        read_item = _reader(get_args(hint)[0])
        return tuple if read_item is None else lambda items: tuple(map(read_item, items))
    return _plain_reader(hint) if isinstance(hint, type) else None


def _plain_reader(hint: type) -> Callable[[Any], Any] | None:
    if is_dataclass(hint):
        return partial(from_document, hint)
    if issubclass(hint, Enum):
        return hint
    return datetime.fromisoformat if issubclass(hint, datetime) else None
