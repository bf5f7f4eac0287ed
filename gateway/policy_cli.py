"""The administrator's commands for the site's policy: groups, limits, proposals."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from gateway.accounts.audit import BY_COMMAND
from gateway.cli_reported import reported
from gateway.jobs.expert import Additions, written
from gateway.policy.file import PolicyFile
from gateway.policy.models import Policy
from gateway.policy.ration import number
from gateway.policy.reading import PolicyError, read_policy
from gateway.policy.service import Policies, Standing
from gateway.settings import Settings, load_settings

_FILE = click.argument("file", type=click.Path(path_type=Path, dir_okay=False))


@click.group()
def policy() -> None:
    """Look after groups, limits and proposals."""


@policy.command("check")
@_FILE
@reported
def policy_check(file: Path) -> None:
    """Look at a policy without letting it hold."""
    for line in _summary(_read(load_settings(with_secret=False), file)[0]):
        click.echo(line)


@policy.command("set")
@_FILE
@reported
def policy_set(file: Path) -> None:
    """Let a policy hold from now on; a wrong one changes nothing."""
    settings = load_settings()
    found, text = _read(settings, file)
    _policies(settings).put(file, text, BY_COMMAND)
    for line in _summary(found):
        click.echo(line)
    click.echo("it holds from now on")


@policy.command("show")
@click.option("--user", help="Only what it says of a user, and what they have used.")
@reported
def policy_show(*, user: str | None) -> None:
    """Show the policy that holds, as it was written."""
    if user is None:
        file = PolicyFile(load_settings(with_secret=False).state_directory)
        _check(file)
        text = file.text()
        click.echo(text.rstrip("\n") or "# no policy: nothing is limited over all clusters")
        return
    policies = _policies(load_settings())
    click.echo(f"groups: {', '.join(policies.groups_of(user)) or 'none'}")
    for standing in policies.standing(user):
        click.echo(_standing(standing))
    for name, one in policies.proposals_of(user).items():
        click.echo(f"proposal {name}: {one.first} to {one.last} {one.title}".rstrip())
    click.echo(_additions(policies.additions(user)))


def _check(file: PolicyFile) -> None:
    try:
        file.checked()
    except PolicyError as error:
        raise PolicyError(
            f"the policy is damaged, so nothing new is taken until it is mended: {error}; put a "
            "whole one there with 'bumps-gateway policy set FILE'"
        ) from error


def _policies(settings: Settings) -> Policies:
    from gateway.services import open_gateway

    return open_gateway(settings).policies


def _read(settings: Settings, file: Path) -> tuple[Policy, str]:
    """Read a file, also for what only these settings can tell."""
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise PolicyError(f"there is no file {file}: give the name of a policy file") from error
    except OSError as error:
        raise PolicyError(f"{file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise PolicyError(f"{file} is no text in UTF-8 ({error.reason})") from error
    found = read_policy(text, str(file))
    for name, proposal in found.proposals.items():
        if strange := sorted(set(proposal.clusters) - set(settings.clusters)):
            known = ", ".join(settings.clusters)
            raise PolicyError(
                f"{file}: proposals.{name}.clusters: there is no cluster {strange[0]!r}; "
                f"known: {known}"
            )
    return found, text


def _summary(found: Policy) -> Iterator[str]:
    for name, group in found.groups.items():
        yield f"group {name}: {len(group.members)} members"
    for name, proposal in found.proposals.items():
        given = " ".join(f"--{option}={value}" for option, value in proposal.given.items())
        yield f"proposal {name}: {proposal.first} to {proposal.last} {given}".rstrip()
    limits = "some" if found.limits_jobs else "none"
    yield f"limits on jobs, processors and core-hours: {limits}"


def _additions(found: Additions) -> str:
    added = [*map(written, found.directives), *(["shell lines before the fit"] * found.lines)]
    return f"may add to scripts: {', '.join(added) or 'nothing'}"


def _standing(standing: Standing) -> str:
    holder, most = standing.holder, standing.holder.allowance
    window = "in all" if holder.until_the_end else f"a {most.window}"
    words = [
        f"{most.jobs} jobs at once" if most.jobs else "",
        f"{most.cpus} processors at once" if most.cpus else "",
        f"{number(standing.core_hours)} of {number(most.core_hours)} core-hours {window}"
        if most.core_hours
        else "",
        f"{standing.submitted} of {most.submissions_per_hour} submissions this hour"
        if most.submissions_per_hour
        else "",
    ]
    return f"{holder.kind} {holder.name}: {', '.join(filter(None, words)) or 'no limits'}"
