"""Where users want to hear of ends, in Redis. No other module knows these keys.

======================  ======  =================================
key                     type    holds
======================  ======  =================================
``webhooks:of:{user}``  hash    id -> the webhook (JSON)
======================  ======  =================================
"""

from __future__ import annotations

import json
from typing import Any

import redis

from gateway.keepsakes import Keepsakes, Stored
from gateway.notifications.models import Webhook
from gateway.records import Document, from_document, to_document

_ADD = """
if redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[3]) then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return 1
"""


class WebhookStore:
    """Reads and writes webhooks, each with a file beside it; each verb is one atomic step."""

    def __init__(self, client: redis.Redis, files: Keepsakes) -> None:
        self._redis: Any = client
        self._files = files
        self._add = client.register_script(_ADD)

    def add(self, hook: Webhook, most: int) -> bool:
        """Remember a new one; False when its user has as many as may be."""
        document = to_document(hook)
        text = json.dumps(document, separators=(",", ":"))
        with self._files.prepared(hook.id, document, self._stored(hook.user, hook.id)) as file:
            if not self._add(keys=[_key(hook.user)], args=[hook.id, text, most]):
                return False
            file.keep()
        return True

    def restore(self, document: Document) -> bool:
        """Bring one back from its file; False when the store has it."""
        hook = from_document(Webhook, document)
        text = json.dumps(to_document(hook), separators=(",", ":"))
        return bool(self._redis.hsetnx(_key(hook.user), hook.id, text))

    def all(self, user: str) -> list[Webhook]:
        """List a user's webhooks, oldest first."""
        found = self._redis.hgetall(_key(user))
        return [from_document(Webhook, json.loads(found[key])) for key in sorted(found)]

    def find(self, user: str, id: str) -> Webhook | None:
        """Read one; None when the user has none of this id."""
        text = self._redis.hget(_key(user), id)
        return None if text is None else from_document(Webhook, json.loads(text))

    def remove(self, user: str, id: str) -> bool:
        """Forget one; False when the user has none of this id."""
        if self.find(user, id) is None:
            return False
        with self._files.dropped(id, self._stored(user, id)):
            return bool(self._redis.hdel(_key(user), id))

    def _stored(self, user: str, id: str) -> Stored:
        def look() -> Document | None:
            found = self.find(user, id)
            return None if found is None else to_document(found)

        return look


def _key(user: str) -> str:
    return f"webhooks:of:{user}"
