"""What the gateway remembers of datasets, in Redis. No other module knows these keys.

======================  ======  ===============================================
key                     type    holds
======================  ======  ===============================================
``dataset:{id}``        string  one dataset, as JSON (closed: it never changes)
``datasets:{owner}``    zset    a user's dataset ids, by their text (score 0)
``results:{owner}``     hash    dataset id -> its bytes
``file:{owner}``        hash    digest -> name, size and time of an uploaded file
``files:owners``        set     who has such a hash
``bytes:{owner}``       hash    ``files`` and ``results``: bytes of both, summed up
======================  ======  ===============================================
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import redis

from gateway.datasets.models import Dataset, FileRef, Usage
from gateway.errors import NotFoundError
from gateway.records import Document, from_document, to_document
from gateway.sidecars import Sidecars

_SCAN = 500

# KEYS: dataset, datasets:owner, results:owner, bytes:owner. ARGV: id, record, bytes
_PUT = """
local before = tonumber(redis.call('HGET', KEYS[3], ARGV[1]) or 0)
redis.call('SET', KEYS[1], ARGV[2])
redis.call('ZADD', KEYS[2], 0, ARGV[1])
redis.call('HSET', KEYS[3], ARGV[1], ARGV[3])
redis.call('HINCRBY', KEYS[4], 'results', ARGV[3] - before)
"""

# KEYS: dataset, datasets:owner, results:owner, bytes:owner. ARGV: id
_DELETE = """
local size = redis.call('HGET', KEYS[3], ARGV[1])
redis.call('DEL', KEYS[1])
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('HDEL', KEYS[3], ARGV[1])
if size then redis.call('HINCRBY', KEYS[4], 'results', 0 - size) end
"""

# KEYS: file:owner, bytes:owner, files:owners
# ARGV: digest, entry, its size, how many bytes are allowed (0: any), owner
_ADD_FILE = """
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then
  local used = redis.call('HMGET', KEYS[2], 'files', 'results')
  local total = tonumber(used[1] or 0) + tonumber(used[2] or 0) + tonumber(ARGV[3])
  if tonumber(ARGV[4]) > 0 and total > tonumber(ARGV[4]) then return 0 end
  redis.call('HINCRBY', KEYS[2], 'files', ARGV[3])
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('SADD', KEYS[3], ARGV[5])
return 1
"""

# KEYS: file:owner, bytes:owner
# ARGV: digest, time
_FORGET = """
local entry = redis.call('HGET', KEYS[1], ARGV[1])
if not entry then return 0 end
entry = cjson.decode(entry)
if (entry.t or 0) >= tonumber(ARGV[2]) then return 0 end
redis.call('HINCRBY', KEYS[2], 'files', 0 - entry.size)
return redis.call('HDEL', KEYS[1], ARGV[1])
"""


class DatasetStore:
    """Datasets in Redis, and beside each a sidecar file."""

    def __init__(self, client: redis.Redis, sidecars: Sidecars) -> None:
        self._redis: Any = client
        self._sidecars = sidecars
        self._set = client.register_script(_PUT)
        self._drop = client.register_script(_DELETE)
        self._add_file = client.register_script(_ADD_FILE)
        self._forget = client.register_script(_FORGET)

    def add(self, dataset: Dataset) -> Dataset:
        """Remember a dataset; the same one again changes nothing."""
        self._put(dataset)
        self._sidecars.write(dataset.id, 0, to_document(dataset))
        return dataset

    def restore(self, dataset: Dataset) -> bool:
        """Bring a dataset back from its sidecar; False when the store has it."""
        if self._redis.exists(f"dataset:{dataset.id}"):
            return False
        self._put(dataset)
        return True

    def _put(self, dataset: Dataset) -> None:
        size = sum(ref.size for ref in dataset.files)
        self._set(keys=_keys(dataset), args=[dataset.id, json.dumps(to_document(dataset)), size])

    def get(self, id: str) -> Dataset:
        """Read a dataset; NotFoundError when there is none."""
        text = self._redis.get(f"dataset:{id}")
        if text is None:
            raise NotFoundError(f"there is no dataset {id[:80]}")
        return from_document(Dataset, json.loads(text))

    def delete(self, dataset: Dataset) -> None:
        """Forget a dataset."""
        self._drop(keys=_keys(dataset), args=[dataset.id])
        self._sidecars.remove(dataset.id)

    def add_file(self, owner: str, ref: FileRef, allowed_bytes: int = 0) -> bool:
        """Remember that a user has uploaded a content; False when that would be too much.

        Parameters
        ----------
        allowed_bytes
            How much one user may keep, with results; 0 for any number.
        """
        entry = json.dumps({"path": ref.path, "size": ref.size, "t": time.time()})
        answer = self._add_file(
            keys=[f"file:{owner}", f"bytes:{owner}", "files:owners"],
            args=[ref.digest, entry, ref.size, allowed_bytes, owner],
        )
        return bool(answer)

    def usage(self, owner: str) -> Usage:
        """Say how many bytes a user keeps."""
        files, results = self._redis.hmget(f"bytes:{owner}", "files", "results")
        return Usage(files=int(files or 0), results=int(results or 0))

    def file(self, owner: str, digest: str) -> FileRef | None:
        """Find what a user has uploaded; None for a content that this user does not have."""
        text = self._redis.hget(f"file:{owner}", digest)
        return None if text is None else from_document(FileRef, _entry(digest, text))

    def uploads(self) -> Iterator[tuple[str, str, float]]:
        """Go through all that users have uploaded: owner, digest and when that was."""
        for owner in self._redis.sscan_iter("files:owners"):
            for digest, text in self._redis.hscan_iter(f"file:{owner}", count=_SCAN):
                yield owner, digest, _entry(digest, text)["t"]

    def forget_file(self, owner: str, digest: str, before: float) -> bool:
        """Forget what a user uploaded before a time, unless it came again since."""
        keys = [f"file:{owner}", f"bytes:{owner}"]
        return bool(self._forget(keys=keys, args=[digest, before]))

    def texts(self) -> Iterator[str]:
        """Go through the records of all datasets, in the store and in files, as they are written.

        One that is added meanwhile may be left out.
        """
        yield from self._sidecars.texts()
        for key in self._redis.scan_iter(match="dataset:*", count=_SCAN):
            if (text := self._redis.get(key)) is not None:
                yield text


def _keys(dataset: Dataset) -> list[str]:
    owner = dataset.owner
    return [f"dataset:{dataset.id}", f"datasets:{owner}", f"results:{owner}", f"bytes:{owner}"]


def _entry(digest: str, text: str) -> Document:
    return {"t": 0.0, **json.loads(text), "digest": digest}
