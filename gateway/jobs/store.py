"""What the gateway remembers of jobs, in Redis. No other module knows these keys.

==================================  ======  ====================================================
key                                 type    holds
==================================  ======  ====================================================
``job:{id}``                        hash    ``record`` (JSON), ``version``, ``owner``, ``state``,
                                            ``charged`` (the last attempt whose use was counted)
``jobs``                            zset    all job ids, by their text (score 0)
``jobs:of:{owner}``                 zset    a user's job ids, by their text
``jobs:of:{owner}:{state}``         zset    the same, for each state of the current attempt
``jobs:active``                     set     ids of jobs that the reconciler must look after, also
                                            of ended ones whose sidecar does not say so yet
``jobs:deleted``                    set     ids that were deleted: never given again
``jobs:rubbish``                    list    what deleted jobs left on disk, as JSON, to be removed
``idempotency:jobs:{owner}:{key}``  hash    ``hash`` of the request, ``id`` of its job
``job:{id}:idempotency``            set     the keys above that belong to a job
==================================  ======  ====================================================

A record changes only by compare-and-set on its version, in one script with all its indexes. What
only a job that lives needs is in `gateway.jobs.live_store`, what stays of deleted ones in
`gateway.jobs.gone`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any

import redis

from gateway.errors import ConflictError, InvalidError, NoSpaceError, NotFoundError
from gateway.faults import crash_point
from gateway.jobs.admission import ANY, Admission, Full, Replayed, Room
from gateway.jobs.gone import LINE, GoneStore, line_of
from gateway.jobs.history import with_history
from gateway.jobs.live_store import live_keys
from gateway.jobs.models import Job
from gateway.jobs.parsed import Parsed, read_job
from gateway.jobs.rubbish import Rubbish, rubbish_of
from gateway.jobs.spent import charges
from gateway.jobs.store_scripts import ADD, CHANGE, DELETE, READ, SEEN, SETTLE
from gateway.records import Document, altered, from_document, now, time_text, to_document
from gateway.sidecars import Sidecars

_SCAN = 200
_ATTEMPTS = 5
_ROW = ("record", "observed")
_ALIVE = ("PENDING", "RUNNING", "SUSPENDED", "UNKNOWN")
_KEYS_TTL_S = 30 * 24 * 3_600


class StaleError(ConflictError):
    """Somebody else changed the job in between: read it again and decide again."""


class JobStore:
    """Jobs in Redis, and beside each a sidecar file."""

    def __init__(self, client: redis.Redis, sidecars: Sidecars) -> None:
        self._redis: Any = client
        self._sidecars = sidecars
        self._add = client.register_script(ADD)
        self._change = client.register_script(CHANGE)
        self._settle = client.register_script(SETTLE)
        self._delete = client.register_script(DELETE)
        self._seen = client.register_script(SEEN)
        read = client.register_script(READ)
        self._parsed = Parsed(lambda known: read(args=[known]))
        self._gone = GoneStore(client)

    # ---- records

    def add(
        self, job: Job, key: str = "", request_hash: str = "", room: Room = ANY
    ) -> Job | Replayed | Full:
        """Remember a new job, whole or not at all, at most once for a key, and if there is room.

        Raises
        ------
        InvalidError
            When the key was given before with another request.
        ConflictError
            When the id was given before.
        """
        job = with_history(_with_key(job, key, request_hash))
        entry, document = _entry(job.owner, key) if key else "", to_document(job)
        with self._sidecars.prepared(job.id, job.version, document) as sidecar:
            answer = self._put(job, _text(document), entry, request_hash, room)
            if answer in ("jobs", "alive"):
                return Full(alive=answer == "alive")
            if answer == "!":
                raise _other_request(key)
            if answer == "?":
                raise ConflictError(f"the job id {job.id} was given before: ask for a new preview")
            if answer:
                return Replayed(job=self._with_sidecar(self._made(answer, key)))
            crash_point("accept-after-store")
            sidecar.keep()  # nothing to tidy: an older version there is none
        return job

    def _put(self, job: Job, text: str, entry: str, request_hash: str, room: Room) -> str:
        """Make a record with its indexes; answer as the script does."""
        state = job.attempt.state.value
        answer = self._add(
            keys=[
                f"job:{job.id}",
                "jobs",
                f"jobs:of:{job.owner}",
                f"jobs:of:{job.owner}:{state}",
                "jobs:active",
                entry,
            ],
            args=[
                *(job.id, job.owner, text, state, request_hash, job.version),
                *(room.jobs, room.alive, *_ALIVE),
            ],
        )
        return str(answer)

    def _with_sidecar(self, job: Job) -> Job:
        """Make sure that an accepted job is in a file, before anybody is told of it."""
        self._sidecars.ensure(job.id, job.version, to_document(job))
        return job

    def restore(self, job: Job) -> bool:
        """Bring a job back from its sidecar, with its keys; False when the store knows its id."""
        if self._put(job, _text(to_document(job)), "", "", ANY):
            return False
        with self._redis.pipeline(transaction=True) as pipe:
            for key, request_hash in job.keys.items():
                entry = _entry(job.owner, key)
                pipe.hset(entry, mapping={"id": job.id, "hash": request_hash})
                pipe.sadd(f"job:{job.id}:idempotency", entry)
            pipe.execute()
        if job.final:
            self._let_go(job)  # its sidecar says so: there it comes from
        return True

    def get(self, id: str) -> Job:
        """Read a job; NotFoundError when there is none."""
        text, observed = self._redis.hmget(f"job:{id}", *_ROW)
        if text is None:
            raise NotFoundError(f"there is no job {id[:80]}")
        return read_job(id, text, observed)

    def get_many(self, ids: Sequence[str]) -> list[Job]:
        """Read jobs in one round trip; those that are gone or damaged are left out."""
        return self._parsed.jobs(ids)

    def seen(self, jobs: Sequence[Job]) -> None:
        """Note that jobs, as they were read, were seen just now: that alone is no new version."""
        for first in range(0, len(jobs), _SCAN):
            some = jobs[first : first + _SCAN]
            pairs = [text for job in some for text in (job.id, job.version)]
            self._seen(args=[time_text(now()), *pairs])

    def replace(self, job: Job, *, key: str = "", request_hash: str = "") -> Job:
        """Write a changed job if nobody changed it in between.

        Raises
        ------
        StaleError
            When somebody did.
        InvalidError
            When the key was given before with another request.
        """
        changed = with_history(_with_key(job, key, request_hash))
        changed = altered(changed, version=job.version + 1, updated=now())
        entry, document = _entry(job.owner, key) if key else "", to_document(changed)
        with self._sidecars.prepared(job.id, changed.version, document) as sidecar:
            answer = self._change(
                keys=[f"job:{job.id}", "jobs:active", entry],
                args=[
                    *(job.id, job.version, changed.version, _text(document), job.owner),
                    *(changed.attempt.state.value, request_hash),
                ],
            )
            if answer == "gone":
                raise NotFoundError(f"there is no job {job.id}")
            if answer == "other":
                raise _other_request(key)
            if answer == "replayed":
                return self.get(job.id)
            if answer == "stale":
                raise StaleError(f"job {job.id} has changed since it was read")
            crash_point("change-after-store")
            sidecar.keep()
        self._sidecars.tidy(job.id)
        if changed.final:
            self._let_go(changed)
        return changed

    def settle(self, job: Job) -> None:
        """Write the sidecar of a job that has ended, when that was cut short, and let go of it."""
        self._sidecars.write(job.id, job.version, to_document(job))
        self._let_go(job)

    def _let_go(self, job: Job) -> None:
        """Let the reconciler be done with a job that has ended, and count what it used."""
        args: list[str | int | float] = [job.id, job.version, job.attempt.number]
        for one in charges(job):
            args += [one.attempt, one.key, one.field, f"{one.amount:.3f}", one.kept_s]
        self._settle(keys=[f"job:{job.id}", "jobs:active"], args=args)

    def change(
        self, id: str, edit: Callable[[Job], Job], *, key: str = "", request_hash: str = ""
    ) -> Job:
        """Read, edit and write a job, again when somebody else was quicker."""
        for _ in range(_ATTEMPTS):
            job = self.get(id)
            if (edited := edit(job)) == job:
                return job
            try:
                return self.replace(edited, key=key, request_hash=request_hash)
            except StaleError:
                continue
        raise StaleError(f"job {id} is changing too fast; try again")

    def replayed(self, owner: str, key: str, request_hash: str) -> Job | None:
        """Find the job that an earlier request with this key was about; None when it is new."""
        job_id, earlier = self._redis.hmget(f"idempotency:jobs:{owner}:{key}", "id", "hash")
        return self._earlier(job_id, earlier, key, request_hash)

    def _earlier(
        self, job_id: str | None, earlier: str | None, key: str, request_hash: str
    ) -> Job | None:
        if job_id is None:
            return None
        if earlier != request_hash:
            raise _other_request(key)
        return self._with_sidecar(self._made(job_id, key))

    def _made(self, job_id: str, key: str) -> Job:
        """Read the job that a key has made; ConflictError when it was deleted."""
        try:
            return self.get(job_id)
        except NotFoundError as error:
            text = (
                f"{key[:64]!r} made job {job_id}, which was deleted: make a new key for a new job"
            )
            raise ConflictError(text) from error

    def admission(self, owner: str, key: str, request_hash: str) -> Admission:
        """Say in one round trip what decides whether a user may have another job."""
        with self._redis.pipeline(transaction=False) as pipe:
            pipe.hmget(f"idempotency:jobs:{owner}:{key}", "id", "hash")
            pipe.zcard(f"jobs:of:{owner}")
            for state in _ALIVE:
                pipe.zcard(f"jobs:of:{owner}:{state}")
            (job_id, earlier), jobs, *alive = pipe.execute()
        found = self._earlier(job_id, earlier, key, request_hash) if key else None
        return Admission(earlier=found, jobs=int(jobs), alive=sum(alive))

    def delete(self, job: Job) -> None:
        """Forget a job as it was read; its id is never given again, nor made again by its key.

        Raises
        ------
        StaleError
            When it has changed since: it may run again.
        """
        rubbish = rubbish_of(job)
        line = _text(line_of(job, rubbish.deleted))
        answer = self._delete(
            keys=[
                *(f"job:{job.id}", "jobs", "jobs:active", "jobs:deleted", "jobs:rubbish"),
                *live_keys(job.id),
            ],
            args=[
                *(job.id, job.version, job.owner, _text(to_document(rubbish)), _KEYS_TTL_S),
                *(line, int(rubbish.deleted.timestamp())),
            ],
        )
        if answer == "stale":
            raise StaleError(f"job {job.id} has changed since it was read: look at it again")
        crash_point("delete-after-store")
        with suppress(NoSpaceError):  # deleting must work on a full disk; the sweeper buries it
            self.bury(rubbish)

    def bury(self, rubbish: Rubbish) -> None:
        """Write into a file that a job was deleted; whatever is written of it later is void."""
        if rubbish.swept or not self._sidecars.is_buried(rubbish.id):
            line = self._gone.find(rubbish.id)
            known = {} if line is None else {LINE: line}
            self._sidecars.bury(rubbish.id, {**to_document(rubbish), **known})

    def let_lines_go(self, count: int) -> None:
        """Drop some of what stays of deleted jobs, when it was kept for long enough."""
        for job_id in self._gone.overdue(count):
            self._sidecars.cut_buried(job_id, LINE)
            self._gone.drop(job_id)

    def restore_deleted(self, rubbish: Rubbish, line: Document | None = None) -> None:
        """Bring back from its file that a job was deleted, and what of it is still to be swept."""
        if not self._redis.sadd("jobs:deleted", rubbish.id):
            return
        if line is not None:
            self._gone.restore(line)
        kept_s = int(_KEYS_TTL_S - (now() - rubbish.deleted).total_seconds())
        with self._redis.pipeline(transaction=True) as pipe:
            if not rubbish.swept:
                pipe.rpush("jobs:rubbish", _text(to_document(rubbish)))
            for key, request_hash in rubbish.keys.items() if kept_s > 0 else ():
                entry = _entry(rubbish.owner, key)
                pipe.hset(entry, mapping={"id": rubbish.id, "hash": request_hash})
                pipe.expire(entry, kept_s)
            pipe.execute()

    def rubbish(self, count: int) -> list[Rubbish]:
        """List some of what deleted jobs left on disk, oldest first."""
        texts = self._redis.lrange("jobs:rubbish", 0, count - 1)
        return [from_document(Rubbish, json.loads(text)) for text in texts]

    def swept(self, rubbish: Rubbish, left: Rubbish | None) -> None:
        """Strike out what was removed; what is *left* of it comes again at the end."""
        if left is None:
            self.bury(altered(rubbish, directories=(), datasets=(), swept=True))
            crash_point("sweep-after-file")
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.lrem("jobs:rubbish", 1, _text(to_document(rubbish)))
            if left is not None:
                pipe.rpush("jobs:rubbish", _text(to_document(left)))
            pipe.execute()

    # ---- lists

    def count(self, owner: str) -> int:
        """Count a user's jobs."""
        return int(self._redis.zcard(f"jobs:of:{owner}"))

    def count_by_state(self, owner: str, states: Sequence[str]) -> dict[str, int]:
        """Count a user's jobs in each of these states."""
        with self._redis.pipeline(transaction=False) as pipe:
            for state in states:
                pipe.zcard(f"jobs:of:{owner}:{state}")
            return dict(zip(states, pipe.execute(), strict=True))

    def newest(
        self, owner: str, state: str | None, before: str | None, expected: int = _SCAN
    ) -> Iterator[Job]:
        """Go through a user's jobs from the newest, from just below an id.

        Parameters
        ----------
        expected
            How many are likely to be wanted: so many are read at first, more later on.
        """
        index = f"jobs:of:{owner}:{state}" if state else f"jobs:of:{owner}"
        count = min(expected, _SCAN)
        while True:
            high = f"({before}" if before else "+"
            ids = self._redis.zrevrangebylex(index, high, "-", start=0, num=count)
            yield from self.get_many(ids)
            if len(ids) < count:
                return
            before, count = ids[-1], _SCAN

    def texts(self) -> Iterator[str]:
        """Go through the records of all jobs, in the store and in files, as they are written.

        One that is added meanwhile may be left out.
        """
        yield from self._sidecars.texts()
        low = "-"
        while ids := self._redis.zrangebylex("jobs", low, "+", start=0, num=_SCAN):
            with self._redis.pipeline(transaction=False) as pipe:
                for job_id in ids:
                    pipe.hget(f"job:{job_id}", "record")
                yield from (text for text in pipe.execute() if text is not None)
            low = f"({ids[-1]}"

    def active(self) -> list[Job]:
        """List the jobs that the reconciler must look after, oldest first."""
        return self._parsed.keep(sorted(self._redis.smembers("jobs:active")))


def _text(document: Document) -> str:
    return json.dumps(document, separators=(",", ":"))


def _entry(owner: str, key: str) -> str:
    return f"idempotency:jobs:{owner}:{key}"


def _with_key(job: Job, key: str, request_hash: str) -> Job:
    return altered(job, keys={**job.keys, key: request_hash}) if key else job


def _other_request(key: str) -> InvalidError:
    return InvalidError.at(
        "/Idempotency-Key",
        f"{key[:64]!r} was used before for another request: make a new key for a new request",
    )
