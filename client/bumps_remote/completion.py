"""What a shell may put in after Tab: ids of one's jobs, profiles, methods, clusters.

Nobody waits for a server at a prompt: what takes more than a second, or fails, completes nothing.
"""

from __future__ import annotations

from collections.abc import Callable

import click
from click.shell_completion import CompletionItem

from bumps_remote.config import load_config
from bumps_remote.connection import Connection
from bumps_remote.errors import RemoteError
from bumps_remote.options import built_in_methods
from bumps_remote.text import clean_line
from bumps_remote.transport import Patience

_JOBS = 30
_PATIENCE = Patience(total_s=0.5)

Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def complete_profile(
    _ctx: click.Context, _param: click.Parameter, begun: str
) -> list[CompletionItem]:
    """Propose profiles."""
    try:
        profiles = load_config().profiles
    except RemoteError:
        return []
    return [
        CompletionItem(name, help=server.url)
        for name, server in profiles.items()
        if name.startswith(begun)
    ]


def complete_job(_ctx: click.Context, _param: click.Parameter, begun: str) -> list[CompletionItem]:
    """Propose one's newest jobs, with their titles."""
    try:
        with Connection(patience=_PATIENCE) as connection:
            jobs = [job.document for job in connection.list(_JOBS)]
    except RemoteError:
        return []
    found = [CompletionItem("last", help="your newest job")] if "last".startswith(begun) else []
    return found + [
        CompletionItem(
            clean_line(job["id"]),
            help=clean_line(f"{job.get('state', '')} {job.get('title', '')}", 60),
        )
        for job in jobs
        if str(job["id"]).startswith(begun.upper())
    ]


def complete_method(
    _ctx: click.Context, _param: click.Parameter, begun: str
) -> list[CompletionItem]:
    """Propose fit methods."""
    names = ("auto", *(name for name in built_in_methods() if name != "auto"))
    return [CompletionItem(name) for name in names if name.startswith(begun)]


def complete_cluster(
    _ctx: click.Context, _param: click.Parameter, begun: str
) -> list[CompletionItem]:
    """Propose clusters."""
    try:
        with Connection(patience=_PATIENCE) as connection:
            names = [str(cluster["name"]) for cluster in connection.clusters()]
    except RemoteError:
        return []
    return [CompletionItem(clean_line(name)) for name in names if name.startswith(begun)]
