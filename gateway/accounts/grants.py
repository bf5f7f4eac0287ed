"""How a program gets an API token with somebody's consent, and without seeing a password.

Two ways. With a browser on the same computer (RFC 8252): the page asks the user, and sends the
browser to a port of 127.0.0.1 with a code that lives a minute, is good once, and only for who knows
the verifier behind its challenge (RFC 7636, S256). Without one (RFC 8628): the program shows eight
letters, the user types them into the page of any browser, and the program asks now and then.

The store keeps hashes of the codes. A code that is shown once more was copied: the token that it
gave is revoked.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from urllib.parse import urlencode, urlsplit

from gateway.accounts.audit import Audit
from gateway.accounts.models import Identity, NewToken, Scope, ScopeError, User, Visit
from gateway.accounts.store import AccountStore
from gateway.accounts.throttle import Throttle
from gateway.accounts.tokens import digest, has_checksum, make_secret, matches
from gateway.errors import BadRequestError, ForbiddenError, NotFoundError
from gateway.records import from_document, now, to_document

CLIENT = "bumps-remote"
CALLBACK = "/callback"
CODE_LIFE = timedelta(seconds=60)
DEVICE_LIFE = timedelta(minutes=10)
INTERVAL_S = 2

_CODE, _DEVICE = "bgc", "bgd"
_LETTERS = "BCDFGHJKLMNPQRSTVWXZ"
_CODE_LETTERS = 8
_GUESSES, _GUESSES_FROM = 20, 100
_DEVICES, _POLLS = 20, 3000
_BUSY = 20
_TOO_SOON = timedelta(seconds=INTERVAL_S * 0.75)
_LOOPBACK = re.compile(rf"http://127\.0\.0\.1:([1-9][0-9]{{0,4}}){CALLBACK}")
_PORTS = 65535
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")


class AuthorizationPendingError(BadRequestError):
    """The user has not answered yet: ask again after the interval."""


class SlowDownError(BadRequestError):
    """Asked before the interval was over: wait five seconds longer from now on."""


class AccessDeniedError(BadRequestError):
    """The user said no."""


class ExpiredGrantError(BadRequestError):
    """The code is unknown, used, or too old: begin again."""

    def __init__(self) -> None:
        super().__init__("this code is wrong, was used, or is too old: begin to sign in again")


class Decision(StrEnum):
    """How far a grant is."""

    OPEN = "open"
    ALLOWED = "allowed"
    DENIED = "denied"
    TAKEN = "taken"


@dataclass(frozen=True, kw_only=True)
class Grant:
    """What a program asks for, and what the user said."""

    label: str
    scope: Scope
    expires_days: int | None
    asked: datetime
    address: str = ""
    """Where the program asked from; of a browser's grant, where the browser is."""

    challenge: str = ""
    redirect_uri: str = ""
    user_code: str = ""
    decision: Decision = Decision.OPEN
    user: str = ""
    epoch: int = 0
    token_id: str = ""
    """The token that it gave."""

    @property
    def expires(self) -> datetime | None:
        """When a token made now would end."""
        days = self.expires_days
        return None if days is None else now() + timedelta(days=days)


@dataclass(frozen=True, kw_only=True)
class Device:
    """The answer to a program without a browser."""

    device_code: str = field(repr=False)
    user_code: str


