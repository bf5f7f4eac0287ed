"""Messages to the outside that wait to be taken, in Redis. No other module knows these keys.

===========================  ======  =======================================================
key                          type    holds
===========================  ======  =======================================================
``outbox:due``               zset    ``{user}/{id}`` of what is to be sent, by the time of it
``outbox:entry:{id}``        string  the delivery (JSON), two weeks
``outbox:of:{user}``         zset    ids of a user's last deliveries, by their text
===========================  ======  =======================================================

Whoever takes a message puts it off for a while in the same step: if it dies, others find it due.
"""

from __future__ import annotations

import json
import time
from typing import Any

import redis

from gateway.notifications.models import Delivery
from gateway.records import from_document, to_document

SHOWN = 100
"""Deliveries of one user that are listed."""

_KEPT_S = 14 * 24 * 3_600
_LEASE_S = 60
_SCAN = 5_000
_AT_ONCE = 8
_OF_ONE_USER = 2

# A part of other scripts, too: what is told and what is sent of it are written in one step.
PUT = f"""
local function put(user, id, text, moment)
    redis.call('SET', 'outbox:entry:' .. id, text, 'EX', {_KEPT_S})
    redis.call('ZADD', 'outbox:due', moment, user .. '/' .. id)
    redis.call('ZADD', 'outbox:of:' .. user, 0, id)
    redis.call('ZREMRANGEBYRANK', 'outbox:of:' .. user, 0, -{SHOWN + 1})
end
"""

_ADD = PUT + "put(ARGV[1], ARGV[2], ARGV[3], ARGV[4])"

# A few of each user: one whose receiver is slow must not keep those of others.
_TAKE = """
local taken, counts = {}, {}
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, ARGV[3])
for _, member in ipairs(due) do
    local user, id = string.match(member, '^(.*)/(.*)$')
    counts[user] = (counts[user] or 0) + 1
    if counts[user] <= tonumber(ARGV[5]) then
        local text = redis.call('GET', 'outbox:entry:' .. id)
        if text then
            redis.call('ZADD', KEYS[1], ARGV[2], member)
            table.insert(taken, text)
        else
            redis.call('ZREM', KEYS[1], member)
        end
    end
    if #taken >= tonumber(ARGV[4]) then break end
end
return taken
"""


class OutboxStore:
    """Reads and writes deliveries; each verb is one atomic step."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis: Any = client
        self._add = client.register_script(_ADD)
        self._take = client.register_script(_TAKE)

    def add(self, delivery: Delivery) -> None:
        """Have a message sent."""
        self._add(args=put_arguments(delivery))

    def take(self) -> list[Delivery]:
        """Take some messages that are due; what nobody notes anything of comes again."""
        moment = time.time()
        args = [moment, moment + _LEASE_S, _SCAN, _AT_ONCE, _OF_ONE_USER]
        return [_delivery(text) for text in self._take(keys=["outbox:due"], args=args)]

    def note(self, delivery: Delivery) -> None:
        """Write down what became of an attempt, and when the next one is, if there is one."""
        member = f"{delivery.user}/{delivery.id}"
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.set(f"outbox:entry:{delivery.id}", _text(delivery), ex=_KEPT_S)
            if delivery.next_try is None:
                pipe.zrem("outbox:due", member)
            else:
                pipe.zadd("outbox:due", {member: delivery.next_try.timestamp()})
            pipe.execute()

    def newest(self, user: str) -> list[Delivery]:
        """List a user's last deliveries, newest first."""
        ids = self._redis.zrevrangebylex(f"outbox:of:{user}", "+", "-")
        texts = self._redis.mget([f"outbox:entry:{key}" for key in ids]) if ids else []
        return [_delivery(text) for text in texts if text is not None]


def put_arguments(delivery: Delivery) -> list[str | float]:
    """Write a new delivery as the arguments of ``put``."""
    return [delivery.user, delivery.id, _text(delivery), delivery.made.timestamp()]


def _text(delivery: Delivery) -> str:
    return json.dumps(to_document(delivery), separators=(",", ":"))


def _delivery(text: str) -> Delivery:
    return from_document(Delivery, json.loads(text))
