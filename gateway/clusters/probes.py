"""What each cluster was found able to do: kept for administrators, found out by the worker.

A web process asks no cluster: it shows what was found, and how old that is, and can ask for another
look. The worker takes one at a time: first of clusters that somebody asked about, then of those
that answer the questions for jobs and whose last look is a day old.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import timedelta

import structlog

from gateway.accounts.audit import Audit
from gateway.clusters.contacts import Contacts
from gateway.clusters.models import Found, Survey
from gateway.clusters.store import ClusterAccountStore, SurveyStore
from gateway.errors import NotFoundError
from gateway.jobs.places import Place, Schedulers, make_place
from gateway.records import now
from gateway.settings import Settings
from scheduler.base import SchedulerError, SchedulerUnavailableError

_OLD = timedelta(days=1)
_PAUSE_S = 60.0
"""Between two thoughts of a look that nobody asked for, and before the first."""

_FRESH_S = 2.0
_LONGEST = 500
_UNFORESEEN = "its answer was not understood; the worker's log says where"
_log = structlog.get_logger("probes")


class Surveys:
    """What was found, and the wish to look again."""

    def __init__(self, store: SurveyStore, settings: Settings, audit: Audit) -> None:
        self._store = store
        self.libraries = store.libraries
        self._settings = settings
        self._audit = audit
        self._read: dict[str, tuple[float, Survey]] = {}

    def all(self) -> Mapping[str, Survey]:
        """Read what was found, by cluster."""
        return self._store.all()

    def known(self, cluster: str, /) -> Survey:
        """Read what was found of a cluster of the settings, for each job that is asked for.

        It may be some seconds old, which is little: clusters are looked at once a day.
        """
        read, survey = self._read.get(cluster, (-_FRESH_S, Survey()))
        moment = time.monotonic()
        if moment - read >= _FRESH_S:
            survey = self._store.find(cluster)
            self._read[cluster] = moment, survey
        return survey

    def find(self, cluster: str) -> Survey:
        """Read what was found of one cluster; of one that nobody has looked at, nothing.

        Raises
        ------
        NotFoundError
            When the settings do not know it.
        """
        if cluster not in self._settings.clusters:
            known = ", ".join(self._settings.clusters)
            raise NotFoundError(f"there is no cluster {cluster[:64]!r}; known: {known}")
        return self._store.all().get(cluster, Survey())

    def ask(self, cluster: str, by: str) -> Survey:
        """Have the worker look again soon."""
        self.find(cluster)
        self._store.want(cluster, now())
        self._audit.record(by, "cluster.probe", cluster)
        return self.find(cluster)


class Prober:
    """Looks at clusters: for the worker, a little in each round."""

    def __init__(
        self,
        store: SurveyStore,
        accounts: ClusterAccountStore,
        settings: Settings,
        schedulers: Schedulers,
        contacts: Contacts,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._accounts = accounts
        self._settings = settings
        self._schedulers = schedulers
        self._clock = clock
        self._contacts = contacts
        self._next = clock() + _PAUSE_S

    def step(self) -> None:
        """Look at one cluster at most, if it is time."""
        wanted = [name for name in self._store.wanted() if name in self._settings.clusters]
        for name in wanted[:1] or self._old()[:1]:
            self._look(name)

    def _old(self) -> list[str]:
        """Say of which clusters a look is due; not of one that does not answer anyway."""
        if self._clock() < self._next:
            return []
        self._next = self._clock() + _PAUSE_S
        known, oldest = self._store.all(), now() - _OLD
        answering = [name for name, one in self._contacts.all().items() if one.answers]
        return [
            name
            for name in answering
            if name in self._settings.clusters
            and ((looked := known.get(name, Survey()).looked) is None or looked < oldest)
        ]

    def _look(self, name: str) -> None:
        moment, began = now(), self._clock()
        survey = self._store.all().get(name, Survey())
        try:
            probe = self._schedulers.get(self._place(name)).probe()
        except (SchedulerError, OSError) as error:
            _log.warning("not probed", cluster=name, error=str(error))
            self._store.put(name, survey.failing(moment, str(error)[:_LONGEST]))
            return
        except Exception as error:  # noqa: BLE001 - a wish that is kept would end each later round
            _log.exception("not probed", cluster=name)
            said = f"{type(error).__name__}: {error}"[:_LONGEST]
            self._store.put(name, survey.failing(moment, f"{_UNFORESEEN} ({said})"))
            return
        took_s = self._clock() - began
        _log.info("probed", cluster=name, version=probe.version, took_s=round(took_s, 3))
        self._store.put(name, Survey(found=Found.of(probe), probed=moment, took_s=took_s))

    def _place(self, name: str) -> Place:
        """Say as whom: what a site can do does not depend on whose account looks."""
        if not self._settings.clusters[name].is_per_user:
            return make_place(name, "", "")
        accounts = self._accounts.all(name)
        if not accounts:
            raise SchedulerUnavailableError("nobody has registered an account there yet")
        return make_place(name, accounts[0].user, accounts[0].login)
