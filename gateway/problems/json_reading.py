"""Read JSON of strangers: bounded in bytes, depth, nodes; no duplicate keys, no NaN.

The depth is counted before ``json.loads`` sees the text, so 100,000 brackets are an error and no
crash.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from gateway.errors import InvalidError


@dataclass(frozen=True, kw_only=True)
class JsonLimits:
    """How large a JSON document may be."""

    size_bytes: int = 5_000_000
    depth: int = 40
    nodes: int = 500_000


def pointer_of(*parts: str | int) -> str:
    """Write a JSON pointer (RFC 6901).

    >>> pointer_of("object", "a/b", 0)
    '/object/a~1b/0'
    """
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in parts)


def read_json(raw: bytes, limits: JsonLimits, pointer: str = "") -> Any:
    """Read a JSON document strictly.

    Raises
    ------
    InvalidError
        At *pointer*, where the document itself is readable at all; within it otherwise.
    """
    if len(raw) > limits.size_bytes:
        raise InvalidError.at(
            pointer, f"the file has {len(raw)} bytes; at most {limits.size_bytes} are taken"
        )
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidError.at(pointer, f"the file is not UTF-8 at byte {error.start}") from error
    _check_shape(text, limits, pointer)
    try:
        return json.loads(
            text,
            object_pairs_hook=_unique,
            parse_constant=_no_constant,
            parse_int=_whole,
            parse_float=_finite,
        )
    except json.JSONDecodeError as error:
        raise InvalidError.at(
            pointer,
            f"the file is no JSON: {error.msg} in line {error.lineno}, column {error.colno}",
        ) from error
    except _StrangeError as error:
        raise InvalidError.at(pointer, str(error)) from error


class _StrangeError(ValueError):
    """JSON that json.loads would take and we do not."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        double = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise _StrangeError(f"the key {double[:80]!r} stands twice in one object")
    return result


def _no_constant(word: str) -> float:
    raise _StrangeError(f'{word} is no JSON number; bumps writes "inf" and "-inf" as strings')


def _whole(text: str) -> int:
    if len(text) > 40:
        raise _StrangeError(f"the number {text[:20]}... has {len(text)} digits")
    return int(text)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise _StrangeError(f"the number {text[:40]} is too large for a computer")
    return value


def _check_shape(text: str, limits: JsonLimits, pointer: str) -> None:
    """Count depth and nodes without recursion, strings skipped."""
    depth = nodes = 0
    for character in _structure(text):
        if character in "[{":
            depth += 1
            nodes += 1
        elif character in "]}":
            depth -= 1
        else:
            nodes += 1
        if depth < 0:
            return  # no JSON; json.loads says where
        if depth > limits.depth:
            raise InvalidError.at(pointer, f"the file is nested more than {limits.depth} deep")
        if nodes > limits.nodes:
            raise InvalidError.at(pointer, f"the file has more than {limits.nodes} values")


def _structure(text: str) -> Iterator[str]:
    """Go through brackets and commas outside of strings, in one pass."""
    position = 0
    length = len(text)
    while position < length:
        quote = text.find('"', position)
        end = length if quote < 0 else quote
        # Within plain JSON only these five matter; str.translate drops the rest at C speed.
        yield from text[position:end].translate(_KEEP)
        if quote < 0:
            return
        position = _string_end(text, quote + 1)


def _string_end(text: str, position: int) -> int:
    while True:
        quote = text.find('"', position)
        if quote < 0:
            return len(text)
        slashes = 0
        while text[quote - 1 - slashes] == "\\":
            slashes += 1
        if slashes % 2 == 0:
            return quote + 1
        position = quote + 1


class _Keep(dict[int, int | None]):
    """A translation table that keeps brackets and commas alone."""

    def __missing__(self, key: int) -> None:
        return None


_KEEP = _Keep({ord(character): ord(character) for character in "[]{},"})
