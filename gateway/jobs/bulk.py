"""One verb for many jobs, and for each what came of it.

A fault of one job holds up none of the others: it is told beside it. Done again it does no harm: to
end a job twice ends it once, and a job runs again once for each key.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from http import HTTPStatus

from gateway.accounts.audit import Audit
from gateway.errors import GatewayError, InvalidError, NotFoundError
from gateway.jobs.asking import Again, Request
from gateway.jobs.service import JobService
from gateway.web.idempotency import request_hash

MOST = 200
"""Jobs of one request: what a browser waits a few seconds for."""


class Verb(Enum):
    """What can be done with many jobs at once."""

    STOP = "stop"
    CANCEL = "cancel"
    RERUN = "rerun"
    DELETE = "delete"
    TAG = "tag"
    UNTAG = "untag"
    ARCHIVE = "archive"
    UNARCHIVE = "unarchive"
    KEEP = "keep"
    LET_GO = "let_go"


_FILED = {
    Verb.ARCHIVE: ("archived", True),
    Verb.UNARCHIVE: ("archived", False),
    Verb.KEEP: ("kept", True),
    Verb.LET_GO: ("kept", False),
}
ENDS = frozenset({Verb.CANCEL, Verb.DELETE})
"""What cannot be taken back."""


@dataclass(frozen=True, kw_only=True)
class Many:
    """What is wanted, of which jobs."""

    verb: Verb
    jobs: tuple[str, ...]
    tag: str = ""
    """Of ``tag`` and ``untag``."""


@dataclass(frozen=True, kw_only=True)
class Came:
    """What came of it for one job."""

    job: str
    title: str
    done: bool
    text: str


@dataclass(frozen=True)
class Bulk:
    """Does one thing with many jobs, for those who may."""

    jobs: JobService
    audit: Audit

    def do(self, request: Request, wanted: Many) -> list[Came]:
        """Do it with each; answer in their order."""
        return [self._one(request, wanted, job_id) for job_id in dict.fromkeys(wanted.jobs)]

    def _one(self, request: Request, wanted: Many, id: str) -> Came:
        title = ""
        try:
            title = self.jobs.get(request.identity, id).title
            text = self._does(request, wanted, id)
        except NotFoundError:
            # Of a second click on "delete" no less: who may not see it is told the same.
            return Came(job=id, title=title, done=False, text="There is no such job, or no more.")
        except GatewayError as error:
            if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                raise
            return Came(job=id, title=title, done=False, text=_why(error))
        return Came(job=id, title=title, done=True, text=text)

    def _does(self, request: Request, wanted: Many, id: str) -> str:
        match wanted.verb:
            case Verb.STOP:
                self.jobs.stop(request.identity, id)
                return "Asked to stop and keep its result."
            case Verb.CANCEL:
                self.jobs.cancel(request.identity, id)
                return "Asked to be cancelled."
            case Verb.RERUN:
                return self._rerun(request, id)
            case Verb.DELETE:
                return self._delete(request, id)
            case Verb.TAG | Verb.UNTAG:
                return self._tag(request, wanted, id)
            case _:
                return self._file(request, wanted, id)

    def _rerun(self, request: Request, id: str) -> str:
        """Run it again; the same click makes the same attempt of it."""
        one = replace(
            request,
            key=f"{request.key}:{id}"[-255:] if request.key else "",
            request_hash=request_hash(["bulk", "rerun", id]),
        )
        job = self.jobs.rerun(one, id, Again())
        return f"Runs again, as attempt {job.attempt.number}."

    def _delete(self, request: Request, id: str) -> str:
        self.jobs.delete(request.identity, id)
        self.audit.record(request.identity.user, "job.delete", id)
        return "Deleted."

    def _tag(self, request: Request, wanted: Many, id: str) -> str:
        add, remove = ([wanted.tag], []) if wanted.verb is Verb.TAG else ([], [wanted.tag])
        job = self.jobs.retag(request.identity, id, add, remove)
        return f"Its tags: {', '.join(job.tags)}." if job.tags else "It has no tags now."

    def _file(self, request: Request, wanted: Many, id: str) -> str:
        field, value = _FILED[wanted.verb]
        job = self.jobs.edit(request.identity, id, {field: value})
        kept = "kept: it cannot be deleted" if job.kept else "not kept: it can be deleted"
        return f"In the {'archive' if job.archived else 'list'}, and {kept}."


def _why(error: GatewayError) -> str:
    """Say in one sentence why not."""
    if isinstance(error, InvalidError):
        return "; ".join(item.detail for item in error.errors)
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}."
