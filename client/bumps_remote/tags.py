"""Tags of one's jobs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from bumps_remote.job import Job
from bumps_remote.transport import Call, Document

if TYPE_CHECKING:
    from bumps_remote.connection import Connection


class Tags:
    """The tags that one's jobs have."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list(self) -> dict[str, int]:
        """List all tags, each with the number of jobs that have it."""
        counts = Counter(tag for job in self._connection.jobs() for tag in job["tags"])
        return dict(sorted(counts.items()))

    def count(self, tag: str | None = None) -> int:
        """Count the jobs that have a tag; without one, count the tags."""
        if tag is None:
            return len(self.list())
        return sum(1 for _ in self._connection.jobs(tag=tag))

    def load(self, tag: str) -> Sequence[Job]:
        """Read all jobs that have a tag, the newest first."""
        return [Job(self._connection, document) for document in self._connection.jobs(tag=tag)]

    def delete(self, tag: str) -> int:
        """Take a tag off all jobs that have it; the jobs stay. Answer how many had it."""
        changed = 0
        for job in self._connection.jobs(tag=tag):
            kept = [other for other in job["tags"] if other != tag]
            self._connection.transport.document(
                Call(method="PATCH", path=f"/jobs/{job['id']}", json={"tags": kept})
            )
            changed += 1
        return changed

    def add(self, job_id: str, *tags: str) -> Document:
        """Put tags on a job; answer it."""
        job = self._connection.info(job_id)
        wanted = [*dict.fromkeys([*job["tags"], *tags])]
        return self._connection.transport.document(
            Call(method="PATCH", path=f"/jobs/{job['id']}", json={"tags": wanted})
        )
