"""What the gateway remembers of shares, in Redis. No other module knows these keys.

================================  ======  ========================================================
key                               type    holds
================================  ======  ========================================================
``shares:{kind}:{id}``            hash    ``user:{name}``, ``group:{name}`` or ``link:{share id}``
                                          -> the share (JSON)
``shares:{kind}:{id}:opened``     hash    ``{share id}:{user}`` -> when they used it last; no user:
                                          somebody who was not signed in
``shares:links``                  hash    id of the share of a link -> ``{kind}:{id}``
``shared:{kind}:user:{name}``     zset    ids of what is shared with a user, by their text
``shared:{kind}:group:{name}``    zset    the same for a group
``shared:{kind}:opened:{name}``   zset    the same for what a user has opened by a link
``shared:{kind}:left:{name}``     set     ``{id}:{share id}`` of what a user's groups may read,
                                          and the user wants in no list by that share
================================  ======  ========================================================

A share and its indexes change in one script, and `FORGET` makes them go in that of their thing.
Each share has a file beside it; when something was opened last is in the store alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import redis

from gateway.errors import ConflictError, NotFoundError
from gateway.keepsakes import Keepsakes, Stored
from gateway.records import Document, from_document, now, time_text, to_document
from gateway.sharing.models import Grant, How, Name, Share

# Who opened a link keeps what another link has opened for them. A share of a user or a group gives
# its own index back alone: the three do not know of each other.
FORGET = """
local function take_back_share(kind, id, field, text)
  local share, key = cjson.decode(text), 'shares:' .. kind .. ':' .. id
  redis.call('HDEL', key, field)
  if share.how == 'link' then
    redis.call('HDEL', 'shares:links', share.id)
  else
    redis.call('ZREM', 'shared:' .. kind .. ':' .. share.how .. ':' .. share.to, id)
  end
  local lost = {}
  for _, entry in ipairs(redis.call('HKEYS', key .. ':opened')) do
    local by, user = string.match(entry, '^([^:]*):(.*)$')
    if by == share.id then
      redis.call('HDEL', key .. ':opened', entry)
      if share.how == 'link' then lost[user] = true end
    end
  end
  if next(lost) == nil then return end
  for _, entry in ipairs(redis.call('HKEYS', key .. ':opened')) do
    local by, user = string.match(entry, '^([^:]*):(.*)$')
    if lost[user] and redis.call('HEXISTS', key, 'link:' .. by) == 1 then lost[user] = nil end
  end
  for user in pairs(lost) do redis.call('ZREM', 'shared:' .. kind .. ':opened:' .. user, id) end
end
local function forget_shares(kind, id)
  local found = redis.call('HGETALL', 'shares:' .. kind .. ':' .. id)
  for i = 1, #found, 2 do take_back_share(kind, id, found[i], found[i + 1]) end
end
"""

# KEYS: shares:kind:id, the thing's own record, the index it comes into ("" for a link)
# ARGV: field, share, id of the thing, id of the share, "kind:id", how many a thing may have
# Answers "" when added, the share that is there, "gone" without the thing, "full".
_ADD = """
if redis.call('EXISTS', KEYS[2]) == 0 then return 'gone' end
local earlier = redis.call('HGET', KEYS[1], ARGV[1])
if earlier then return earlier end
if redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[6]) then return 'full' end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
if KEYS[3] ~= '' then
  redis.call('ZADD', KEYS[3], 0, ARGV[3])
else
  redis.call('HSET', 'shares:links', ARGV[4], ARGV[5])
end
return ''
"""

# ARGV: kind, id, field, id of the share
_REMOVE = (
    FORGET
    + """
