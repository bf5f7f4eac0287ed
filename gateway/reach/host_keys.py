"""Show which host keys the machines of a cluster have, for an administrator to compare."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gateway.clusters.models import ClusterAccount
from gateway.clusters.settings import HopSettings, SSHSettings
from gateway.reach.reach import identity, jumps
from gateway.settings import Settings, SettingsError
from scheduler.hosts import Hop, HostKey, Identity, parse_pin
from scheduler.ssh_line import fetch_host_keys


@dataclass(frozen=True, kw_only=True)
class ShownKeys:
    """The keys of one machine."""

    address: str
    role: str
    table: str
    """Of the settings, where its pins belong."""

    keys: tuple[HostKey, ...]
    pins: tuple[str, ...]

    def is_pinned(self, key: HostKey) -> bool:
        """Whether a key is one that the settings trust."""
        return any(parse_pin(pin).fits(key) for pin in self.pins)

    @property
    def known(self) -> bool:
        """Whether any of its keys is trusted."""
        return any(map(self.is_pinned, self.keys))

    @property
    def best(self) -> HostKey:
        """The key to pin: the most modern one."""
        return self.keys[0]


def shown_keys(
    settings: Settings, name: str, account: ClusterAccount | None = None
) -> Iterator[ShownKeys]:
    """Ask machine after machine, the nearest first, until one is not trusted yet.

    Nobody signs in to a machine whose key is not pinned: what lies behind it comes later.
    """
    ssh = settings.clusters[name].ssh
    if ssh is None:
        raise SettingsError(f"the cluster {name!r} is on this host: there are no host keys")
    own = _identity(settings, name, account) if ssh.jumps else None
    for number, (machine, role, table) in enumerate(_machines(name, ssh)):
        found = fetch_host_keys(
            machine.host,
            machine.port,
            jumps=_before(ssh, number, account),
            identity=own,
            timeout_s=ssh.connect_s,
        )
        if not found:
            raise SettingsError(
                f"{machine.host}:{machine.port} shows no host key of a known type: is that sshd?"
            )
        shown = ShownKeys(
            address=f"{machine.host}:{machine.port}",
            role=role,
            table=table,
            keys=tuple(found),
            pins=machine.host_keys,
        )
        yield shown
        if not shown.known:
            return


def _machines(name: str, ssh: SSHSettings) -> Iterator[tuple[HopSettings | SSHSettings, str, str]]:
    for number, hop in enumerate(ssh.jumps, start=1):
        yield hop, f"machine {number} on the way", f"[clusters.{name}.ssh.jumps]"
    yield ssh, "login node", f"clusters.{name}.ssh"


def _before(ssh: SSHSettings, number: int, account: ClusterAccount | None) -> tuple[Hop, ...]:
    """Give the machines before one; those after it may have no pins yet."""
    if not number:
        return ()
    user = account.login if account else ssh.user
    return jumps(ssh, user, number)


def _identity(settings: Settings, name: str, account: ClusterAccount | None) -> Identity:
    if account is None and settings.clusters[name].is_per_user:
        raise SettingsError(
            f"the way to {name!r} is over other machines, and each user signs in there: say "
            "--user, of one who has registered an account"
        )
    return identity(settings, name, account)
