"""When a job could start, before it is queued: what ``sbatch --test-only`` says of its request.

A web process asks no cluster. It notes what somebody looks at, and shows what was said of the same
request a moment ago; the worker asks, seldom: a cluster's controller works as hard for such a
question as for a submission. The script that is asked about has the request's options and runs
nothing.
"""

from __future__ import annotations

import hashlib
import time
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from gateway.clusters.contacts import Contacts
from gateway.clusters.models import Contact
from gateway.clusters.settings import ClusterSettings
from gateway.errors import GatewayError
from gateway.jobs.earliest_store import EarliestStore, Question, Said
from gateway.jobs.places import Place, Schedulers, make_place
from gateway.jobs.plan import directory, python_of, with_defaults
from gateway.jobs.planner import Logins
from gateway.jobs.prepare import Prepared
from gateway.jobs.script import render_script
from gateway.records import now
from gateway.settings import Settings
from gateway.texts import duration
from scheduler.base import Scheduler, SchedulerError, StagedFile, StagedJob

SOURCE = "sbatch --test-only"
_FRESH = timedelta(minutes=2)
_PATIENCE = timedelta(seconds=30)
_SOON = timedelta(seconds=60)
_MINUTE_S = 60.0
_SHARE = 3
"""One of so many calls of a minute is for these questions, where a site limits them."""

_UNLIMITED = 6
_LONGEST = 300
_NO_MATTER = ("mail_type", "mail_user")
_log = structlog.get_logger("earliest")


@dataclass(frozen=True, kw_only=True)
class Earliest:
    """When a job could start, as far as it is known."""

    said: Said | None = None
    since: datetime | None = None
    """Since when somebody waits for an answer; None when nobody does."""

    moment: datetime

    @property
    def waits(self) -> bool:
        """Whether it is worth while to look again in a few seconds."""
        return self.said is None and self.since is not None and not self._is_late

    @property
    def _is_late(self) -> bool:
        return self.since is None or self.moment - self.since > _PATIENCE

    @property
    def age_s(self) -> float | None:
        """How old the answer is; None without one."""
        return None if self.said is None else (self.moment - self.said.asked).total_seconds()

    @property
    def text(self) -> str:
        """Say it with its source and its age."""
        said = self.said
        if said is None:
            late = "the cluster has not been asked yet: it is asked a few times a minute at most"
            return late if self._is_late else "the cluster is being asked when this could start"
        ago = f"{duration(round(self.age_s or 0))} ago"
        if said.error:
            return f"the cluster could not be asked {ago}: {said.error}"
        if not said.accepted:
            return f"the cluster would refuse this, {SOURCE} said {ago}: {said.text}"
        when = "not told" if said.start is None else _instant(said.start, self.moment)
        return f"earliest start {when}, {SOURCE} said {ago}"


def _instant(start: datetime, moment: datetime) -> str:
    """Say when, without the date where it is today."""
    if start - moment <= _SOON:
        return "at once"
    form = "%H:%M UTC" if start.date() == moment.date() else "%Y-%m-%d %H:%M UTC"
    return start.strftime(form)


class Starts:
    """Says of a request when it could start; for web processes."""

    def __init__(
        self,
        store: EarliestStore,
        settings: Settings,
        logins: Logins,
        wake: Callable[[str], None],
    ) -> None:
        self._store = store
        self._settings = settings
        self._logins = logins
        self._wake = wake

    def of(self, prepared: Prepared) -> Earliest | None:
        """Say when a job could start; None where only its own host decides that."""
        cluster = self._settings.clusters[prepared.cluster]
        if cluster.scheduler == "local":
            return None
        question, moment = self._question(prepared, cluster), now()
        said = self._store.find(question)
        if said is not None and moment - said.asked <= _FRESH:
            return Earliest(said=said, moment=moment)
        since, new = self._store.want(question, moment)
        if new:
            self._wake("earliest")
        return Earliest(said=said, since=since, moment=moment)

    def _question(self, prepared: Prepared, cluster: ClusterSettings) -> Question:
        wanted = prepared.wanted
        asked = with_defaults(wanted.resources, cluster).to_directives()
        return Question(
            cluster=prepared.cluster,
            owner=wanted.owner,
            login=self._logins.login(prepared.cluster, wanted.owner),
            directives={name: value for name, value in asked.items() if name not in _NO_MATTER},
            tasks=wanted.tasks,
            throttle=wanted.throttle,
        )


