"""What the gateway remembers of accounts, in Redis.  No other module knows these keys.

=========================  ======  ==============================================================
key                        type    holds
=========================  ======  ==============================================================
``user:{name}``            hash    one user, a JSON value for each attribute
``users``                  zset    all names, score 0, so that they page by name
``uid:{sha256}``           string  the name of the user who has this UID
``session:{id}``           hash    one session, a JSON value for each attribute, and ``rotated_ms``;
                                   goes when it has been silent for too long
``sessions:{name}``        zset    a user's session ids, scored by time of sign-in
``token:{sha256}``         hash    one API token, a JSON value for each attribute
``tokens:{name}``          hash    a user's token ids, each with its hash
``grant:{sha256}``         string  what a program asks for by a code, as JSON; goes with its time
``usercode:{letters}``     string  the hash of the device code that these letters stand for
``attempts:{bucket}``      string  how often something was tried; goes with its window
``audit``, ``audit:{name}``  stream  the audit trail: of all, and of one user; only ever appended
=========================  ======  ==============================================================
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from enum import Enum
from functools import lru_cache
from typing import Any, TypeVar

import redis

from gateway.accounts.models import ApiToken, AuditRecord, Session, User
from gateway.records import from_document, now, to_document

_Record = TypeVar("_Record")

# A user appears whole or not at all, and never twice.
_ADD_USER = """
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
redis.call('HSET', KEYS[1], unpack(ARGV, 2))
redis.call('ZADD', KEYS[2], 0, ARGV[1])
return 1
"""

_ASKING = 256
"""So many tokens that ask again and again are read from their text once."""

# Changing a user who is not there must not make half of one.
_CHANGE_USER = """
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
local sessions, tokens = tonumber(ARGV[1]), tonumber(ARGV[2])
if sessions > 0 then redis.call('HINCRBY', KEYS[1], 'session_epoch', sessions) end
if tokens > 0 then redis.call('HINCRBY', KEYS[1], 'token_epoch', tokens) end
if #ARGV > 2 then redis.call('HSET', KEYS[1], unpack(ARGV, 3)) end
return 1
"""

# Two requests of one browser may show the same refresh token: within the grace both get the same
# successor. Shown later, the token was stolen or has been copied: the whole session ends.
_ROTATE = """
local current = tonumber(redis.call('HGET', KEYS[1], 'generation'))
if not current then return 'gone' end
local shown, now_ms = tonumber(ARGV[1]), tonumber(ARGV[2])
local grace_ms, idle_ms = tonumber(ARGV[3]), ARGV[4]
if shown == current then
  redis.call('HSET', KEYS[1], 'generation', current + 1, 'rotated_ms', now_ms)
  redis.call('PEXPIRE', KEYS[1], idle_ms)
  return 'rotated'
end
local rotated = tonumber(redis.call('HGET', KEYS[1], 'rotated_ms') or 0)
if shown == current - 1 and now_ms - rotated <= grace_ms then return 'repeated' end
redis.call('DEL', KEYS[1])
return 'reused'
"""

# The window begins with its first attempt and is not prolonged by further ones, so that nobody is
# locked out for longer than one window.
_COUNT = """
local count = redis.call('INCR', KEYS[1])
if count == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
return {count, redis.call('PTTL', KEYS[1])}
"""

# The user is named in the token, so that both are read in one round trip.
_READ_BOTH = """
local token = redis.call('HGETALL', KEYS[1])
local name = redis.call('HGET', KEYS[1], 'user')
if not name then return {token, {}} end
return {token, redis.call('HGETALL', 'user:' .. cjson.decode(name))}
"""

# Of two who decide or take at once, one does.
_SWAP = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'KEEPTTL')
return 1
"""

_UNCOUNT = """
if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('DECR', KEYS[1]) end
"""


class Rotation(Enum):
    """What became of a refresh token that was shown."""

    ROTATED = "rotated"
    REPEATED = "repeated"
    REUSED = "reused"
    GONE = "gone"


