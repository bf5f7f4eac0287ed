"""What every command has: where to connect, and how to answer people or programs."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import click
from rich.console import RenderableType

from bumps_remote.connection import Connection
from bumps_remote.errors import UsageError
from bumps_remote.show import notice, out
from bumps_remote.transport import Patience

_Function = TypeVar("_Function", bound=Callable[..., Any])
_PATIENCE = "BUMPS_REMOTE_PATIENCE"

JSON_OPTION = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON and nothing else on standard output."
)
URL_OPTION = click.option("--url", metavar="URL", help="The server; else that of the last login.")
INSECURE_OPTION = click.option(
    "--insecure", is_flag=True, help="Allow plain http to another computer."
)


def common(function: _Function) -> _Function:
    """Give a command the options that all have."""
    for option in (JSON_OPTION, INSECURE_OPTION, URL_OPTION):
        function = option(function)
    return function


def connect(url: str | None, *, insecure: bool) -> Connection:
    """Connect, and say on standard error when patience is needed."""
    return Connection(url, insecure=insecure, patience=patience(), notice=notice)


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
