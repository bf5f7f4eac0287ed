"""What the store holds of jobs only while they live: nothing that could not be lost.

No other module knows these keys.

=====================  ======  ====================================================================
key                    type    holds
=====================  ======  ====================================================================
``job:{id}:lease``     string  the token of the reconciler that works on it; expires
``job:{id}:progress``  string  the last step of a fit, as JSON
``job:{id}:curves``    hash    for each model the last curve that a running fit showed, as JSON;
                               goes with its end
``job:{id}:elements``  hash    how far each element of an array has got, as JSON; goes with its end
``job:{id}:events``    stream  live events for SSE; its ids are the Last-Event-ID. An hour after the
                               last event it expires, and soon after the job's end
``job:{id}:large``     list    the ids of the events in the stream that are large, oldest first
``job:{id}:followed``  hash    how many bytes of each followed file were read; goes with its end
``jobs:wake``          list    ids that somebody wants looked at now
``jobs:pulse``         string  when the reconciler last finished a round; expires
=====================  ======  ====================================================================
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import redis

from gateway.jobs.models import ElementProgress, Progress
from gateway.records import Document, from_document, now, to_document

_PARTS = ("lease", "progress", "curves", "elements", "events", "large", "followed")
_STREAM_LENGTH = 1_000
_LARGE_BYTES = 8_192
_LARGE_KEPT = 64
"""Curves are large, and their last ones have a key of their own: a few will do for who follows."""

READ_AT_ONCE = 50
"""Events, by one reader."""

_EVENTS_TTL_S = 3_600
_FOLLOWED_TTL_S = 30 * 24 * 3_600
"""Longer than any job is silent; only what a killed worker left behind gets so old."""

_AGAIN = 256
_SCAN = 2_000
_BLOCK_S = 1.0

# KEYS: the leases of some jobs
# ARGV: token of the reconciler, how long it may keep them (ms)
# Answers for each 1 when it is the reconciler's: free until now, or taken by it before. A store
# that is killed under a round loses the release, not the lease.
_LEASE = """
local mine = {}
for i, key in ipairs(KEYS) do
  local holder = redis.call('GET', key)
  mine[i] = (not holder or holder == ARGV[1]) and 1 or 0
  if mine[i] == 1 then redis.call('SET', key, ARGV[1], 'PX', ARGV[2]) end
end
return mine
"""

# KEYS: the leases of some jobs
# ARGV: token of the reconciler
_RELEASE = """
for _, key in ipairs(KEYS) do
  if redis.call('GET', key) == ARGV[1] then redis.call('DEL', key) end