class AccountStore:
    """Reads and writes the records of the room; each verb is one atomic step."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client
        self._add_user = client.register_script(_ADD_USER)
        self._change_user = client.register_script(_CHANGE_USER)
        self._rotate = client.register_script(_ROTATE)
        self._count = client.register_script(_COUNT)
        self._token = client.register_script(_READ_BOTH)
        self._uncount = client.register_script(_UNCOUNT)
        self._swap = client.register_script(_SWAP)

    # -- users

    def add_user(self, user: User) -> bool:
        """Remember a new user; False when the name is taken."""
        done = self._add_user(
            keys=[f"user:{user.name}", "users"], args=[user.name, *_pairs(_fields(user))]
        )
        return bool(done)

    def user(self, name: str) -> User | None:
        """Read a user."""
        return _record(User, self._redis.hgetall(f"user:{name}"))

    def change_user(
        self, name: str, *, end_sessions: bool = False, end_tokens: bool = False, **values: Any
    ) -> bool:
        """Change attributes of a user; False when there is none of this name."""
        fields = {key: json.dumps(to_document(value)) for key, value in values.items()}
        args: list[str | int] = [int(end_sessions), int(end_tokens), *_pairs(fields)]
        return bool(self._change_user(keys=[f"user:{name}"], args=args))

    def users(self, after: str | None, limit: int) -> list[User]:
        """Read some users by name, those after a name."""
        start = f"({after}" if after else "-"
        names = _texts(self._redis.zrangebylex("users", start, "+", start=0, num=limit))
        with self._redis.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.hgetall(f"user:{name}")
            found = [_record(User, fields) for fields in pipe.execute()]
        return [user for user in found if user is not None]

    def count_users(self) -> int:
        """Count the users."""
        return int(self._redis.zcard("users"))

    def remember_uid(self, hashed: str, name: str) -> None:
        """Remember who has a UID."""
        self._redis.set(f"uid:{hashed}", name)

    def uid_owner(self, hashed: str) -> User | None:
        """Find the user who has a UID."""
        name = self._redis.get(f"uid:{hashed}")
        return None if name is None else self.user(str(name))

    # -- sessions

    def add_session(self, session: Session, idle: timedelta, most: int) -> None:
        """Remember a new session and forget the user's oldest beyond *most*."""
        key = f"sessions:{session.user}"
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.hset(f"session:{session.id}", mapping=_fields(session))
            pipe.expire(f"session:{session.id}", idle)
            pipe.zadd(key, {session.id: session.created.timestamp()})
            pipe.zrange(key, 0, -most - 1)
            pipe.zremrangebyrank(key, 0, -most - 1)
            *_, oldest, _removed = pipe.execute()
        if oldest:
            self._redis.delete(*(f"session:{old}" for old in oldest))

    def session(self, id: str, name: str) -> tuple[Session | None, User | None]:
        """Read a session and its user in one round trip."""
        with self._redis.pipeline(transaction=False) as pipe:
            pipe.hgetall(f"session:{id}")
            pipe.hgetall(f"user:{name}")
            session, user = pipe.execute()
        return _record(Session, session), _record(User, user)

    def session_user(self, id: str) -> str | None:
        """Read whose session this is."""
        text = self._redis.hget(f"session:{id}", "user")
        return None if text is None else str(json.loads(str(text)))

    def rotate(self, id: str, generation: int, grace: timedelta, idle: timedelta) -> Rotation:
        """Replace the refresh token of a session, or end the session if it was used before."""
        args = [generation, _ms(now()), _span(grace), _span(idle)]
        return Rotation(self._rotate(keys=[f"session:{id}"], args=args))

    def end_session(self, id: str, name: str) -> None:
        """Forget a session."""
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.delete(f"session:{id}")
            pipe.zrem(f"sessions:{name}", id)
            pipe.execute()

    # -- API tokens

    def add_token(self, token: ApiToken, hashed: str) -> None:
        """Remember a new API token by the hash of its secret."""
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.hset(f"token:{hashed}", mapping=_fields(token))
            if token.expires is not None:
                # Kept a month after its end, so that the list can say that it has expired.
                pipe.expireat(f"token:{hashed}", token.expires + timedelta(days=30))
            pipe.hset(f"tokens:{token.user}", token.id, hashed)
            pipe.execute()

    def token(self, hashed: str) -> tuple[ApiToken | None, User | None]:
        """Read the API token whose secret has this hash, and its user."""
        token, user = self._token(keys=[f"token:{hashed}"])
        return _known(ApiToken, tuple(token)), _known(User, tuple(user))

    def use_token(self, hashed: str, moment: datetime) -> None:
        """Note when an API token was used."""
        self._redis.hset(f"token:{hashed}", "last_used", json.dumps(to_document(moment)))

    def tokens(self, name: str) -> list[ApiToken]:
        """Read a user's API tokens, newest first; forget those long expired."""
        hashes: Mapping[str, str] = self._redis.hgetall(f"tokens:{name}")  # type: ignore[assignment]
        with self._redis.pipeline(transaction=False) as pipe:
            for hashed in hashes.values():
                pipe.hgetall(f"token:{hashed}")
            found = [_record(ApiToken, fields) for fields in pipe.execute()]
        gone = [key for key, token in zip(hashes, found, strict=True) if token is None]
        if gone:
            self._redis.hdel(f"tokens:{name}", *gone)
        kept = [token for token in found if token is not None]
        return sorted(kept, key=lambda token: token.id, reverse=True)

    def remove_token(self, name: str, id: str) -> bool:
        """Forget an API token; False when the user has none of this id."""
        found = self._redis.hget(f"tokens:{name}", id)
        if found is None:
            return False
        hashed = str(found)
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.delete(f"token:{hashed}")
            pipe.hdel(f"tokens:{name}", id)
            pipe.execute()
        return True

    def forget_all(self, name: str, *, tokens: bool) -> None:
        """Clear away sessions, and tokens, that an epoch has made void already."""
        sessions = _texts(self._redis.zrange(f"sessions:{name}", 0, -1))
        doomed = [f"sessions:{name}", *(f"session:{session}" for session in sessions)]
        if tokens:
            hashes = _texts(self._redis.hvals(f"tokens:{name}"))
            doomed += [f"tokens:{name}", *(f"token:{hashed}" for hashed in hashes)]
        self._redis.delete(*doomed)

    # -- what programs ask for by a code

    def add_grant(self, hashed: str, text: str, life: timedelta, user_code: str = "") -> bool:
        """Remember what a program asks for; False when its letters are taken."""
        key = f"usercode:{user_code}"
        if user_code and not self._redis.set(key, hashed, px=life, nx=True):
            return False
        self._redis.set(f"grant:{hashed}", text, px=life)
        return True

    def grant(self, hashed: str) -> str | None:
        """Read what a program asks for."""
        found = self._redis.get(f"grant:{hashed}")
        return None if found is None else str(found)

    def grant_of(self, user_code: str) -> str | None:
        """Find the hash of the device code that letters stand for."""
        found = self._redis.get(f"usercode:{user_code}")
        return None if found is None else str(found)

    def swap_grant(self, hashed: str, before: str, after: str) -> bool:
        """Change it if it is still as it was read; its time goes on."""
        return bool(self._swap(keys=[f"grant:{hashed}"], args=[before, after]))

    # -- attempts and audit

    def count(self, bucket: str, window: timedelta) -> tuple[int, timedelta]:
        """Count an attempt; answer how many there were and how long the window still lasts."""
        count, left_ms = self._count(keys=[f"attempts:{bucket}"], args=[_span(window)])
        return int(count), timedelta(milliseconds=max(0, int(left_ms)))

    def uncount(self, bucket: str) -> None:
        """Take back one attempt."""
        self._uncount(keys=[f"attempts:{bucket}"])

    def forget_attempts(self, bucket: str) -> None:
        """Take back all attempts."""
        self._redis.delete(f"attempts:{bucket}")

    def append_audit(self, record: AuditRecord) -> None:
        """Append to the trail of all and of the user."""
        fields = _fields(record)
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.xadd("audit", fields)
            pipe.xadd(f"audit:{record.user}", fields)
            pipe.execute()

    def audit(
        self, name: str | None, before: str | None, limit: int
    ) -> list[tuple[str, AuditRecord]]:
        """Read the trail, newest first: its ids and records, from before an id; None is of all."""
        key = "audit" if name is None else f"audit:{name}"
        entries: Any = self._redis.xrevrange(key, f"({before}" if before else "+", "-", limit)
        return [(entry, from_document(AuditRecord, _parse(fields))) for entry, fields in entries]


def _texts(reply: Any) -> list[str]:
    # The client decodes replies; its annotations do not know that.
    return [str(item) for item in reply]


def _fields(record: Any) -> dict[Any, Any]:
    return {key: json.dumps(value) for key, value in to_document(record).items()}


def _pairs(fields: Mapping[str, str]) -> Sequence[str]:
    return list(_flat(fields))


def _flat(fields: Mapping[str, str]) -> Iterator[str]:
    for key, value in fields.items():
        yield key
        yield value


def _record(kind: type[_Record], fields: Any) -> _Record | None:
    return from_document(kind, _parse(fields)) if fields else None


@lru_cache(maxsize=_ASKING)
def _known(kind: type[_Record], pairs: tuple[str, ...]) -> _Record | None:
    """Read what a script makes of a hash: names and values in turns."""
    return _record(kind, dict(zip(pairs[::2], pairs[1::2], strict=True)))


def _parse(fields: Mapping[str, str]) -> dict[str, Any]:
    return {key: json.loads(value) for key, value in fields.items()}


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def _span(duration: timedelta) -> int:
    return round(duration.total_seconds() * 1000)
