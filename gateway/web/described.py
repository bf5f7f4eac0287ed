"""What a view adds to its own description: answers and request headers that no schema shows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, TypeVar

_View = TypeVar("_View", bound=Callable[..., Any])
_ATTRIBUTE = "_described"

HEADERS: dict[str, dict[str, Any]] = {
    "Idempotency-Key": {
        "description": "new for each submission; the same key again answers with the same thing",
        "schema": {
            "type": "string",
            "minLength": 1,
            "maxLength": 255,
            "pattern": r'^("([ !#-\[\]-~]|\\["\\])+"|[!#-~][!-~]*)$',
        },
    },
    "If-Match": {
        "description": "the ETag of the version that is changed, or *",
        "required": True,
        "schema": {"type": "string"},
    },
    "If-None-Match": {
        "description": "an ETag: 304 when nothing has changed since",
        "schema": {"type": "string"},
    },
    "Range": {"description": "a part of the file", "schema": {"type": "string"}},
    "Tus-Resumable": {
        "description": "1.0.0, without which nothing is taken",
        "schema": {"type": "string"},
    },
    "Upload-Length": {
        "description": "bytes of the whole file",
        "required": True,
        "schema": {"type": "integer", "minimum": 0},
    },
    "Upload-Metadata": {
        "description": "filename, a space, and the name of the file in base64",
        "required": True,
        "schema": {"type": "string"},
    },
    "Upload-Offset": {
        "description": "so many bytes have come before these",
        "required": True,
        "schema": {"type": "integer", "minimum": 0},
    },
    "Last-Event-ID": {
        "description": "the last event that was seen: it goes on from there",
        "schema": {"type": "string"},
    },
}


@dataclass(frozen=True, kw_only=True)
class Described:
    """Statuses and headers of one view."""

    statuses: tuple[int, ...] = ()
    headers: tuple[str, ...] = ()


def answers(*statuses: HTTPStatus, headers: tuple[str, ...] = ()) -> Callable[[_View], _View]:
    """Say which further statuses a view may answer, and which headers it reads."""

    def declare(view: _View) -> _View:
        described = Described(statuses=tuple(map(int, statuses)), headers=headers)
        setattr(view, _ATTRIBUTE, described)
        return view

    return declare


def described_of(view: Callable[..., Any]) -> Described:
    """Say what a view declared."""
    described: Described = getattr(view, _ATTRIBUTE, None) or Described()
    return described


def header_parameters(view: Callable[..., Any]) -> list[dict[str, Any]]:
    """Write the headers of a view as OpenAPI parameters."""
    return [{"in": "header", "name": name, **HEADERS[name]} for name in described_of(view).headers]
