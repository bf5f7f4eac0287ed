"""What Prometheus reads at ``/metrics``: numbers for who is called at night.

Administrators may read it, by an API token with the scope ``admin``, and whoever asks from one of
``server.metrics_networks``. To everybody else there is no such page.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from ipaddress import ip_address, ip_network

from apiflask import APIBlueprint
from flask import Response, g, request
from redis import RedisError
from werkzeug.exceptions import NotFound

from gateway import __version__
from gateway.accounts.models import Scope
from gateway.errors import UnavailableError
from gateway.jobs.census import Census, CensusStore
from gateway.settings import Settings
from gateway.web.access import public
from gateway.web.context import gateway, identity_or_none
from gateway.web.exposition import MEDIA_TYPE, Metric, exposition, one
from scheduler.base import JobState

bp = APIBlueprint("metrics", __name__, enable_openapi=False)
_ALIVE = tuple(state.value for state in JobState if not state.final)
_FINAL = tuple(state.value for state in JobState if state.final)


@bp.get("/metrics")
@public
def metrics() -> Response:
    """Answer all numbers."""
    services = gateway()
    _require_watcher(services.settings.server.metrics_networks)
    text = exposition(_metrics(services.settings, _census()))
    return Response(text, content_type=MEDIA_TYPE)


def _require_watcher(networks: tuple[str, ...]) -> None:
    """Let pass who may look; for others there is nothing here."""
    who = identity_or_none()
    if who is not None and who.admin and Scope.ADMIN in who.scopes:
        return
    if _is_in(request.remote_addr or "", networks):
        return
    refused = g.get("refused")
    if isinstance(refused, UnavailableError | RedisError):  # whose token it is cannot be known now
        raise refused
    raise NotFound


def _is_in(address: str, networks: tuple[str, ...]) -> bool:
    try:
        host = ip_address(address)
    except ValueError:  # no address: a unix socket
        return False
    return any(host in ip_network(network) for network in networks)


def _census() -> Census | None:
    """Ask the store; None when it does not answer, which is a number, too."""
    try:
        return CensusStore(gateway().redis).look()
    except RedisError:
        return None


def _metrics(settings: Settings, census: Census | None) -> Iterator[Metric]:
    version = ({"version": __version__}, 1)
    yield Metric(name="bumps_gateway_info", help="What runs here.", samples=(version,))
    yield one("bumps_gateway_store_up", "Whether the store answers.", int(census is not None))
    disk = os.statvfs(settings.state_directory)
    free, size = disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize
    yield one("bumps_gateway_disk_free_bytes", "Free where the state directory is.", free)
    yield one("bumps_gateway_disk_size_bytes", "Size of that file system.", size)
    if census is not None:
        yield from _job_metrics(settings, census)
        yield from _worker_metrics(settings, census)


def _job_metrics(settings: Settings, census: Census) -> Iterator[Metric]:
    names = sorted({*settings.clusters, *(cluster for cluster, _ in census.states)})
    states = dict.fromkeys(((name, state) for name in names for state in _ALIVE), 0)
    yield Metric(
        name="bumps_gateway_jobs",
        help="Jobs that have not ended, by cluster and state.",
        samples=tuple(
            ({"cluster": cluster, "state": state}, count)
            for (cluster, state), count in sorted({**states, **census.states}.items())
        ),
    )
    yield _ended(settings, census)
    for name, words, counts in (
        ("waiting", "Jobs that their scheduler is not yet known to have.", census.waiting),
        ("uncertain", "Of these, jobs that may have arrived or not.", census.uncertain),
        ("stale", "Jobs whose state is old: their cluster does not answer.", census.stale),
    ):
        yield _by_cluster(
            f"bumps_gateway_jobs_{name}", words, {**dict.fromkeys(names, 0), **counts}
        )
    yield one(
        "bumps_gateway_uncertain_oldest_seconds",
        "Since the oldest job that may have arrived or not was asked for; 0: there is none.",
        census.uncertain_s,
    )
    yield one(
        "bumps_gateway_jobs_unreadable",
        "Live jobs whose records are damaged: nothing is done with them.",
        census.unreadable,
    )
    yield one("bumps_gateway_jobs_kept", "Jobs that are kept, ended ones included.", census.kept)
    yield one(
        "bumps_gateway_jobs_accepted_total", "Jobs ever accepted.", census.accepted, "counter"
    )


def _ended(settings: Settings, census: Census) -> Metric:
    """Count ends; those of a cluster that has none yet are there, so that rates begin at 0."""
    none = dict.fromkeys(((name, state) for name in settings.clusters for state in _FINAL), 0)
    return Metric(
        name="bumps_gateway_attempts_ended_total",
        help="Attempts of jobs that have ended, ever, by cluster and state.",
        kind="counter",
        samples=tuple(
            ({"cluster": cluster, "state": state}, count)
            for (cluster, state), count in sorted({**none, **census.ended}.items())
        ),
    )


def _worker_metrics(settings: Settings, census: Census) -> Iterator[Metric]:
    alive = census.pulse_s is not None
    yield one("bumps_gateway_reconciler_up", "Whether the worker makes its rounds.", int(alive))
    if census.pulse_s is not None:
        yield one(
            "bumps_gateway_reconciler_pulse_age_seconds",
            "Since the worker finished its last round; absent when it is silent.",
            census.pulse_s,
        )
    yield _by_cluster(
        "bumps_gateway_scheduler_commands_last_minute",
        "Commands that the scheduler was given, all accounts together.",
        census.commands,
    )
    yield _by_cluster(
        "bumps_gateway_scheduler_questions_limit_per_minute",
        "Most commands in a minute that ask how the jobs of an account are; 0: no limit.",
        {name: cluster.calls_per_minute for name, cluster in settings.clusters.items()},
    )


def _by_cluster(name: str, help: str, counts: Mapping[str, int]) -> Metric:
    samples = tuple(({"cluster": cluster}, count) for cluster, count in sorted(counts.items()))
    return Metric(name=name, help=help, samples=samples)
