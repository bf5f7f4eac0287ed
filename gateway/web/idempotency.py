"""Safe repetition (draft-ietf-httpapi-idempotency-key-header): the key, and what it asked for."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

from flask import request

from gateway.errors import BadRequestError

HEADER = "Idempotency-Key"
REPLAYED = "Idempotent-Replayed"
_LONGEST = 255
_QUOTED = re.compile(r'"((?:[\x20-\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"')
_BARE = re.compile(r"[\x21-\x7e]+")


def idempotency_key() -> str | None:
    """Read the key of this request: a structured string (RFC 8941), or bare.

    Raises
    ------
    BadRequestError
        When it is malformed.
    """
    text = request.headers.get(HEADER)
    if text is None:
        return None
    key = parse_key(text)
    if key is None:
        raise BadRequestError(
            f"{HEADER} must be 1 to {_LONGEST} printable ASCII signs that are new for each "
            "submission, such as a UUID"
        )
    return key


def parse_key(text: str) -> str | None:
    r"""Read a key; None when it is none.

    >>> parse_key('"8e03978e"'), parse_key("8e03978e"), parse_key('"a\\"b"'), parse_key('""')
    ('8e03978e', '8e03978e', 'a"b', None)
    """
    text = text.strip()
    if quoted := _QUOTED.fullmatch(text):
        key = re.sub(r"\\(.)", r"\1", quoted[1])
    elif text.startswith('"') or not _BARE.fullmatch(text):
        return None
    else:
        key = text
    return key if 1 <= len(key) <= _LONGEST else None


def request_hash(document: Any) -> str:
    """Name what was asked, by the checked document."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()
