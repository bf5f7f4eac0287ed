"""Work on many jobs in one go: what happens to one of them must not hold up the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

import structlog
from redis import RedisError

from gateway.errors import GatewayError
from gateway.jobs.models import Job
from gateway.jobs.store import JobStore, StaleError
from scheduler.base import SchedulerError, SchedulerUnavailableError

_log = structlog.get_logger("reconcile")
_Done = TypeVar("_Done")
_WRITERS = 8


class Care:
    """Keeps the faults of one job to that job."""

    def __init__(self, store: JobStore) -> None:
        self._store = store

    def safely(self, job: Job, work: Callable[[], _Done]) -> _Done | None:
        """Do something for one job; whatever happens to it must not hold up the others.

        Somebody else's change in between only means: next round.
        """
        try:
            return work()
        except (SchedulerUnavailableError, RedisError):
            raise
        except StaleError:
            return None
        except (SchedulerError, GatewayError, OSError) as error:
            self.trouble(job, str(error))
        except Exception as error:  # noqa: BLE001 - a fault in one job must not end the others' turns
            _log.exception("a step failed", job=job.id)
            self.trouble(job, f"the gateway cannot work with it: {error!r}")
        return None

    def apart(
        self, jobs: Sequence[Job], work: Callable[[Sequence[Job]], list[_Done]]
    ) -> list[_Done]:
        """Do something for many jobs at once that may be done twice, and find who is in the way.

        Halved until it stands alone: of hundreds over a slow line, each alone would take a round.
        """
        if len(jobs) < 2:
            return (self.safely(jobs[0], partial(work, jobs)) or []) if jobs else []
        try:
            return work(jobs)
        except (SchedulerUnavailableError, RedisError):
            raise
        except Exception:  # noqa: BLE001 - it comes again, and is told of the one whose fault it is
            half = len(jobs) // 2
        return [*self.apart(jobs[:half], work), *self.apart(jobs[half:], work)]

    def replace_all(self, jobs: Sequence[Job], edit: Callable[[Job], Job]) -> list[Job]:
        """Write jobs; those that somebody else changed in between are left for the next round.

        So is one that cannot be written, as on a full disk: the others go on.
        """
        if len(jobs) < 2:
            written = [self._replaced(job, edit) for job in jobs]
        else:
            # Nearly all of it is waiting for the disk, of which many may wait together.
            with ThreadPoolExecutor(min(_WRITERS, len(jobs))) as pool:
                written = list(pool.map(lambda job: self._replaced(job, edit), jobs))
        return [job for job in written if job is not None]

    def _replaced(self, job: Job, edit: Callable[[Job], Job]) -> Job | None:
        try:
            return self._store.replace(edit(job))
        except StaleError:
            _log.info("changed meanwhile", job=job.id)
        except RedisError:
            raise
        except Exception:  # noqa: BLE001 - a fault in one job must not end the others' turns
            _log.exception("a job could not be written", job=job.id)
        return None

    def trouble(self, job: Job, text: str) -> None:
        """Say of a job what keeps it from going on; it is tried again."""
        if job.attempt.error != text:
            _log.warning("trouble", job=job.id, error=text)
            self.replace_all(
                [job], lambda job: job.with_attempt(error=text, reason_text=f"Held up: {text}")
            )
