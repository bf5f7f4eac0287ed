"""What the gateway remembers of earliest starts, in Redis. No other module knows these keys.

==========================  ======  ===============================================================
key                         type    holds
==========================  ======  ===============================================================
``earliest:{digest}``       string  what a cluster said of such a request, as JSON; for a while
``earliest:line``           zset    who waits for an answer, by since when
``earliest:wanted``         hash    owner -> the last request that they looked at, as JSON
==========================  ======  ===============================================================

All of it can be lost: who looks at a request again has it asked again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Container, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import redis

from gateway.records import from_document, to_document

KEPT = timedelta(minutes=15)
"""After that an answer says nothing: the queue is another one."""

_LONGEST_LINE = 200
_WAITING = timedelta(minutes=2)
"""Who has not looked since has most likely gone."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """A request as far as it decides when it could start."""

    cluster: str
    owner: str
    login: str
    """Whose account is to ask; empty for the one that all share."""

    directives: Mapping[str, str | int]
    tasks: int = 1
    throttle: int | None = None

    @property
    def digest(self) -> str:
        """Name what is asked: what one account may do is the same for all who share it."""
        said = to_document(self) | {"owner": self.owner if self.login else ""}
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:32]


@dataclass(frozen=True, kw_only=True)
class Said:
    """What a cluster said of a request that was not submitted."""

    asked: datetime
    accepted: bool = False
    start: datetime | None = None
    text: str = ""
    """Why it would refuse it."""

    error: str = ""
    """Why it could not be asked."""


class EarliestStore:
    """Keeps questions for the worker, one of each user, and the answers."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis: Any = client

    def find(self, question: Question) -> Said | None:
        """Read what was said of a request; None when nobody has asked lately."""
        text = self._redis.get(f"earliest:{question.digest}")
        return None if text is None else from_document(Said, json.loads(text))

    def want(self, question: Question, moment: datetime) -> tuple[datetime | None, bool]:
        """Have a request asked about, in place of its owner's last one.

        Returns
        -------
        tuple
            Since when the owner waits, None when too many others do; and whether that is new.
        """
        oldest = (moment - _WAITING).timestamp()
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.zremrangebyscore("earliest:line", "-inf", oldest)
            pipe.zadd("earliest:line", {question.owner: moment.timestamp()}, nx=True)
            pipe.zrank("earliest:line", question.owner)
            pipe.zscore("earliest:line", question.owner)
            _, new, rank, since = pipe.execute()
        if rank is None or rank >= _LONGEST_LINE:
            self._redis.zrem("earliest:line", question.owner)
            return None, False
        self._redis.hset("earliest:wanted", question.owner, json.dumps(to_document(question)))
        return datetime.fromtimestamp(since, tz=moment.tzinfo), bool(new)

    def waiting(self) -> bool:
        """Whether anybody waits for an answer: cheap, for each round."""
        return bool(self._redis.exists("earliest:line"))

    def take(self, clusters: Container[str]) -> Question | None:
        """Take the question of who has waited longest for one of some clusters."""
        owners = self._redis.zrange("earliest:line", 0, _LONGEST_LINE)
        texts = self._redis.hmget("earliest:wanted", owners) if owners else []
        for owner, text in zip(owners, texts, strict=True):
            question = from_document(Question, json.loads(text)) if text else None
            if question is None or question.cluster in clusters:
                self._forget(owner)
            if question is not None and question.cluster in clusters:
                return question
        return None

    def _forget(self, owner: str) -> None:
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.zrem("earliest:line", owner)
            pipe.hdel("earliest:wanted", owner)
            pipe.execute()

    def answer(self, question: Question, said: Said) -> None:
        """Keep an answer."""
        text = json.dumps(to_document(said))
        self._redis.set(f"earliest:{question.digest}", text, ex=int(KEPT.total_seconds()))
