"""Let others read jobs, look at theirs, and make one's own of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import click
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from bumps_remote.commands.common import answer, common, connect
from bumps_remote.commands.outcome import follow, report, say_submitted
from bumps_remote.commands.parameters import (
    PLAIN,
    WHOLE,
    given_options,
    resource_options,
    resources_of,
)
from bumps_remote.completion import complete_job
from bumps_remote.connection import Connection
from bumps_remote.errors import RemoteError, UsageError
from bumps_remote.show import age_of, job_lines, job_table, notice
from bumps_remote.text import clean_line
from bumps_remote.transport import Document

_DAYS = click.IntRange(1, 3650)
_LOOKED_AT = 1000
_MINUTE = len("2026-01-01T00:00")


@click.command()
@click.argument("id", shell_complete=complete_job)
@click.option("--user", "users", multiple=True, metavar="NAME", help="Let this user read it.")
@click.option("--group", "groups", multiple=True, metavar="NAME", help="Let a group of yours.")
@click.option("--link", is_flag=True, help="Make a link: whoever has it can read it.")
@click.option("--days", type=_DAYS, help="For so long; else until you take it back.")
@click.option(
    "--take-back",
    "back",
    multiple=True,
    metavar="WHOM",
    help="End it, at once: for a user, a group, 'link', or 'all'.",
)
@common
def share(
    id: str,
    *,
    users: tuple[str, ...],
    groups: tuple[str, ...],
    link: bool,
    days: int | None,
    back: tuple[str, ...],
    url: str | None,
    insecure: bool,
    as_json: bool,
) -> None:
    """Let others read the job ID; without options say who may.

    They see its state, script, log and results, and change nothing.
    """
    wanted: list[dict[str, Any]] = [{"user": name} for name in users]
    wanted += [{"group": name} for name in groups]
    wanted += [{"link": True}] if link else []
    if days is not None and not wanted:
        raise UsageError("--days belongs to --user, --group or --link: say with whom you share")
    with connect(url, insecure=insecure) as connection:
        whole = connection.find(id)
        for whom in back:
            connection.shares.take_back(whole, whom)
        _share(connection, whole, wanted, days)
        found = connection.shares.list(whole)
    answer(found, _shown(found), as_json=as_json)
    if not as_json and not found["items"]:
        notice(_ways(whole, found))


def _share(
    connection: Connection, id: str, wanted: Sequence[dict[str, Any]], days: int | None
) -> None:
    """Share with one after the other; where one is refused, say what stands already."""
    done: list[str] = []
    for whom in wanted:
        try:
            connection.shares.add(id, days=days, **whom)
        except RemoteError:
            if done:
                notice(f"it is shared with {', '.join(done)}; then:")
            raise
        done.append(clean_line(whom.get("user") or whom.get("group") or "a link", 80))


def _shown(found: Document) -> Iterator[RenderableType]:
    """Draw who may read a job; a link stands on a line of its own, to be copied whole."""
    rows = found["items"]
    if not rows:
        yield Text("nobody else may read it")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("who", "since", "until", "opened last", ""):
        table.add_column(title)
    for row in rows:
        table.add_row(*map(Text, _cells(row)), Text(clean_line(row["note"]), style="yellow"))
    yield table
    for row in rows:
        if row["link"]:
            yield Text(clean_line(row["link"], 500), overflow="ignore", no_wrap=True)


def _cells(row: Document) -> Iterator[str]:
    people = f" ({row['members']} people)" if row["members"] is not None else ""
    yield f"{clean_line(row['how'])} {clean_line(row['to'] or '')}{people}".strip()
    yield age_of(row["since"])
    until = clean_line(row["expires"] or "", 40)[:_MINUTE].replace("T", " ")
    yield f"{until} UTC" if until else "you take it back"
    opened = sorted(row["opened"], key=lambda one: str(one["opened"]), reverse=True)
    names = [
        f"{clean_line(one['user'] or 'somebody', 40)}, {age_of(one['opened'])}" for one in opened
    ]
    yield "; ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _ways(id: str, found: Document) -> str:
    groups = ", ".join(clean_line(name, 40) for name in found["groups"])
    ways = ["--user NAME"] + ([f"--group NAME ({groups})"] if groups else [])
    ways += ["--link"] if found["links"] != "off" else []
    return f"to share it: bumps-remote share {id} {' or '.join(ways)}"


@click.command()
@click.argument("link", required=False)
@common
def shared(link: str | None, url: str | None, *, insecure: bool, as_json: bool) -> None:
    """List the jobs that others share with you; with LINK, open one by it."""
    with connect(url, insecure=insecure) as connection:
        if link:
            job = connection.shares.open(link)
            answer(job.document, job_lines(job.document), as_json=as_json)
            notice(f"you can read it from now on: bumps-remote results {job.id}")
            return
        documents = [job.document for job in connection.list(_LOOKED_AT, shared="true")]
    empty = Text("nobody shares a job with you; with a link: bumps-remote shared LINK", "dim")
    lines = [job_table(documents, owners=True) if documents else empty]
    answer({"items": documents}, lines, as_json=as_json)


@click.command()
@click.argument("id", shell_complete=complete_job)
@click.option("--set", "changes", multiple=True, metavar="NAME=VALUE", help="Such as samples=1e5.")
@click.option("--seed", type=WHOLE)
@resource_options
@PLAIN
@click.option("--new", is_flag=True, help="Another even if the same is unfinished in the journal.")
@click.option("--wait/--no-wait", "waiting", default=False, help="Wait until it has ended.")
@common
def copy(id: str, url: str | None, *, insecure: bool, as_json: bool, **given: Any) -> None:
    """Make a job of your own of the job ID, also of one that is shared with you."""
    with connect(url, insecure=insecure) as connection:
        change = {**given_options(given["changes"], connection.methods()), **resources_of(given)}
        if given["seed"] is not None:
            change["seed"] = given["seed"]
        job = connection.shares.copy(id, new=given["new"], **change)
        if given["waiting"]:
            report(follow(job, None, quiet=as_json), as_json=as_json)
            return
    say_submitted(job, as_json=as_json)
