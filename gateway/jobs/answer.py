"""The answer to who asks how a job is: written once for all who ask while nothing changes.

Programs and pages ask again and again, and most of the time nothing has happened since. Then only
the age of what is known is another one.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from gateway.clusters.settings import ClusterSettings
from gateway.jobs.models import Job, Progress
from gateway.jobs.present import age_s, present
from gateway.recent import Recent
from gateway.web.etag import etag_of

KEPT = 256
_SMALL = 65_536
_AGE = "age_s"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A job as JSON, without its age, and what that is the answer for."""

    job: Job
    progress: Progress | None
    cluster: ClusterSettings | None
    etag: str
    """Names what is said; the age of it does not count."""

    text: str

    def at_this_age(self) -> str:
        """Write the whole document."""
        return f'{self.text[:-1]},"{_AGE}":{json.dumps(age_s(self.job))}}}\n'

    def is_of(self, job: Job, progress: Progress | None, cluster: ClusterSettings | None) -> bool:
        """Say whether nothing has changed: records that are read again are the same objects."""
        return self.job is job and self.progress is progress and self.cluster is cluster


class Answers:
    """The last answers, of some hundred jobs; long ones are written anew each time."""

    def __init__(self) -> None:
        self._last: Recent[Answer] = Recent(KEPT)

    def to(self, job: Job, progress: Progress | None, cluster: ClusterSettings | None) -> Answer:
        """Answer how a job is."""
        known = self._last.get(job.id)
        if known is not None and known.is_of(job, progress, cluster):
            return known
        written = _written(job, progress, cluster)
        if len(written.text) <= _SMALL:
            self._last.put(job.id, written)
        return written


def _written(job: Job, progress: Progress | None, cluster: ClusterSettings | None) -> Answer:
    document = present(job, progress, cluster)
    document.pop(_AGE)
    text = json.dumps(document, separators=(",", ":"))
    return Answer(job=job, progress=progress, cluster=cluster, etag=etag_of(document), text=text)
