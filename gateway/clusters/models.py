"""What the gateway knows of people's own accounts on clusters."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Self

from scheduler.base import Association, Manners, Partition, Probe, Qos


class KeySource(StrEnum):
    """Where a key came from."""

    GENERATED = "generated"
    UPLOADED = "uploaded"


@dataclass(frozen=True, kw_only=True)
class KeyPair:
    """A key to sign in with."""

    private: str = field(repr=False)
    """In OpenSSH's form, without a passphrase."""

    public: str
    """``ssh-ed25519 AAAA...``, without a comment."""

    fingerprint: str


@dataclass(frozen=True, kw_only=True)
class Drain:
    """Nothing new is handed over to a cluster."""

    reason: str
    by: str
    since: datetime


@dataclass(frozen=True, kw_only=True)
class Contact:
    """How it went when a cluster was last asked for something."""

    answered: datetime | None = None
    failed: datetime | None = None
    error: str = ""

    @property
    def answers(self) -> bool:
        """Whether it did what it was asked when it was last asked."""
        return self.answered is not None and (not self.failed or self.failed < self.answered)


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a cluster was found able to do."""

    name: str
    version: str
    cpus: int
    max_array: int
    memory_bytes: int | None = None
    manners: Manners = field(default_factory=Manners)
    partitions: tuple[Partition, ...] = ()
    qos: tuple[Qos, ...] | None = None
    associations: tuple[Association, ...] = ()
    """Of whom the gateway looked as: of everybody only where all share an account."""

    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, probe: Probe) -> Self:
        """Take what is kept of a look."""
        return cls(**{name: getattr(probe, name) for name in cls.__dataclass_fields__})


@dataclass(frozen=True, kw_only=True)
class Survey:
    """The last look at what a cluster can do; one that failed keeps what was found before."""

    found: Found | None = None
    probed: datetime | None = None
    took_s: float = 0.0
    failed: datetime | None = None
    error: str = ""
    wanted: datetime | None = None
    """Since when somebody waits for another look; None when nobody does."""

    @property
    def looked(self) -> datetime | None:
        """When somebody last looked, with or without success."""
        return max(filter(None, (self.probed, self.failed)), default=None)

    def failing(self, moment: datetime, error: str) -> Survey:
        """Note a look that came to nothing."""
        return replace(self, failed=moment, error=error)


@dataclass(frozen=True, kw_only=True)
class ClusterAccount:
    """The account of a user on a cluster, and the key that opens it."""

    id: str
    """New with each change, so that who holds a connection sees that it is an old one."""

    cluster: str
    user: str
    login: str
    """The name of the account over there."""

    source: KeySource
    public_key: str
    fingerprint: str
    sealed_key: str = field(repr=False)
    """The private key, encrypted; only the worker opens it."""

    added: datetime
    certificate_file: str = ""
    """On the gateway's host, an OpenSSH certificate for the key: where a site renews it."""
