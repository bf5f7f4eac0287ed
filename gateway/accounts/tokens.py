"""The forms of what proves who asks: access tokens, refresh tokens, API tokens, CSRF tokens.

Access tokens are JWTs (RFC 9068) of one algorithm with one plain key. Refresh tokens are opaque
to everybody else: session, generation and a MAC; the store keeps only the generation, so nothing
in it can be used to sign in. API tokens and UIDs are random, end in a checksum, and are kept as
SHA-256.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta

import jwt

from gateway.accounts.models import InvalidTokenError, Scope, expand
from gateway.ids import is_id, new_id
from gateway.records import now

TOKEN_PREFIX = "bgw"  # noqa: S105 - how an API token begins, so that scanners find leaked ones
UID_PREFIX = "bgu"
AUDIENCE = "bumps-gateway"
LONGEST = 4096

_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_RANDOM = 30
_CHECK = 6
_SECRET_PATTERN = re.compile(r"[a-z]{3}_[0-9A-Za-z]{36}")
_REFRESH_PATTERN = re.compile(r"bgr_([0-9A-Z]{26})_([0-9]{1,9})_([0-9a-f]{64})")
_HEADER = {"alg": "HS256", "typ": "at+jwt"}
_CLAIMS = ["exp", "iat", "nbf", "iss", "aud", "sub", "jti", "sid", "scope"]


def derive_key(secret: bytes, purpose: str) -> bytes:
    """Make a key of its own for each purpose from the site's one secret."""
    return hmac.digest(secret, f"bumps-gateway {purpose}".encode(), "sha256")


def keyed(key: bytes, *parts: str) -> str:
    """Sign some texts, 64 hexadecimal digits; parts cannot run into each other."""
    message = "\0".join(parts).encode()
    return hmac.digest(key, message, "sha256").hex()


def matches(given: str, right: str) -> bool:
    """Compare secrets in constant time, whatever signs the given one has."""
    return hmac.compare_digest(given.encode(), right.encode())


def make_secret(prefix: str) -> str:
    """Make ``<prefix>_<30 random base62><6 base62 of their CRC32>``: 178 random bits.

    >>> text = make_secret("bgw")
    >>> len(text), has_checksum(text, "bgw"), has_checksum(text[:-1] + "!", "bgw")
    (40, True, False)
    """
    body = "".join(secrets.choice(_BASE62) for _ in range(_RANDOM))
    return f"{prefix}_{body}{_checksum(body)}"


def has_checksum(text: str, prefix: str) -> bool:
    """Say whether a text has the form of our secrets, without asking the store."""
    if not text.startswith(f"{prefix}_") or not _SECRET_PATTERN.fullmatch(text):
        return False
    body = text.removeprefix(f"{prefix}_")
    return matches(body[_RANDOM:], _checksum(body[:_RANDOM]))


def digest(secret: str) -> str:
    """Hash a random secret for the store; it has too many bits to need a slow hash."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _checksum(body: str) -> str:
    number = zlib.crc32(body.encode())
    signs = []
    for _ in range(_CHECK):
        number, digit = divmod(number, len(_BASE62))
        signs.append(_BASE62[digit])
    return "".join(reversed(signs))


@dataclass(frozen=True, kw_only=True)
class Claims:
    """What an access token says."""

    user: str
    session: str
    scopes: frozenset[Scope]


@dataclass(frozen=True, kw_only=True)
class AccessTokens:
    """Makes and reads access tokens."""

    key: bytes = field(repr=False)
    issuer: str
    life: timedelta

    def make(self, user: str, session: str, scopes: Iterable[Scope]) -> str:
        """Sign who the user is, for a short time."""
        made = now()
        claims = {
            "iss": self.issuer,
            "aud": AUDIENCE,
            "sub": user,
            "sid": session,
            "client_id": "browser",
            "scope": " ".join(sorted(scopes)),
            "iat": made,
            "nbf": made,
            "exp": made + self.life,
            "jti": new_id(),
        }
        return jwt.encode(claims, self.key, algorithm=_HEADER["alg"], headers={"typ": "at+jwt"})

    def read(self, text: str) -> Claims:
        """Check a token.

        Raises
        ------
        InvalidTokenError
            Whatever is wrong with it.
        """
        if len(text) > LONGEST:
            raise InvalidTokenError
        try:
            parts = jwt.decode_complete(
                text,
                self.key,
                algorithms=[_HEADER["alg"]],
                audience=AUDIENCE,
                issuer=self.issuer,
                options={"require": _CLAIMS, "strict_aud": True},
            )
        except (jwt.InvalidTokenError, ValueError, RecursionError) as error:
            raise InvalidTokenError from error
        if parts["header"] != _HEADER:  # no kid, jwk, jku, x5u, crit: we never write them
            raise InvalidTokenError
        return _claims(parts["payload"])


def _claims(payload: dict[str, object]) -> Claims:
    user, session, scope = payload["sub"], payload["sid"], payload["scope"]
    if not (isinstance(user, str) and isinstance(session, str) and isinstance(scope, str)):
        raise InvalidTokenError
    if not is_id(session):
        raise InvalidTokenError
    try:
        scopes = expand(Scope(word) for word in scope.split())
    except ValueError as error:
        raise InvalidTokenError from error
    return Claims(user=user, session=session, scopes=scopes)


@dataclass(frozen=True, kw_only=True)
class RefreshTokens:
    """Makes and reads refresh tokens: one for each generation of a session."""

    key: bytes = field(repr=False)

    def make(self, session: str, generation: int) -> str:
        """Make the token of one generation; the same one each time."""
        return f"bgr_{session}_{generation}_{keyed(self.key, session, str(generation))}"

    def read(self, text: str) -> tuple[str, int]:
        """Answer session and generation of a token that we made.

        Raises
        ------
        InvalidTokenError
            When we did not make it.
        """
        found = _REFRESH_PATTERN.fullmatch(text)
        if found is None:
            raise InvalidTokenError
        session, generation = found[1], int(found[2])
        if not matches(text, self.make(session, generation)):
            raise InvalidTokenError
        return session, generation