end
"""


def live_keys(id: str) -> list[str]:
    """Name all keys of one job, for the script that forgets it with its record."""
    return [f"job:{id}:{part}" for part in _PARTS]


class LiveStore:
    """Leases, nudges, and what running jobs show."""

    def __init__(self, client: redis.Redis, ended_events_s: float) -> None:
        self._redis: Any = client
        self._ended_events_ms = int(ended_events_s * 1000)
        self._lease = client.register_script(_LEASE)
        self._release = client.register_script(_RELEASE)

    # ---- the reconciler's lease and wake-up

    def lease(self, ids: Sequence[str], token: str, ttl_s: float) -> set[str]:
        """Take jobs for one reconciler, again if need be; answer those that no other one has."""
        keys = [f"job:{job_id}:lease" for job_id in ids]
        answers = self._lease(keys=keys, args=[token, int(ttl_s * 1000)])
        return {job_id for job_id, mine in zip(ids, answers, strict=True) if mine}

    def release(self, ids: Iterable[str], token: str) -> None:
        """Give jobs back, unless the lease ran out and another took one."""
        self._release(keys=[f"job:{job_id}:lease" for job_id in ids], args=[token])

    def drop_leases(self) -> None:
        """Give all jobs back, also those a rebuild has yet to restore: who held them is dead."""
        for lease in self._redis.scan_iter(match="job:*:lease", count=_SCAN):
            self._redis.delete(lease)

    def wake(self, id: str) -> None:
        """Ask for a look at a job now."""
        self._redis.rpush("jobs:wake", id)

    def wait_for_wake(self, timeout_s: float) -> bool:
        """Wait until somebody asks for a look, or a time has passed; say which."""
        deadline = time.monotonic() + timeout_s
        # In pieces that are shorter than the time after which a silent store is given up.
        while (left := deadline - time.monotonic()) > 0:
            if self._redis.blpop(["jobs:wake"], timeout=min(left, _BLOCK_S)) is not None:
                self._redis.delete("jobs:wake")
                return True
        return False

    def beat(self, ttl_s: float) -> None:
        """Say that the reconciler lives."""
        self._redis.set("jobs:pulse", now().isoformat(), px=int(ttl_s * 1000))

    def pulse(self) -> str | None:
        """Say when the reconciler last finished a round; None when it has been silent too long."""
        text = self._redis.get("jobs:pulse")
        return None if text is None else str(text)

    # ---- what a running fit shows

    def followed(self, id: str) -> dict[str, int]:
        """Say how many bytes of each followed file were read."""
        return {name: int(text) for name, text in self._redis.hgetall(f"job:{id}:followed").items()}

    def followed_many(self, ids: Sequence[str]) -> dict[str, dict[str, int]]:
        """Say the same of many jobs in one round trip."""
        with self._redis.pipeline(transaction=False) as pipe:
            for job_id in ids:
                pipe.hgetall(f"job:{job_id}:followed")
            return {
                job_id: {name: int(text) for name, text in found.items()}
                for job_id, found in zip(ids, pipe.execute(), strict=True)
            }

    def add_events(
        self,
        id: str,
        events: Sequence[Document],
        *,
        progress: Progress | None = None,
        curves: Mapping[int, Document] | None = None,
        elements: Mapping[int, ElementProgress] | None = None,
        followed: dict[str, int] | None = None,
    ) -> None:
        """Show what a running job reported, and remember how far it was read."""
        texts = _without_old_large_ones([(event, json.dumps(event)) for event in events])
        with self._redis.pipeline(transaction=True) as pipe:
            _add_to_stream(pipe, f"job:{id}:events", texts)
            if progress is not None:
                pipe.set(f"job:{id}:progress", json.dumps(to_document(progress)))
            if curves:
                drawn = {str(model): json.dumps(curve) for model, curve in curves.items()}
                pipe.hset(f"job:{id}:curves", mapping=drawn)
                pipe.expire(f"job:{id}:curves", _EVENTS_TTL_S)
            if elements:
                told = {str(index): json.dumps(to_document(one)) for index, one in elements.items()}
                pipe.hset(f"job:{id}:elements", mapping=told)
                pipe.expire(f"job:{id}:elements", _FOLLOWED_TTL_S)
            if followed:
                pipe.hset(f"job:{id}:followed", mapping=followed)
                pipe.expire(f"job:{id}:followed", _FOLLOWED_TTL_S)
            answers = pipe.execute()
        self._forget_large(
            id, [key for key, (_, text) in zip(answers, texts, strict=False) if _is_large(text)]
        )

    def _forget_large(self, id: str, added: Sequence[str]) -> None:
        """Take the oldest of the large events out of the stream when there are too many."""
        if not added:
            return
        key = f"job:{id}:large"
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.rpush(key, *added)
            pipe.lrange(key, 0, -_LARGE_KEPT - 1)
            pipe.ltrim(key, -_LARGE_KEPT, -1)
            pipe.expire(key, _EVENTS_TTL_S)
            _, old, *_ = pipe.execute()
        if old:
            self._redis.xdel(f"job:{id}:events", *old)

    def end(self, id: str, event: Document) -> None:
        """Show the last event of a job; what went before it stays a while, for late readers."""
        self.add_events(id, [event])
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.pexpire(f"job:{id}:events", self._ended_events_ms)
            pipe.delete(*(f"job:{id}:{part}" for part in ("followed", "curves", "elements")))
            pipe.pexpire(f"job:{id}:large", self._ended_events_ms)
            pipe.execute()

    def begin_again(
        self,
        id: str,
        elements: Mapping[int, ElementProgress] | None = None,
        progress: Progress | None = None,
    ) -> None:
        """Drop what an earlier attempt showed, but what of it stays as it is."""
        parts = ("progress", "curves", "elements", "events", "large")
        self._redis.delete(*(f"job:{id}:{part}" for part in parts))
        self.add_events(id, (), progress=progress, elements=elements)

    def progress(self, id: str) -> Progress | None:
        """Read the last step of a job; None when it reported none."""
        text = self._redis.get(f"job:{id}:progress")
        return None if text is None else _read_progress(text)

    def progress_many(self, ids: Sequence[str]) -> dict[str, Progress]:
        """Read the last steps of jobs in one round trip."""
        if not ids:
            return {}
        texts = self._redis.mget([f"job:{job_id}:progress" for job_id in ids])
        return {
            job_id: from_document(Progress, json.loads(text))
            for job_id, text in zip(ids, texts, strict=True)
            if text is not None
        }

    def elements(self, id: str, wanted: Sequence[int] = ()) -> dict[int, ElementProgress]:
        """Read how far elements of an array have got: some of them, or all that told anything."""
        key = f"job:{id}:elements"
        texts: dict[int, str | None]
        if wanted:
            found = self._redis.hmget(key, [str(index) for index in wanted])
            texts = dict(zip(wanted, found, strict=True))
        else:
            texts = {int(index): text for index, text in self._redis.hgetall(key).items()}
        return {
            index: from_document(ElementProgress, json.loads(text))
            for index, text in texts.items()
            if text is not None
        }

    def curves(self, id: str) -> list[Document]:
        """Read the last curve of each model that a running fit showed, in their order."""
        texts = self._redis.hgetall(f"job:{id}:curves")
        return [dict(json.loads(texts[model])) for model in sorted(texts, key=int)]

    def events(self, id: str, after: str, wait_ms: int) -> list[tuple[str, str, str]]:
        """Read some live events after an id as (id, event, data), waiting for the first one."""
        for block_ms in pieces(wait_ms, int(_BLOCK_S * 1000)):
            answer = self._redis.xread(
                {f"job:{id}:events": after}, count=READ_AT_ONCE, block=block_ms
            )
            if answer:
                break
        entries = answer[0][1] if isinstance(answer, list) and answer else []
        if isinstance(answer, dict):
            entries = next(iter(answer.values()), [[]])[0]
        return [(key, fields["event"], fields["data"]) for key, fields in entries]


@lru_cache(maxsize=_AGAIN)
def _read_progress(text: str) -> Progress:
    return from_document(Progress, json.loads(text))


def _add_to_stream(pipe: Any, key: str, texts: Sequence[tuple[Document, str]]) -> None:
    for event, text in texts:
        pipe.xadd(key, {"event": str(event["event"]), "data": text}, maxlen=_STREAM_LENGTH)
    if texts:
        pipe.expire(key, _EVENTS_TTL_S)


def _without_old_large_ones(texts: Sequence[tuple[Document, str]]) -> list[tuple[Document, str]]:
    """Leave out what would be taken out of the stream again at once."""
    sizes = [number for number, (_, text) in enumerate(texts) if _is_large(text)]
    old = set(sizes[:-_LARGE_KEPT])
    return [pair for number, pair in enumerate(texts) if number not in old]


def _is_large(text: str) -> bool:
    return len(text) > _LARGE_BYTES


def pieces(whole: int, longest: int) -> Iterator[int]:
    """Cut a wait into pieces, at least one.

    >>> list(pieces(2500, 1000)), list(pieces(1, 1000))
    ([1000, 1000, 500], [1])
    """
    while whole > longest:
        yield longest
        whole -= longest
    yield max(1, whole)
