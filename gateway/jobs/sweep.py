"""Remove what deleted jobs left: their directories on the cluster, kept logs, and results.

The web process deletes a record and reaches no cluster; so it leaves word of the directories in the
same step, and the worker removes a few in each round. Word is left in a file, too: a store that is
built again from files knows what was deleted, and what of it is still to be removed.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePosixPath

import structlog

from gateway.datasets.service import Files
from gateway.jobs.log_folder import LogFolder
from gateway.jobs.places import Schedulers, make_place
from gateway.jobs.rubbish import Rubbish
from gateway.jobs.store import JobStore
from scheduler.base import SchedulerError, SchedulerUnavailableError

_AT_ONCE = 5
_TRIES = 10
_log = structlog.get_logger("sweep")


class Sweeper:
    """Removes a little at a time; done twice, the second time finds it done."""

    def __init__(
        self,
        store: JobStore,
        files: Files,
        logs: LogFolder,
        schedulers: Schedulers,
    ) -> None:
        self._store = store
        self._files = files
        self._logs = logs
        self._schedulers = schedulers

    def sweep(self) -> None:
        """Remove what a few deleted jobs left; what cannot be removed now goes to the end."""
        for rubbish in self._store.rubbish(_AT_ONCE):
            left = self._remove(rubbish)
            self._store.swept(rubbish, left)
        self._store.let_lines_go(_AT_ONCE)

    def _remove(self, rubbish: Rubbish) -> Rubbish | None:
        """Remove what one job left; answer what is to be tried again."""
        self._store.bury(rubbish)  # who deleted it may have been killed before that
        place = make_place(rubbish.cluster, rubbish.owner, rubbish.login)
        try:
            # Without a way there it stays: a cluster may be configured, an account be given again.
            scheduler = self._schedulers.get(place)
            for dataset in rubbish.datasets:
                self._files.delete_dataset(dataset)
            self._logs.remove(rubbish.id)
            for directory in _folders(rubbish):
                scheduler.remove(directory)
        except SchedulerUnavailableError:
            return rubbish
        except (SchedulerError, OSError) as error:
            again = rubbish.tries + 1 < _TRIES
            _log.warning("not removed", job=rubbish.id, error=str(error), again=again)
            return replace(rubbish, tries=rubbish.tries + 1) if again else None
        _log.info("removed", job=rubbish.id)
        return None


def _folders(rubbish: Rubbish) -> set[PurePosixPath]:
    """Say which folders to remove: the job's own, which holds an attempt's, where it has one.

    >>> from datetime import UTC, datetime
    >>> rubbish = Rubbish(id="J1", owner="ada", cluster="c", deleted=datetime.now(UTC),
    ...                   directories=("/w/J1/1", "/w/x"))
    >>> sorted(map(str, _folders(rubbish)))
    ['/w/J1', '/w/x']
    """
    paths = [PurePosixPath(directory) for directory in rubbish.directories if directory]
    return {path.parent if path.parent.name == rubbish.id else path for path in paths}
