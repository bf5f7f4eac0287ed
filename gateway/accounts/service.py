"""What can be done with accounts; `gateway.accounts.sessions` has the life of a session."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta

import redis

from gateway.accounts import passwords
from gateway.accounts.audit import Audit
from gateway.accounts.grants import Grants
from gateway.accounts.models import (
    NAME_LENGTH,
    NAME_PATTERN,
    NAME_RULE,
    ApiToken,
    Credentials,
    Identity,
    NewToken,
    NewUid,
    Scope,
    ScopeError,
    SignedIn,
    SignInError,
    User,
    Verified,
    Visit,
)
from gateway.accounts.sessions import Sessions
from gateway.accounts.store import AccountStore
from gateway.accounts.throttle import Throttle
from gateway.accounts.tokens import (
    TOKEN_PREFIX,
    UID_PREFIX,
    AccessTokens,
    RefreshTokens,
    derive_key,
    digest,
    has_checksum,
    keyed,
    make_secret,
)
from gateway.errors import (
    BadRequestError,
    ConflictError,
    ForbiddenError,
    InvalidError,
    NotFoundError,
)
from gateway.ids import new_id
from gateway.records import now
from gateway.settings import AccountSettings

_WRONG_NAMES = 10
"""In a quarter of an hour: who shares may mistype, and must not learn who is here."""


class Accounts:
    """The verbs of the room."""

    def __init__(
        self, client: redis.Redis, settings: AccountSettings, secret: bytes, issuer: str
    ) -> None:
        self.settings = settings
        self._store = AccountStore(client)
        self.audit = Audit(self._store)
        self._csrf_key = derive_key(secret, "csrf token")
        self._sessions = Sessions(
            store=self._store,
            audit=self.audit,
            settings=settings,
            access=AccessTokens(
                key=derive_key(secret, "access token"),
                issuer=issuer,
                life=timedelta(seconds=settings.access_s),
            ),
            refresh=RefreshTokens(key=derive_key(secret, "refresh token")),
        )
        self._throttle = Throttle(
            store=self._store,
            key=derive_key(secret, "device"),
            per_pair=settings.guesses_per_pair,
            per_address=settings.guesses_per_address,
            per_name=settings.guesses_per_name,
        )

        self.grants = Grants(
            store=self._store,
            audit=self.audit,
            throttle=self._throttle,
            make_token=self._token_for,
        )

    # -- users

    def add_user(self, name: str, password: str, *, admin: bool = False) -> User:
        """Make an account.

        Raises
        ------
        InvalidError
            For a name or a password against the rules.
        ConflictError
            When the name is taken.
        """
        check_name(name)
        passwords.check_password(password, name)
        user = User(
            name=name, created=now(), password=passwords.hash_password(password), admin=admin
        )
        if not self._store.add_user(user):
            raise ConflictError(f"there is already a user '{name}': take another name")
        return user

    def user(self, name: str) -> User:
        """Find a user.

        Raises
        ------
        NotFoundError
            When there is none of this name.
        """
        user = self._store.user(name)
        if user is None:
            raise NotFoundError(f"there is no user '{name[:NAME_LENGTH]}': check the name")
        return user

    def known_to(self, asker: str, name: str) -> User | None:
        """Find an active user by name for another user, who may not try out names.

        Raises
        ------
        TooManyRequestsError
            After too many names that nobody has, for right ones too.
        """
        bucket = f"names:{asker}"
        self._throttle.limit(bucket, _WRONG_NAMES, "names of users that there are not")
        user = self._store.user(name) if is_name(name) else None
        if user is None or not user.active:
            return None
        self._store.uncount(bucket)
        return user

    def is_active(self, name: str) -> bool:
        """Whether there is a user of this name, who may sign in."""
        user = self._store.user(name)
        return user is not None and user.active

    def users(self, after: str | None = None, limit: int = 50) -> list[User]:
        """List users by name, those after a name."""
        return self._store.users(after, limit)

    def count_users(self) -> int:
        """Count all users, those who are switched off among them."""
        return self._store.count_users()

    def deactivate(self, name: str) -> None:
        """Switch a user off: sessions and API tokens are refused from now on."""
        self.user(name)
        self._store.change_user(name, end_sessions=True, end_tokens=True, active=False)
        self._store.forget_all(name, tokens=True)

    def activate(self, name: str) -> None:
        """Let a user sign in again; old sessions and API tokens stay void."""
        self.user(name)
        self._store.change_user(name, active=True)

    def set_password(self, name: str, password: str, *, end_tokens: bool = True) -> None:
        """Give a user a new password and end all sessions, and API tokens unless told otherwise."""
        self.user(name)
        passwords.check_password(password, name)
        self._store.change_user(
            name,
            end_sessions=True,
            end_tokens=end_tokens,
            password=passwords.hash_password(password),
        )
        self._store.forget_all(name, tokens=end_tokens)

    def change_password(self, identity: Identity, old: str, new: str, visit: Visit) -> SignedIn:
        """Let somebody choose a new password; only the browser that asked stays signed in."""
        self._throttle.admit(identity.user, visit)
        user = self.user(identity.user)
        if not passwords.is_password(user.password, old):
            raise InvalidError.at("/old", "is not the present password")
        self._throttle.succeeded(identity.user, visit)
        self.set_password(identity.user, new, end_tokens=False)
        return self._start_session(self.user(identity.user), visit)

    def register(self, visit: Visit) -> NewUid:
        """Make an account for a stranger, who signs in with a UID of 178 random bits.

        Raises
        ------
        ForbiddenError
            When the site does not want this.
        TooManyRequestsError
            When one address, or everybody together, asks too often.
        """
        if not self.settings.registration:
            raise ForbiddenError("this site has no self-registration: ask its administrator")
        limit = self.settings.registrations
        self._throttle.limit(f"register:{visit.address[:64]}", limit, "new accounts")
        self._throttle.limit("register", limit * 20, "new accounts")
        name, uid = f"guest-{secrets.token_hex(8)}", make_secret(UID_PREFIX)
        self._store.add_user(User(name=name, created=now()))
        self._store.remember_uid(digest(uid), name)
        return NewUid(name=name, uid=uid)

    # -- sessions

    def sign_in(self, name: str, password: str, visit: Visit) -> SignedIn:
        """Start a session for who knows the password.

        Raises
        ------
        BadRequestError
            When this cannot be a name or a password.
        TooManyRequestsError
            When guessed too often.
        SignInError
            In the same time and words for whatever reason.
        """
        return self._start_session(self._authenticate(name, password, visit), visit)

    def sign_in_with_uid(self, uid: str, visit: Visit) -> SignedIn:
        """Start a session for who knows a UID."""
        return self._start_session(self._authenticate_uid(uid, visit), visit)

    def _authenticate(self, name: str, password: str, visit: Visit) -> User:
        if not is_name(name):
            raise BadRequestError(f"this cannot be a user: {NAME_RULE}")
        if len(password) > passwords.LONGEST:
            raise BadRequestError(f"a password has at most {passwords.LONGEST} signs")
        self._throttle.admit(name, visit)
        user = self._store.user(name)
        right = passwords.is_password(user.password if user else None, password)
        if user is None or not right or not user.active:
            # Noted for unknown names too, in the trail of nobody: so that both take as long.
            self.audit.record(user.name if user else "", "session.refused", name)
            raise SignInError
        self._throttle.succeeded(name, visit)
        if user.password and passwords.is_outdated(user.password):
            self._store.change_user(name, password=passwords.hash_password(password))
        return user

    def _authenticate_uid(self, uid: str, visit: Visit) -> User:
        self._throttle.admit_address(visit)
        user = self._store.uid_owner(digest(uid)) if has_checksum(uid, UID_PREFIX) else None
        if user is None or not user.active:
            raise SignInError
        return user

    def _start_session(self, user: User, visit: Visit) -> SignedIn:
        return self._sessions.start(user, visit, self._throttle.device_for(user.name))

    def sign_out(self, identity: Identity) -> None:
        """End the session, or forget the API token, with which somebody asks."""
        if identity.session_id is not None:
            self._store.end_session(identity.session_id, identity.user)
        if identity.token_id is not None:
            self._store.remove_token(identity.user, identity.token_id)

    def csrf_token(self, binding: str) -> str:
        """Make the token that a write by cookie must carry; *binding* is the session's id."""
        return keyed(self._csrf_key, binding)

    # -- who asks

    def verify(self, credentials: Credentials) -> Verified:
        """Find out who asks; each request calls this once.

        An ``Authorization: Bearer`` wins over cookies.

        Raises
        ------
        InvalidTokenError
            In the same words for whatever is wrong.
        """
        return self._sessions.verify(credentials)

    def stands(self, identity: Identity) -> bool:
        """Say whether who was verified would still be: for answers that take long to send."""
        return self._sessions.stands(identity)

    # -- API tokens

    def make_token(
        self, identity: Identity, label: str, scopes: Iterable[Scope], expires: datetime | None
    ) -> NewToken:
        """Make an API token, at most as mighty as who asks; its secret is shown this once.

        Raises
        ------
        ScopeError
            When it would be mightier.
        ConflictError
            When there are too many already.
        """
        wanted = tuple(scopes)
        for scope in wanted:
            if scope not in identity.scopes:
                raise ScopeError(scope)
        return self._add_token(self.user(identity.user), label, wanted, expires)

    def make_token_with_password(
        self,
        user_name: str,
        password: str,
        label: str,
        scopes: Iterable[Scope],
        expires: datetime | None,
        visit: Visit,
    ) -> NewToken:
        """Make an API token for a program whose user types the password."""
        user = self._authenticate(user_name, password, visit)
        return self._token_for(user, label, scopes, expires)

    def make_token_with_uid(
        self,
        uid: str,
        label: str,
        scopes: Iterable[Scope],
        expires: datetime | None,
        visit: Visit,
    ) -> NewToken:
        """Make an API token for a program whose user types the UID."""
        return self._token_for(self._authenticate_uid(uid, visit), label, scopes, expires)

    def _token_for(
        self, user: User, label: str, scopes: Iterable[Scope], expires: datetime | None
    ) -> NewToken:
        wanted = tuple(scopes)
        if Scope.ADMIN in wanted and not user.admin:
            raise ScopeError(Scope.ADMIN)
        return self._add_token(user, label, wanted, expires)

    def _add_token(
        self, user: User, label: str, scopes: tuple[Scope, ...], expires: datetime | None
    ) -> NewToken:
        if len(self._store.tokens(user.name)) >= self.settings.tokens:
            raise ConflictError(
                f"there are {self.settings.tokens} API tokens already: revoke one first"
            )
        secret = make_secret(TOKEN_PREFIX)
        token = ApiToken(
            id=new_id(),
            user=user.name,
            epoch=user.token_epoch,
            label=label,
            scopes=scopes,
            created=now(),
            expires=expires,
        )
        self._store.add_token(token, digest(secret))
        return NewToken(token=token, secret=secret)

    def list_tokens(self, identity: Identity) -> list[ApiToken]:
        """List one's API tokens, newest first."""
        return self._store.tokens(identity.user)

    def revoke_token(self, identity: Identity, id: str) -> None:
        """Forget one of one's API tokens; a token may always revoke itself.

        Raises
        ------
        NotFoundError
            When one has none of this id.
        """
        if identity.token_id != id and Scope.SUBMIT not in identity.scopes:
            raise ScopeError(Scope.SUBMIT)
        if not self._store.remove_token(identity.user, id):
            raise NotFoundError(f"there is no API token {id[:26]} that you may see: list yours")


def check_name(name: str) -> None:
    """Refuse a name that could not be a folder, a mail box and a word in a log at once.

    Raises
    ------
    InvalidError
        With the rule.
    """
    if not is_name(name):
        raise InvalidError.at("/name", f"{name[:NAME_LENGTH]!r} is not a name: {NAME_RULE}")


def is_name(text: str) -> bool:
    """Say whether a text could be the name of a user."""
    return len(text) <= NAME_LENGTH and NAME_PATTERN.fullmatch(text) is not None
