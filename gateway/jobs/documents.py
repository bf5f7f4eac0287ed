"""Read JSON that a job wrote, which is a stranger's: bounded, finite, encodable, or nothing."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from typing import Any

from gateway.datasets.blobs import BlobStore
from gateway.datasets.models import FileRef
from gateway.records import Document

DOCUMENT_BYTES = 20_000_000
"""A result that is larger is kept as a file, and not read."""

_RESULT = re.compile(r"result\.(\d{1,7})\.json")
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


def result_documents(blobs: BlobStore, files: Sequence[FileRef]) -> Iterator[Document]:
    """Read the result of each task, in their order; those that cannot be read are left out."""
    named = [(match, ref) for ref in files if (match := _RESULT.fullmatch(ref.path))]
    for _, ref in sorted(named, key=lambda pair: int(pair[0][1])):
        document = read_stored(blobs, ref)
        if document is not None:
            yield document


def read_stored(blobs: BlobStore, ref: FileRef | None) -> Document | None:
    """Read a stored JSON object; None when it is none, or too large."""
    if ref is None or ref.size > DOCUMENT_BYTES:
        return None
    document = read_document(blobs.read(ref.digest))
    return document if isinstance(document, dict) else None


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
