"""How much of a request is read and in which form: JSON, unless a view says otherwise."""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

from apiflask.schema_adapters.marshmallow import parser
from flask import Flask, Request, request
from marshmallow import Schema
from webargs.core import missing

from gateway.errors import BadRequestError, FieldError, MediaTypeError, TooLargeError
from gateway.web.access import current_access
from gateway.web.context import gateway, is_api

DEEPEST = 64
# Matches from any quote on, also a string that never ends: so it looks at each sign once.
_STRINGS = re.compile(r'"(?:[^"\\]++|\\.?)*+"?', re.DOTALL)
_BRACKETS = re.compile(r"[\[\]{}]")
_FORMS = frozenset({"application/x-www-form-urlencoded", "multipart/form-data"})


def set_limits(app: Flask, json_bytes: int) -> None:
    """Bound every body; views that take files ask for more beside themselves."""
    app.config["MAX_CONTENT_LENGTH"] = json_bytes
    app.config["MAX_FORM_MEMORY_SIZE"] = json_bytes


def check_body() -> None:
    """Stop a body that this view does not read.

    Raises
    ------
    MediaTypeError
        For a packed body, or one that is not what the view reads.
    TooLargeError
        For one that is longer than the view takes, before any of it is read.
    """
    if request.routing_exception is not None:
        return  # no such address or method, which is said whatever the body is
    if request.headers.get("Content-Encoding", "identity").lower() not in {"identity", ""}:
        raise MediaTypeError("send the body as it is, without Content-Encoding")
    access = current_access()
    limit = getattr(gateway().settings.limits, access.body_limit)
    # One more: Werkzeug takes the byte at the limit for one too many.
    request.max_content_length = limit + 1
    request.max_form_parts = access.parts
    if (length := request.content_length or 0) > limit:
        raise TooLargeError(f"the body has {length} bytes; at most {limit} are taken")
    if access.any_type or not _has_body() or request.method in {"GET", "HEAD"}:
        return
    if is_api() and not request.is_json:
        raise MediaTypeError(
            f"this route reads application/json, not {request.mimetype[:100] or 'nothing'!r}: "
            "set Content-Type"
        )
    if not is_api() and request.mimetype not in _FORMS and not request.is_json:
        raise MediaTypeError("this page reads forms: send it with the form's own button")


def _has_body() -> bool:
    return bool(request.content_length) or "Transfer-Encoding" in request.headers


@parser.location_loader("json")
def load_json(req: Request, _schema: Schema) -> Any:
    """Read a JSON body for APIFlask; its own loader takes NaN and any depth."""
    if not req.is_json:
        return missing
    body = req.get_data(cache=True)
    beyond = req.max_content_length or len(body) + 1
    if req.content_length is None and len(body) >= beyond:
        # A body of untold length is cut there without a word: what is missing is not known.
        raise TooLargeError(f"the body has more than {beyond - 1} bytes")
    return parse_json(body) if body.strip() else missing


def parse_json(body: bytes) -> Any:
    """Read strict JSON of bounded depth.

    >>> parse_json(b'{"a": [1, 2]}')
    {'a': [1, 2]}

    Raises
    ------
    BadRequestError
        That says where it stops being JSON; its pointer is that of the whole document.
    """
    try:
        text = body.decode("utf-8-sig")
        _check_depth(text)
        document = json.loads(text, parse_constant=_refuse_constant)
        if "\\u" in text:
            json.dumps(document, ensure_ascii=False).encode()
    except UnicodeError as error:
        raise _unreadable(f"the body is not Unicode text in UTF-8: {error}") from error
    except json.JSONDecodeError as error:
        raise _unreadable(
            f"the body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        ) from error
    except ValueError as error:  # an integer of more digits than Python reads
        raise _unreadable(f"the body is not JSON that can be read: {error}") from error
    return document


def _check_depth(text: str) -> None:
    if text.count("[") + text.count("{") <= DEEPEST:
        return
    depth = 0
    for bracket in _BRACKETS.findall(_STRINGS.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        if depth > DEEPEST:
            raise _unreadable(f"the body is nested deeper than {DEEPEST} levels")


def _refuse_constant(name: str) -> NoReturn:
    raise _unreadable(f"the body is not JSON: {name} is no number; send null or leave it out")


def _unreadable(why: str) -> BadRequestError:
    error = BadRequestError(why)
    error.errors = (FieldError(pointer="", detail=why),)
    return error
