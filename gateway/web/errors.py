"""Errors in one form: RFC 9457 problem details for programs, a page for people.

Every error type has a page of its own at ``/errors/<name>``, which is its ``type``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any

import structlog
from apiflask import HTTPError
from flask import Flask, Response, json, render_template, request
from redis import RedisError
from werkzeug.exceptions import HTTPException

from gateway import errors
from gateway.disk import is_full, no_space
from gateway.errors import FieldError, GatewayError, InvalidError, UnavailableError
from gateway.web.auth import challenge
from gateway.web.context import is_api
from gateway.web.correlation import request_id

PROBLEM = "application/problem+json"
_log = structlog.get_logger("gateway.errors")
_WORDS = {
    HTTPStatus.NOT_FOUND: "there is nothing at this address: check it for typing errors",
    HTTPStatus.METHOD_NOT_ALLOWED: "this address does not know this method: see the header Allow",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "the body is larger than this route takes: send less",
}
_FORM_LOCATIONS = {"json", "form", "json_or_form", "form_and_files", "files"}


def handle_errors(app: Flask) -> None:
    """Answer every error of this app in our form."""
    app.register_error_handler(GatewayError, answer)
    app.register_error_handler(RedisError, _store_away)
    app.register_error_handler(OSError, _disk)
    app.register_error_handler(HTTPError, _invalid)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(Exception, _unexpected)


def answer(error: GatewayError) -> Response:
    """Say what went wrong to who asked."""
    if error.status > HTTPStatus.INTERNAL_SERVER_ERROR:
        _log.warning("unavailable", error=str(error))
    response = _respond(error.status, str(error), slug(type(error)), error.errors)
    if error.status == HTTPStatus.UNAUTHORIZED or hasattr(error, "scope"):
        challenge(response, error)
    if error.retry_after_s is not None:
        response.headers["Retry-After"] = str(error.retry_after_s)
    return response


def slug(kind: type[GatewayError]) -> str:
    """Name an error type in its address.

    >>> slug(errors.TooManyRequestsError)
    'too-many-requests'
    """
    if kind is GatewayError:
        return "internal"
    words = re.findall(r"[A-Z][a-z]*", kind.__name__.removesuffix("Error"))
    return "-".join(words).lower()


def kinds(root: type[GatewayError] = GatewayError) -> Iterator[type[GatewayError]]:
    """Walk all error types."""
    yield root
    for kind in root.__subclasses__():
        yield from kinds(kind)


def _store_away(error: RedisError) -> Response:
    _log.error("store", error=str(error))
    return answer(UnavailableError("the store does not answer: nothing was lost, try again"))


def _disk(error: OSError) -> Response:
    """Tell a full disk, wherever it was met, apart from a mistake of ours."""
    if is_full(error):
        return answer(no_space(error))
    return _unexpected(error)


def _invalid(error: HTTPError) -> Response:
    """Answer what APIFlask found against a schema."""
    if error.status_code == HTTPStatus.UNPROCESSABLE_ENTITY and isinstance(error.detail, Mapping):
        return answer(InvalidError(list(field_errors(error.detail))))
    status = HTTPStatus(error.status_code)
    return _respond(status, error.message or status.description, status_slug(status))


def field_errors(detail: Mapping[str, Any]) -> Iterator[FieldError]:
    """Turn marshmallow's nested messages into JSON pointers.

    >>> [(e.pointer, e.detail) for e in field_errors({"json": {"a": {0: {"b/c": ["is bad"]}}}})]
    [('/a/0/b~1c', 'is bad')]
    """
    for location, messages in detail.items():
        start = "" if location in _FORM_LOCATIONS else f"/{location}"
        yield from _walk(messages, start)


def _walk(messages: Any, pointer: str) -> Iterator[FieldError]:
    if isinstance(messages, Mapping):
        for key, inner in messages.items():
            step = "" if key == "_schema" else "/" + str(key).replace("~", "~0").replace("/", "~1")
            yield from _walk(inner, pointer + step)
    elif isinstance(messages, list | tuple):
        for message in messages:
            yield from _walk(message, pointer)
    else:
        yield FieldError(pointer=pointer, detail=str(messages))


def _http(error: HTTPException) -> Response:
    """Answer what Flask and Werkzeug raise: no such route, wrong method, too large, redirects."""
    if error.response is not None or error.code is None or error.code < HTTPStatus.BAD_REQUEST:
        ready = error.get_response()
        return Response(ready.get_data(), ready.status_code, ready.headers)
    status = HTTPStatus(error.code)
    detail = _WORDS.get(status) or error.description or status.description
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        detail = "something went wrong here: tell the site's administrator the request id"
    response = _respond(status, detail, status_slug(status))
    for name, value in error.get_headers():
        if name.lower() not in ("content-type", "content-length"):
            response.headers[name] = str(value)
    return response


def _unexpected(error: Exception) -> Response:
    """Answer a mistake of ours: everything into the log, nothing to the asker but the id."""
    _log.exception("unexpected", exc_info=error)
    return answer(
        GatewayError("something went wrong here: tell the site's administrator the request id")
    )


def status_slug(status: HTTPStatus) -> str:
    """Name what is raised with a bare status.

    >>> status_slug(HTTPStatus.NOT_FOUND), status_slug(HTTPStatus.METHOD_NOT_ALLOWED)
    ('not-found', 'method-not-allowed')
    """
    named = (
        kind for kind in kinds() if kind.status == status and kind.__module__ == errors.__name__
    )
    kind = next(named, None)
    return slug(kind) if kind else status.phrase.lower().replace(" ", "-")


def problem_of(error: GatewayError) -> dict[str, Any]:
    """Describe an error of one of many things that a request asks for, as RFC 9457 has it."""
    return _problem(error.status, str(error), slug(type(error)), error.errors)


def _problem(
    status: HTTPStatus, detail: str, name: str, found: tuple[FieldError, ...]
) -> dict[str, Any]:
    problem: dict[str, Any] = {
        "type": f"/errors/{name}",
        "title": status.phrase,
        "status": int(status),
        "detail": detail,
    }
    if found:
        problem["errors"] = [{"pointer": item.pointer, "detail": item.detail} for item in found]
    return problem


def _respond(
    status: HTTPStatus, detail: str, name: str, found: tuple[FieldError, ...] = ()
) -> Response:
    problem = {
        **_problem(status, detail, name, found),
        "instance": request.path,
        "request_id": request_id(),
    }
    if is_api() or not request.accept_mimetypes.accept_html:
        return Response(json.dumps(problem) + "\n", status, mimetype=PROBLEM)
    return Response(render_template("error.html", problem=problem), status)
