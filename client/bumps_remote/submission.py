"""From files and options to one job: written down first, then sent, then struck out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bumps_remote.after import After
from bumps_remote.array import Element
from bumps_remote.errors import RefusedError, UsageError
from bumps_remote.faults import crash_point
from bumps_remote.files import Bundle
from bumps_remote.journal import Draft, Entry, Journal, LocalFile, Repetition
from bumps_remote.text import clean_line
from bumps_remote.transport import Call, Document, Notice, Transport
from bumps_remote.upload import Sender, Told

_FOR_GOOD = frozenset({400, 404, 409, 413, 415, 422})
"""After these answers the same submission can never be accepted, and no job was made."""

_MINUTE_S, _HOUR_S = 60, 3600


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What shall run."""

    bundle: Bundle
    options: Mapping[str, object] = field(default_factory=dict)
    """Of the fit method, ``fit`` among them."""

    mode: str = "fit"
    seed: int | None = None
    shake: bool = False
    simulate: Mapping[str, object] | None = None
    start: Sequence[float] = ()
    title: str = ""
    notes: str = ""
    tags: Sequence[str] = ()
    cluster: str | None = None
    proposal: str | None = None
    """One of yours, which decides account, QOS and reservation."""

    after: After = field(default_factory=After)
    resources: Mapping[str, object] = field(default_factory=dict)
    """Slurm's long names, such as ``cpus_per_task``."""

    expert: Mapping[str, Any] | None = None
    """What else is added to the script, where policy allows: ``directives`` and ``lines``."""

    elements: Sequence[Element] = ()
    campaign: Mapping[str, object] | None = None
    """Elements that differ by parameters: ``random``, ``starts`` or ``grid``."""

    pack: int | None = 1
    """So many elements are done by one process, one after the other; None: the server chooses."""

    throttle: int | None = None
    """So many processes at once, at most."""

    def files(self) -> tuple[LocalFile, ...]:
        """List what has to be there before the job."""
        return (*self.bundle.files, *(element.file for element in self.elements))

    def problem(self) -> Document:
        """Write the body of POST /problems."""
        bundle = self.bundle
        files = [{"digest": file.digest, "name": file.name} for file in bundle.files]
        content: Document = {"entry": bundle.entry, "files": files, "args": list(bundle.args)}
        if bundle.type == "json":
            content = {"file": files[0], **({"python": bundle.python} if bundle.python else {})}
        name = self.title or Path(bundle.entry).stem
        return {"name": name, "type": bundle.type, bundle.type: content}

    def job(self) -> Document:
        """Write the body of POST /jobs, still without its problem."""
        optional: dict[str, Any] = {
            "seed": self.seed,
            "shake": self.shake or None,
            "simulate": None if self.simulate is None else dict(self.simulate),
            "start": list(self.start) or None,
            "notes": self.notes or None,
            "tags": list(self.tags) or None,
            "cluster": self.cluster,
            "proposal": self.proposal,
            "after": self.after.document(),
            "resources": dict(self.resources) or None,
            "expert": dict(self.expert) if self.expert else None,
            "elements": [element.document() for element in self.elements] or None,
            "pack": self.pack if self.elements else None,
            "throttle": self.throttle,
        }
        campaign = {"campaign": dict(self.campaign), "pack": self.pack} if self.campaign else {}
        return {
            "kind": "fit",
            "mode": self.mode,
            "options": dict(self.options),
            "title": self.title or Path(self.bundle.entry).stem,
            **{name: value for name, value in optional.items() if value is not None},
            **campaign,
        }


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """A job that the server has."""

    job: Document
    replayed: bool
    """Whether an earlier submission of the same content had made it."""


