"""Jobs that a user sees, newest first: by state, kind, tag, words and how they are filed."""

from __future__ import annotations

import re
from dataclasses import dataclass

from gateway.errors import InvalidError
from gateway.jobs.models import Job
from gateway.jobs.shared import JobList
from scheduler.base import JobState

_SCANNED = 5_000
"""How many jobs one page may look through; the next page goes on from there."""


_ID_PART = re.compile(r"[0-9a-hjkmnp-tv-z]{4,26}")
"""A word of signs of an id, so many that it may be meant for its beginning or its end."""


@dataclass(frozen=True, kw_only=True)
class JobFilter:
    """Which jobs; None does not narrow."""

    state: str | None = None
    kind: str | None = None
    tag: str | None = None
    q: str | None = None
    """Words that must all stand in title, problem name, notes or tags, or begin or end the id."""

    archived: str = "no"
    """``no`` leaves out what is in the archive, ``yes`` gives nothing else."""

    def matches(self, job: Job) -> bool:
        """Whether a job is one of them."""
        if self.archived != "all" and job.archived != (self.archived == "yes"):
            return False
        if self.state is not None and job.attempt.state.value != self.state:
            return False
        if self.kind is not None and job.kind != self.kind:
            return False
        if self.tag is not None and self.tag not in job.tags:
            return False
        if not self.q:
            return True
        text = " ".join((job.title, job.problem.name, job.notes, *job.tags)).casefold()
        return all(
            word in text or _is_part(word, job.id.casefold()) for word in self.q.casefold().split()
        )


def _is_part(word: str, id: str) -> bool:
    if _ID_PART.fullmatch(word) is None:
        return False
    return id.startswith(word) or id.endswith(word)


def find_jobs(
    of: JobList, wanted: JobFilter, limit: int, before: str | None
) -> tuple[list[Job], str | None]:
    """Answer a page of jobs, and the id that it ends with; None when nothing is left."""
    if wanted.state is not None and wanted.state not in JobState.__members__:
        known = ", ".join(JobState.__members__)
        raise InvalidError.at("/query/state", f"{wanted.state!r} is no state; known: {known}")
    jobs = of.newest(wanted.state, before, limit + 1)
    found: list[Job] = []
    last = None
    for count, job in enumerate(jobs, start=1):
        if len(found) == limit or count > _SCANNED:
            return found, last
        last = job.id
        if wanted.matches(job):
            found.append(job)
    return found, None
