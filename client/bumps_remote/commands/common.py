"""What every command has: where to connect, and how to answer people or programs."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from datetime import datetime, timezone
from typing import Any, TypeVar

import click
from rich.console import RenderableType

from bumps_remote.completion import complete_profile
from bumps_remote.connection import Connection
from bumps_remote.errors import UsageError
from bumps_remote.show import notice, out
from bumps_remote.transport import Patience

_Function = TypeVar("_Function", bound=Callable[..., Any])
_PATIENCE = "BUMPS_REMOTE_PATIENCE"
_SOON_DAYS, _DAY_S = 7, 86400.0

JSON_OPTION = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON and nothing else on standard output."
)
URL_OPTION = click.option(
    "--server", "--url", "url", metavar="URL", help="The server; else that of the last login."
)
_PROFILE = "bumps_remote.profile"


def _keep_profile(ctx: click.Context, _param: click.Parameter, name: str | None) -> None:
    ctx.meta[_PROFILE] = name


PROFILE_OPTION = click.option(
    "--profile",
    metavar="NAME",
    expose_value=False,
    callback=_keep_profile,
    shell_complete=complete_profile,
    help="The server that was given this name at login.",
)
INSECURE_OPTION = click.option(
    "--insecure", is_flag=True, help="Allow plain http to another computer."
)


def common(function: _Function) -> _Function:
    """Give a command the options that all have."""
    for option in (JSON_OPTION, INSECURE_OPTION, PROFILE_OPTION, URL_OPTION):
        function = option(function)
    return function


def connect(url: str | None, *, insecure: bool) -> Connection:
    """Connect, and say on standard error when patience is needed."""
    found = Connection(
        url, profile=chosen_profile(), insecure=insecure, patience=patience(), notice=notice
    )
    if (left := _days_left(found.server.expires)) is not None and left < _SOON_DAYS:
        again = f"bumps-remote login --profile {found.server.profile}"
        notice(
            f"your token ends in {left:.0f} days: {again}"
            if left > 1
            else f"your token ends within a day: {again}"
        )
    return found


def chosen_profile() -> str | None:
    """Say which profile the command line names."""
    context = click.get_current_context(silent=True)
    return None if context is None else context.meta.get(_PROFILE)


def _days_left(expires: str | None) -> float | None:
    """Say how long a token still lives; None when it has ended, or nobody knows."""
    try:
        end = datetime.fromisoformat((expires or "").replace("Z", "+00:00"))
        left = (end - datetime.now(timezone.utc)).total_seconds() / _DAY_S
    except (ValueError, TypeError):
        return None
    return left if left > 0 else None


def patience() -> Patience:
    """Say how long to try; ``BUMPS_REMOTE_PATIENCE`` is in seconds."""
    text = os.environ.get(_PATIENCE)
    if not text:
        return Patience()
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < 1e7:  # refuses nan, too
        raise UsageError(f"{_PATIENCE} must be a number of seconds, not {text[:40]!r}")
    return Patience(total_s=seconds)


def answer(document: Any, lines: Iterable[RenderableType], *, as_json: bool) -> None:
    """Answer a program with the document, or a person with the lines."""
    if as_json:
        print_json(document)
        return
    console = out()
    for line in lines:
        console.print(line)


def print_json(document: Any) -> None:
    """Print JSON; as ASCII, so that no terminal obeys what is in it."""
    click.echo(json.dumps(document, indent=1))
