"""Check a site step by step, and say what to mend."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import packages_distributions

import redis

from gateway.cluster_settings import ClusterSettings
from gateway.database import check_store, connect, require_schema
from gateway.datasets.garbage import REPORT, read_report
from gateway.jobs.plan import python_of
from gateway.records import time_text
from gateway.settings import Settings, SettingsError, check_state
from gateway.texts import size_text

_OURS = ("gateway", "scheduler", "fitters")
_DISTRIBUTION = "bumps-gateway"
_PROBE_S = 60


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    what: str
    good: bool
    text: str


def examine(settings: Settings) -> Iterator[Finding]:
    """Look at everything, the simplest things first."""
    yield _ask("state directory", lambda: _state(settings))
    yield _ask("package names", _package_names)
    yield _ask("store", lambda: _store(settings))
    yield _ask("files", lambda: _files(settings))
    for name, cluster in settings.clusters.items():
        yield _ask(f"cluster {name}: sandbox", lambda cluster=cluster: _sandbox(cluster))  # type: ignore[misc]
        yield _ask(f"cluster {name}: bumps", lambda cluster=cluster: _bumps(cluster))  # type: ignore[misc]


def _ask(what: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(what=what, good=True, text=look())
    except (SettingsError, OSError, redis.RedisError, subprocess.TimeoutExpired) as error:
        return Finding(what=what, good=False, text=str(error))


def _state(settings: Settings) -> str:
    check_state(settings.state_directory)
    return str(settings.state_directory)


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


def _store(settings: Settings) -> str:
    client = connect(settings)
    require_schema(client)
    if faults := check_store(client):
        raise SettingsError("; ".join(faults))
    return f"Redis {client.info('server')['redis_version']}, durable"


def _files(settings: Settings) -> str:
    swept = read_report(settings.state_directory / REPORT)
    if swept is None:
        return "no look for unused ones yet: the worker does it after its first minute"
    return (
        f"{swept.kept} kept, {size_text(swept.kept_bytes)}; the last look, "
        f"{time_text(datetime.fromtimestamp(swept.ended, UTC))}, removed {swept.removed} that "
        f"nothing names, {size_text(swept.removed_bytes)}"
    )


def _sandbox(cluster: ClusterSettings) -> str:
    if cluster.sandbox == "none":
        return "none: jobs run with the gateway's own rights, so its users must trust each other"
    if shutil.which("bwrap") is None:
        raise SettingsError("sandbox is 'bwrap' and bubblewrap is not installed")
    return "bubblewrap"


def _bumps(cluster: ClusterSettings) -> str:
    python = python_of(cluster)
    done = subprocess.run(
        [python, "-c", "import bumps, sys; print(bumps.__version__, sys.version.split()[0])"],
        capture_output=True,
        text=True,
        timeout=_PROBE_S,
        check=False,
    )
    if done.returncode != 0:
        hint = "pip install 'bumps-gateway[fit]'" if python == sys.executable else "install bumps"
        raise SettingsError(f"{python} cannot import bumps: {hint} there")
    version, own = done.stdout.split()
    return f"bumps {version} on Python {own} ({python})"
