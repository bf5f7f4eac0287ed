"""Who else may read one's jobs, and the jobs of others that one may read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bumps_remote.additions import expert_of
from bumps_remote.errors import NotFoundError, RefusedError, UsageError
from bumps_remote.job import Job
from bumps_remote.journal import Draft
from bumps_remote.options import take_resources
from bumps_remote.text import clean_line
from bumps_remote.transport import Call, Document

if TYPE_CHECKING:
    from bumps_remote.connection import Connection

EVERYBODY = "all"
LINK = "link"


class Shares:
    """Read access to one's jobs, and to those of others."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list(self, job: str) -> Document:
        """Say who may read a job: ``items``, with which ``groups`` and ``links`` one can share."""
        path = f"/jobs/{self._connection.find(job)}/shares"
        return self._connection.transport.document(Call(method="GET", path=path))

    def add(
        self,
        job: str,
        *,
        user: str | None = None,
        group: str | None = None,
        link: bool = False,
        days: int | None = None,
    ) -> Document:
        """Let a user, the members of a group, or whoever has a link read a job; answer the share.

        Parameters
        ----------
        days
            How long; None: until it is taken back.

        Raises
        ------
        RefusedError
            For a name that is no user there, and for a group that is none of yours.
        """
        given = {"user": user, "group": group, LINK: link or None, "expires_days": days}
        body = {name: value for name, value in given.items() if value is not None}
        path = f"/jobs/{self._connection.find(job)}/shares"
        # The same again makes no other share, so it may be sent until there is an answer.
        call = Call(method="POST", path=path, json=body, harmless=True)
        return self._connection.transport.document(call)

    def take_back(self, job: str, whom: str) -> Sequence[Document]:
        """End read access at once; answer the shares that ended.

        Parameters
        ----------
        whom
            A user, a group, ``link``, ``all``, or the id of one share.

        Raises
        ------
        UsageError
            When it is shared with nobody of that name, or with a user and a group of it.
        """
        whole = self._connection.find(job)
        meant = meant_by(self.list(whole)["items"], whom)
        for share in meant:
            path = f"/jobs/{whole}/shares/{share['id']}"
            try:
                self._connection.transport.send(Call(method="DELETE", path=path))
            except NotFoundError:
                continue  # it was there: an earlier answer got lost
        return meant

    def open(self, link: str) -> Job:
        """Read somebody's job by its link from now on."""
        call = Call(method="POST", path="/shared", json={"link": link}, harmless=True)
        opened = self._connection.transport.document(call)
        return self._connection.job(str(opened["job"]))

    def copy(self, job: str, *, new: bool = False, **change: Any) -> Job:
        """Make a job of one's own of one that may be read: the same problem, options, resources.

        Parameters
        ----------
        new
            Make another even if the same request, cut short before, may have made one.
        change
            What shall be otherwise: ``samples=50000, wall="4:00:00"``.

        Raises
        ------
        RefusedError
            When its problem was deleted, or its kind has none.
        """
        whole = self._connection.find(job)
        call = Call(method="POST", path=f"/jobs/{whole}/copy", harmless=True)
        made = self._connection.transport.document(call)
        if not made.get("problem"):
            raise RefusedError(f"job {whole} has no problem that could be copied: make it anew")
        draft = Draft(
            url=self._connection.server.url,
            user=str(self._connection.me()["name"]),
            entry=f"a copy of {whole}",
            files=(),
            problem={},
            job=_changed(made["request"], change),
        )
        accepted = self._connection.submitter().of_problem(draft, str(made["problem"]), new=new)
        return Job(self._connection, accepted.job)


def meant_by(shares: Sequence[Document], whom: str) -> list[Document]:
    """Find the shares that somebody means.

    >>> rows = [{"id": "01A", "how": "user", "to": "kim"}, {"id": "01B", "how": "link", "to": None}]
    >>> [share["id"] for share in meant_by(rows, "kim")], len(meant_by(rows, "all"))
    (['01A'], 2)
    """
    if whom == EVERYBODY:
        return list(shares)
    how, colon, name = whom.partition(":")
    meant = [
        share
        for share in shares
        if whom in (share["to"], share["id"], share["how"] if share["how"] == LINK else None)
        or (colon and (share["how"], share["to"]) == (how, name))
    ]
    ways = sorted({f"{share['how']}:{share['to']}" for share in meant if share["how"] != LINK})
    if len(ways) > 1:
        raise UsageError(f"{clean_line(whom, 80)!r} is a user and a group: say {' or '.join(ways)}")
    if not meant:
        names = ", ".join(clean_line(share["to"] or share["how"], 60) for share in shares)
        raise UsageError(
            f"it is not shared with {clean_line(whom, 80)!r}, but with {names or 'nobody'}"
        )
    return meant


def _changed(request: Document, change: dict[str, Any]) -> Document:
    """Change options and resources of a request, and leave its problem out."""
    seed = change.pop("seed", None)
    asked = take_resources(change)
    expert = expert_of(change)
    kept = {name: value for name, value in request.items() if name != "problem"}
    if change:
        kept["options"] = {**(kept.get("options") or {}), **change}
    if asked:
        kept["resources"] = {**(kept.get("resources") or {}), **asked}
    if expert is not None:
        kept["expert"] = expert
    return kept if seed is None else {**kept, "seed": seed}
