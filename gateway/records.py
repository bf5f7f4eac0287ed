"""Frozen dataclasses to JSON objects and back, by their annotations.

One place for all rooms, so that a record reads the same in the store, in a sidecar and in a test.
A field that the data lack takes its default: that is how a record grows without a migration.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from enum import Enum
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

Record = TypeVar("Record")
Document = dict[str, Any]


def now() -> datetime:
    """Tell the time: aware, UTC."""
    return datetime.now(UTC)


def time_text(instant: datetime) -> str:
    """Write an instant as RFC 3339 in UTC.

    >>> time_text(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    '2026-01-02T03:04:05.000000Z'
    """
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def to_document(value: Any) -> Any:
    """Write a record, or a part of one, as JSON knows it."""
    if is_dataclass(value) and not isinstance(value, type):
        return {item.name: to_document(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime):
        return time_text(value)
    if isinstance(value, Mapping):
        return {str(key): to_document(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [to_document(item) for item in value]
    return value


def from_document(kind: type[Record], document: Mapping[str, Any]) -> Record:
    """Read a record; fields that it does not know are left out."""
    known: Any = kind  # mypy takes no type variable as a cache key
    hints = _hints(known)
    return kind(
        **{key: _read(hints[key], value) for key, value in document.items() if key in hints}
    )


@cache
def _hints(kind: Any) -> dict[str, Any]:
    hints = get_type_hints(kind)
    return {item.name: hints[item.name] for item in fields(kind)}


def _read(hint: Any, value: Any) -> Any:
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        inner = [arg for arg in get_args(hint) if arg is not type(None)]
        return None if value is None else _read(inner[0], value) if len(inner) == 1 else value
    if origin is tuple:
        return tuple(_read(get_args(hint)[0], item) for item in value)
    if isinstance(hint, type):
        return _read_plain(hint, value)
    return value


def _read_plain(hint: type, value: Any) -> Any:
    if is_dataclass(hint):
        return from_document(hint, value)
    if issubclass(hint, Enum):
        return hint(value)
    if issubclass(hint, datetime):
        return datetime.fromisoformat(value)
    return value
