"""Check a site step by step, and say what to mend."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib.metadata import packages_distributions
from typing import Any

import redis

from gateway.clusters.store import ClusterAccountStore
from gateway.database import check_store, connect, require_schema, store_place
from gateway.datasets.garbage import REPORT, read_report
from gateway.disk import check_space
from gateway.findings import Finding
from gateway.jobs.live_store import LiveStore
from gateway.jobs.unreadable import unreadable
from gateway.policy.file import PolicyFile
from gateway.reach.site_check import check_cluster
from gateway.records import time_text
from gateway.settings import Settings, SettingsError, check_state
from gateway.texts import size_text

_OURS = ("gateway", "scheduler", "fitters")
_DISTRIBUTION = "bumps-gateway"


def examine(settings: Settings) -> Iterator[Finding]:
    """Look at everything, the simplest things first."""
    yield _ask("state directory", lambda: _state(settings))
    yield _ask("package names", _package_names)
    yield _ask("policy", lambda: _policy(settings))
    away = _away(settings)
    yield away or _ask("store", lambda: _store(settings))
    if not away:
        yield _ask("worker", lambda: _worker(settings))
    yield _ask("disk", lambda: _disk(settings))
    if not away:
        yield _ask("jobs", lambda: _jobs(settings))
    yield _ask("files", lambda: _files(settings))
    for name in settings.clusters:
        yield from _cluster(settings, name)


def _cluster(settings: Settings, name: str) -> Iterator[Finding]:
    """Look at a cluster as its account; where each user has one, as the first of them."""
    if not settings.clusters[name].is_per_user:
        yield from check_cluster(settings, name)
        return
    what = f"cluster {name}: accounts"
    try:
        accounts = ClusterAccountStore(connect(settings)).all(name)
    except redis.RedisError as error:
        yield Finding(what=what, good=False, text=f"the store does not answer: {error}")
        return
    if not accounts:
        text = (
            "nobody has registered one yet, so nothing more is looked at: 'bumps-gateway cluster "
            f"account add {name} USER --login LOGIN', then 'bumps-gateway cluster test {name}'"
        )
        yield Finding(what=what, good=True, text=text)
        return
    first = accounts[0]
    text = f"{len(accounts)}; the rest is looked at as {first.user} ({first.login})"
    yield Finding(what=what, good=True, text=text)
    yield from check_cluster(settings, name, first)


def _ask(what: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(what=what, good=True, text=look())
    except (SettingsError, OSError, redis.RedisError) as error:
        return Finding(what=what, good=False, text=str(error))


def _state(settings: Settings) -> str:
    check_state(settings.state_directory)
    return str(settings.state_directory)


def _policy(settings: Settings) -> str:
    file = PolicyFile(settings.state_directory)
    if not file.text():
        return "none: nothing is limited over all clusters, and there are no proposals"
    policy = file.checked()
    return f"{len(policy.groups)} groups, {len(policy.proposals)} proposals"


def _package_names() -> str:
    """Make sure that no other distribution owns our generic package names."""
    owners = packages_distributions()
    strangers = {
        name: sorted(set(owners.get(name, ())) - {_DISTRIBUTION})
        for name in _OURS
        if set(owners.get(name, ())) - {_DISTRIBUTION}
    }
    if strangers:
        found = "; ".join(f"{name} also comes with {', '.join(o)}" for name, o in strangers.items())
        raise SettingsError(f"{found}: install the gateway in an environment of its own")
    return ", ".join(_OURS)


def _away(settings: Settings) -> Finding | None:
    """Find that nothing can be asked of the store; None when it answers."""
    try:
        connect(settings).ping()
    except redis.ConnectionError as error:
        text = (
            f"nothing answers at {store_place(settings)} ({error}): start 'bumps-gateway run', or "
            "the unit of the store, or correct GATEWAY_REDIS_URL. So not looked at: worker, jobs"
        )
        return Finding(what="store", good=False, text=text)
    except redis.RedisError:  # it says more of itself when it is looked at
        pass
    return None


def _store(settings: Settings) -> str:
    client = connect(settings)
    require_schema(client)
    if faults := check_store(client):
        raise SettingsError("; ".join(faults))
    return f"Redis {client.info('server')['redis_version']}, durable"


def _worker(settings: Settings) -> str:
    pulse = LiveStore(connect(settings), settings.limits.ended_events_s).pulse()
    if pulse is None:
        raise SettingsError(
            "it gives no sign of life, so no job is started or followed: start 'bumps-gateway "
            "worker', or read its log"
        )
    return f"ended a round at {pulse}"


def _disk(settings: Settings) -> str:
    free, enough = check_space(settings.state_directory)
    text = f"{size_text(free)} free at {settings.state_directory}"
    if not enough:
        raise SettingsError(f"only {text}, so nothing new is kept: make room")
    return text


def _jobs(settings: Settings) -> str:
    """Read every record: one that is damaged is set apart, and somebody has to mend it."""
    client: Any = connect(settings)
    if damaged := unreadable(client):
        raise SettingsError(
            f"{'; '.join(damaged.values())}: nothing is done with such a job. Its file below "
            f"{settings.state_directory / 'sidecars' / 'jobs'} has it as it was: drop the damaged "
            "one (redis-cli del job:ID), and 'bumps-gateway rebuild' brings the job back from there"
        )
    return f"{client.zcard('jobs')} records, all readable"


def _files(settings: Settings) -> str:
    swept = read_report(settings.state_directory / REPORT)
    if swept is None:
        return "no look for unused ones yet: the worker does it after its first minute"
    return (
        f"{swept.kept} kept, {size_text(swept.kept_bytes)}; the last look, "
        f"{time_text(datetime.fromtimestamp(swept.ended, UTC))}, removed {swept.removed} that "
        f"nothing names, {size_text(swept.removed_bytes)}"
    )
