"""The administrator's command: set up, run, look after.

Output is for people; exit codes: 0 done, 1 not done (one line says why), 2 wrong usage.
"""

from __future__ import annotations

import atexit
import gc
import getpass
import secrets
import sys

import click

from gateway import __version__
from gateway.starting import importing

with importing():
    from gateway.accounts.audit import BY_COMMAND
    from gateway.accounts.service import Accounts
    from gateway.backup_cli import backup, restore
    from gateway.by_hand.cli import adopt, script
    from gateway.cli_reported import reported
    from gateway.database import connect, running_store, schema_version, upgrade
    from gateway.policy_cli import policy
    from gateway.reach.cli import cluster
    from gateway.settings import Settings, load_settings, prepare_state
    from gateway.trail_cli import trail
    from gateway.web.logs import configure_logs

_FEW = 200
"""Users that are read at once."""


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="bumps-gateway")
def main() -> None:
    """Run fits with bumps on a cluster: one click is at most one job, and no job is lost."""
    # At the end Python looks for garbage in all that was imported: a quarter of a short command.
    atexit.register(gc.freeze)


main.add_command(adopt)
main.add_command(backup)
main.add_command(cluster)
main.add_command(policy)
main.add_command(restore)
main.add_command(script)
main.add_command(trail)


@main.command()
@reported
def init() -> None:
    """Make the state directory and its secret; again without harm."""
    settings = load_settings(with_secret=False)
    prepare_state(settings.state_directory)
    click.echo(f"state directory: {settings.state_directory}")


@main.command()
@click.option("--example", is_flag=True, help="Leave one finished example fit for the first user.")
@reported
def run(*, example: bool) -> None:
    """Run everything here: store, worker and web server. Ctrl-C stops it."""
    with importing():
        from gateway.run import run_all

    settings = _prepared()
    configure_logs()
    sys.exit(run_all(settings, example=example))


@main.command()
@reported
def web() -> None:
    """Run the web server alone (for systemd)."""
    from gateway.run import exec_web

    exec_web(load_settings())


@main.command()
@reported
def worker() -> None:
    """Run the reconciler and its queue worker alone (for systemd)."""
    with importing():
        from gateway.worker import Worker

    configure_logs()
    Worker(load_settings()).run()


@main.group()
def user() -> None:
    """Look after accounts."""


@user.command("add")
@click.argument("name")
@click.option("--admin", is_flag=True, help="May manage users.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@reported
def user_add(name: str, *, admin: bool, password_stdin: bool) -> None:
    """Add a user; without --password-stdin a password is made and shown once."""
    settings = load_settings()
    password = _password(password_stdin=password_stdin)
    shown = password or secrets.token_urlsafe(15)
    accounts = _accounts(settings)
    accounts.add_user(name, shown, admin=admin)
    accounts.audit.record(BY_COMMAND, "user.add", name)
    click.echo(f"added {name}" if password else f"added {name} with the password {shown}")


@user.command("list")
@reported
def user_list() -> None:
    """List the users."""
    accounts, last = _accounts(load_settings()), None
    while some := accounts.users(after=last, limit=_FEW):
        for found in some:
            words = [
                word for word, is_so in (("admin", found.admin), ("off", not found.active)) if is_so
            ]
            click.echo(" ".join([found.name, *words]))
        last = some[-1].name


@user.command("off")
@click.argument("name")
@reported
def user_off(name: str) -> None:
    """Switch a user off: sessions and tokens stop at once."""
    accounts = _accounts(load_settings())
    accounts.deactivate(name)
    accounts.audit.record(BY_COMMAND, "user.deactivate", name)
    click.echo(f"{name} is off")


@user.command("on")
@click.argument("name")
@reported
def user_on(name: str) -> None:
    """Switch a user on again."""
    accounts = _accounts(load_settings())
    accounts.activate(name)
    accounts.audit.record(BY_COMMAND, "user.activate", name)
    click.echo(f"{name} is on")


@user.command("password")
@click.argument("name")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@reported
def user_password(name: str, *, password_stdin: bool) -> None:
    """Give a user a new password; all sessions and tokens of theirs end."""
    password = _password(password_stdin=password_stdin)
    shown = password or secrets.token_urlsafe(15)
    accounts = _accounts(load_settings())
    accounts.set_password(name, shown)
    accounts.audit.record(BY_COMMAND, "password.reset", name)
    click.echo(f"changed {name}" if password else f"changed {name}: the password is {shown}")


@main.group()
def db() -> None:
    """Look after the store."""


@db.command("current")
@reported
def db_current() -> None:
    """Show the version of the data, and the version that this program writes."""
    from gateway.database import SCHEMA

    found = schema_version(connect(load_settings(with_secret=False)))
    click.echo(f"data: {'none' if found is None else found}, program: {SCHEMA}")


@db.command("upgrade")
@reported
def db_upgrade() -> None:
    """Bring the data to this program's version; again without harm."""
    with running_store(load_settings(with_secret=False)) as client:
        before, after = upgrade(client)
    click.echo(f"data: {'none' if before is None else before} -> {after}")


@db.command("clear")
@click.option("--yes", is_flag=True, help="Really forget everything; nothing brings it back.")
@reported
def db_clear(*, yes: bool) -> None:
    """Forget all users, problems, jobs and files: an empty store, as on the first day."""
    from gateway.clear import clear

    if not yes:
        raise click.UsageError("this forgets everything for good: say --yes if you mean it")
    for line in clear(load_settings(with_secret=False)):
        click.echo(line)


@main.command()
@reported
def doctor() -> None:
    """Check settings, store, worker and clusters one by one, and say what to mend."""
    from gateway.doctor import examine

    faults = 0
    for finding in examine(load_settings()):
        click.echo(finding.line)
        faults += not finding.good
    if faults:
        raise click.ClickException(f"{faults} of these must be mended")


@main.command()
@reported
def rebuild() -> None:
    """Restore the store from the sidecar files; nothing is submitted again."""
    from gateway.rebuild import rebuild as bring_back

    for line in bring_back(load_settings()):
        click.echo(line)


def _prepared() -> Settings:
    """Make what a first run needs, then read the settings."""
    prepare_state(load_settings(with_secret=False).state_directory)
    return load_settings()


def _accounts(settings: Settings) -> Accounts:
    return Accounts(connect(settings), settings.accounts, settings.secret_key, settings.url)


def _password(*, password_stdin: bool) -> str:
    """Read a password; empty means: make one."""
    if password_stdin:
        return sys.stdin.readline().rstrip("\n")
    if sys.stdin.isatty():
        return getpass.getpass("Password (empty: make one): ")
    return ""


if __name__ == "__main__":
    main()
