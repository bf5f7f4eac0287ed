"""Read JSON that a job wrote, which is a stranger's: bounded, finite, encodable, or nothing."""

from __future__ import annotations

import json
import math
from typing import Any

_DEEPEST = 64
_DIGITS = 300


def read_document(content: bytes | str | None) -> Any:
    r"""Read a document; None when it is none that can be passed on.

    Numbers that no reader could hold become None, halves of surrogate pairs a question mark.

    >>> read_document(b'{"a": [1, NaN, 1e999]}'), read_document(b"[" * 100_000)
    ({'a': [1, None, None]}, None)
    >>> read_document(b'["\\ud800"]'), read_document("[" * 65 + "]" * 65)
    (['?'], None)
    """
    if content is None:
        return None
    text = content if isinstance(content, str) else content.decode("utf-8", "replace")
    try:
        document = json.loads(
            text, parse_constant=lambda _: None, parse_int=_whole, parse_float=_finite
        )
        if "\\ud" in text or "\\uD" in text:
            plain = json.dumps(document, ensure_ascii=False).encode("utf-8", "replace")
            document = json.loads(plain)
    except (ValueError, RecursionError):
        return None
    return None if _too_deep(document) else document


def _whole(text: str) -> int | None:
    return int(text) if len(text) <= _DIGITS else None


def _finite(text: str) -> float | None:
    number = float(text)
    return number if math.isfinite(number) else None


def _too_deep(document: Any) -> bool:
    level = [document] if isinstance(document, dict | list) else []
    depth = 0
    while level:
        depth += 1
        if depth > _DEEPEST:
            return True
        level = [
            child
            for item in level
            for child in (item.values() if isinstance(item, dict) else item)
            if isinstance(child, dict | list)
        ]
    return False