local text = redis.call('HGET', 'shares:' .. ARGV[1] .. ':' .. ARGV[2], ARGV[3])
if not text or cjson.decode(text).id ~= ARGV[4] then return 0 end
take_back_share(ARGV[1], ARGV[2], ARGV[3], text)
return 1
"""
)

# KEYS: shares:kind:id of each thing. ARGV: user
# Answers for each thing its shares, each with when this user used it last.
_LOOK = """
local answer = {}
for i, key in ipairs(KEYS) do
  local rows, found = {}, redis.call('HGETALL', key)
  for j = 2, #found, 2 do
    local entry = cjson.decode(found[j]).id .. ':' .. ARGV[1]
    rows[#rows + 1] = {found[j], redis.call('HGET', key .. ':opened', entry) or ''}
  end
  answer[i] = rows
end
return answer
"""

# KEYS: shares:kind:id, the index of what the user has opened ("" when it is none)
# ARGV: field, "{share id}:{user}", when, id of the thing
_OPENED = """
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then return 0 end
redis.call('HSET', KEYS[1] .. ':opened', ARGV[2], ARGV[3])
if KEYS[2] ~= '' then redis.call('ZADD', KEYS[2], 0, ARGV[4]) end
return 1
"""


class ShareStore:
    """Reads and writes shares, each with a file beside it; each verb is one atomic step."""

    def __init__(self, client: redis.Redis, files: Keepsakes) -> None:
        self._redis: Any = client
        self._files = files
        self._add = client.register_script(_ADD)
        self._remove = client.register_script(_REMOVE)
        self._look = client.register_script(_LOOK)
        self._opened = client.register_script(_OPENED)

    def add(self, share: Share, most: int) -> Share:
        """Remember a new one; answer it, or the one by which the same has access already.

        Raises
        ------
        NotFoundError
            When what is shared is gone.
        ConflictError
            When it has as many as may be.
        """
        document = to_document(share)
        with self._files.prepared(share.id, document, self._stored(share)) as file:
            answer = self._put(share, most)
            if answer == "gone":
                raise NotFoundError(f"there is no {share.kind} {share.thing}")
            if answer == "full":
                raise ConflictError(
                    f"this {share.kind} is shared {most} times, as often as may be: take one back"
                )
            if answer:
                return from_document(Share, json.loads(answer))
            file.keep()
        return share

    def restore(self, document: Document) -> bool:
        """Bring one back from its file; False when the store has it, or not what it shares."""
        return not self._put(from_document(Share, document), most=1 << 30)

    def _put(self, share: Share, most: int) -> str:
        index = "" if share.how is How.LINK else _index(share.kind, share.how, share.to)
        answer = self._add(
            keys=[_key(share.name), f"{share.kind}:{share.thing}", index],
            args=[
                *(share.field, json.dumps(to_document(share), separators=(",", ":"))),
                *(share.thing, share.id, f"{share.kind}:{share.thing}", most),
            ],
        )
        return str(answer)

    def all(self, name: Name) -> list[Share]:
        """List the shares of one thing, oldest first."""
        return sorted(map(_share, self._redis.hvals(_key(name))), key=lambda one: one.id)

    def opened(self, name: Name) -> Mapping[str, Mapping[str, datetime]]:
        """Say when each share of one thing was used last, by whom, newest first."""
        found: dict[str, dict[str, datetime]] = {}
        entries = self._redis.hgetall(f"{_key(name)}:opened").items()
        for entry, text in sorted(entries, key=lambda item: item[1], reverse=True):
            share_id, _, user = entry.partition(":")
            found.setdefault(share_id, {})[user] = datetime.fromisoformat(text)
        return found

    def of_link(self, share_id: str) -> Share | None:
        """Find the share of a link."""
        kind, _, thing = (self._redis.hget("shares:links", share_id) or "").partition(":")
        text = self._redis.hget(_key(Name(kind, thing)), f"{How.LINK}:{share_id}")
        return None if text is None else _share(text)

    def look(self, names: Sequence[Name], user: str) -> list[list[Grant]]:
        """Read the shares of things, and when a user used each last, in one round trip."""
        if not names:
            return []
        return [
            [Grant(share=_share(text), opened=_moment(opened)) for text, opened in rows]
            for rows in self._look(keys=[_key(name) for name in names], args=[user])
        ]

    def note(self, share: Share, user: str) -> bool:
        """Note that a user has used a share just now; False when it was taken back."""
        by_link = user and share.how is How.LINK
        index = _index(share.kind, "opened", user) if by_link else ""
        args = [share.field, f"{share.id}:{user}", time_text(now()), share.thing]
        return bool(self._opened(keys=[_key(share.name), index], args=args))

    def remove(self, share: Share) -> bool:
        """Take one back; False when it was."""
        with self._files.dropped(share.id, self._stored(share)):
            return bool(self._remove(args=[share.kind, share.thing, share.field, share.id]))

    def drop_files(self, shares: Sequence[Share]) -> None:
        """Remove the files of shares that went with their thing."""
        for share in shares:
            with self._files.dropped(share.id, lambda: None):
                pass

    def close(self, share: Share, user: str) -> None:
        """Note that a user, who has opened a link, reads nothing by it any more."""
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.hdel(f"{_key(share.name)}:opened", f"{share.id}:{user}")
            pipe.zrem(_index(share.kind, "opened", user), share.thing)
            pipe.execute()

    def put_away(self, share: Share, user: str) -> None:
        """Note that a user wants in no list what this share of a group lets them read."""
        self._redis.sadd(_index(share.kind, "left", user), f"{share.thing}:{share.id}")

    def left(self, kind: str, user: str) -> Mapping[str, str]:
        """List the shares by which a user wants nothing in a list, each with what it shares."""
        pairs = (one.partition(":") for one in self._redis.smembers(_index(kind, "left", user)))
        return {share: thing for thing, _, share in pairs if share}  # older ones name none

    def forget_left(self, kind: str, user: str, shares: Mapping[str, str]) -> None:
        """Forget what is noted of shares that are no more."""
        if shares:
            members = [f"{thing}:{share}" for share, thing in shares.items()]
            self._redis.srem(_index(kind, "left", user), *members)

    def newest(
        self, kind: str, user: str, groups: Sequence[str], before: str | None, count: int
    ) -> list[str]:
        """List ids of what may be shared with somebody, newest first, from just below an id."""
        high = f"({before}" if before else "+"
        with self._redis.pipeline(transaction=False) as pipe:
            for key in _indexes(kind, user, groups):
                pipe.zrevrangebylex(key, high, "-", start=0, num=count)
            found = {one for ids in pipe.execute() for one in ids}
        return sorted(found, reverse=True)[:count]

    def known(self, kind: str, user: str, groups: Sequence[str]) -> set[str]:
        """Name all that may be shared with somebody."""
        return set(self._redis.zunion(_indexes(kind, user, groups)))

    def _stored(self, share: Share) -> Stored:
        def look() -> Document | None:
            text = self._redis.hget(_key(share.name), share.field)
            document = None if text is None else json.loads(text)
            return document if document and document["id"] == share.id else None

        return look


def _key(name: Name) -> str:
    return f"shares:{name.kind}:{name.id}"


def _index(kind: str, how: str, name: str) -> str:
    return f"shared:{kind}:{how}:{name}"


def _indexes(kind: str, user: str, groups: Sequence[str]) -> list[str]:
    own = [_index(kind, How.USER, user), _index(kind, "opened", user)]
    return own + [_index(kind, How.GROUP, group) for group in groups]


def _share(text: str) -> Share:
    return from_document(Share, json.loads(text))


def _moment(text: str) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
