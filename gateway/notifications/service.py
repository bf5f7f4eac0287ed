"""What a user does with notifications."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.accounts.models import Identity
from gateway.errors import NotFoundError
from gateway.jobs.shared import KIND
from gateway.notifications.models import Shown
from gateway.notifications.store import NotificationStore
from gateway.sharing.models import Name
from gateway.sharing.service import Sharing


class Notifications:
    """The verbs of the room."""

    def __init__(self, store: NotificationStore, sharing: Sharing) -> None:
        self._store = store
        self._sharing = sharing

    def newest(self, who: Identity, before: str | None, limit: int) -> list[Shown]:
        """List what a user was told, newest first, from just below an id."""
        found: list[Shown] = []
        while True:
            some = self._store.newest(who.user, before, limit)
            found += self._readable(who, some)
            if len(some) < limit or len(found) >= limit:
                return found[:limit]
            before = some[-1].notification.id

    def _readable(self, who: Identity, told: Sequence[Shown]) -> list[Shown]:
        """Leave out the titles of jobs of others that cannot be read any more.

        Nothing tells of a share that it has ended by itself, or of a member that they have left
        their group. Those are kept, as the same person may be a member again, but count as read.
        """
        jobs = sorted({one.notification.job for one in told if one.notification.by})
        if not jobs:
            return list(told)
        grants = self._sharing.grants(who, [Name(KIND, job) for job in jobs])
        closed = {job for job, grant in zip(jobs, grants, strict=True) if grant is None}
        hidden = {
            one.notification.id
            for one in told
            if one.notification.by and one.notification.job in closed
        }
        self._store.mark_read(who.user, sorted(hidden))
        return [one for one in told if one.notification.id not in hidden]

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
