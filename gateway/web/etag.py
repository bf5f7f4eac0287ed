"""Versions of things in HTTP's words (RFC 9110): ETag, If-None-Match, If-Match."""

from __future__ import annotations

import hashlib
import json
from typing import Any, TypeVar

from flask import request
from werkzeug.wrappers import Response as AnyResponse

from gateway.errors import PreconditionError, PreconditionRequiredError

_Answer = TypeVar("_Answer", bound=AnyResponse)


def etag_of(document: Any) -> str:
    """Name what a document says: the same content, the same name.

    >>> etag_of({"a": 1, "b": 2}) == etag_of({"b": 2, "a": 1})
    True
    """
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def with_etag(response: _Answer, etag: str) -> _Answer:
    """Say the version; a reader who has it already gets 304 without the body."""
    response.set_etag(etag)
    response.headers["Cache-Control"] = "private, no-cache"
    response.make_conditional(request.environ)
    return response


def require_match(etag: str) -> None:
    """Let a change pass only if it was made to the version that is there.

    Raises
    ------
    PreconditionRequiredError
        Without If-Match.
    PreconditionError
        When the thing has changed meanwhile.
    """
    if "If-Match" not in request.headers:
        raise PreconditionRequiredError(
            f'say which version you change: send If-Match: "{etag}" (the ETag of GET), or *'
        )
    if not request.if_match.contains(etag):
        raise PreconditionError("this has changed since you read it: read it again, then change it")
