"""What can go wrong, each with the exit code of the command line.

::

    RemoteError               6
    ├── JobFailedError        1  the job ended, but not well
    ├── UsageError            2  asked wrongly, or a local file is not as it must be
    ├── AuthError             3  the server does not know you, or you may not
    ├── UnreachableError      4  no answer, or none that makes sense
    ├── WaitTimeoutError      5  the job has not ended in the time you gave
    └── RefusedError          6  the server says no
        └── NotFoundError        there is no such thing that you may see
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bumps_remote.text import clean, clean_line

OK = 0
_UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND, _SERVER = 401, 403, 404, 500
_NO_SPACE = 507
_TYPED = {"cpus_per_task": "cpus", "time": "wall"}


class RemoteError(Exception):
    """Something that the user is told about."""

    exit_code = 6


class JobFailedError(RemoteError):
    """The job has ended, but not well."""

    exit_code = 1


class UsageError(RemoteError):
    """It was asked wrongly, or a local file is not as it must be."""

    exit_code = 2


class AuthError(RemoteError):
    """The server does not know who asks, or does not let them."""

    exit_code = 3


class UnreachableError(RemoteError):
    """The server does not answer, or not in a way that makes sense."""

    exit_code = 4


class WaitTimeoutError(RemoteError):
    """The job has not ended in the time that was given."""

    exit_code = 5


class RefusedError(RemoteError):
    """The server understood, and says no.

    Parameters
    ----------
    fields
        Pairs of a field's name, such as ``options.samples``, and what is wrong with it.
    kind
        The last word of the problem's type, such as ``conflict``.
    """

    exit_code = 6

    def __init__(
        self,
        message: str,
        status: int = 0,
        fields: tuple[tuple[str, str], ...] = (),
        kind: str = "",
    ) -> None:
        super().__init__(message)
        self.status = status
        self.fields = fields
        self.kind = kind


class NotFoundError(RefusedError):
    """There is no such thing, or it is not yours."""


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Problem details (RFC 9457) as a server sent them, cleaned."""

    status: int
    detail: str
    fields: tuple[tuple[str, str], ...] = ()
    request_id: str = ""
    kind: str = ""

    @property
    def text(self) -> str:
        """Everything for a person: a line for each wrong field."""
        lines = [f"{typed(name)}: {text}" if name else text for name, text in self.fields]
        if not lines:
            lines = [self.detail]
        if self.request_id and self.status >= _SERVER:
            lines.append(f"request id {self.request_id}")
        return "\n".join(lines)


def read_problem(status: int, document: object, fallback: str) -> Problem:
    """Read problem details of any quality.

    >>> body = {"detail": "no", "errors": [{"pointer": "/options/steps", "detail": "is -1"}]}
    >>> read_problem(422, body, "").text
    'steps: is -1'
    """
    body: Mapping[str, Any] = document if isinstance(document, Mapping) else {}
    rows = body.get("errors")
    fields = tuple(
        (pointer_name(row.get("pointer", "")), clean(row.get("detail", "")))
        for row in (rows if isinstance(rows, list) else [])
        if isinstance(row, Mapping)
    )
    detail = clean(body.get("detail") or body.get("title") or fallback)
    request_id = clean_line(body.get("request_id") or "", 64)
    kind = clean_line(body.get("type") or "", 100).rpartition("/")[2]
    return Problem(status=status, detail=detail, fields=fields, request_id=request_id, kind=kind)


def pointer_name(pointer: object) -> str:
    """Write a JSON pointer as people name a field.

    >>> pointer_name("/options/a~1b"), pointer_name("")
    ('options.a/b', '')
    """
    steps = clean_line(pointer).removeprefix("/").split("/")
    return ".".join(step.replace("~1", "/").replace("~0", "~") for step in steps)


def typed(field: str) -> str:
    """Name a field of a request as it is typed here, in a terminal and in Python alike.

    >>> typed("resources.cpus_per_task"), typed("options.samples"), typed("after.jobs.0")
    ('cpus', 'samples', 'after')
    """
    head, _, rest = field.partition(".")
    if head == "resources" and rest:
        return _TYPED.get(rest, rest)
    if head == "expert" and rest:
        return rest.replace("directives.", "sbatch ")
    if head == "after":
        return "after-kind" if rest == "kind" else "after"
    return rest if head == "options" and rest else field


def error_of(problem: Problem) -> RemoteError:
    """Choose the error for an answer."""
    if problem.status in (_UNAUTHORIZED, _FORBIDDEN):
        return AuthError(problem.text)
    if problem.status >= _SERVER and problem.status != _NO_SPACE:
        return UnreachableError(f"the server failed ({problem.status}): {problem.text}")
    kind = NotFoundError if problem.status == _NOT_FOUND else RefusedError
    return kind(problem.text, problem.status, problem.fields, problem.kind)
