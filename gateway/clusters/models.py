"""What the gateway knows of people's own accounts on clusters."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


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
