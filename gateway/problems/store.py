"""What the gateway remembers of problems, in Redis. No other module knows these keys.

=================================  ======  ===================================================
key                                type    holds
=================================  ======  ===================================================
``problem:{id}``                   hash    ``record`` (JSON), ``version`` of the newest content,
                                           ``revision``: raised by each change, of words too
``problem:{id}:versions``          hash    number -> that version (JSON); it never changes
``problems:{owner}``               zset    a user's problem ids, by their text (score 0)
``idempotency:problems:{o}:{k}``   hash    ``hash`` of the request and ``id`` of its problem
=================================  ======  ===================================================
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal

import redis

from gateway.errors import (
    ConflictError,
    InvalidError,
    NoSpaceError,
    NotFoundError,
    PreconditionError,
)
from gateway.problems.models import FitProblem, ProblemVersion
from gateway.records import Document, from_document, to_document
from gateway.sidecars import Sidecars

_SCAN = 200

# KEYS: problem, versions, problems:owner, idempotency (may be "")
# ARGV: id, number, record, version record, expected number (-1: new), request hash
_PUT = """
if KEYS[4] ~= '' then
  local earlier = redis.call('HMGET', KEYS[4], 'id', 'hash')
  if earlier[1] then
    if earlier[2] ~= ARGV[6] then return '!' end
    return earlier[1]
  end
end
if tonumber(ARGV[5]) >= 0 and redis.call('HGET', KEYS[1], 'version') ~= ARGV[5] then
  return '?'
