"""What the gateway remembers of datasets, in Redis. No other module knows these keys.

======================  ======  ===============================================
key                     type    holds
======================  ======  ===============================================
``dataset:{id}``        string  one dataset, as JSON (closed: it never changes)
``datasets:{owner}``    zset    a user's dataset ids, by their text (score 0)
``file:{owner}``        hash    digest -> name and size of an uploaded file
======================  ======  ===============================================
"""

from __future__ import annotations

import json
from typing import Any

import redis

from gateway.datasets.models import Dataset, FileRef
from gateway.errors import NotFoundError
from gateway.records import from_document, to_document
from gateway.sidecars import Sidecars


class DatasetStore:
    """Datasets in Redis, and beside each a sidecar file."""

    def __init__(self, client: redis.Redis, sidecars: Sidecars) -> None:
        self._redis: Any = client
        self._sidecars = sidecars

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
        self._redis.hset(
            f"file:{owner}", ref.digest, json.dumps({"path": ref.path, "size": ref.size})
        )

    def file(self, owner: str, digest: str) -> FileRef | None:
        """Find what a user has uploaded; None for a content that this user does not have."""
        text = self._redis.hget(f"file:{owner}", digest)
        return None if text is None else FileRef(digest=digest, **json.loads(text))
