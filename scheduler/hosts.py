"""Whom to reach over SSH, as whom, and by which host keys they are known.

A pin is one host key that an administrator has compared with what the site publishes. It is written
as a whole public key, as in ``known_hosts``, or as its fingerprint::

    ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA...
    login.example.org ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA...
    SHA256:yGdX9ZfMhOrjtWTM5dX3GNPtzPnkBHPtxvdCmMrNQm4
    ssh-ed25519 SHA256:yGdX9ZfMhOrjtWTM5dX3GNPtzPnkBHPtxvdCmMrNQm4

Whoever knows the type as well should write it: a server has keys of several types, and is asked for
those that are pinned. Several pins mean several keys that are right, for the days of a change.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path

from scheduler.base import SchedulerError

KEY_TYPES = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "ssh-rsa",
)
"""Types of host keys that are taken, the one to prefer first."""

_FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")


@dataclass(frozen=True, kw_only=True)
class HostKey:
    """The public key of a server."""

    type: str
    blob: bytes

    @property
    def fingerprint(self) -> str:
        """What ``ssh-keygen -l`` prints of it."""
        digest = base64.b64encode(hashlib.sha256(self.blob).digest()).decode()
        return f"SHA256:{digest.rstrip('=')}"

    @property
    def line(self) -> str:
        """The key as a pin."""
        return f"{self.type} {base64.b64encode(self.blob).decode()}"

    def __str__(self) -> str:
        return f"{self.type} {self.fingerprint}"


@dataclass(frozen=True, kw_only=True)
class Pin:
    """A host key that is trusted: its type when that is known, and its fingerprint."""

    type: str
    fingerprint: str

    def fits(self, key: HostKey) -> bool:
        """Say whether this is the key."""
        return self.type in {"", key.type} and self.fingerprint == key.fingerprint

    def __str__(self) -> str:
        return f"{self.type} {self.fingerprint}".strip()


def parse_pin(text: str) -> Pin:
    """Read a pin in one of its four forms.

    >>> str(parse_pin("SHA256:yGdX9ZfMhOrjtWTM5dX3GNPtzPnkBHPtxvdCmMrNQm4"))
    'SHA256:yGdX9ZfMhOrjtWTM5dX3GNPtzPnkBHPtxvdCmMrNQm4'

    Raises
    ------
    SchedulerError
        If it is none of them.
    """
    words = text.split()
    for place, word in enumerate(words):
        if _FINGERPRINT.fullmatch(word):
            kind = words[place - 1] if place else ""
            if kind in {"", *KEY_TYPES}:
                return Pin(type=kind, fingerprint=word)
        if word in KEY_TYPES and words[place + 1 :] and not words[place + 1].startswith("SHA256"):
            return _whole_key(word, words[place + 1], text)
    raise _unreadable(text, f"it has no SHA256:... and no key of type {', '.join(KEY_TYPES)}")


def _whole_key(kind: str, encoded: str, text: str) -> Pin:
    try:
        blob = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        raise _unreadable(text, "the key is not base64; is it cut off?") from None
    # The type is said again in the key itself, with its length before it.
    if blob[4 : 4 + len(kind)] != kind.encode():
        raise _unreadable(text, f"the key is of another type than {kind}")
    return Pin(type=kind, fingerprint=HostKey(type=kind, blob=blob).fingerprint)


def _unreadable(text: str, why: str) -> SchedulerError:
    return SchedulerError(
        f"host_keys: cannot read {text[:80]!r}: {why}; "
        "write 'ssh-ed25519 AAAA...' or 'SHA256:...' as the site publishes it"
    )


@dataclass(frozen=True, kw_only=True)
class Identity:
    """With what to sign in: a private key, with or without a certificate, or the SSH agent."""

    key_file: Path | None = None
    key: str = field(default="", repr=False)
    """A private key as text, for one that lies in no file."""

    passphrase: str = field(default="", repr=False)
    certificate_file: Path | None = None
    """An OpenSSH certificate for the key; read again at each connection, so it may be renewed."""

    agent: bool = False
    """Offer the keys of the agent at ``SSH_AUTH_SOCK``."""

    def __post_init__(self) -> None:
        if self.key_file and self.key:
            raise SchedulerError("key_file and key: give one of them, not both")
        if not (self.key_file or self.key or self.agent):
            raise SchedulerError("nothing to sign in with: give key_file, or set agent = true")
        if self.certificate_file and not (self.key_file or self.key):
            raise SchedulerError("certificate_file: a certificate needs its key; give key_file")


@dataclass(frozen=True, kw_only=True)
class Hop:
    """A machine to sign in to: the login node, or one to jump over on the way to it."""

    host: str
    user: str
    port: int = 22
    host_keys: tuple[str, ...] = ()
    identity: Identity | None = None
    """None for the same as the login node's."""

    def __post_init__(self) -> None:
        for name, value in (("host", self.host), ("user", self.user)):
            if not value or value.startswith("-") or not value.isprintable() or " " in value:
                raise SchedulerError(f"{name}: {value!r} is no name of a {name}")
        if not 0 < self.port < 65536:
            raise SchedulerError(f"port: {self.port} is not between 1 and 65535")
        if not self.host_keys:
            raise SchedulerError(
                f"host_keys: none is pinned for {self.host}; compare the fingerprint that it shows "
                "with what the site publishes, then write it there"
            )
        self.pins  # noqa: B018 - read now, so that a wrong one is said at the start

    @property
    def pins(self) -> tuple[Pin, ...]:
        """The pinned keys, read."""
        return tuple(map(parse_pin, self.host_keys))

    @property
    def address(self) -> str:
        """Host and port, as in messages."""
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, kw_only=True)
class SSHRoute:
    """One account on one cluster, and the way to it."""

    login: Hop
    identity: Identity
    jumps: tuple[Hop, ...] = ()
    """What lies before the login node, the nearest first."""

    channels: int = 4
    """Programs at a time; sshd's own limit, MaxSessions, is 10 unless the site lowered it."""

    connect_s: float = 10.0
    """For each machine on the way: until it must have let us in."""

    start_s: float = 20.0
    """Until a program must have been started on a connection that stands."""

    keepalive_s: int = 30

    @property
    def hops(self) -> tuple[Hop, ...]:
        """All machines to sign in to, in order."""
        return (*self.jumps, self.login)