@dataclass(frozen=True, kw_only=True)
class Grants:
    """The verbs."""

    store: AccountStore
    audit: Audit
    throttle: Throttle
    make_token: Callable[[User, str, Iterable[Scope], datetime | None], NewToken]

    # -- with a browser on the same computer

    def allow(self, identity: Identity, grant: Grant) -> str:
        """Consent to what a program on this computer asks; answer where the browser goes."""
        self._check(identity, grant)
        code = make_secret(_CODE)
        self.store.add_grant(digest(code), _text(self._allowed(identity, grant)), CODE_LIFE)
        self.audit.record(identity.user, "grant.allow", grant.label)
        return code

    def redeem(self, code: str, verifier: str, redirect_uri: str, visit: Visit) -> NewToken:
        """Give the token for a code; a wrong verifier uses the code up.

        Raises
        ------
        ExpiredGrantError
            In the same words for whatever is wrong.
        """
        self.throttle.limit(f"redeem:{visit.address[:64]}", _POLLS, "codes")
        if not has_checksum(code, _CODE):
            raise ExpiredGrantError
        hashed, grant = digest(code), self._take(digest(code))
        right = _VERIFIER.fullmatch(verifier) and matches(challenge_of(verifier), grant.challenge)
        if not right or redirect_uri != grant.redirect_uri:
            raise ExpiredGrantError
        return self._token(hashed, grant)

    # -- without one

    def begin(self, grant: Grant, visit: Visit) -> Device:
        """Make the two codes of a program without a browser."""
        self.throttle.limit(f"device:{visit.address[:64]}", _DEVICES, "device codes")
        self.throttle.limit("device", _DEVICES * _BUSY, "device codes")
        device_code = make_secret(_DEVICE)
        while True:
            user_code = "".join(secrets.choice(_LETTERS) for _ in range(_CODE_LETTERS))
            text = _text(replace(grant, user_code=user_code, address=visit.address))
            if self.store.add_grant(digest(device_code), text, DEVICE_LIFE, user_code):
                return Device(device_code=device_code, user_code=shown_code(user_code))

    def poll(self, device_code: str, visit: Visit) -> NewToken:
        """Give the token once the user has consented.

        Raises
        ------
        AuthorizationPendingError, SlowDownError, AccessDeniedError, ExpiredGrantError
            As RFC 8628 names them.
        """
        self.throttle.limit(f"poll:{visit.address[:64]}", _POLLS, "questions")
        if not has_checksum(device_code, _DEVICE):
            raise ExpiredGrantError
        hashed = digest(device_code)
        if self.store.count(f"device:{hashed}", _TOO_SOON)[0] > 1:
            raise SlowDownError(f"ask at most every {INTERVAL_S} s: wait 5 s longer from now on")
        found = self._read(hashed)
        if found is None:
            raise ExpiredGrantError
        if found.decision is Decision.OPEN:
            raise AuthorizationPendingError("the user has not answered yet: ask again")
        if found.decision is Decision.DENIED:
            raise AccessDeniedError("the user said no")
        return self._token(hashed, self._take(hashed))

    def find(self, identity: Identity, typed: str, visit: Visit) -> Grant:
        """Find what asks with the letters that a user has typed; wrong ones are counted.

        Raises
        ------
        TooManyRequestsError
            After too many wrong ones.
        NotFoundError
            When none waits with these letters.
        """
        buckets = {
            f"usercode:{identity.user}": _GUESSES,
            f"usercode-from:{visit.address[:64]}": _GUESSES_FROM,
        }
        for bucket, limit in buckets.items():
            self.throttle.limit(bucket, limit, "wrong codes")
        _, grant = self._waiting(typed)
        for bucket in buckets:
            self.store.uncount(bucket)
        return grant

    def decide(self, identity: Identity, typed: str, visit: Visit, *, allow: bool) -> Grant:
        """Say yes or no to what asks with these letters; only once."""
        self.find(identity, typed, visit)
        hashed, grant = self._waiting(typed)
        if allow:
            self._check(identity, grant)
            decided = self._allowed(identity, grant)
        else:
            require_session(identity)
            decided = replace(grant, decision=Decision.DENIED)
        if not self.store.swap_grant(hashed, _text(grant), _text(decided)):
            raise _no_such_code()
        self.audit.record(identity.user, f"grant.{'allow' if allow else 'deny'}", grant.label)
        return decided

    def _waiting(self, typed: str) -> tuple[str, Grant]:
        letters = plain_code(typed)
        hashed = self.store.grant_of(letters) if len(letters) == _CODE_LETTERS else None
        grant = self._read(hashed) if hashed else None
        if hashed is None or grant is None or grant.decision is not Decision.OPEN:
            raise _no_such_code()
        return hashed, grant

    # -- both

    def _check(self, identity: Identity, grant: Grant) -> None:
        require_session(identity)
        if grant.scope not in identity.scopes:
            raise ScopeError(grant.scope)

    def _allowed(self, identity: Identity, grant: Grant) -> Grant:
        user = self.store.user(identity.user)
        epoch = user.token_epoch if user else -1
        return replace(grant, decision=Decision.ALLOWED, user=identity.user, epoch=epoch)

    def _read(self, hashed: str) -> Grant | None:
        text = self.store.grant(hashed)
        return None if text is None else from_document(Grant, json.loads(text))

    def _take(self, hashed: str) -> Grant:
        """Take an allowed grant, so that nobody else gets a token for it."""
        grant = self._read(hashed)
        if grant is None:
            raise ExpiredGrantError
        if grant.decision is Decision.TAKEN and grant.token_id:
            self.store.remove_token(grant.user, grant.token_id)
            self.audit.record(grant.user, "grant.reused", grant.token_id)
        taken = replace(grant, decision=Decision.TAKEN)
        allowed = grant.decision is Decision.ALLOWED
        if not allowed or not self.store.swap_grant(hashed, _text(grant), _text(taken)):
            raise ExpiredGrantError
        return taken

    def _token(self, hashed: str, grant: Grant) -> NewToken:
        user = self.store.user(grant.user)
        if user is None or not user.active or user.token_epoch != grant.epoch:
            raise ExpiredGrantError
        made = self.make_token(user, grant.label, [grant.scope], grant.expires)
        self.store.swap_grant(hashed, _text(grant), _text(replace(grant, token_id=made.token.id)))
        self.audit.record(user.name, "token.make", made.token.id)
        return made