class Submitter:
    """Submits, at most once."""

    def __init__(
        self,
        transport: Transport,
        journal: Journal | None = None,
        notice: Notice | None = None,
        told: Told | None = None,
    ) -> None:
        self._transport = transport
        self._journal = journal or Journal()
        self._notice = notice or (lambda _text: None)
        self._told = told

    def submit(self, wanted: Wanted, *, new: bool = False) -> Accepted:
        """Make a job of this, or find the one that a submission cut short has made.

        Parameters
        ----------
        new
            Make a job of its own even if the journal holds an unfinished submission of the same.
        """
        draft = Draft(
            url=self._transport.server.url,
            user=self._user(),
            entry=wanted.bundle.entry,
            files=wanted.files(),
            problem=wanted.problem(),
            job=wanted.job(),
        )
        return self.send(self._begin(draft, new=new))

    def of_problem(self, draft: Draft, problem_id: str, *, new: bool = False) -> Accepted:
        """Make a job of a problem that is there already, or find the one that was made of it."""
        entry = self._begin(draft, new=new)
        self._journal.keep_problem(entry, problem_id)
        return self.send(entry)

    def repeat(self, verb: str, job: str, body: Document, *, new: bool = False) -> Accepted:
        """Ask for another attempt of a job, or find the one that was asked for before.

        Parameters
        ----------
        verb
            ``resume`` or ``rerun``.
        new
            Ask for one of its own even if the journal holds the same, unfinished.
        """
        url = self._transport.server.url
        wanted = Repetition(url=url, user=self._user(), verb=verb, job=job, body=body)
        return self.send(self._begin(wanted, new=new))

    def _begin(self, draft: Draft | Repetition, *, new: bool) -> Entry:
        entry = self._journal.begin(draft)
        if new and not entry.is_new:
            self._journal.finish(entry, with_files=False)
            entry = self._journal.begin(draft)
        self._tell(entry)
        crash_point("journaled")
        return entry

    def send(self, entry: Entry) -> Accepted:
        """Send what an entry of the journal says, and strike it out once there is an answer."""
        try:
            response = self._transport.send(self._call(entry))
        except RefusedError as error:
            if error.status in _FOR_GOOD:
                self._journal.finish(entry)
            raise
        crash_point("answered")
        job = self._transport.read(response)
        self._journal.finish(entry)
        replayed = response.headers.get("Idempotent-Replayed") == "true"
        return Accepted(job=job, replayed=replayed and not entry.is_new)

    def _call(self, entry: Entry) -> Call:
        draft = entry.draft
        if isinstance(draft, Repetition):
            path, body = f"/jobs/{draft.job}/{draft.verb}", draft.body
        else:
            problem_id = entry.problem_id or self._make_problem(entry, draft)
            crash_point("problem")
            path, body = "/jobs", {**draft.job, "problem": {"id": problem_id}}
        headers = {"X-Correlation-ID": entry.key}
        return Call(method="POST", path=path, json=body, key=entry.key, headers=headers)

    def _make_problem(self, entry: Entry, draft: Draft) -> str:
        try:
            Sender(self._transport, self._told).send(draft.files)
        except UsageError:
            self._journal.finish(entry)  # nothing of it can have become a job
            raise
        crash_point("uploaded")
        made = self._transport.document(
            Call(
                method="POST",
                path="/problems",
                json=draft.problem,
                key=f"{entry.key}-problem",
            )
        )
        return self._journal.keep_problem(entry, str(made["id"]))

    def _user(self) -> str:
        """Ask who we are: a key is a user's own, so another user's entry is another entry."""
        return str(self._transport.document(Call(method="GET", path="/me"))["name"])

    def _tell(self, entry: Entry) -> None:
        title = clean_line(entry.draft.title)
        if not entry.is_new:
            self._notice(
                f"the same {title} was begun {age_text(entry.age_s)} ago and got no answer: it "
                "goes on, and finds what it may have made (--new asks for another)"
            )
            return
        others = [
            other
            for other in self._journal.entries()
            if other.key != entry.key and other.draft.title == entry.draft.title
        ]
        if others:
            self._notice(f"another {title} is unfinished: see 'bumps-remote journal'")


def age_text(seconds: float) -> str:
    """Write a time span for people.

    >>> age_text(30), age_text(4000), age_text(200000)
    ('30 s', '67 min', '56 h')
    """
    if seconds < 2 * _MINUTE_S:
        return f"{seconds:.0f} s"
    if seconds < 2 * _HOUR_S:
        return f"{seconds / _MINUTE_S:.0f} min"
    return f"{seconds / _HOUR_S:.0f} h"
