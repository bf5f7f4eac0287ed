"""The commands that copy a gateway's files and bring them back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from gateway.cli_reported import reported
from gateway.settings import load_settings


@click.command()
@click.argument("target", type=click.Path(path_type=Path))
@reported
def backup(target: Path) -> None:
    """Copy all files of the gateway into TARGET, a new folder or FILE.tar, while it runs."""
    from gateway.backup import back_up

    _say(back_up(load_settings(with_secret=False), target.absolute()))


@click.command()
@click.argument("source", type=click.Path(path_type=Path, exists=True))
@reported
def restore(source: Path) -> None:
    """Bring a backup into an empty state directory; then run 'bumps-gateway rebuild'."""
    from gateway.restoring import restore as bring_back

    _say(bring_back(load_settings(with_secret=False), source.absolute()))


def _say(lines: Iterator[str]) -> None:
    try:
        for line in lines:
            click.echo(line)
    except OSError as error:
        raise click.ClickException(str(error)) from error
