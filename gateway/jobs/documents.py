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

DOCUMENTS_BYTES = 32_000_000
"""Of all results, or of all manifests, of one attempt."""

_DOCUMENTS_MEMORY = 256 << 20
"""What documents may take when they are read: very many small values take a hundred times their
text."""

_OBJECT_MEMORY, _LIST_MEMORY, _VALUE_MEMORY = 232, 88, 60
_RESULT = re.compile(r"result\.(0|[1-9]\d{0,6})\.json")
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
    if memory_of(text) > _DOCUMENTS_MEMORY:
        return None
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


def memory_of(text: str) -> int:
    """Estimate how many bytes the document in a text takes when it is read, rather too many."""
    return (
        len(text)
        + _OBJECT_MEMORY * text.count("{")
        + _LIST_MEMORY * text.count("[")
        + _VALUE_MEMORY * text.count(",")
    )


def task_results(
    blobs: BlobStore, files: Sequence[FileRef]
) -> Iterator[tuple[FileRef, Document | None]]:
    """Read the result of each task, in their order; None for what is no object, or too much."""
    named = [(match, ref) for ref in files if (match := _RESULT.fullmatch(ref.path))]
    room, memory = DOCUMENTS_BYTES, _DOCUMENTS_MEMORY
    for _, ref in sorted(named, key=lambda pair: int(pair[0][1])):
        document = None
        if ref.size <= min(room, DOCUMENT_BYTES):
            text = blobs.read(ref.digest).decode("utf-8", "replace")
            room -= ref.size
            if (needed := memory_of(text)) <= memory:
                memory -= needed
                document = read_document(text)
        yield ref, document if isinstance(document, dict) else None


def result_documents(blobs: BlobStore, files: Sequence[FileRef]) -> Iterator[Document]:
    """Read the result of each task, in their order; those that cannot be read are left out."""
    return (document for _, document in task_results(blobs, files) if document is not None)


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
