"""From a site's settings to its schedulers. Only the worker and the command line reach clusters.

There is one scheduler, with one connection, for each cluster and account. It is opened when
somebody first asks for it, and closed when nobody has for a while, when the key of its account has
changed, and when the account is gone.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import structlog

from gateway.clusters.models import ClusterAccount
from gateway.clusters.service import no_account
from gateway.clusters.settings import LOGIN, ClusterSettings, SSHSettings
from gateway.jobs.places import Place, not_configured
from gateway.reach.unseal import SealedError, unseal
from gateway.settings import Settings
from scheduler.base import Scheduler, SchedulerError, SchedulerUnavailableError
from scheduler.connect import connect
from scheduler.hosts import Hop, Identity, SSHRoute
from scheduler.shell import LocalShell, Shell
from scheduler.slurm import Slurm, SlurmConfig
from scheduler.slurm_api import SlurmApi
from scheduler.ssh import SSHShell

_IDLE_S = 900.0
"""Users come and go: a connection for each for ever would use up the login node's."""

_log = structlog.get_logger("reach")


class Accounts(Protocol):
    """Who has which account where."""

    def find(self, cluster: str, user: str) -> ClusterAccount | None:
        """Read the account of a user; None when there is none."""


@dataclass(kw_only=True)
class _Open:
    scheduler: Scheduler
    close: Callable[[], None]
    account: str
    """Id of the account as it was; empty for the one that all share."""

    used: float


class Reach:
    """The schedulers of a site: `gateway.jobs.places.Schedulers` for real."""

    def __init__(
        self,
        settings: Settings,
        accounts: Accounts,
        clock: Callable[[], float] = time.monotonic,
        idle_s: float = _IDLE_S,
    ) -> None:
        self._settings = settings
        self._accounts = accounts
        self._clock = clock
        self._idle_s = idle_s
        self._open: dict[Place, _Open] = {}

    def get(self, place: Place) -> Scheduler:
        """Give the scheduler of a place; nothing is sent to it yet.

        Raises
        ------
        SchedulerUnavailableError
            If there is no way there now.
        """
        try:
            account = self._account(place)
        except SchedulerUnavailableError:
            self._drop(place)
            raise
        version = account.id if account else ""
        kept = self._open.get(place)
        if kept is None or kept.account != version:
            self._drop(place)
            kept = self._open[place] = self._opened(place, account)
        kept.used = self._clock()
        return kept.scheduler

    def tidy(self) -> None:
        """Close what nobody has asked for in a while, but for what all share."""
        oldest = self._clock() - self._idle_s
        for place, kept in list(self._open.items()):
            if place.owner and kept.used < oldest:
                self._drop(place)

    def close(self) -> None:
        """Close everything."""
        for place in list(self._open):
            self._drop(place)

    @property
    def places(self) -> list[Place]:
        """Where a scheduler is open."""
        return list(self._open)

    def commands_last_minute(self) -> dict[str, int]:
        """Count by cluster the commands that Slurm was given in the last minute."""
        counts: Counter[str] = Counter()
        for place, kept in self._open.items():
            if isinstance(kept.scheduler, Slurm):
                counts[place.cluster] += kept.scheduler.count.last_minute
        return dict(counts)

    def _account(self, place: Place) -> ClusterAccount | None:
        """Find the account of a place as it is now; None for the one that all share."""
        cluster = self._settings.clusters.get(place.cluster)
        if cluster is None:
            raise not_configured(place)
        title = cluster.title or place.cluster
        if not cluster.is_per_user:
            if place.login:
                raise SchedulerUnavailableError(
                    f"this job belongs to the account {place.login!r} of {place.owner} on {title}, "
                    "and the settings now let all jobs run as one account"
                )
            return None
        if not place.login:
            raise SchedulerUnavailableError(
                f"this job belongs to the account on {title} that all shared, and the settings "
                "now let each user's jobs run as their own"
            )
        account = self._accounts.find(place.cluster, place.owner)
        if account is None:
            raise SchedulerUnavailableError(no_account(place.cluster, cluster, place.owner))
        if account.login != place.login:
            raise SchedulerUnavailableError(
                f"this job belongs to {place.owner}'s account {place.login!r} on {title}, and "
                f"{account.login!r} is registered now: it goes on when that is {place.login!r} "
                "again"
            )
        return account

    def _opened(self, place: Place, account: ClusterAccount | None) -> _Open:
        try:
            scheduler, close = open_scheduler(self._settings, place.cluster, account)
        except SchedulerUnavailableError:
            raise
        except SchedulerError as error:
            raise SchedulerUnavailableError(f"{place.cluster}: {error}") from error
        return _Open(
            scheduler=scheduler,
            close=close,
            account=account.id if account else "",
            used=self._clock(),
        )

    def _drop(self, place: Place) -> None:
        kept = self._open.pop(place, None)
        if kept is None:
            return
        _log.info("closed", cluster=place.cluster, owner=place.owner)
        with suppress(SchedulerError, OSError):
            kept.close()


