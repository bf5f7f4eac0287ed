"""Where users want mail, in Redis. No other module knows these keys.

=====================  ======  ============================================
key                    type    holds
=====================  ======  ============================================
``mail:of:{user}``     string  the address (JSON)
``mail:codes:{user}``  string  how many codes were sent in the last hour
=====================  ======  ============================================
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import redis

from gateway.keepsakes import Keepsakes, Stored
from gateway.notifications.models import MailAddress
from gateway.records import Document, from_document, to_document

_HOUR_S = 3_600


class MailStore:
    """Reads and writes addresses; beside one that is verified lies a file."""

    def __init__(self, client: redis.Redis, files: Keepsakes) -> None:
        self._redis: Any = client
        self._files = files

    def find(self, user: str) -> MailAddress | None:
        """Read the address of a user; None when there is none."""
        text = self._redis.get(_key(user))
        return None if text is None else from_document(MailAddress, json.loads(text))

    def put(self, address: MailAddress) -> None:
        """Remember an address in place of what was there."""
        user, stored = address.user, self._stored(address.user)
        if not address.verified:
            with self._files.dropped(user, stored):
                self._redis.set(_key(user), _text(address))
            return
        with self._files.prepared(user, to_document(address), stored) as file:
            self._redis.set(_key(user), _text(address))
            file.keep()

    def restore(self, document: Document) -> bool:
        """Bring one back from its file; False when the store has one of that user."""
        address = from_document(MailAddress, document)
        return bool(self._redis.setnx(_key(address.user), _text(address)))

    def change(self, user: str, edit: Callable[[MailAddress], MailAddress]) -> MailAddress | None:
        """Change an address as it is now; None when there is none.

        Guesses that come at the same moment are all counted: what changed meanwhile is read again.
        """
        with self._redis.pipeline(transaction=True) as pipe:
            while True:
                try:
                    pipe.watch(_key(user))
                    text = pipe.get(_key(user))
                    if text is None:
                        return None
                    changed = edit(from_document(MailAddress, json.loads(text)))
                    pipe.multi()
                    pipe.set(_key(user), _text(changed))
                    pipe.execute()
                except redis.WatchError:
                    continue
                self._files.keep(user, self._stored(user))
                return changed

    def remove(self, user: str) -> bool:
        """Forget an address; False when there was none."""
        with self._files.dropped(user, self._stored(user)):
            return bool(self._redis.delete(_key(user)))

    def count_code(self, user: str) -> int:
        """Count a code that is to be sent; answer how many it were within an hour."""
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.set(f"mail:codes:{user}", 0, ex=_HOUR_S, nx=True)
            pipe.incr(f"mail:codes:{user}")
            return int(pipe.execute()[1])

    def _stored(self, user: str) -> Stored:
        def look() -> Document | None:
            found = self.find(user)
            return to_document(found) if found and found.verified else None

        return look


def _key(user: str) -> str:
    return f"mail:of:{user}"


def _text(address: MailAddress) -> str:
    return json.dumps(to_document(address), separators=(",", ":"))
