"""What the gateway remembers of how long fits took, in Redis. No other module knows these keys.

======================================  ====  ======================================================
key                                     type  holds
======================================  ====  ======================================================
``forecast:known:{owner}:{digest}``     hash  of a problem: cluster -> time of an evaluation (JSON),
                                              ``count:{method}`` -> evaluations of its last fit
``forecast:besides:{cluster}``          zset  what its jobs took besides their fits, by their end
``forecast:made``                       zset  forecast and truth of the last jobs, by their end
======================================  ====  ======================================================

All of it can be lost: the records of jobs hold it, and jobs to come tell it again. To learn from a
job twice is as good as once.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

import redis

from gateway.jobs.forecast import Known, Measured, evaluation_s, off_by
from gateway.jobs.models import Attempt, Job
from scheduler.base import JobState

KEPT = 20
"""Jobs that an accuracy is about."""

_KNOWN_S = 180 * 24 * 3600
_COUNT = "count:"


class ForecastStore:
    """Learns from jobs that have ended."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis: Any = client

    def learn(self, job: Job) -> None:
        """Take from the last attempt of a job what it tells of those to come."""
        attempt = job.attempt
        if attempt.measured is None or attempt.ended is None:
            return
        with self._redis.pipeline(transaction=True) as pipe:
            if job.problem.digest:
                _keep_known(pipe, job, attempt.measured)
            if (took_s := _took_s(job)) is not None:
                _keep_times(pipe, job, attempt, took_s)
            pipe.execute()

    def known(self, owner: str, digest: str, cluster: str) -> Known | None:
        """Say what is known of a problem of somebody: best from this cluster."""
        return _known(self._redis.hgetall(_key(owner, digest)), cluster) if digest else None

    def known_and_besides(
        self, owner: str, digest: str, cluster: str
    ) -> tuple[Known | None, float | None]:
        """Answer `known` and `besides_s` at once."""
        with self._redis.pipeline(transaction=False) as pipe:
            pipe.hgetall(_key(owner, digest))
            pipe.zrange(f"forecast:besides:{cluster}", 0, -1)
            found, rows = pipe.execute()
        return _known(found, cluster) if digest else None, _besides_s(rows)

    def besides_s(self, cluster: str) -> float | None:
        """Say what jobs of a cluster take besides their fits; None where none has ended."""
        return _besides_s(self._redis.zrange(f"forecast:besides:{cluster}", 0, -1))

    def accuracy(self) -> tuple[int, float] | None:
        """Say of how many jobs it is known, and how far off forecasts were in the median."""
        rows = [row.split(":") for row in self._redis.zrange("forecast:made", 0, -1)]
        factor = off_by([(float(row[-2]), float(row[-1])) for row in rows])
        return None if factor is None else (len(rows), factor)


def _key(owner: str, digest: str) -> str:
    return f"forecast:known:{owner}:{digest}"


def _known(found: Mapping[str, str], cluster: str) -> Known | None:
    counts = {name: text for name, text in found.items() if name.startswith(_COUNT)}
    places = {name: json.loads(text) for name, text in found.items() if name not in counts}
    if not places:
        return None
    newest = max(places, key=lambda name: float(places[name]["t"]))
    here = cluster if cluster in places else newest
    row = places[here]
    return Known(
        evaluation_s=row["evaluation_s"],
        parameters=row["parameters"],
        job=row["job"],
        checked=row["checked"],
        here=here == cluster,
        counts={name.removeprefix(_COUNT): int(text) for name, text in counts.items()},
    )


def _besides_s(rows: Sequence[str]) -> float | None:
    return median(float(row.split(":")[-1]) for row in rows) if rows else None


def _keep_known(pipe: Any, job: Job, measured: Measured) -> None:
    key, method = _key(job.owner, job.problem.digest), job.attempt.method
    ended = job.attempt.ended
    row = {
        "evaluation_s": evaluation_s(measured, method),
        "parameters": measured.parameters,
        "job": job.id,
        "checked": job.mode == "check",
        "t": ended.timestamp() if ended else 0.0,
    }
    pipe.hset(key, job.cluster, json.dumps(row))
    if measured.evaluations is not None and measured.whole and job.attempt.resumed_from is None:
        pipe.hset(key, _COUNT + method, measured.evaluations)
    pipe.expire(key, _KNOWN_S)


def _keep_times(pipe: Any, job: Job, attempt: Attempt, took_s: float) -> None:
    ended = attempt.ended.timestamp() if attempt.ended else 0.0
    name, measured = f"{job.id}:{attempt.number}", attempt.measured
    if measured is not None:
        besides_s = max(0.05, took_s - (measured.fit_s or 0.0))
        _last(pipe, f"forecast:besides:{job.cluster}", f"{name}:{besides_s:.3f}", ended)
    if attempt.forecast is not None and measured is not None and measured.whole:
        made = f"{name}:{attempt.forecast.seconds:.3f}:{took_s:.3f}"
        _last(pipe, "forecast:made", made, ended)


def _last(pipe: Any, key: str, member: str, score: float) -> None:
    pipe.zadd(key, {member: score})
    pipe.zremrangebyrank(key, 0, -1 - KEPT)


def _took_s(job: Job) -> float | None:
    """Say how long a job ran; None where several tasks, a stop or a restart make that another."""
    attempt = job.attempt
    if attempt.tasks > 1 or attempt.restarts or attempt.state is not JobState.COMPLETED:
        return None
    if job.elements or attempt.started is None or attempt.ended is None:
        return None
    took_s = (attempt.ended - attempt.started).total_seconds()
    return took_s if took_s > 0 else None