def require_session(identity: Identity) -> None:
    """Refuse programs: only a person at a browser consents."""
    if identity.session_id is None:
        raise ForbiddenError("only somebody signed in with a browser can consent to this")


def is_loopback(redirect_uri: str) -> bool:
    """Say whether an address is that of our client on the user's own computer, at any port.

    >>> is_loopback("http://127.0.0.1:8912/callback"), is_loopback("http://localhost:8912/callback")
    (True, False)
    >>> is_loopback("http://127.0.0.1:8912@evil.example/callback")
    False
    """
    found = _LOOPBACK.fullmatch(redirect_uri)
    return found is not None and int(found[1]) <= _PORTS


def origin_of(redirect_uri: str) -> str:
    """Say which origin a form may lead to, for the page's Content-Security-Policy."""
    return f"http://{urlsplit(redirect_uri).netloc}"


def way_back(redirect_uri: str, **answer: str) -> str:
    """Say where the browser goes with the answer."""
    return f"{redirect_uri}?{urlencode(answer)}"


def challenge_of(verifier: str) -> str:
    """Make the challenge of a verifier (RFC 7636, S256).

    >>> challenge_of("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")
    'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM'
    """
    hashed = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(hashed).decode().rstrip("=")


def plain_code(typed: str) -> str:
    """Read letters as people type them.

    >>> plain_code(" wdjb-mjht ")
    'WDJBMJHT'
    """
    return "".join(sign for sign in typed[:40].upper() if sign in _LETTERS)


def shown_code(letters: str) -> str:
    """Write letters as people read them.

    >>> shown_code("WDJBMJHT")
    'WDJB-MJHT'
    """
    return f"{letters[:4]}-{letters[4:]}"


def _no_such_code() -> NotFoundError:
    return NotFoundError("no program waits with this code: compare the letters, or begin again")


def _text(grant: Grant) -> str:
    return json.dumps(to_document(grant), sort_keys=True)
