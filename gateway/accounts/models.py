"""What the accounts room talks about."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from http import HTTPStatus

from gateway.errors import ForbiddenError, UnauthorizedError

NAME_PATTERN = re.compile(r"[a-z][a-z0-9_-]*(?:\.[a-z0-9_-]+)*")
NAME_LENGTH = 32
NAME_RULE = (
    f"a user name has 1 to {NAME_LENGTH} signs: lower-case letters, digits, dot, - and _, "
    "beginning with a letter"
)


class Scope(StrEnum):
    """What a session or an API token may be used for; each contains those before it."""

    READ = "read"
    SUBMIT = "submit"
    ADMIN = "admin"


def expand(scopes: Iterable[Scope]) -> frozenset[Scope]:
    """Add what a scope contains.

    >>> sorted(expand([Scope.SUBMIT]))
    [<Scope.READ: 'read'>, <Scope.SUBMIT: 'submit'>]
    """
    order = list(Scope)
    highest = max((order.index(scope) for scope in scopes), default=-1)
    return frozenset(order[: highest + 1])


class InvalidTokenError(UnauthorizedError):
    """The access token or API token is wrong, expired or revoked: sign in, or make a new one.

    The same words for each of these, so that nobody learns which it was.
    """

    def __init__(self) -> None:
        super().__init__("the token or session is not valid, or not any more: sign in again")


class SignInError(UnauthorizedError):
    """The name and the password do not belong together.

    The same words whether the name is unknown, switched off, or the password wrong.
    """

    def __init__(self) -> None:
        super().__init__("this name and password do not belong to an active user: check both")


class ScopeError(ForbiddenError):
    """The token is good, but not for this."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        super().__init__(f"this needs the scope '{scope}': use a token that has it")


class AdminError(ForbiddenError):
    """Only an administrator may do this."""

    status = HTTPStatus.FORBIDDEN

    def __init__(self) -> None:
        super().__init__("only an administrator may do this: ask one of this site")


@dataclass(frozen=True, kw_only=True)
class User:
    """Somebody with an account."""

    name: str
    created: datetime
    password: str | None = field(default=None, repr=False)
    """Argon2id hash; None for those who sign in with a UID only."""

    admin: bool = False
    active: bool = True
    session_epoch: int = 0
    """Raised to end all sessions at once; a session of an older epoch is void."""

    token_epoch: int = 0
    """The same for API tokens."""


@dataclass(frozen=True, kw_only=True)
class Session:
    """One sign-in of one browser; its life ends by sign-out, silence, or age."""

    id: str
    user: str
    epoch: int
    created: datetime
    address: str
    agent: str
    generation: int = 0
    """How often its refresh token was replaced; only the last one is good."""


@dataclass(frozen=True, kw_only=True)
class ApiToken:
    """What a program shows instead of a password."""

    id: str
    user: str
    epoch: int
    label: str
    scopes: tuple[Scope, ...]
    created: datetime
    expires: datetime | None = None
    last_used: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class NewToken:
    """An API token at the one moment when its secret is known."""

    token: ApiToken
    secret: str = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class NewUid:
    """A self-registered user at the one moment when the UID is known."""

    name: str
    uid: str = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Who asks, found out once per request."""

    user: str
    admin: bool
    scopes: frozenset[Scope]
    session_id: str | None = None
    """Set when a browser asks with its cookies."""

    token_id: str | None = None
    """Set when a program asks with an API token."""

    link: str | None = None
    """Id of the share by whose link somebody reads who is not signed in, and has no name."""

    @property
    def reader(self) -> str:
        """Name who reads, for counting how much at once."""
        return self.user or f"link {self.link}"


def nobody(link: str) -> Identity:
    """Say who asks that is not signed in and has opened a link."""
    return Identity(user="", admin=False, scopes=expand([Scope.READ]), link=link)


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """What a request shows to say who asks; all None for a stranger."""

    bearer: str | None = field(default=None, repr=False)
    access: str | None = field(default=None, repr=False)
    refresh: str | None = field(default=None, repr=False)

    @property
    def given(self) -> bool:
        """Whether there is anything to verify."""
        return any((self.bearer is not None, self.access, self.refresh))


@dataclass(frozen=True, kw_only=True)
class SessionTokens:
    """What a browser keeps of its session, and for how long."""

    access: str = field(repr=False)
    refresh: str = field(repr=False)
    access_life: timedelta
    refresh_life: timedelta


@dataclass(frozen=True, kw_only=True)
class Verified:
    """The outcome of the one verification of a request."""

    identity: Identity | None
    """None: nobody claimed to be anybody."""

    renewed: SessionTokens | None = None
    """New tokens for the browser, when its access token had run out."""


@dataclass(frozen=True, kw_only=True)
class Visit:
    """Where a sign-in comes from."""

    address: str
    agent: str = ""
    device: str | None = field(default=None, repr=False)
    """Proof that this browser has signed in before."""


@dataclass(frozen=True, kw_only=True)
class SignedIn:
    """A fresh session."""

    identity: Identity
    tokens: SessionTokens
    device: str = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class AuditRecord:
    """Who did what, when and from where; never changed, never removed."""

    time: datetime
    user: str
    action: str
    subject: str
    address: str
    request_id: str