class Reached(Schedulers, Protocol):
    """The way to all places, and how much it is used."""

    def commands_last_minute(self) -> Mapping[str, int]:
        """Count by cluster the commands that Slurm was given in the last minute."""


class Asker:
    """Asks clusters; for the worker, one question in each round at most."""

    def __init__(
        self,
        store: EarliestStore,
        settings: Settings,
        reached: Reached,
        contacts: Contacts,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._settings = settings
        self._reached = reached
        self._contacts = contacts
        self._clock = clock
        self._asked: dict[str, deque[float]] = defaultdict(deque)

    def step(self) -> None:
        """Ask about one request, of a cluster that has not been asked too often."""
        if not self._store.waiting():
            return
        commands, contacts = self._reached.commands_last_minute(), self._contacts.all()
        free = {
            name
            for name, cluster in self._settings.clusters.items()
            if self._may_ask(name, cluster, commands.get(name, 0))
            and _answers(contacts.get(name, Contact()))
        }
        question = self._store.take(free) if free else None
        if question is not None:
            self._asked[question.cluster].append(self._clock())
            self._store.answer(question, self._ask(question))

    def _may_ask(self, name: str, cluster: ClusterSettings, commands: int) -> bool:
        asked, most = self._asked[name], cluster.calls_per_minute
        while asked and asked[0] <= self._clock() - _MINUTE_S:
            asked.popleft()
        own = max(1, most // _SHARE) if most else _UNLIMITED
        return len(asked) < own and (not most or commands < most)

    def _ask(self, question: Question) -> Said:
        """Ask; whatever comes of it is an answer, so that one question holds up no round."""
        moment = now()
        try:
            cluster = self._settings.clusters[question.cluster]
            scheduler = self._reached.get(_place(question))
            return _tried(scheduler, cluster, question, moment)
        except (SchedulerError, GatewayError, OSError, ValueError) as error:
            _log.warning("not asked", cluster=question.cluster, error=str(error))
            return Said(asked=moment, error=_line(str(error)))


def _answers(contact: Contact) -> bool:
    """Whether a cluster is not known to be silent."""
    return contact.answers or contact.failed is None


def _place(question: Question) -> Place:
    return make_place(question.cluster, question.owner, question.login)


def _tried(
    scheduler: Scheduler, cluster: ClusterSettings, question: Question, moment: datetime
) -> Said:
    """Have a script tested that has the options of a request, in a directory of its own."""
    there = replace(cluster, base=cluster.base_of(question.login))
    folder = directory(there, question.owner, f"earliest-{question.digest}", 1)
    script = _script(cluster, question, str(folder)).encode()
    digest = hashlib.sha256(script).hexdigest()
    file = StagedFile(path=folder.relative_to(folder) / "job.sh", content=script, sha256=digest,
                      mode=0o700)  # fmt: skip
    scheduler.stage([StagedJob(directory=folder, files=(file,))])
    try:
        check = scheduler.check(folder)
    finally:
        scheduler.remove(folder.parent)
    text = "" if check.accepted else _line(check.text.replace("sbatch: error: ", ""))
    return Said(asked=moment, accepted=check.accepted, start=check.start, text=text)


def _script(cluster: ClusterSettings, question: Question, workdir: str) -> str:
    return render_script(
        question.directives,
        marker="gw-earliest-1",
        comment=f"gw:{question.owner}:earliest",
        workdir=workdir,
        python=python_of(cluster),
        environment=cluster.environment,
        tasks=question.tasks,
        throttle=question.throttle,
        prolog=cluster.prolog,
    )


def _line(text: str) -> str:
    return " ".join(text.split())[:_LONGEST]
