"""The administrator's commands for clusters: whom to trust, whose accounts, what works."""

from __future__ import annotations

import getpass
import sys
from pathlib import Path

import click

from gateway.accounts.audit import BY_COMMAND
from gateway.accounts.service import Accounts
from gateway.cli_reported import reported
from gateway.clusters.drains import Drains
from gateway.clusters.models import ClusterAccount
from gateway.clusters.service import ClusterAccounts, WantedAccount, authorized_keys, no_account
from gateway.clusters.settings import ClusterSettings
from gateway.clusters.store import ClusterAccountStore, DrainStore
from gateway.database import connect
from gateway.keepsakes import Keepsakes
from gateway.settings import Settings, SettingsError, load_settings

_LOOK = (
    "Compare each fingerprint with what the site publishes, or with what its administrator reads "
    "on that machine:\n"
    "    ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub\n"
    "Nothing is trusted by being shown here. When they are the same, write it down:"
)


@click.group()
def cluster() -> None:
    """Look after clusters: host keys, accounts, tests."""


@cluster.command("list")
@reported
def cluster_list() -> None:
    """List the clusters of the settings."""
    settings = load_settings(with_secret=False)
    for name, one in settings.clusters.items():
        words = [name, one.scheduler, _where(one), _whose(one)]
        click.echo("  ".join([*words, "default"] if name == settings.default_cluster else words))


@cluster.command("keys")
@click.argument("name")
@click.option("--user", default="", help="Whose account to jump with, where each user has one.")
@reported
def cluster_keys(name: str, *, user: str) -> None:
    """Show the host keys of the login node and of the machines before it; trust none of them."""
    from gateway.reach.host_keys import ShownKeys, shown_keys

    settings = load_settings()
    one = _configured(settings, name)
    account = _account(settings, name, user) if user else None
    shown: list[ShownKeys] = []
    for found in shown_keys(settings, name, account):
        click.echo(f"{found.address} ({found.role})")
        for key in found.keys:
            click.echo(f"    {key}  {'pinned' if found.is_pinned(key) else 'not pinned'}")
        shown.append(found)
    new = [found for found in shown if not found.known]
    if new:
        click.echo(f"\n{_LOOK}")
        for found in new:
            click.echo(f'    [{found.table}]\n    host_keys = ["{found.best}"]')
    if any(found.pins for found in new):
        message = "a machine shows none of the keys that are pinned: see above, and do not hurry"
        raise click.ClickException(message)
    if one.ssh and len(shown) <= len(one.ssh.jumps):
        click.echo("\nWhat lies behind is shown when this one is pinned.")


@cluster.command("test")
@click.argument("name")
@click.option("--user", default="", help="As whom, where each user has an account.")
@click.option("--run", is_flag=True, help="Also run a small job, which tells what nodes have.")
@click.option(
    "--wait",
    type=click.FloatRange(1, 86_400),
    default=120.0,
    show_default=True,
    help="Seconds that this job may wait and run; then it is cancelled.",
)
@reported
def cluster_test(name: str, *, user: str, run: bool, wait: float) -> None:
    """Try a cluster step by step as a job would, and say what to mend.

    Nothing is submitted without --run.
    """
    from gateway.reach.site_check import check_cluster

    settings = load_settings()
    one = _configured(settings, name)
    account = None
    if one.is_per_user:
        account = _account(settings, name, user or _only_user(settings, name))
    elif user:
        raise SettingsError(f"all jobs on {name!r} run as one account: leave out --user")
    wrong = 0
    if run and one.scheduler == "local":
        raise SettingsError(f"{name!r} is this host: 'bumps-gateway run --example' leaves a fit")
    for finding in check_cluster(settings, name, account, wait if run else None):
        click.echo(finding.line)
        wrong += not finding.good
    if wrong:
        raise click.ClickException(f"{wrong} of these must be mended")


@cluster.command("drain")
@click.argument("name", required=False)
@click.option("--all", "everywhere", is_flag=True, help="Drain all clusters.")
@click.option("--reason", default="", help="What users are told; one line.")
@reported
def cluster_drain(name: str | None, *, everywhere: bool, reason: str) -> None:
    """Hand nothing new over to a cluster: jobs wait in the gateway, running ones go on."""
    drains = _drains(load_settings())
    for one in _chosen(name, everywhere=everywhere):
        drains.drain(one, reason, BY_COMMAND)
        click.echo(f"{one} is drained: new jobs wait in the gateway")


@cluster.command("resume")
@click.argument("name", required=False)
@click.option("--all", "everywhere", is_flag=True, help="Resume all clusters.")
@reported
def cluster_resume(name: str | None, *, everywhere: bool) -> None:
    """Hand over to a cluster again, beginning with what waits."""
    drains = _drains(load_settings())
    for one in _chosen(name, everywhere=everywhere):
        was = drains.resume(one, BY_COMMAND)
        click.echo(f"{one} takes jobs again" if was else f"{one} was not drained")


