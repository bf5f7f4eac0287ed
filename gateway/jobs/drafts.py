"""A draft: proof that a script was shown, so that what runs is byte for byte what was seen.

The script names the job, so a preview has to choose the id. It is signed and handed out, not
stored: a preview that nobody submits costs nothing.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass

from gateway.errors import InvalidError
from gateway.records import from_document, to_document

_PURPOSE = b"bumps-gateway draft 1:"


@dataclass(frozen=True, kw_only=True)
class Draft:
    """What a preview decided for the job that may follow."""

    id: str
    owner: str
    correlation_id: str
    seed: int
    sha256: str
    """Digest of the script that was shown."""


def sign(key: bytes, draft: Draft) -> str:
    """Write a draft as text that only we can make."""
    body = base64.urlsafe_b64encode(json.dumps(to_document(draft)).encode()).decode().rstrip("=")
    return f"{body}.{_signature(key, body)}"


def read(key: bytes, text: str, owner: str) -> Draft:
    """Read a draft.

    Raises
    ------
    InvalidError
        When it is not ours, or was made for somebody else.
    """
    body, _, signature = text.partition(".")
    if not hmac.compare_digest(signature.encode(), _signature(key, body).encode()):
        raise InvalidError.at("/draft", "this is no draft of ours: ask for a new preview")
    draft = from_document(
        Draft, json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    )
    if draft.owner != owner:
        raise InvalidError.at("/draft", "this is no draft of ours: ask for a new preview")
    return draft


def _signature(key: bytes, body: str) -> str:
    return hmac.new(key, _PURPOSE + body.encode(), hashlib.sha256).hexdigest()
