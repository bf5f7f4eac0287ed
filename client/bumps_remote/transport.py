"""One line to the server: time limits, repetition with patience, and errors with a meaning.

A request is repeated when nobody can have been harmed by it: reading, writing what is the same a
second time, or a submission that carries its Idempotency-Key. The same call always sends the same
key, so that however often it is repeated, it is one submission.
"""

from __future__ import annotations

import json
import random
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from bumps_remote import __version__
from bumps_remote.config import Server, is_loopback
from bumps_remote.errors import AuthError, RefusedError, UnreachableError, error_of, read_problem
from bumps_remote.faults import crash_when_sent
from bumps_remote.text import clean_line

API = "/api/v1"
Document = dict[str, Any]
Notice = Callable[[str], None]

_TIMEOUT = httpx.Timeout(60.0, connect=10.0)
_NO_LINE = (httpx.ConnectError, httpx.ConnectTimeout)
_BUSY = frozenset({429, 502, 503, 504})
_TOO_MANY = 429
_REDIRECT, _BAD = 300, 400


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long a server that does not answer is asked again."""

    total_s: float = 60.0
    """All repetitions of one call together."""

    first_s: float = 0.5
    longest_s: float = 15.0

    def pause_s(self, repetition: int) -> float:
        """Draw the pause before a repetition, so that many clients do not come back at once."""
        ceiling = min(self.longest_s, self.first_s * 2.0**repetition)
        return ceiling * random.uniform(0.5, 1.0)  # noqa: S311 - no secret depends on it


@dataclass(frozen=True, kw_only=True)
class Call:
    """One request."""

    method: str
    path: str
    """Below /api/v1, such as ``/jobs``."""

    json: Document | None = None
    file: Path | None = None
    """The body is this file."""

    content: Iterator[bytes] | None = None
    """The body is this, read once: for `Transport.once`."""

    params: Mapping[str, str | int] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    key: str = ""
    """Idempotency-Key: with it a POST may be repeated."""

    harmless: bool = False
    """A POST that may be repeated although it has no key."""

    public: bool = False
    """Asked without a token."""

    @property
    def repeatable(self) -> bool:
        """Whether sending it twice does no harm."""
        return self.method != "POST" or bool(self.key) or self.harmless


class Transport:
    """Talks to one server. Closed with `close`."""

    def __init__(
        self, server: Server, patience: Patience | None = None, notice: Notice | None = None
    ) -> None:
        self.server = server
        self.patience = patience or Patience()
        self.notice = notice or (lambda _text: None)
        host = urlsplit(server.url).hostname or ""
        self._client = httpx.Client(
            base_url=server.url,
            timeout=_TIMEOUT,
            follow_redirects=False,  # the token is for this server and no other
            trust_env=not is_loopback(host),  # no proxy leads to this computer
            headers={"User-Agent": f"bumps-remote/{__version__}", "Accept": "application/json"},
        )
        # A job that submit() gave holds its line for as long as somebody holds the job.
        self._finalizer = weakref.finalize(self, self._client.close)

    def close(self) -> None:
        """Close all connections."""
        self._finalizer()

    def document(self, call: Call) -> Document:
        """Send a call and read the JSON object of its answer."""
        return self.read(self.send(call))

    def read(self, response: httpx.Response) -> Document:
        """Read the JSON object of an answer; without a body it is empty."""
        if not response.content:
            return {}
        found = self._json(response)
        if not isinstance(found, dict):
            where = response.request.url.path
            raise UnreachableError(f"{self._where(where)} answered with JSON that is no object")
        return found

    def send(self, call: Call) -> httpx.Response:
        """Send a call, again and again while that may help.

        Raises
        ------
        RemoteError
            When the answer is no, or there is none within our patience.
        """
        end = time.monotonic() + self.patience.total_s
        repetition = 0
        while True:
            try:
                response = self.once(call)
            except httpx.TransportError as error:
                why, asked_s = self._explain(error), None
                if not self._may_repeat(call, error):
                    raise UnreachableError(why) from error
            else:
                if response.status_code not in _BUSY or not _may_come_again(call, response):
                    return self._checked(call, response)
                why = self._busy_text(response)
                asked_s = retry_after_s(response.headers.get("Retry-After"))
            pause_s = max(self.patience.pause_s(repetition), asked_s or 0.0)
            if time.monotonic() + pause_s > end:
                raise self._given_up(why, asked_s)
            self.notice(f"{why}; trying again in {pause_s:.1f} s")
            time.sleep(pause_s)
            repetition += 1

    @contextmanager
    def stream(
        self, path: str, headers: Mapping[str, str], read_s: float = 60.0
    ) -> Iterator[httpx.Response]:
        """Open an answer to be read bit by bit; never repeated, its reader knows where it was."""
        with self._client.stream(
            "GET",
            API + path,
            headers={**self._headers(Call(method="GET", path=path)), **headers},
            timeout=httpx.Timeout(read_s, connect=10.0),
        ) as response:
            yield response

    def error_of(self, response: httpx.Response) -> Exception:
        """Turn an answer that is no success into an error."""
        status = response.status_code
        if _REDIRECT <= status < _BAD:
            target = clean_line(response.headers.get("Location", "elsewhere"), 200)
            return RefusedError(f"{self.server.url} sends us to {target}: log in there", status)
        document: object = None
        try:
            document = json.loads(response.content)
        except ValueError:
            document = None  # a proxy's page: its status is all we learn
        fallback = f"{self._where(response.request.url.path)} answered {status}"
        error = error_of(read_problem(status, document, fallback))
        if isinstance(error, AuthError) and status == httpx.codes.UNAUTHORIZED:
            return AuthError(f"{error}\nlog in (again) with: bumps-remote login {self.server.url}")
        return error

    def once(self, call: Call) -> httpx.Response:
        """Send a call once, for who knows better than `send` how to go on; any answer is one.

        Raises
        ------
        httpx.TransportError
            When there is none.
        """
        makes = bool(call.key) and call.path.startswith("/jobs")
        extensions = {"trace": crash_when_sent} if makes else {}
        arguments: dict[str, Any] = {
            "params": dict(call.params),
            "headers": self._headers(call),
            "extensions": extensions,
        }
        if call.file is not None:
            with call.file.open("rb") as body:
                return self._client.request(call.method, API + call.path, content=body, **arguments)
        if call.content is not None:
            arguments["content"] = call.content
        if call.json is not None:
            arguments["json"] = call.json
        return self._client.request(call.method, API + call.path, **arguments)

    def _headers(self, call: Call) -> dict[str, str]:
        headers = dict(call.headers)
        if self.server.token and not call.public:
            headers["Authorization"] = f"Bearer {self.server.token}"
        if call.key:
            headers["Idempotency-Key"] = f'"{call.key}"'
        if call.file is not None:
            headers["Content-Type"] = "application/octet-stream"
        return headers

    def _may_repeat(self, call: Call, error: httpx.TransportError) -> bool:
        if isinstance(error, httpx.UnsupportedProtocol | httpx.LocalProtocolError):
            return False
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            return False
        # Without a connection nothing was sent.
        return call.repeatable or isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)

    def _checked(self, call: Call, response: httpx.Response) -> httpx.Response:
        if response.is_success or response.status_code == httpx.codes.NOT_MODIFIED:
            return response
        if call.public and response.status_code == httpx.codes.UNAUTHORIZED:
            raise error_of(read_problem(401, _try_json(response), "name or password is wrong"))
        raise self.error_of(response)

    def _json(self, response: httpx.Response) -> Any:
        kind = response.headers.get("Content-Type", "")
        if "json" not in kind:
            raise UnreachableError(
                f"{self.server.url} answered with {clean_line(kind, 60) or 'no type'}, not JSON: "
                "is it the address of a gateway?"
            )
        try:
            return response.json()
        except ValueError as error:
            raise UnreachableError(
                f"{self.server.url} sent JSON that cannot be read: {error}"
            ) from error

    def _where(self, path: str) -> str:
        return f"{self.server.url}{path}"

    def _explain(self, error: httpx.TransportError) -> str:
        what = clean_line(error, 200) or type(error).__name__
        hint = ": is that its address, and does it run?" if isinstance(error, _NO_LINE) else ""
        return f"{self.server.url} does not answer ({what}){hint}"

    def _busy_text(self, response: httpx.Response) -> str:
        status = response.status_code
        said = read_problem(status, _try_json(response), "").detail
        word = "asks for patience" if status == _TOO_MANY else "is not ready"
        return f"{self.server.url} {word} ({status}{': ' if said else ''}{said})"

    def _given_up(self, why: str, asked_s: float | None) -> UnreachableError:
        later = f"; try again in {asked_s:.0f} s" if asked_s else ""
        return UnreachableError(f"{why}{later}")


def retry_after_s(text: str | None) -> float | None:
    """Read Retry-After: seconds, or a date; None when it says nothing readable.

    >>> retry_after_s("3"), retry_after_s("soon"), retry_after_s(None)
    (3.0, None, None)
    """
    if text is None:
        return None
    if text.strip().isdecimal():
        return float(text)
    try:
        when = parsedate_to_datetime(text)
    except ValueError:
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=timezone.utc)
    return max(0.0, (when - datetime.now(timezone.utc)).total_seconds())


def _may_come_again(call: Call, response: httpx.Response) -> bool:
    """Say whether to ask again: a gateway says 429 and 503 before it has done anything."""
    return call.repeatable or response.status_code in (_TOO_MANY, 503)


def _try_json(response: httpx.Response) -> object:
    try:
        return json.loads(response.content)
    except ValueError:
        return None
