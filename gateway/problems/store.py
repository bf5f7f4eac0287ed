"""What the gateway remembers of problems, in Redis. No other module knows these keys.

=================================  ======  ===================================================
key                                type    holds
=================================  ======  ===================================================
``problem:{id}``                   hash    ``record`` (JSON), ``version`` of the newest content
``problem:{id}:versions``          hash    number -> that version (JSON); it never changes
``problems:{owner}``               zset    a user's problem ids, by their text (score 0)
``idempotency:problems:{o}:{k}``   hash    ``hash`` of the request and ``id`` of its problem
=================================  ======  ===================================================
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import redis

from gateway.errors import InvalidError, NotFoundError, PreconditionError
from gateway.problems.models import FitProblem, ProblemVersion
from gateway.records import from_document, to_document
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
redis.call('HSET', KEYS[2], ARGV[2], ARGV[4])
redis.call('ZADD', KEYS[3], 0, ARGV[1])
if KEYS[4] ~= '' then redis.call('HSET', KEYS[4], 'id', ARGV[1], 'hash', ARGV[6]) end
return ''
"""


# KEYS: problem. ARGV: number of the newest version as read, record
_DESCRIBE = """
if redis.call('HGET', KEYS[1], 'version') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'record', ARGV[2])
return 1
"""

# KEYS: problem, versions. ARGV: number, or "" for the newest
_BOTH = """
local found = redis.call('HMGET', KEYS[1], 'record', 'version')
local number = ARGV[1]
if number == '' then number = found[2] or '' end
return {found[1], redis.call('HGET', KEYS[2], number)}
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
        """
        answer = self._put(
            keys=[
                f"problem:{problem.id}",
                f"problem:{problem.id}:versions",
                f"problems:{problem.owner}",
                f"idempotency:problems:{problem.owner}:{key}" if key else "",
            ],
            args=[
                *(problem.id, problem.version, _text(problem), _text(kept)),
                *(-1 if replaces is None else replaces, request_hash),
            ],
        )
        if answer == "!":
            raise InvalidError.at(
                "/Idempotency-Key",
                f"{key[:64]!r} was used before for another problem: make a new key",
            )
        if answer == "?":
            raise PreconditionError(
                f"problem {problem.id} has a newer version than {replaces}: read it again"
            )
        if not answer:
            self._write_sidecar(problem.id)
        return str(answer or problem.id)

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

    def version(self, id: str, number: int) -> KeptVersion:
        """Read one version; NotFoundError when there is none."""
        text = self._redis.hget(f"problem:{id}:versions", str(number))
        if text is None:
            raise NotFoundError(f"problem {id[:80]} has no version {number}")
        return from_document(KeptVersion, json.loads(text))

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

    def delete(self, problem: FitProblem) -> None:
        """Forget a problem. Jobs keep what they ran with."""
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.delete(f"problem:{problem.id}", f"problem:{problem.id}:versions")
            pipe.zrem(f"problems:{problem.owner}", problem.id)
            pipe.execute()
        self._sidecars.remove(problem.id)

    def _read_many(self, ids: Sequence[str]) -> Iterator[FitProblem]:
        with self._redis.pipeline(transaction=False) as pipe:
            for problem_id in ids:
                pipe.hget(f"problem:{problem_id}", "record")
            for text in pipe.execute():
                if text is not None:
                    yield from_document(FitProblem, json.loads(text))

    def _write_sidecar(self, id: str) -> None:
        versions = [to_document(kept) for kept in self.versions(id)]
        self._sidecars.write(id, {"problem": to_document(self.get(id)), "versions": versions})


def _text(record: object) -> str:
    return json.dumps(to_document(record), separators=(",", ":"))