def open_scheduler(
    settings: Settings, name: str, account: ClusterAccount | None = None
) -> tuple[Scheduler, Callable[[], None]]:
    """Open the scheduler of a cluster, and say how to close it.

    Parameters
    ----------
    account
        Whose it is; None for the one that all share.
    """
    cluster = settings.clusters[name]
    if cluster.scheduler == "local":
        state = settings.state_directory / "local" / name
        options = {"state_directory": state, "cpus": cluster.cpus, "sandbox": cluster.sandbox}
        return connect("local", options), lambda: None
    if cluster.scheduler == "pyslurm":
        api = SlurmApi(name, slurm_config(cluster, account))
        return api, api.close
    shell = open_shell(settings, name, account)
    slurm = Slurm(shell, slurm_config(cluster, account))

    def close() -> None:
        slurm.close()
        shell.close()

    return slurm, close


def open_shell(settings: Settings, name: str, account: ClusterAccount | None) -> Shell:
    """Open the way to a login node."""
    ssh = settings.clusters[name].ssh
    if ssh is None:
        return LocalShell(name)
    return SSHShell(name, route(ssh, account, identity(settings, name, account)))


def slurm_config(cluster: ClusterSettings, account: ClusterAccount | None) -> SlurmConfig:
    """Say what the agent on a login node must know."""
    base = cluster.base
    if account:
        # Each agent has a folder of its own: what lies directly in a shared one is another's.
        base = f"{cluster.base_of(account.login)}/{account.user}"
    return SlurmConfig(
        base=base,
        # Slurm's library is used where the gateway is, and by default in the same environment.
        python=cluster.login_python
        or (sys.executable if cluster.scheduler == "pyslurm" else cluster.python),
        programs=cluster.programs,
        slurm_conf=cluster.slurm_conf,
        command_timeout_s=cluster.command_timeout_s,
        private=account is not None,
    )


def identity(settings: Settings, name: str, account: ClusterAccount | None) -> Identity:
    """Say with what to sign in; a user's key is in memory only.

    Raises
    ------
    SchedulerError
        If there is nothing to sign in with.
    """
    if account:
        try:
            key = unseal(settings.secret_key, account)
        except SealedError as error:
            raise SchedulerUnavailableError(str(error)) from error
        return Identity(key=key, certificate_file=_path(account.certificate_file))
    ssh = settings.clusters[name].ssh
    if ssh is None or settings.clusters[name].is_per_user:
        raise SchedulerError(f"{name}: say whose account is meant")
    return Identity(
        key_file=_path(ssh.key_file),
        certificate_file=_path(ssh.certificate_file),
        agent=ssh.agent,
    )


def route(ssh: SSHSettings, account: ClusterAccount | None, own: Identity) -> SSHRoute:
    """Say how an account gets to a login node."""
    user = account.login if account else ssh.user
    return SSHRoute(
        login=Hop(host=ssh.host, user=user, port=ssh.port, host_keys=ssh.host_keys),
        identity=own,
        jumps=jumps(ssh, user),
        channels=ssh.channels,
        connect_s=ssh.connect_s,
    )


def jumps(ssh: SSHSettings, user: str, most: int | None = None) -> tuple[Hop, ...]:
    """Say over which machines that goes: over the first few, or all."""
    return tuple(
        Hop(
            host=hop.host,
            user=hop.user.replace(LOGIN, user),
            port=hop.port,
            host_keys=hop.host_keys,
            identity=Identity(key_file=Path(hop.key_file)) if hop.key_file else None,
        )
        for hop in ssh.jumps[:most]
    )


def _path(text: str) -> Path | None:
    return Path(text) if text else None
