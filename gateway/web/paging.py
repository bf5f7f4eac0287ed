"""Lists in pages: a limit and an opaque cursor, never an offset, so that inserts shift nothing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from apiflask import Schema
from apiflask.fields import Integer, String
from apiflask.validators import Length, Range, Regexp
from flask import request
from marshmallow import post_load

from gateway.errors import InvalidError

MOST = 200
USUAL = 50
_CURSOR_LENGTH = 500
_NONE_OF_OURS = "is not a cursor of this list: take next_cursor of the page before"


@dataclass(frozen=True, kw_only=True)
class Page:
    """Which part of a list is asked for."""

    limit: int = USUAL
    after: str | None = None
    """Where the page before ended; whatever text the list's own store gave as its end."""


def cursor_like(pattern: str, error: str = _NONE_OF_OURS) -> Regexp:
    """Take only cursors of such a form, and say so in the description."""
    return Regexp(f"^(?:{pattern})$", error=error)


CURSOR = cursor_like("(?:[0-7][0-9a-f])+")
"""What every cursor is: ASCII in hexadecimal, so that the description can say what is read."""


class PageSchema(Schema):
    """The query of every list; lists with filters inherit from it, and `make` makes the page."""

    limit = Integer(
        load_default=USUAL,
        validate=Range(1, MOST),
        metadata={"description": "how many items at most"},
    )
    cursor = String(
        load_default=None,
        validate=[Length(max=_CURSOR_LENGTH), CURSOR],
        metadata={"description": "where to go on: next_cursor of the page before"},
    )


class PlainPageSchema(PageSchema):
    """The query of a list without filters."""

    @post_load
    def make(self, data: dict[str, Any], **_: Any) -> Page:
        """Make the page."""
        return page_of(data)


def page_of(query: dict[str, Any]) -> Page:
    """Take limit and cursor out of a checked query, leaving its filters.

    Raises
    ------
    InvalidError
        For a cursor that we did not make.
    """
    cursor = query.pop("cursor", None)
    limit = query.pop("limit", USUAL)
    return Page(limit=limit, after=None if cursor is None else read_cursor(cursor))


def make_cursor(after: str) -> str:
    """Write where a page ends; an id or a name, so it is ASCII.

    >>> read_cursor(make_cursor("01J"))
    '01J'
    """
    return after.encode("ascii").hex()


def read_cursor(text: str) -> str:
    """Read where the page before ended."""
    if not re.fullmatch("(?:[0-7][0-9a-f])+", text):
        raise InvalidError.at("/query/cursor", _NONE_OF_OURS)
    return bytes.fromhex(text).decode("ascii")


def paged(items: Sequence[Any], after: str | None) -> tuple[dict[str, Any], int, dict[str, str]]:
    """Answer a page with its links (RFC 8288).

    Parameters
    ----------
    after
        Where this page ends; None when it is the last.
    """
    cursor = None if after is None else make_cursor(after)
    links = [f'<{_url(None)}>; rel="first"']
    if cursor is not None:
        links.append(f'<{_url(cursor)}>; rel="next"')
    body = {"items": list(items), "next_cursor": cursor}
    return body, 200, {"Link": ", ".join(links)}


def _url(cursor: str | None) -> str:
    query = [(key, value) for key, value in request.args.items(multi=True) if key != "cursor"]
    if cursor is not None:
        query.append(("cursor", cursor))
    return f"{request.path}?{urlencode(query)}" if query else request.path
