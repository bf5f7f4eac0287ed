"""What the gateway remembers of notifications, in Redis. No other module knows these keys.

=======================================  ======  ===============================================
key                                      type    holds
=======================================  ======  ===============================================
``notifications:watched``                set     ``{job}:{attempt}`` of what may end at any time
``notifications:told:{job}:{attempt}``   string  id of its notification, for a month; with
                                                 ``:{reason}`` that of why it does not start;
                                                 ``share:{job}:{field}:{user}`` of a share
``notifications:of:{user}``              zset    ids of a user's notifications, by their text
``notifications:texts:{user}``           hash    id -> the notification (JSON)
``notifications:unread:{user}``          set     ids that were not read yet
=======================================  ======  ===============================================
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import redis

from gateway.notifications.models import Delivery, Notification, Shown
from gateway.notifications.outbox_store import PUT, put_arguments
from gateway.records import from_document, to_document

KEPT = 200
"""Notifications of one user that are kept."""

_TOLD_S = 30 * 24 * 3_600

# What is told is struck out in the same step, and what is to be sent of it lies in the outbox: a
# kill before it changes nothing, and after it nobody tells again, not even a second reconciler
# that had not heard of it.
_TELL = (
    PUT
    + """
redis.call('SREM', KEYS[1], ARGV[1])
for n = 5, #KEYS do
    if redis.call('EXISTS', KEYS[n]) == 1 then return 0 end
end
for n = 5, #KEYS do redis.call('SET', KEYS[n], ARGV[2], 'EX', ARGV[5]) end
redis.call('ZADD', KEYS[2], 0, ARGV[2])
redis.call('HSET', KEYS[3], ARGV[2], ARGV[3])
redis.call('SADD', KEYS[4], ARGV[2])
for _, old in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1 - ARGV[4])) do
    redis.call('ZREM', KEYS[2], old)
    redis.call('HDEL', KEYS[3], old)
    redis.call('SREM', KEYS[4], old)
end
for n = 6, #ARGV, 4 do
    put(ARGV[n], ARGV[n + 1], ARGV[n + 2], ARGV[n + 3])
end
return 1
"""
)


class NotificationStore:
    """Reads and writes notifications; each verb is one atomic step."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis: Any = client
        self._tell = client.register_script(_TELL)

    # ---- what may end

    def watched(self) -> set[str]:
        """Read what was alive when somebody last looked."""
        return {str(member) for member in self._redis.smembers("notifications:watched")}

    def watch(self, members: Iterable[str]) -> None:
        """Remember what is alive."""
        self._redis.sadd("notifications:watched", *members)

    def forget(self, member: str) -> None:
        """Remember no longer that something was alive, and tell nothing of it."""
        self._redis.srem("notifications:watched", member)

    def untold(self, members: Sequence[str]) -> list[str]:
        """List those of which nothing was told."""
        with self._redis.pipeline(transaction=False) as pipe:
            for member in members:
                pipe.exists(_told(member))
            return [one for one, told in zip(members, pipe.execute(), strict=True) if not told]

    def tell(
        self,
        member: str,
        notification: Notification,
        messages: Sequence[Delivery] = (),
        also: Sequence[str] = (),
    ) -> bool:
        """Keep a notification of what was watched, and have messages of it sent.

        False when it was told before, or anything else that this tells of: then nothing is kept,
        and nothing sent.

        Parameters
        ----------
        also
            What else is told with it.
        """
        user = notification.user
        keys = [
            "notifications:watched",
            *(f"notifications:{part}:{user}" for part in ("of", "texts", "unread")),
            *map(_told, (member, *also)),
        ]
        text = json.dumps(to_document(notification), separators=(",", ":"))
        args: list[str | float] = [member, notification.id, text, KEPT, _TOLD_S]
        sent = (part for message in messages for part in put_arguments(message))
        return bool(self._tell(keys=keys, args=[*args, *sent]))

    def withdraw(self, member: str, user: str) -> None:
        """Take back what a user was told of something, if it was."""
        if (known := self._redis.get(_told(member))) is None:
            return
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.zrem(f"notifications:of:{user}", known)
            pipe.hdel(f"notifications:texts:{user}", known)
            pipe.srem(f"notifications:unread:{user}", known)
            pipe.delete(_told(member))
            pipe.execute()

    # ---- what its reader does

    def newest(self, user: str, before: str | None, limit: int) -> list[Shown]:
        """Read a user's notifications from the newest, from just below an id."""
        high = f"({before}" if before else "+"
        ids = self._redis.zrevrangebylex(f"notifications:of:{user}", high, "-", start=0, num=limit)
        if not ids:
            return []
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.hmget(f"notifications:texts:{user}", ids)
            pipe.smismember(f"notifications:unread:{user}", ids)
            texts, unread = pipe.execute()
        return [
            Shown(notification=from_document(Notification, json.loads(text)), read=not new)
            for text, new in zip(texts, unread, strict=True)
            if text is not None
        ]

    def has(self, user: str, id: str) -> bool:
        """Whether a user has such a notification."""
        return bool(self._redis.hexists(f"notifications:texts:{user}", id))

    def unread(self, user: str) -> int:
        """Count what a user has not read."""
        return int(self._redis.scard(f"notifications:unread:{user}"))

    def mark_read(self, user: str, ids: Sequence[str]) -> None:
        """Note that a user has read some; what is none of theirs changes nothing."""
        if ids:
            self._redis.srem(f"notifications:unread:{user}", *ids)

    def mark_all_read(self, user: str) -> None:
        """Note that a user has read all there are."""
        self._redis.delete(f"notifications:unread:{user}")


def _told(member: str) -> str:
    return f"notifications:told:{member}"
