"""What a user does with notifications."""

from __future__ import annotations

from gateway.errors import NotFoundError
from gateway.notifications.models import Shown
from gateway.notifications.store import NotificationStore


class Notifications:
    """The verbs of the room."""

    def __init__(self, store: NotificationStore) -> None:
        self._store = store

    def newest(self, user: str, before: str | None, limit: int) -> list[Shown]:
        """List what a user was told, newest first, from just below an id."""
        return self._store.newest(user, before, limit)

    def unread(self, user: str) -> int:
        """Count what a user has not read."""
        return self._store.unread(user)

    def mark_read(self, user: str, id: str) -> None:
        """Note that a user has read one; twice is as good as once.

        Raises
        ------
        NotFoundError
            When the user has none of this id.
        """
        if not self._store.has(user, id):
            raise NotFoundError(f"there is no notification {id[:80]}")
        self._store.mark_read(user, [id])

    def mark_all_read(self, user: str) -> None:
        """Note that a user has read all."""
        self._store.mark_all_read(user)
