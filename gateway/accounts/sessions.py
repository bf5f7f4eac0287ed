"""Sessions, and who asks.

The life of a browser's session: `start` makes it, with an access token (minutes) and a refresh
token (days). Each request is verified once, by `verify`: the access token's signature, then in the
store that the session still is, that the user is active, and that neither was ended by a newer
epoch. When the access token has run out, the same verification replaces both tokens. Signing out,
a new password, or an old refresh token shown again ends it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from gateway.accounts.audit import Audit
from gateway.accounts.models import (
    Credentials,
    Identity,
    InvalidTokenError,
    Scope,
    Session,
    SessionTokens,
    SignedIn,
    User,
    Verified,
    Visit,
    expand,
)
from gateway.accounts.store import AccountStore, Rotation
from gateway.accounts.tokens import (
    TOKEN_PREFIX,
    AccessTokens,
    RefreshTokens,
    digest,
    has_checksum,
)
from gateway.ids import new_id
from gateway.records import now
from gateway.settings import AccountSettings

_SEEN = timedelta(minutes=1)
"""How exactly the last use of an API token is known: each note is a write to disk."""

_GRACE = timedelta(seconds=10)
"""How long parallel requests of one browser may still show the refresh token before."""

_AGENT_LENGTH = 200


@dataclass(frozen=True, kw_only=True)
class Sessions:
    """Starts sessions and verifies what requests show."""

    store: AccountStore
    audit: Audit
    settings: AccountSettings
    access: AccessTokens
    refresh: RefreshTokens

    @property
    def idle(self) -> timedelta:
        """How long a session may be silent."""
        return timedelta(days=self.settings.session_days)

    def start(self, user: User, visit: Visit, device: str) -> SignedIn:
        """Begin a session of a user whose password was right."""
        session = Session(
            id=new_id(),
            user=user.name,
            epoch=user.session_epoch,
            created=now(),
            address=visit.address,
            agent=visit.agent[:_AGENT_LENGTH],
        )
        self.store.add_session(session, self.idle, self.settings.sessions)
        return SignedIn(
            identity=_session_identity(user, session),
            tokens=self._tokens(user, session.id, 0),
            device=device,
        )

    def _tokens(self, user: User, session: str, generation: int) -> SessionTokens:
        return SessionTokens(
            access=self.access.make(user.name, session, _scopes_of(user)),
            refresh=self.refresh.make(session, generation),
            access_life=self.access.life,
            refresh_life=self.idle,
        )

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

    def stands(self, identity: Identity) -> bool:
        """Say whether who was verified would still be: for answers that take long to send."""
        if identity.session_id is not None:
            try:
                self._live_session(identity.session_id, identity.user)
            except InvalidTokenError:
                return False
            return True
        user = self.store.user(identity.user)
        if user is None or not user.active:
            return False
        return any(
            token.id == identity.token_id
            and token.epoch == user.token_epoch
            and (token.expires is None or token.expires > now())
            for token in self.store.tokens(identity.user)
        )

    def _verify_bearer(self, text: str) -> Identity:
        if text.startswith(f"{TOKEN_PREFIX}_"):
            return self._verify_token(text)
        return self._verify_access(text)

    def _verify_access(self, text: str) -> Identity:
        claims = self.access.read(text)
        user, session = self._live_session(claims.session, claims.user)
        identity = _session_identity(user, session)
        return Identity(
            user=identity.user,
            admin=identity.admin,
            scopes=identity.scopes & claims.scopes,
            session_id=session.id,
        )

    def _live_session(self, id: str, name: str) -> tuple[User, Session]:
        session, user = self.store.session(id, name)
        if session is None or user is None or session.user != name or not user.active:
            raise InvalidTokenError
        if session.epoch != user.session_epoch or now() - session.created > timedelta(
            days=self.settings.session_max_days
        ):
            raise InvalidTokenError
        return user, session

    def _verify_token(self, text: str) -> Identity:
        if not has_checksum(text, TOKEN_PREFIX):
            raise InvalidTokenError
        hashed = digest(text)
        token, user = self.store.token(hashed)
        if token is None or user is None or not user.active or token.epoch != user.token_epoch:
            raise InvalidTokenError
        moment = now()
        if token.expires is not None and token.expires <= moment:
            raise InvalidTokenError
        if token.last_used is None or moment - token.last_used >= _SEEN:
            self.store.use_token(hashed, moment)
        scopes = expand(token.scopes)
        return Identity(
            user=user.name,
            admin=user.admin,
            scopes=scopes if user.admin else scopes - {Scope.ADMIN},
            token_id=token.id,
        )

    def _renew(self, refresh: str) -> Verified:
        session_id, generation = self.refresh.read(refresh)
        name = self.store.session_user(session_id)
        if name is None:
            raise InvalidTokenError
        user, session = self._live_session(session_id, name)
        outcome = self.store.rotate(session_id, generation, _GRACE, self.idle)
        if outcome is Rotation.REUSED:
            self.audit.record(name, "session.reused", session_id)
        if outcome in {Rotation.REUSED, Rotation.GONE}:
            raise InvalidTokenError
        tokens = self._tokens(user, session_id, generation + 1)
        return Verified(identity=_session_identity(user, session), renewed=tokens)


def _scopes_of(user: User) -> frozenset[Scope]:
    return expand([Scope.ADMIN if user.admin else Scope.SUBMIT])


def _session_identity(user: User, session: Session) -> Identity:
    return Identity(
        user=user.name,
        admin=user.admin,
        scopes=_scopes_of(user),
        session_id=session.id,
    )