@cluster.group("account")
def account_group() -> None:
    """Look after the accounts of users on a cluster where each has their own."""


@account_group.command("add")
@click.argument("name")
@click.argument("user")
@click.option("--login", required=True, help="The name of the account over there.")
@click.option(
    "--key-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A private key in OpenSSH's form; it is kept encrypted, and its passphrase is not kept.",
)
@click.option("--generate", is_flag=True, help="Make a new key, also where there is one.")
@click.option(
    "--certificate-file",
    type=click.Path(path_type=Path),
    help="An OpenSSH certificate for the key; read anew at each connection.",
)
@reported
def account_add(
    name: str,
    user: str,
    *,
    login: str,
    key_file: Path | None,
    generate: bool,
    certificate_file: Path | None,
) -> None:
    """Register the account of a user; without a key one is made, unless there is one."""
    if key_file and generate:
        raise click.UsageError("give either --key-file or --generate")
    settings = load_settings()
    _users(settings).user(user)
    text = key_file.read_text(encoding="utf-8", errors="replace") if key_file else ""
    wanted = WantedAccount(
        login=login,
        private_key=text,
        passphrase=_passphrase(key_file) if key_file else "",
        new_key=generate,
        certificate_file=str(certificate_file.absolute()) if certificate_file else "",
    )
    made = _accounts(settings).register(name, user, wanted, user)
    click.echo(f"{user} is {made.login} on {name}, with the key {made.fingerprint}")
    click.echo("Put into ~/.ssh/authorized_keys of that account:")
    for host, line in authorized_keys(made, settings.clusters[name]):
        click.echo(f"on {host}:\n{line}")


@account_group.command("list")
@click.argument("name")
@reported
def account_list(name: str) -> None:
    """List who has an account on a cluster."""
    for found in _accounts(load_settings()).all(name):
        words = [found.user, found.login, found.source.value, found.fingerprint]
        click.echo(" ".join([*words, found.certificate_file]).rstrip())


@account_group.command("remove")
@click.argument("name")
@click.argument("user")
@reported
def account_remove(name: str, user: str) -> None:
    """Forget the account of a user; jobs that have not ended are held until it is back."""
    _accounts(load_settings()).remove(name, user, user)
    click.echo(f"{user} has no account on {name} any more; take the key out of authorized_keys")


def _chosen(name: str | None, *, everywhere: bool) -> list[str]:
    if (name is None) != everywhere:
        raise click.UsageError("give either the name of a cluster or --all")
    return [name] if name else list(load_settings(with_secret=False).clusters)


def _drains(settings: Settings) -> Drains:
    return Drains(
        DrainStore(connect(settings), Keepsakes(settings.state_directory, "drains")),
        settings,
        _users(settings).audit,
    )


def _configured(settings: Settings, name: str) -> ClusterSettings:
    if name not in settings.clusters:
        known = ", ".join(settings.clusters)
        raise SettingsError(f"there is no cluster {name!r}; known: {known}")
    return settings.clusters[name]


def _users(settings: Settings) -> Accounts:
    return Accounts(connect(settings), settings.accounts, settings.secret_key, settings.url)


def _accounts(settings: Settings) -> ClusterAccounts:
    store = ClusterAccountStore(connect(settings))
    return ClusterAccounts(store, settings, _users(settings).audit)


def _account(settings: Settings, name: str, user: str) -> ClusterAccount:
    found = _accounts(settings).find(name, user)
    if found is None:
        raise SettingsError(no_account(name, settings.clusters[name], user))
    return found


def _only_user(settings: Settings, name: str) -> str:
    """Name the user to test with when nobody is named: there must be no choice."""
    found = _accounts(settings).all(name)
    if len(found) == 1:
        return found[0].user
    names = ", ".join(account.user for account in found[:5])
    raise SettingsError(
        f"each user has an account on {name!r}: say whose with --user"
        + (f" ({names} ...)" if found else "; nobody has registered one yet")
    )


def _passphrase(key_file: Path) -> str:
    """Ask for the passphrase of a key; without a terminal it is read from standard input."""
    prompt = f"Passphrase of {key_file} (empty: it has none): "
    return getpass.getpass(prompt) if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")


def _where(one: ClusterSettings) -> str:
    if one.ssh is None:
        return "on this host"
    over = [*(hop.host for hop in one.ssh.jumps), f"{one.ssh.host}:{one.ssh.port}"]
    return f"over {' and '.join(over)}"


def _whose(one: ClusterSettings) -> str:
    if one.is_per_user:
        return "each user's own account"
    return f"one account ({one.ssh.user})" if one.ssh else "one account"
