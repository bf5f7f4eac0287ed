"""Restore the store from the sidecar files, when it is lost and they are there.

Nothing is submitted: a job that had not ended comes back as uncertain, and the reconciler looks for
it at its cluster before anything else; and nobody is told again of what ended before. What the
store still has is left as it is. Accounts have no sidecars: their passwords are set again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import structlog

from gateway.clusters.store import DrainStore
from gateway.datasets.blobs import BlobStore
from gateway.datasets.models import Dataset, FileRef
from gateway.datasets.store import DatasetStore
from gateway.jobs import words
from gateway.jobs.gone import LINE, read_line
from gateway.jobs.models import Job, Stage
from gateway.jobs.rubbish import Rubbish
from gateway.jobs.store import JobStore
from gateway.keepsakes import Keepsakes
from gateway.notifications.mail_store import MailStore
from gateway.notifications.webhook_store import WebhookStore
from gateway.problems.store import ProblemStore
from gateway.records import Document, from_document, now
from gateway.services import open_gateway
from gateway.settings import Settings
from gateway.sharing.store import ShareStore
from gateway.sidecars import Sidecars

_log = structlog.get_logger("rebuild")


def rebuild(settings: Settings) -> Iterator[str]:
    """Bring back what the store lacks; say what was done, a line for each kind of thing."""
    gateway = open_gateway(settings)
    client, state = gateway.redis, settings.state_directory
    return Rebuild(
        settings.state_directory / "sidecars",
        gateway.blobs,
        datasets=gateway.datasets,
        problems=gateway.problem_store,
        jobs=gateway.job_store,
        others={
            "webhooks": WebhookStore(client, Keepsakes(state, "webhooks")).restore,
            "mails": MailStore(client, Keepsakes(state, "mails")).restore,
            "drains": DrainStore(client, Keepsakes(state, "drains")).restore,
            "shares": ShareStore(client, Keepsakes(state, "shares")).restore,
        },
    ).lines()


class Rebuild:
    """One pass through all sidecars."""

    def __init__(
        self,
        root: Path,
        blobs: BlobStore,
        *,
        datasets: DatasetStore,
        problems: ProblemStore,
        jobs: JobStore,
        others: Mapping[str, Callable[[Document], bool]] | None = None,
    ) -> None:
        self._root = root
        self._others = others or {}
        self._blobs = blobs
        self._datasets = datasets
        self._problems = problems
        self._jobs = jobs
        self._deleted: set[str] = set()
        self._damaged: list[str] = []
        self._uncertain = 0

    def lines(self) -> Iterator[str]:
        """Restore one kind of thing after the other; deletions first, and jobs last."""
        for name, document in Sidecars(self._root / "jobs").buried():
            self._bury(name, document)
        yield f"datasets: {self._restored('datasets', self._dataset)} restored"
        yield f"problems: {self._restored('problems', self._problem)} restored"
        restored = self._restored("jobs", self._job)
        yield f"jobs: {restored} restored, {self._uncertain} of them to be looked for"
        yield f"jobs: {len(self._deleted)} that were deleted stay deleted"
        for kind, restore in self._others.items():
            yield f"{kind}: {self._restored(kind, restore)} restored"
        if self._damaged:
            yield f"NOT restored, their files are damaged: {', '.join(self._damaged)}"
        yield "accounts are not in files: add the users again (bumps-gateway user add)"
        yield "users' own accounts on clusters are not either: have them registered again"

    def _restored(self, kind: str, restore: Callable[[Document], bool]) -> int:
        """Restore all of a kind; one that is damaged must not keep the others away."""
        count = 0
        for name, document in Sidecars(self._root / kind):
            try:
                count += restore(document)
            except (KeyError, TypeError, ValueError) as error:
                _log.exception("not restored", kind=kind, id=name, exc_info=error)
                self._damaged.append(f"{kind}/{name}")
        return count

    def _bury(self, name: str, document: Document) -> None:
        self._deleted.add(name)
        try:
            rubbish = from_document(Rubbish, document)
            line = document.get(LINE)
            if line is not None:
                read_line(line)
        except (KeyError, TypeError, ValueError):
            self._damaged.append(f"jobs/{name} (deleted)")
            rubbish = Rubbish(
                id=name, owner="", cluster="", deleted=now(), directories=(), swept=True
            )
            line = None
        self._jobs.restore_deleted(rubbish, line)

    def _dataset(self, document: Document) -> bool:
        dataset = from_document(Dataset, document)
        if dataset.provenance.get("job") in self._deleted:  # its collection outlived the job
            self._datasets.delete(dataset)
            return False
        return self._datasets.restore(dataset)

    def _problem(self, document: Document) -> bool:
        restored = self._problems.restore(document)
        if restored:
            self._give(document["problem"]["owner"], document)
        return restored

    def _job(self, document: Document) -> bool:
        job = to_be_looked_for(from_document(Job, document))
        restored = self._jobs.restore(job)
        if restored:
            self._give(job.owner, job.request)
        self._uncertain += restored and not job.final
        return restored

    def _give(self, owner: str, document: Document) -> None:
        """Let the files that a record names be its owner's again: only the store knew that."""
        for digest, name in named_files(document):
            if self._blobs.has(digest):
                ref = FileRef(path=name, digest=digest, size=self._blobs.size(digest))
                self._datasets.add_file(owner, ref)


def named_files(document: Any) -> Iterator[tuple[str, str]]:
    """Find the files that a record names: digest and name.

    >>> sorted(named_files({"a": [{"digest": "d1", "name": "x.dat"}], "files": {"y.dat": "d2"}}))
    [('d1', 'x.dat'), ('d2', 'y.dat')]
    """
    if isinstance(document, list):
        for item in document:
            yield from named_files(item)
    if not isinstance(document, dict):
        return
    if isinstance(document.get("digest"), str) and isinstance(document.get("name"), str):
        yield document["digest"], document["name"]
    files = document.get("files")
    if isinstance(files, dict):
        yield from ((digest, name) for name, digest in files.items() if isinstance(digest, str))
    for item in document.values():
        yield from named_files(item)


def to_be_looked_for(job: Job) -> Job:
    """Bring a job that had not ended back as uncertain: it is found or ended, never sent again.

    A sidecar may be older than the last call that was made. So an attempt of which it says that
    nothing was submitted yet is looked for as its first try.
    """
    if job.final:
        return job
    return job.with_attempt(
        stage=Stage.UNCERTAIN,
        try_number=max(1, job.attempt.try_number),
        looks=0,
        looked=None,
        results_wait_since=None,
        results_wait_state=None,
        restored=True,
        error=words.RESTORED,
    )
