"""What every answer says to browsers, errors and static files too; how user files are served."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from flask import Response, g, request
from werkzeug.wrappers import Response as AnyResponse

_Answer = TypeVar("_Answer", bound=AnyResponse)

_POLICY = {
    "default-src": "'self'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data: blob:",
    "connect-src": "'self'",
    "object-src": "'none'",
    "base-uri": "'none'",
    "form-action": "'self'",
    "frame-ancestors": "'none'",
}
_ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def _policy_text(policy: Mapping[str, str]) -> str:
    return "; ".join(f"{key} {value}" for key, value in policy.items())


_POLICY_TEXT = _policy_text(_POLICY)
_ASKER = ("Cookie", "Authorization")
_YEAR_S = 31_536_000


def relax_csp(**directives: str) -> None:
    """Give this one answer another directive: ``relax_csp(style_src="'self' 'unsafe-inline'")``."""
    g.csp = {
        **g.get("csp", {}),
        **{key.replace("_", "-"): text for key, text in directives.items()},
    }


def as_user_file(response: _Answer, name: str) -> _Answer:
    """Serve bytes that a user or a job wrote: saved, never shown or run by the browser."""
    response.headers.set("Content-Disposition", "attachment", filename=_plain(name))
    response.headers["Content-Security-Policy"] = "sandbox; default-src 'none'"
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


def add_headers(response: Response) -> Response:
    """Complete an answer."""
    for name, value in _ALWAYS.items():
        response.headers.setdefault(name, value)
    relaxed = g.get("csp")
    text = _policy_text({**_POLICY, **relaxed}) if relaxed else _POLICY_TEXT
    response.headers.setdefault("Content-Security-Policy", text)
    if request.is_secure:
        response.headers.setdefault(
            "Strict-Transport-Security", f"max-age={_YEAR_S}; includeSubDomains"
        )
    _add_caching(response)
    return response


def _add_caching(response: Response) -> None:
    """Keep what is private out of every cache; what has an ETag may be kept but is asked again."""
    if request.endpoint == "static":
        return
    response.headers.setdefault("Cache-Control", "no-store")
    if "Vary" in response.headers:
        response.vary.update(_ASKER)
    else:
        response.headers["Vary"] = ", ".join(_ASKER)


def _plain(name: str) -> str:
    r"""Keep separators and control signs out of a download's name.

    >>> _plain("a/b\r\n.txt")
    'a_b__.txt'
    """
    return "".join(sign if sign.isprintable() and sign not in '/\\"' else "_" for sign in name)
