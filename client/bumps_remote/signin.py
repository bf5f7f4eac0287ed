"""Ways to a token: through the browser, by letters typed elsewhere, or with a password.

The first is RFC 8252: we listen on a port of this computer, open the server's page, and the browser
comes back with a code that is of use to nobody who lacks our verifier (RFC 7636). The second is
RFC 8628, for a computer without a browser.
"""

from __future__ import annotations

import base64
import hashlib
import os
import platform
import secrets
import sys
import threading
import time
import webbrowser
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from bumps_remote.errors import AuthError, RefusedError, UnreachableError, WaitTimeoutError
from bumps_remote.text import clean_line
from bumps_remote.transport import Call, Document, Notice, Transport

CLIENT = "bumps-remote"
_CALLBACK = "/callback"
_LOOK_S = 0.2
_SLOWER_S = 5.0
_LABEL = 100
_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="color-scheme" content="light dark"><title>{title}</title>
<body><h1>{title}</h1><p>{text}</p></body></html>
"""


@dataclass(frozen=True, kw_only=True)
class Wish:
    """The token that is asked for."""

    label: str = ""
    scope: str = "submit"
    days: int | None = 90
    """None: for ever."""

    def document(self) -> Document:
        """Write it as all ways do."""
        label = self.label or f"bumps-remote on {platform.node() or 'a computer'}"
        return {"label": label[:_LABEL], "expires_days": self.days}


@dataclass(frozen=True, kw_only=True)
class Made:
    """A token that a server made."""

    token: str = field(repr=False)
    expires: str | None


def with_password(transport: Transport, who: Mapping[str, str], wish: Wish) -> Made:
    """Send name and password, or a UID."""
    body = {**who, **wish.document(), "scopes": [wish.scope]}
    return _made(
        transport.document(Call(method="POST", path="/auth/tokens", json=body, public=True))
    )


def with_browser(
    transport: Transport, wish: Wish, notice: Notice, timeout_s: float = 300.0
) -> Made:
    """Open the server's page in the browser of this computer, and wait for it to come back.

    Raises
    ------
    AuthError
        When the user says no.
    WaitTimeoutError
        When nobody answers.
    """
    verifier, state = secrets.token_urlsafe(48), secrets.token_urlsafe(24)
    with _Listener(("127.0.0.1", 0), _Handler) as listener:
        listener.state = state
        days = {"expires_days": "never" if wish.days is None else str(wish.days)}
        asked = {
            "response_type": "code",
            "client_id": CLIENT,
            "redirect_uri": listener.address,
            "code_challenge": _challenge(verifier),
            "code_challenge_method": "S256",
            "state": state,
            "scope": wish.scope,
            **wish.document(),
            **days,
        }
        page = f"{transport.server.url}/authorize?{urlencode(asked)}"
        notice(f"open this page on this computer, if it does not open by itself:\n{page}")
        # Some browsers end only when their window is closed.
        threading.Thread(target=_open, args=(page,), daemon=True).start()
        code = listener.wait(timeout_s)
    body = {"code": code, "code_verifier": verifier, "redirect_uri": listener.address}
    return _made(transport.document(Call(method="POST", path="/auth/code", json=body, public=True)))


def with_device(transport: Transport, wish: Wish, notice: Notice) -> Made:
    """Show letters, and ask until somebody has typed them into the server's page.

    Raises
    ------
    AuthError
        When the user says no.
    WaitTimeoutError
        When nobody types them in time.
    """
    body = {"client_id": CLIENT, "scope": wish.scope, **wish.document()}
    codes = transport.document(
        Call(method="POST", path="/auth/device", json=body, public=True, harmless=True)
    )
    page, letters = clean_line(codes["verification_uri"]), clean_line(codes["user_code"])
    notice(f"open {page} in any browser, sign in there, and type\n\n    {letters}\n")
    interval_s, end = float(codes["interval"]), time.monotonic() + float(codes["expires_in"])
    shown, path = {"device_code": codes["device_code"]}, "/auth/device/token"
    question = Call(method="POST", path=path, json=shown, public=True, harmless=True)
    while time.monotonic() < end:
        time.sleep(interval_s)
        try:
            return _made(transport.document(question))
        except RefusedError as error:
            if error.kind == "access-denied":
                raise AuthError("somebody said no on the page: nothing was signed in") from error
            if error.kind == "slow-down":
                interval_s += _SLOWER_S
            elif error.kind == "expired-grant":
                break
            elif error.kind != "authorization-pending":
                raise
    raise WaitTimeoutError(
        f"no token came for {letters}: nobody typed them in time, or the line was cut as it came; "
        "begin again"
    )


def has_browser() -> bool:
    """Say whether a browser that opens here would be before the user's eyes."""
    if os.environ.get("BROWSER"):
        return True
    if os.environ.get("SSH_CONNECTION"):
        return False
    if sys.platform in ("darwin", "win32"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")) and _known()


def _known() -> bool:
    try:
        webbrowser.get()
    except webbrowser.Error:
        return False
    return True


def _open(page: str) -> None:
    try:
        webbrowser.open(page)
    except webbrowser.Error:
        return  # the address stands on the terminal


def _made(document: Document) -> Made:
    token, expires = document.get("token"), document.get("expires")
    if not isinstance(token, str) or not token:
        raise UnreachableError("the server answered without a token: is it a gateway?")
    return Made(token=token, expires=expires if isinstance(expires, str) else None)


def _challenge(verifier: str) -> str:
    hashed = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(hashed).decode().rstrip("=")


class _Listener(HTTPServer):
    """Hears one answer: that which knows our state."""

    state = ""
    answer: Mapping[str, str] | None = None

    @property
    def address(self) -> str:
        """Where the browser comes back to."""
        return f"http://127.0.0.1:{self.server_port}{_CALLBACK}"

    def wait(self, timeout_s: float) -> str:
        """Wait for the code."""
        self.timeout = _LOOK_S
        end = time.monotonic() + timeout_s
        while self.answer is None:
            self.handle_request()
            if time.monotonic() > end:
                raise WaitTimeoutError(
                    f"nobody answered in the browser within {timeout_s:.0f} s: begin again, or "
                    "take --device"
                )
        code = self.answer.get("code", "")
        if not code:
            why = clean_line(self.answer.get("error", "no code came"), 100)
            raise AuthError(f"nothing was signed in: {why.replace('_', ' ')}")
        return code

    def handle_error(self, *_: Any) -> None:
        """Pass over who hangs up."""


class _Handler(BaseHTTPRequestHandler):
    timeout = 5.0
    server: _Listener

    def do_GET(self) -> None:
        """Take the answer, and tell the user to go back; everything else is not ours."""
        parts = urlsplit(self.path)
        answer = dict(parse_qsl(parts.query))
        host = f"127.0.0.1:{self.server.server_port}"
        ours = parts.path == _CALLBACK and self.headers.get("Host") == host
        if not ours or not secrets.compare_digest(
            answer.get("state", "").encode(), self.server.state.encode()
        ):
            self._say(404, "Nothing here", "This is not the answer that was waited for.")
            return
        self.server.answer = answer
        if answer.get("code"):
            self._say(200, "Signed in", "Go back to the terminal; this page can be closed.")
        else:
            self._say(200, "Not signed in", "The program was told no; this page can be closed.")

    def log_message(self, *_: Any) -> None:
        """Say nothing: the address holds the code."""

    def _say(self, status: int, title: str, text: str) -> None:
        body = _PAGE.format(title=title, text=text).encode()
        self.send_response(status)
        for name, value in {
            "Content-Type": "text/html; charset=utf-8",
            "Content-Length": str(len(body)),
            "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
            "Cache-Control": "no-store",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
