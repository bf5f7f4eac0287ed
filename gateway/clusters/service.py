"""People's own accounts on clusters: whose account runs whose jobs.

The gateway keeps a login name and a key for each user and cluster. The private key is sealed before
it is kept and shown to nobody; the public one is what its owner puts into ``authorized_keys``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from gateway.accounts.audit import Audit
from gateway.accounts.models import Identity
from gateway.accounts.rights import Right, require_may
from gateway.clusters.keys import make_key, read_key
from gateway.clusters.models import ClusterAccount, KeySource
from gateway.clusters.seal import seal
from gateway.clusters.settings import ClusterSettings
from gateway.clusters.store import ClusterAccountStore
from gateway.errors import ConflictError, InvalidError, NotFoundError
from gateway.ids import new_id
from gateway.records import now
from gateway.settings import Settings

LOGIN_PATTERN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@+-]{0,63}")
LOGIN_RULE = (
    "the name of your account over there: 1 to 64 letters, digits, _ . @ + or -, beginning with a "
    "letter, a digit or _"
)
_ATTEMPTS = 5


@dataclass(frozen=True, kw_only=True)
class WantedAccount:
    """What somebody wants an account to be."""

    login: str
    private_key: str = field(default="", repr=False)
    """Empty: the key that there is, or a new one of the gateway's making."""

    passphrase: str = field(default="", repr=False)
    new_key: bool = False
    certificate_file: str = ""


class ClusterAccounts:
    """The verbs of the room; a cluster on which all jobs run as one account has none of them."""

    def __init__(self, store: ClusterAccountStore, settings: Settings, audit: Audit) -> None:
        self._store = store
        self._settings = settings
        self._audit = audit

    def find(self, cluster: str, user: str) -> ClusterAccount | None:
        """Read the account of a user, for who acts for them; None when there is none."""
        return self._store.find(cluster, user)

    def login(self, cluster: str, user: str) -> str:
        """Say as whom the jobs of a user run; empty where all run as one account.

        Raises
        ------
        InvalidError
            Where each user has an account and this one has none yet.
        """
        settings = self._settings.clusters[cluster]
        if not settings.is_per_user:
            return ""
        account = self._store.find(cluster, user)
        if account is None:
            raise InvalidError.at("/cluster", no_account(cluster, settings, user))
        return account.login

    def logins(self, user: str) -> dict[str, str]:
        """Say as whom the jobs of a user run, for each cluster where they have an account."""
        names = [name for name, cluster in self._settings.clusters.items() if cluster.is_per_user]
        found = {name: self._store.find(name, user) for name in names}
        return {name: account.login for name, account in found.items() if account}

    def all(self, cluster: str) -> list[ClusterAccount]:
        """List the accounts on a cluster, for administrators."""
        self._per_user(cluster)
        return self._store.all(cluster)

    def get(self, asks: Identity, cluster: str, user: str) -> ClusterAccount:
        """Read an account that somebody may see."""
        self._per_user(cluster)
        found = self._store.find(cluster, user)
        require_may(asks, Right.READ, user if found else None, _named(cluster))
        if found is None:
            raise NotFoundError(f"there is no {_named(cluster)}")
        return found

    def may_have(self, asks: Identity, cluster: str, user: str) -> None:
        """Let pass who may register or remove the account of a user, be there one or not."""
        self._per_user(cluster)
        require_may(asks, Right.WRITE, user, _named(cluster))

    def register(self, cluster: str, user: str, wanted: WantedAccount, by: str) -> ClusterAccount:
        """Keep an account.

        The same wish again changes nothing: a key whose public part stands over there stays.
        """
        self._per_user(cluster)
        if not LOGIN_PATTERN.fullmatch(wanted.login):
            raise InvalidError.at("/login", f"{wanted.login[:64]!r} is not {LOGIN_RULE}")
        for _ in range(_ATTEMPTS):
            before = self._store.find(cluster, user)
            account = self._changed(cluster, user, wanted, before)
            if account == before:
                return account
            if self._store.put(account, before):
                subject = f"{cluster} {user} as {account.login} {account.fingerprint}"
                self._audit.record(by, "cluster-account.register", subject)
                return account
        raise ConflictError("this account is being changed by others: look at it again")

    def remove(self, cluster: str, user: str, by: str) -> None:
        """Forget an account with its key; jobs that have not ended are held until it is back."""
        self._per_user(cluster)
        if not self._store.remove(cluster, user):
            raise NotFoundError(f"there is no {_named(cluster)}")
        self._audit.record(by, "cluster-account.remove", f"{cluster} {user}")

    def _changed(
        self, cluster: str, user: str, wanted: WantedAccount, before: ClusterAccount | None
    ) -> ClusterAccount:
        certificate = wanted.certificate_file
        if before and not wanted.private_key and not wanted.new_key:
            kept = replace(
                before,
                login=wanted.login,
                certificate_file=certificate or before.certificate_file,
            )
            return kept if kept == before else replace(kept, id=new_id())
        brought = bool(wanted.private_key)
        key = read_key(wanted.private_key, wanted.passphrase) if brought else make_key()
        return ClusterAccount(
            id=new_id(),
            cluster=cluster,
            user=user,
            login=wanted.login,
            source=KeySource.UPLOADED if brought else KeySource.GENERATED,
            public_key=key.public,
            fingerprint=key.fingerprint,
            sealed_key=seal(self._settings.secret_key, cluster, user, key.private),
            added=now(),
            certificate_file=certificate,
        )

    def _per_user(self, cluster: str) -> None:
        settings = self._settings.clusters.get(cluster)
        if settings is None:
            known = ", ".join(self._settings.clusters)
            raise NotFoundError(f"there is no cluster {cluster[:64]!r}; known: {known}")
        if not settings.is_per_user:
            raise ConflictError(
                f"all jobs on {cluster!r} run as one account: nobody has one of their own there"
            )


def no_account(cluster: str, settings: ClusterSettings, user: str) -> str:
    """Say what somebody must do before jobs can run."""
    return (
        f"{user} has no account on {settings.title or cluster} yet, and jobs run there as their "
        f"owner: register it on the page /account/clusters, or with PUT /clusters/{cluster}/account"
    )


def _named(cluster: str) -> str:
    return f"account on the cluster {cluster!r}"


def authorized_keys(account: ClusterAccount, settings: ClusterSettings) -> list[tuple[str, str]]:
    """Write the line that lets the gateway in, for each machine that the key opens."""
    if settings.ssh is None:
        return []
    name = f"{account.public_key} bumps-gateway:{account.user}@{account.cluster}"
    ssh = settings.ssh
    beyond = [*((hop.host, hop.port) for hop in ssh.jumps[1:]), (ssh.host, ssh.port)]
    lines = [
        (hop.host, f'restrict,port-forwarding,permitopen="{host}:{port}" {name}')
        for hop, (host, port) in zip(ssh.jumps, beyond, strict=False)
        if not hop.key_file
    ]
    return [*lines, (ssh.host, f"restrict {name}")]