end
redis.call('HSET', KEYS[1], 'record', ARGV[3], 'version', ARGV[2])
redis.call('HINCRBY', KEYS[1], 'revision', 1)
redis.call('HSET', KEYS[2], ARGV[2], ARGV[4])
redis.call('ZADD', KEYS[3], 0, ARGV[1])
if KEYS[4] ~= '' then redis.call('HSET', KEYS[4], 'id', ARGV[1], 'hash', ARGV[6]) end
return ''
"""


# KEYS: problem. ARGV: number of the newest version as read, record
_DESCRIBE = """
if redis.call('HGET', KEYS[1], 'version') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'record', ARGV[2])
redis.call('HINCRBY', KEYS[1], 'revision', 1)
return 1
"""

# KEYS: problem, versions. ARGV: number, or "" for the newest
_BOTH = """
local found = redis.call('HMGET', KEYS[1], 'record', 'version')
local number = ARGV[1]
if number == '' then number = found[2] or '' end
return {found[1], redis.call('HGET', KEYS[2], number)}
"""


# KEYS: problem, versions
_WHOLE = """
local found = redis.call('HMGET', KEYS[1], 'record', 'revision')
return {found[1], found[2], redis.call('HVALS', KEYS[2])}
"""

# KEYS: problem, versions, problems:owner
# ARGV: id, record, number of the newest version, revision, then number and record of each version
_RESTORE = """
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
redis.call('HSET', KEYS[1], 'record', ARGV[2], 'version', ARGV[3], 'revision', ARGV[4])
for i = 5, #ARGV, 2 do redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1]) end
redis.call('ZADD', KEYS[3], 0, ARGV[1])
return 1
"""


@dataclass(frozen=True, kw_only=True)
class KeptBundle:
    """What a version renders to: the files of ``data/``, by content."""

    type: Literal["script", "json"]
    entry: str
    files: dict[str, str]
    """Name -> digest."""

    args: tuple[str, ...] = ()
    python: str | None = None


@dataclass(frozen=True, kw_only=True)
class KeptVersion:
    """A version with what was found out about it when it was made."""

    version: ProblemVersion
    bundle: KeptBundle
    labels: tuple[str, ...] = ()
    """Of the fitted parameters, where they are known without running anything."""

    n_parameters: int | None = None
    n_points: int | None = None
    details: dict[str, Any] = field(default_factory=dict)


class ProblemStore:
    """Problems in Redis, and beside each a sidecar file."""

    def __init__(self, client: redis.Redis, sidecars: Sidecars) -> None:
        self._redis: Any = client
        self._sidecars = sidecars
        self._put = client.register_script(_PUT)
        self._both = client.register_script(_BOTH)
        self._describe = client.register_script(_DESCRIBE)
        self._restore = client.register_script(_RESTORE)
        self._whole = client.register_script(_WHOLE)

    def put(
        self,
        problem: FitProblem,
        kept: KeptVersion,
        *,
        replaces: int | None = None,
        key: str = "",
        request_hash: str = "",
    ) -> str:
        """Keep a problem with its newest version; answer its id, or the one made with this key.

        Parameters
        ----------
        replaces
            The number that must be the newest now; None for a new problem.

        Raises
        ------
        PreconditionError
            When another version came in between.
        InvalidError
            When the key was given before with another request.
        ConflictError
            When what was made with this key was deleted.
        """
        answer = self._put(
            keys=[
                f"problem:{problem.id}",
                f"problem:{problem.id}:versions",
                f"problems:{problem.owner}",
                _entry(problem.owner, key) if key else "",
            ],
            args=[
                *(problem.id, problem.version, _text(problem), _text(kept)),
                *(-1 if replaces is None else replaces, request_hash),
            ],
        )
        if answer == "!":
            raise _other_request(key)
        if answer == "?":
            raise PreconditionError(
                f"problem {problem.id} has a newer version than {replaces}: read it again"
            )
        if answer:
            return self._made(str(answer), key)
        self._write_sidecar(problem.id)
        return problem.id

    def replayed(self, owner: str, key: str, request_hash: str) -> str | None:
        """Find the problem that an earlier request with this key has made; errors as for `put`."""
        made, earlier = self._redis.hmget(_entry(owner, key), "id", "hash")
        if made is None:
            return None
        if earlier != request_hash:
            raise _other_request(key)
        return self._made(made, key)

    def _made(self, id: str, key: str) -> str:
        """Make sure that what a key has made is there still, and in a file."""
        if not self._redis.exists(f"problem:{id}"):
            raise ConflictError(
                f"{key[:64]!r} made problem {id}, which was deleted: make a new key for a new one"
            )
        self._write_sidecar(id)
        return id

    def restore(self, document: Document) -> bool:
        """Bring a problem back from its sidecar; False when the store has it, and knows better."""
        problem = from_document(FitProblem, document["problem"])
        key = f"problem:{problem.id}"
        versions = {kept["version"]["number"]: json.dumps(kept) for kept in document["versions"]}
        answer = self._restore(
            keys=[key, f"{key}:versions", f"problems:{problem.owner}"],
            args=[
                *(problem.id, _text(problem), problem.version, document["revision"]),
                *(item for pair in versions.items() for item in pair),
            ],
        )
        return bool(answer)

    def describe(self, problem: FitProblem) -> None:
        """Write changed words (name, tags, notes) of a problem whose content stays.

        Raises
        ------
        PreconditionError
            When its content has changed since it was read, or it is gone.
        """
        key, expected = f"problem:{problem.id}", problem.version
        if not self._describe(keys=[key], args=[expected, _text(problem)]):
            raise PreconditionError(f"problem {problem.id} has changed meanwhile: read it again")
        self._write_sidecar(problem.id)

    def get(self, id: str) -> FitProblem:
        """Read a problem; NotFoundError when there is none."""
        text = self._redis.hget(f"problem:{id}", "record")
        if text is None:
            raise NotFoundError(f"there is no problem {id[:80]}")
        return from_document(FitProblem, json.loads(text))

    def both(self, id: str, number: int | None) -> tuple[FitProblem, KeptVersion]:
        """Read a problem and one of its versions, the newest if none is named, in one go."""
        record, kept = self._both(
            keys=[f"problem:{id}", f"problem:{id}:versions"], args=[number or ""]
        )
        if record is None:
            raise NotFoundError(f"there is no problem {id[:80]}")
        if kept is None:
            raise NotFoundError(f"problem {id[:80]} has no version {number}")
        problem = from_document(FitProblem, json.loads(record))
        return problem, from_document(KeptVersion, json.loads(kept))

    def versions(self, id: str) -> list[KeptVersion]:
        """Read all versions, the newest first."""
        texts = self._redis.hgetall(f"problem:{id}:versions")
        return [
            from_document(KeptVersion, json.loads(texts[number]))
            for number in sorted(texts, key=int, reverse=True)
        ]

    def count(self, owner: str) -> int:
        """Count a user's problems."""
        return int(self._redis.zcard(f"problems:{owner}"))

    def newest(self, owner: str, before: str | None) -> Iterator[FitProblem]:
        """Go through a user's problems from the newest, from just below an id."""
        while True:
            high = f"({before}" if before else "+"
            ids = self._redis.zrevrangebylex(f"problems:{owner}", high, "-", start=0, num=_SCAN)
            yield from self._read_many(ids)
            if len(ids) < _SCAN:
                return
            before = ids[-1]

    def texts(self) -> Iterator[str]:
        """Go through all problems with their versions, in the store and in files, as written.

        One that is added meanwhile may be left out.
        """
        yield from self._sidecars.texts()
        for key in self._redis.scan_iter(match="problem:*", count=_SCAN, _type="hash"):
            record, versions = self._redis.hget(key, "record"), self._redis.hvals(f"{key}:versions")
            if record is not None:
                yield "".join([record, *versions])

    def delete(self, problem: FitProblem) -> None:
        """Forget a problem. Jobs keep what they ran with."""
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.delete(f"problem:{problem.id}", f"problem:{problem.id}:versions")
            pipe.zrem(f"problems:{problem.owner}", problem.id)
            pipe.execute()
        with suppress(NoSpaceError):  # deleting must work on a full disk
            self._sidecars.bury(problem.id, {})

    def _read_many(self, ids: Sequence[str]) -> Iterator[FitProblem]:
        with self._redis.pipeline(transaction=False) as pipe:
            for problem_id in ids:
                pipe.hget(f"problem:{problem_id}", "record")
            for text in pipe.execute():
                if text is not None:
                    yield from_document(FitProblem, json.loads(text))

    def _write_sidecar(self, id: str) -> None:
        """Write what the store says now, unless it was deleted meanwhile.

        Also after a request that was repeated: the first one may have ended before this.
        """
        record, revision, versions = self._whole(keys=[f"problem:{id}", f"problem:{id}:versions"])
        if record is not None:
            kept = [json.loads(text) for text in versions]
            document = {"problem": json.loads(record), "versions": kept, "revision": int(revision)}
            self._sidecars.write(id, int(revision), document)


def _entry(owner: str, key: str) -> str:
    return f"idempotency:problems:{owner}:{key}"


def _other_request(key: str) -> InvalidError:
    return InvalidError.at(
        "/Idempotency-Key",
        f"{key[:64]!r} was used before for another problem: make a new key",
    )


def _text(record: object) -> str:
    return json.dumps(to_document(record), separators=(",", ":"))
