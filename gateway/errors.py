"""What can go wrong for somebody who asks the gateway, each with its HTTP status.

::

    GatewayError                500
    ├── BadRequestError         400  unreadable
    ├── UnauthorizedError       401  who are you?
    ├── ForbiddenError          403  known, but may not
    ├── NotFoundError           404  missing, or a stranger's
    ├── RequestTimeoutError     408  sent too slowly
    ├── ConflictError           409  not in this state
    ├── PreconditionError       412  changed since you read it
    ├── TooLargeError           413
    ├── UriTooLongError         414  said by the web server itself
    ├── MediaTypeError          415
    ├── InvalidError            422  readable but wrong; names each field
    ├── LockedError             423  closed for good
    ├── PreconditionRequiredError 428
    ├── TooManyRequestsError    429
    ├── HeadersTooLargeError    431  said by the web server itself
    ├── UnavailableError        503  the store or a site is away; try again
    └── NoSpaceError            507
        └── QuotaError          507  one user keeps too much
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus


@dataclass(frozen=True, kw_only=True)
class FieldError:
    """What is wrong with one field."""

    pointer: str
    """JSON pointer (RFC 6901) into the request, such as ``/options/steps``."""

    detail: str
    """What was given, what is wrong with it and what would be right."""


class GatewayError(Exception):
    """Something that the asker is told about."""

    status: HTTPStatus = HTTPStatus.INTERNAL_SERVER_ERROR
    retry_after_s: int | None = None
    """When asking again makes sense; None where it does not, or where nobody knows."""

    errors: tuple[FieldError, ...] = ()


class BadRequestError(GatewayError):
    """The request cannot be read."""

    status = HTTPStatus.BAD_REQUEST


class UnauthorizedError(GatewayError):
    """Nobody, or nobody any more: sign in."""

    status = HTTPStatus.UNAUTHORIZED


class ForbiddenError(GatewayError):
    """You are known, and may not do this."""

    status = HTTPStatus.FORBIDDEN


class NotFoundError(GatewayError):
    """There is no such thing that you may see."""

    status = HTTPStatus.NOT_FOUND


class RequestTimeoutError(GatewayError):
    """The request came too slowly, so the server has stopped waiting for its rest."""

    status = HTTPStatus.REQUEST_TIMEOUT


class ConflictError(GatewayError):
    """The thing is not in a state in which this can be done."""

    status = HTTPStatus.CONFLICT


class PreconditionError(GatewayError):
    """The thing has changed since you read it."""

    status = HTTPStatus.PRECONDITION_FAILED


class PreconditionRequiredError(GatewayError):
    """Say with If-Match which version you mean to change."""

    status = HTTPStatus.PRECONDITION_REQUIRED


class TooLargeError(GatewayError):
    """More bytes than this site takes."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE


class UriTooLongError(GatewayError):
    """The address is longer than 8 kB."""

    status = HTTPStatus.REQUEST_URI_TOO_LONG


class MediaTypeError(GatewayError):
    """Not a format that this route reads."""

    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE


class InvalidError(GatewayError):
    """Readable, but wrong: every field with its reason."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY

    def __init__(self, errors: Sequence[FieldError], message: str = "") -> None:
        self.errors = tuple(errors)
        super().__init__(message or "; ".join(f"{e.pointer}: {e.detail}" for e in self.errors))

    @classmethod
    def at(cls, pointer: str, detail: str) -> InvalidError:
        """Make the error for one field."""
        return cls([FieldError(pointer=pointer, detail=detail)])


class LockedError(GatewayError):
    """Closed: nothing can be written to it any more."""

    status = HTTPStatus.LOCKED


class TooManyRequestsError(GatewayError):
    """Too often, or too much at once."""

    status = HTTPStatus.TOO_MANY_REQUESTS

    def __init__(self, message: str, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class HeadersTooLargeError(GatewayError):
    """The request has more than 60 headers, or one of more than 8 kB."""

    status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE


class UnavailableError(GatewayError):
    """The store or a site cannot be reached now; nothing was lost."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    retry_after_s = 5


class NoSpaceError(GatewayError):
    """The gateway's disk is full."""

    status = HTTPStatus.INSUFFICIENT_STORAGE


class QuotaError(NoSpaceError):
    """You keep as many bytes as this site allows: delete what you no longer need."""
