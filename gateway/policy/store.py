"""What is counted for limits on submissions, in Redis. No other module knows these keys.

====================  ====  ======================================================================
key                   type  holds
====================  ====  ======================================================================
``submitted:{hour}``  hash  how many submissions each user has made in an hour of the clock (UTC);
                            goes with the hour after it
====================  ====  ======================================================================

What jobs have used is counted when they end: `gateway.jobs.spent`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import redis

from gateway.policy.models import Holder

_KEPT_S = 7_200

# KEYS: submitted:hour
# ARGV: user, seconds that the key is kept, limits as JSON: [[most, [member, ...]], ...]
# Answers 0 when the submission was counted, else which limit is reached, counted from 1.
_TAKE = """
for number, limit in ipairs(cjson.decode(ARGV[3])) do
  local made = 0
  for _, count in ipairs(redis.call('HMGET', KEYS[1], unpack(limit[2]))) do
    if count then made = made + tonumber(count) end
  end
  if made >= limit[1] then return number end
end
redis.call('HINCRBY', KEYS[1], ARGV[1], 1)
redis.call('EXPIRE', KEYS[1], ARGV[2])
return 0
"""

_MOST_MEMBERS = 5_000
"""What Lua unpacks at once."""


class SubmissionStore:
    """Counts submissions."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis: Any = client
        self._take = client.register_script(_TAKE)

    def take(self, user: str, holders: Sequence[Holder], moment: datetime) -> Holder | None:
        """Count a submission, unless a limit is reached: then answer whose."""
        limits = [
            [one.allowance.submissions_per_hour, one.members[:_MOST_MEMBERS]] for one in holders
        ]
        reached = self._take(keys=[_key(moment)], args=[user, _KEPT_S, json.dumps(limits)])
        return holders[int(reached) - 1] if reached else None

    def give_back(self, user: str, moment: datetime) -> None:
        """Take back a submission of which nothing came."""
        self._redis.hincrby(_key(moment), user, -1)

    def made(self, holder: Holder, moment: datetime) -> int:
        """Count what the members of a holder have submitted in this hour."""
        counts = self._redis.hmget(_key(moment), list(holder.members))
        return sum(int(count) for count in counts if count)


def _key(moment: datetime) -> str:
    return f"submitted:{moment.astimezone(UTC):%Y-%m-%dT%H}"
