"""The worker: the reconcile loop, and beside it an RQ worker whose tasks only wake the loop.

This is the one process that reaches clusters. Kill it at any point: what it had in mind stands in
the store, and the next worker goes on from there.
"""

from __future__ import annotations

import fcntl
import os
import signal
import time
from contextlib import suppress
from functools import cache
from multiprocessing import get_context
from multiprocessing.context import ForkProcess

import redis
import structlog
from rq.serializers import JSONSerializer
from rq.worker import SimpleWorker

from gateway.clusters.probes import Prober
from gateway.clusters.store import ClusterAccountStore, SurveyStore
from gateway.database import connect, ping, require_schema, store_url
from gateway.datasets.garbage import REPORT, Garbage
from gateway.errors import UnavailableError
from gateway.jobs.census import CensusStore
from gateway.jobs.conclude import Concluder
from gateway.jobs.earliest import Asker
from gateway.jobs.earliest_store import EarliestStore
from gateway.jobs.follow import Follower
from gateway.jobs.forecast_store import ForecastStore
from gateway.jobs.live_store import LiveStore
from gateway.jobs.nudge import QUEUE
from gateway.jobs.places import Schedulers
from gateway.jobs.reconcile import Reconciler
from gateway.jobs.sweep import Sweeper
from gateway.notifications.courier import start_courier
from gateway.notifications.ends import Ends
from gateway.notifications.models import Delivery, Notification
from gateway.reach.reach import Reach
from gateway.services import Gateway, open_gateway
from gateway.settings import Settings, load_settings
from scheduler.processes import die_with

_log = structlog.get_logger("worker")
_END_S = 2.0
_BREATH_S = 0.1
"""After a round that somebody asked for: what comes in a rush is taken together."""
_NICE = 5
"""Local jobs inherit it: a fit on all processors must not keep people's requests waiting."""
_SWEEP_S = 0.02
"""Of each round at most for files that nothing names."""
_PULSE = 4
"""How many idle rounds a pulse outlives."""
_TELL_S = 5.0


def wake(id: str) -> None:
    """Wake the loop for a job. RQ may call this twice; the second call does nothing more."""
    _own_store().wake(id)


@cache
def _own_store() -> LiveStore:
    """Connect once in the life of a queue worker: settings are read from files."""
    settings = load_settings(with_secret=False)
    return LiveStore(connect(settings), settings.limits.ended_events_s)


def make_reconciler(gateway: Gateway, schedulers: Schedulers, ends: Ends) -> Reconciler:
    """Put the loop together."""
    follower = Follower(gateway.live, gateway.logs)
    return Reconciler(
        store=gateway.job_store,
        live=gateway.live,
        blobs=gateway.blobs,
        follower=follower,
        concluder=Concluder(
            store=gateway.job_store,
            live=gateway.live,
            datasets=gateway.datasets,
            blobs=gateway.blobs,
            limits=gateway.settings.limits,
            follower=follower,
            learn=ForecastStore(gateway.redis).learn,
            told=gateway.surveys.libraries.learn,
        ),
        schedulers=schedulers,
        settings=gateway.settings,
        ends=ends,
        closings=gateway.drains,
        contacts=gateway.contacts,
        policy=gateway.policies,
    )


def make_prober(gateway: Gateway, schedulers: Schedulers) -> Prober:
    """Put together what finds out what clusters can do."""
    return Prober(
        SurveyStore(gateway.redis),
        ClusterAccountStore(gateway.redis),
        gateway.settings,
        schedulers,
        gateway.contacts,
    )


def make_garbage(gateway: Gateway) -> Garbage:
    """Put together what removes files that no room names."""
    settings = gateway.settings
    return Garbage(
        gateway.blobs,
        gateway.datasets,
        [gateway.datasets.texts, gateway.problem_store.texts, gateway.job_store.texts],
        settings.state_directory / REPORT,
        unused_s=settings.limits.unused_files_s,
        every_s=settings.worker.sweep_s,
    )


class _RestOver(BaseException):
    """A signal came while the loop rested: a wait would take up to five seconds more."""


