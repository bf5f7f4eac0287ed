"""Jobs of others: who may read them, and what of them stays their owner's.

A reader sees how a job is, its script, its log and all that came out. Where the owner gets mail and
which account is theirs on a cluster is no part of that.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Protocol

from gateway.accounts.models import Identity
from gateway.accounts.rights import Right, may
from gateway.errors import NotFoundError
from gateway.jobs.models import Attempt, Job, Plan
from gateway.jobs.store import JobStore
from gateway.records import Document
from gateway.sharing.models import Name, Share, Thing
from gateway.sharing.service import Sharing

KIND = "job"
_PRIVATE = ("mail_user", "mail_type")
_MAIL = re.compile(r"^#SBATCH --mail-(?:user|type)=.*\n", re.MULTILINE)
_ACCOUNT = "(an account)"
_BELONGS = "this job belongs to"
_QUOTED = re.compile(r"(?<!\w)'[^']*'")
_SCAN = 100


@dataclass(frozen=True, kw_only=True)
class ReadersJob(Job):
    """A job as those read it with whom it is shared; it is never written."""

    share: Share
    hidden: tuple[str, ...] = ()
    """Logins that its script may name."""


class SharedJobs:
    """What sharing means for jobs."""

    def __init__(self, sharing: Sharing, store: JobStore) -> None:
        self._sharing = sharing
        self._store = store

    def may_read(self, who: Identity, id: str) -> bool:
        """Whether a job of somebody else may be read."""
        return self._sharing.grant(who, Name(KIND, id)) is not None

    def seen_by(self, who: Identity, job: Job) -> Job:
        """Give a job as its reader may see it, and note that it was opened."""
        if may(who, Right.READ, job.owner):
            return job
        grant = self._sharing.grant(who, Name(KIND, job.id))
        if grant is None:  # taken back since it was allowed
            raise NotFoundError(f"there is no job {job.id} that you may see any more")
        self._sharing.used(who, grant)
        return for_readers(job, grant.share)

    def behind(self, link: str) -> tuple[Share, Job]:
        """Say what a link opens; NotFoundError when it opens nothing."""
        share = self._sharing.follow(link)
        return share, self._store.get(share.thing)

    def open(self, who: Identity, link: str) -> str:
        """Let somebody read a job by its link; answer its id."""
        share, job = self.behind(link)
        self._sharing.open(who, share, job.owner)
        return job.id

    def list_of(self, who: Identity, *, shared: bool) -> JobList:
        """Give the list of one's own jobs, or of those that others share."""
        return _Shared(self, who) if shared else _Own(self._store, who.user)

    def leave(self, who: Identity, id: str) -> None:
        """Have a job of somebody else in one's list no more."""
        self._sharing.leave(who, Name(KIND, id))

    def count(self, who: Identity) -> int:
        """Count the jobs that are shared with somebody."""
        return self._sharing.count(who, KIND)

    def newest(self, who: Identity, before: str | None) -> Iterator[Job]:
        """Go through the jobs that are shared with somebody, from the newest."""
        ids = self._sharing.shared_with(who, KIND, before)
        while some := list(islice(ids, _SCAN)):
            names = [Name(KIND, job_id) for job_id in some]
            grants = {one.share.thing: one for one in self._sharing.grants(who, names) if one}
            for job in self._store.get_many(some):
                if job.id in grants and job.owner != who.user:  # a group may be one's own
                    yield for_readers(job, grants[job.id].share)


class JobList(Protocol):
    """Jobs that somebody looks through."""

    def count(self) -> int:
        """Count them."""

    def newest(self, state: str | None, before: str | None, expected: int, /) -> Iterator[Job]:
        """Go through them from the newest, from just below an id; those of other states may stay.

        Parameters
        ----------
        expected
            How many are likely to be wanted.
        """


@dataclass(frozen=True)
class _Own:
    store: JobStore
    owner: str

    def count(self) -> int:
        return self.store.count(self.owner)

    def newest(self, state: str | None, before: str | None, expected: int) -> Iterator[Job]:
        return self.store.newest(self.owner, state, before, expected)


@dataclass(frozen=True)
class _Shared:
    jobs: SharedJobs
    who: Identity

    def count(self) -> int:
        return self.jobs.count(self.who)

    def newest(self, _state: str | None, before: str | None, _expected: int) -> Iterator[Job]:
        found = self.jobs.newest(self.who, before)
        # How its owner files a job, in the archive or not, is the owner's.
        return (replace(job, archived=False, kept=False) for job in found)


def thing_of(job: Job) -> Thing:
    """Name a job among all that can be shared."""
    return Thing(kind=KIND, id=job.id, owner=job.owner)


def for_readers(job: Job, share: Share) -> ReadersJob:
    """Leave out of a job what is its owner's alone."""
    logins = tuple({one.login for one in job.attempts if one.login})
    resources = job.request.get("resources") or {}
    known = vars(job) | {
        "request": {**job.request, "resources": _public(resources)},
        "attempts": tuple(_attempt(one, logins) for one in job.attempts),
        "history": tuple(
            {**one, "text": _without(str(one["text"]), logins)} for one in job.history
        ),
    }
    return ReadersJob(**known, share=share, hidden=logins)


def plan_for_readers(plan: Plan, job: ReadersJob) -> Plan:
    """Leave out of a script what is its owner's alone."""
    script = _MAIL.sub("", plan.script)
    for login in job.hidden:
        script = re.sub(rf"(?<=/){re.escape(login)}(?=/)", _ACCOUNT, script)
    return replace(plan, script=script)


def _attempt(attempt: Attempt, logins: tuple[str, ...]) -> Attempt:
    return replace(
        attempt,
        login="",
        directory="",
        resources=_public(attempt.resources),
        reason_text=_without(attempt.reason_text, logins),
        error=_without(attempt.error, logins),
    )


def _public(resources: Mapping[str, Any]) -> Document:
    return {name: value for name, value in resources.items() if name not in _PRIVATE}


def _without(text: str, logins: Iterable[str]) -> str:
    """Leave logins out of what was said of reaching a cluster.

    >>> _without("this job belongs to ada's account 'ad4' on HPC, and 'ad5' is registered now", ())
    "this job belongs to ada's account (an account) on HPC, and (an account) is registered now"
    >>> _without("ad4@hpc: permission denied", ["ad4"])
    '(an account)@hpc: permission denied'
    """
    if _BELONGS in text:
        text = _QUOTED.sub(_ACCOUNT, text)
    for login in logins:
        text = re.sub(rf"(?<![\w.-]){re.escape(login)}(?![\w.-])", _ACCOUNT, text)
    return text
