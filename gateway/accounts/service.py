"""What can be done with accounts.

The life of a browser's session: `sign_in` checks the password and makes a session with an access
token (minutes) and a refresh token (days). Each request is verified once, by `verify`: the access
token's signature, then in the store that the session still is, that the user is active, and that
neither was ended by a newer epoch. When the access token has run out, the same verification
replaces both tokens. `sign_out`, a new password, or an old refresh token shown again ends it.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta

import redis

from gateway.accounts import passwords
from gateway.accounts.audit import Audit
from gateway.accounts.models import (
    NAME_LENGTH,
    NAME_PATTERN,
    NAME_RULE,
    ApiToken,
    Credentials,
    Identity,
    InvalidTokenError,
    NewToken,
    NewUid,
    Scope,
    ScopeError,
    Session,
    SessionTokens,
    SignedIn,
    SignInError,
    User,
    Verified,
    Visit,
    expand,
)
from gateway.accounts.store import AccountStore, Rotation
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

_SEEN = timedelta(minutes=1)
"""How exactly the last use of an API token is known: each note is a write to disk."""

_AGENT_LENGTH = 200
_GRACE = timedelta(seconds=10)


class Accounts:
    """The verbs of the room."""

    def __init__(
        self, client: redis.Redis, settings: AccountSettings, secret: bytes, issuer: str
    ) -> None:
        self.settings = settings
        self.audit = Audit(AccountStore(client))
        self._store = AccountStore(client)
        self._access = AccessTokens(
            key=derive_key(secret, "access token"),
            issuer=issuer,
            life=timedelta(seconds=settings.access_s),
        )
        self._refresh = RefreshTokens(key=derive_key(secret, "refresh token"))
        self._csrf_key = derive_key(secret, "csrf token")
        self._idle = timedelta(days=settings.session_days)
        self._oldest = timedelta(days=settings.session_max_days)
        self._throttle = Throttle(
            store=self._store,
            key=derive_key(secret, "device"),
            per_pair=settings.guesses_per_pair,
            per_address=settings.guesses_per_address,
            per_name=settings.guesses_per_name,
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

    def users(self, after: str | None = None, limit: int = 50) -> list[User]:
        """List users by name, those after a name."""
        return self._store.users(after, limit)

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
        if len(name) > NAME_LENGTH or not NAME_PATTERN.fullmatch(name):
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
        session = Session(
            id=new_id(),
            user=user.name,
            epoch=user.session_epoch,
            created=now(),
            address=visit.address,
            agent=visit.agent[:_AGENT_LENGTH],
        )
        self._store.add_session(session, self._idle, self.settings.sessions)
        return SignedIn(
            identity=_session_identity(user, session),
            tokens=self._session_tokens(user, session.id, 0),
            device=self._throttle.device_for(user.name),
        )

    def _session_tokens(self, user: User, session: str, generation: int) -> SessionTokens:
        return SessionTokens(
            access=self._access.make(user.name, session, _scopes_of(user)),
            refresh=self._refresh.make(session, generation),
            access_life=self._access.life,
            refresh_life=self._idle,
        )

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
        if credentials.bearer is not None:
            return Verified(identity=self._verify_bearer(credentials.bearer))
        if credentials.access:
            try:
                return Verified(identity=self._verify_access(credentials.access))
            except InvalidTokenError:
                if not credentials.refresh:
                    raise
        if credentials.refresh:
            return self._renew(credentials.refresh)
        return Verified(identity=None)

    def _verify_bearer(self, text: str) -> Identity:
        if text.startswith(f"{TOKEN_PREFIX}_"):
            return self._verify_token(text)
        return self._verify_access(text)

    def _verify_access(self, text: str) -> Identity:
        claims = self._access.read(text)
        user, session = self._live_session(claims.session, claims.user)
        identity = _session_identity(user, session)
        return Identity(
            user=identity.user,
            admin=identity.admin,
            scopes=identity.scopes & claims.scopes,
            session_id=session.id,
            groups=identity.groups,
        )

    def _live_session(self, id: str, name: str) -> tuple[User, Session]:
        session, user = self._store.session(id, name)
        if session is None or user is None or session.user != name or not user.active:
            raise InvalidTokenError
        if session.epoch != user.session_epoch or now() - session.created > self._oldest:
            raise InvalidTokenError
        return user, session

    def _verify_token(self, text: str) -> Identity:
        if not has_checksum(text, TOKEN_PREFIX):
            raise InvalidTokenError
        hashed = digest(text)
        token = self._store.token(hashed)
        user = self._store.user(token.user) if token else None
        if token is None or user is None or not user.active or token.epoch != user.token_epoch:
            raise InvalidTokenError
        moment = now()
        if token.expires is not None and token.expires <= moment:
            raise InvalidTokenError
        if token.last_used is None or moment - token.last_used >= _SEEN:
            self._store.use_token(hashed, moment)
        scopes = expand(token.scopes)
        return Identity(
            user=user.name,
            admin=user.admin,
            scopes=scopes if user.admin else scopes - {Scope.ADMIN},
            token_id=token.id,
            groups=user.groups,
        )

    def _renew(self, refresh: str) -> Verified:
        session_id, generation = self._refresh.read(refresh)
        name = self._store.session_user(session_id)
        if name is None:
            raise InvalidTokenError
        user, session = self._live_session(session_id, name)
        outcome = self._store.rotate(session_id, generation, _GRACE, self._idle)
        if outcome is Rotation.REUSED:
            self.audit.record(name, "session.reused", session_id)
        if outcome in {Rotation.REUSED, Rotation.GONE}:
            raise InvalidTokenError
        tokens = self._session_tokens(user, session_id, generation + 1)
        return Verified(identity=_session_identity(user, session), renewed=tokens)

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
    if len(name) > NAME_LENGTH or not NAME_PATTERN.fullmatch(name):
        raise InvalidError.at("/name", f"{name[:NAME_LENGTH]!r} is not a name: {NAME_RULE}")


def _scopes_of(user: User) -> frozenset[Scope]:
    return expand([Scope.ADMIN if user.admin else Scope.SUBMIT])


def _session_identity(user: User, session: Session) -> Identity:
    return Identity(
        user=user.name,
        admin=user.admin,
        scopes=_scopes_of(user),
        session_id=session.id,
        groups=user.groups,
    )