class Worker:
    """Runs the loop until it is told to stop."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._gateway = open_gateway(settings)
        self._reach = Reach(settings, self._gateway.cluster_accounts)
        self._ends = Ends(
            self._gateway.notification_store,
            self._gateway.job_store,
            self._messages,
        )
        self._reconciler = make_reconciler(self._gateway, self._reach, self._ends)
        self._sweeper = Sweeper(
            self._gateway.job_store, self._gateway.files, self._gateway.logs, self._reach
        )
        self._prober = make_prober(self._gateway, self._reach)
        self._asker = Asker(
            EarliestStore(self._gateway.redis), settings, self._reach, self._gateway.contacts
        )
        self._garbage = make_garbage(self._gateway)
        self._census = CensusStore(self._gateway.redis)
        self._told = -_TELL_S
        self._stopping = False
        self._resting = False
        self._woken = False

    def _messages(self, told: Notification) -> list[Delivery]:
        """Write all that is to be sent of an end."""
        return self._gateway.webhooks.messages(told) + self._gateway.mails.messages(told)

    def stop(self, *_: object) -> None:
        """Ask for the end after the round that is running; between two rounds it is now."""
        self._stopping = True
        if self._resting:
            self._resting = False  # a second signal must not cut the end short
            raise _RestOver

    def run(self) -> None:
        """Loop; a round that fails is logged whole, and the next one tries again."""
        signal.signal(signal.SIGTERM, self.stop)
        signal.signal(signal.SIGINT, self.stop)
        os.setpriority(os.PRIO_PROCESS, 0, max(_NICE, os.getpriority(os.PRIO_PROCESS, 0)))
        lock = os.open(
            self._settings.state_directory / "worker.lock",
            os.O_RDWR | os.O_CREAT | os.O_CLOEXEC,
            0o600,
        )
        self._wait_for_store(lock)
        queue = start_rq(self._settings, lock)
        try:
            with suppress(_RestOver):
                while not self._stopping:
                    self._rest(self._round())
                    if not queue.is_alive() and not self._stopping:
                        _log.warning("the queue worker ended; starting another", rc=queue.exitcode)
                        queue = start_rq(self._settings, lock)
        finally:
            _end(queue)
            self._reach.close()

    def _round(self) -> int:
        try:
            alive = self._reconciler.round()
            self._sweeper.sweep()
            self._prober.step()
            self._asker.step()
            self._reach.tidy()
            self._garbage.step(_SWEEP_S)
            self._gateway.live.beat(self._pulse_s)
            self._tell_commands()
            self._ends.tell()
        except redis.RedisError as error:
            _log.warning("the store is away", error=str(error))
            return 0
        except Exception:  # noqa: BLE001 - whatever one round meets, the next one serves everybody
            _log.exception("a round failed")
            time.sleep(self._settings.worker.tick_s)  # a nudge must not make this a busy loop
            return 0
        return alive

    @property
    def _pulse_s(self) -> float:
        """How long a sign of life counts."""
        return self._settings.worker.idle_tick_s * _PULSE

    def _tell_commands(self) -> None:
        """Let those who watch know how much the schedulers are asked."""
        if time.monotonic() - self._told >= _TELL_S:
            self._told = time.monotonic()
            self._census.tell_commands(self._reach.commands_last_minute(), self._pulse_s)

    def _rest(self, alive: int) -> None:
        """Wait for the next round: shortly while something lives, long otherwise, or a nudge."""
        worker = self._settings.worker
        self._resting = True
        try:
            if self._stopping:  # asked for while nobody rested
                return
            if self._woken:
                time.sleep(min(_BREATH_S, worker.tick_s))
            self._woken = self._gateway.live.wait_for_wake(
                worker.tick_s if alive else worker.idle_tick_s
            )
        except redis.RedisError:
            time.sleep(worker.tick_s)
        finally:
            self._resting = False

    def _wait_for_store(self, lock: int) -> None:
        while not self._stopping:
            try:
                ping(self._gateway.redis)
                require_schema(self._gateway.redis)
                if _alone(lock):
                    # Leases outlive a killed worker by minutes, and its jobs would wait for that.
                    self._gateway.live.drop_leases()
            except (UnavailableError, redis.RedisError) as error:
                _log.warning("waiting for the store", error=str(error))
                time.sleep(self._settings.worker.tick_s)
            else:
                return


def _alone(lock: int) -> bool:
    """Take the lock of the one worker of this state directory, and say whether it was free."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def start_rq(settings: Settings, lock: int) -> ForkProcess:
    """Start the RQ worker of the one queue; a fork is there in milliseconds."""
    process = get_context("fork").Process(
        target=_serve_queue, args=(settings, os.getpid(), lock), name="queue"
    )
    process.start()
    return process


def _end(queue: ForkProcess) -> None:
    """End the RQ worker, which holds nothing that could get lost."""
    queue.terminate()
    queue.join(_END_S)
    if queue.is_alive():
        queue.kill()
        queue.join()


def _serve_queue(settings: Settings, parent: int, lock: int) -> None:
    """Work on the queue: JSON only, short ties to the store, and no life without the loop."""
    for number in (signal.SIGTERM, signal.SIGINT):  # not the loop's, until RQ sets its own
        signal.signal(number, signal.SIG_DFL)
    os.close(lock)  # it says that the loop lives, not that this does
    os.setsid()
    die_with(parent, by=signal.SIGKILL)  # RQ takes TERM for a wish, and may wait for a store
    os.environ["GATEWAY_REDIS_URL"] = store_url(settings)
    start_courier(settings)
    worker = SimpleWorker(
        [QUEUE],
        connection=redis.Redis.from_url(store_url(settings)),
        serializer=JSONSerializer,
        worker_ttl=30,
    )
    worker.work(logging_level="WARNING")
