"""How many jobs there are and how they fare, for who watches the gateway: one round trip.

It reads keys of `gateway.jobs.store`, `gateway.jobs.spent` and `gateway.jobs.live_store`, and has
one of its own:

=================  ======  ==================================================================
key                type    holds
=================  ======  ==================================================================
``jobs:commands``  hash    cluster -> commands that its scheduler was given in the last minute,
                           as the worker tells with its pulse; expires
=================  ======  ==================================================================
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import redis

from gateway.jobs.models import Stage, Tracking
from gateway.jobs.parsed import FAULTS
from gateway.jobs.spent import ENDED
from gateway.records import Document, now

_ON_THE_WAY = frozenset({Stage.NONE.value, Stage.STAGED.value, Stage.UNCERTAIN.value})

# KEYS: jobs:active, jobs, jobs:deleted, jobs:pulse, jobs:commands, jobs:ended
# Answers the records of live jobs, how many jobs are kept and were deleted, pulse, commands, and
# how attempts have ended.
_LOOK = """
local records = {}
for _, id in ipairs(redis.call('SMEMBERS', KEYS[1])) do
  local record = redis.call('HGET', 'job:' .. id, 'record')
  if record then records[#records + 1] = record end
end
return {records, redis.call('ZCARD', KEYS[2]), redis.call('SCARD', KEYS[3]),
  redis.call('GET', KEYS[4]), redis.call('HGETALL', KEYS[5]), redis.call('HGETALL', KEYS[6])}
"""


@dataclass(frozen=True, kw_only=True)
class Census:
    """What one look has found."""

    states: Mapping[tuple[str, str], int]
    """Live jobs by cluster and state."""

    waiting: Mapping[str, int]
    """Live jobs by cluster that were not yet handed to their scheduler for certain."""

    uncertain: Mapping[str, int]
    """Those of them of which nobody knows whether they arrived."""

    uncertain_s: float
    """How long ago the longest of these was asked for; 0 when there is none."""

    stale: Mapping[str, int]
    """Live jobs by cluster whose state is an old one: their cluster does not answer."""

    unreadable: int
    """Live jobs whose records are damaged, so that nothing is done with them."""

    kept: int
    accepted: int
    """Ever; it never falls, for deleted jobs are counted on."""

    pulse_s: float | None
    """How long ago the reconciler last finished a round; None when it has been silent too long."""

    commands: Mapping[str, int]
    """By cluster, those that the worker gave its scheduler in the last minute."""

    ended: Mapping[tuple[str, str], int]
    """Attempts that have ended, ever, by cluster and state; what is deleted stays counted."""


class CensusStore:
    """Takes the census."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis: Any = client
        self._look = client.register_script(_LOOK)

    def look(self) -> Census:
        """Count."""
        keys = ["jobs:active", "jobs", "jobs:deleted", "jobs:pulse", "jobs:commands", ENDED]
        records, kept, deleted, pulse, commands, ended = self._look(keys=keys)
        attempts = [found for text in records if (found := _last_attempt(text))]
        uncertain = [one for one in attempts if one[1]["stage"] == Stage.UNCERTAIN.value]
        return Census(
            states=Counter((cluster, str(attempt["state"])) for cluster, attempt in attempts),
            waiting=_count([one for one in attempts if one[1]["stage"] in _ON_THE_WAY]),
            uncertain=_count(uncertain),
            uncertain_s=max((_age_s(attempt["asked"]) for _, attempt in uncertain), default=0.0),
            stale=_count([one for one in attempts if one[1]["tracking"] != Tracking.FRESH.value]),
            unreadable=len(records) - len(attempts),
            kept=kept,
            accepted=kept + deleted,
            pulse_s=None if pulse is None else _age_s(pulse),
            commands=dict(zip(commands[::2], map(int, commands[1::2]), strict=True)),
            ended={
                (end.partition(" ")[2], end.partition(" ")[0]): round(float(count))
                for end, count in zip(ended[::2], ended[1::2], strict=True)
            },
        )

    def tell_commands(self, commands: Mapping[str, int], ttl_s: float) -> None:
        """Say how many commands the schedulers were given in the last minute, by cluster."""
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.delete("jobs:commands")
            if commands:
                pipe.hset("jobs:commands", mapping=dict(commands))
                pipe.pexpire("jobs:commands", int(ttl_s * 1000))
            pipe.execute()


def _last_attempt(text: str) -> tuple[str, Document] | None:
    """Read the cluster and the last attempt of a record; None where it is damaged."""
    try:
        job = json.loads(text)
        cluster, attempt = str(job["cluster"]), job["attempts"][-1]
        texts = ("state", "stage", "tracking", "asked")
        return (cluster, attempt) if all(type(attempt[name]) is str for name in texts) else None
    except FAULTS:
        return None


def _count(attempts: list[tuple[str, Document]]) -> Counter[str]:
    return Counter(cluster for cluster, _ in attempts)


def _age_s(moment: str) -> float:
    return max(0.0, (now() - datetime.fromisoformat(moment)).total_seconds())
