"""What the gateway remembers of datasets, in Redis. No other module knows these keys.

======================  ======  ===============================================
key                     type    holds
======================  ======  ===============================================
``dataset:{id}``        string  one dataset, as JSON (closed: it never changes)
``datasets:{owner}``    zset    a user's dataset ids, by their text (score 0)
``file:{owner}``        hash    digest -> name, size and time of an uploaded file
``files:owners``        set     who has such a hash
======================  ======  ===============================================
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import redis

from gateway.datasets.models import Dataset, FileRef
from gateway.errors import NotFoundError
from gateway.records import Document, from_document, to_document
from gateway.sidecars import Sidecars

_SCAN = 500

# KEYS: file:owner
# ARGV: digest, time
_FORGET = """
local entry = redis.call('HGET', KEYS[1], ARGV[1])
if not entry or (cjson.decode(entry).t or 0) >= tonumber(ARGV[2]) then return 0 end
return redis.call('HDEL', KEYS[1], ARGV[1])
"""


class DatasetStore:
    """Datasets in Redis, and beside each a sidecar file."""

    def __init__(self, client: redis.Redis, sidecars: Sidecars) -> None:
        self._redis: Any = client
        self._sidecars = sidecars
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
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.set(f"dataset:{dataset.id}", json.dumps(to_document(dataset)))
            pipe.zadd(f"datasets:{dataset.owner}", {dataset.id: 0})
            pipe.execute()

    def get(self, id: str) -> Dataset:
        """Read a dataset; NotFoundError when there is none."""
        text = self._redis.get(f"dataset:{id}")
        if text is None:
            raise NotFoundError(f"there is no dataset {id[:80]}")
        return from_document(Dataset, json.loads(text))

    def delete(self, dataset: Dataset) -> None:
        """Forget a dataset."""
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.delete(f"dataset:{dataset.id}")
            pipe.zrem(f"datasets:{dataset.owner}", dataset.id)
            pipe.execute()
        self._sidecars.remove(dataset.id)

    def add_file(self, owner: str, ref: FileRef) -> None:
        """Remember that a user has uploaded a content."""
        entry = {"path": ref.path, "size": ref.size, "t": time.time()}
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.hset(f"file:{owner}", ref.digest, json.dumps(entry))
            pipe.sadd("files:owners", owner)
            pipe.execute()

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
        return bool(self._forget(keys=[f"file:{owner}"], args=[digest, before]))

    def texts(self) -> Iterator[str]:
        """Go through the records of all datasets, in the store and in files, as they are written.

        One that is added meanwhile may be left out.
        """
        yield from self._sidecars.texts()
        for key in self._redis.scan_iter(match="dataset:*", count=_SCAN):
            if (text := self._redis.get(key)) is not None:
                yield text


def _entry(digest: str, text: str) -> Document:
    return {"t": 0.0, **json.loads(text), "digest": digest}
