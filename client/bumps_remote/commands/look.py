"""Clusters, comparisons, what a job would be, and completion in the shell."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import click
from click.shell_completion import get_completion_class
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from bumps_remote.commands.common import answer, common, connect
from bumps_remote.completion import complete_job
from bumps_remote.errors import UsageError
from bumps_remote.numbers import number, with_uncertainty
from bumps_remote.outlook import compare as compare_results
from bumps_remote.show import notice
from bumps_remote.text import clean, clean_line
from bumps_remote.transport import Document

_LEAST, _MOST = 2, 10
_LABEL, _TITLE = 40, 24
_FAR = 2.0
"""So many standard deviations apart, and a line is coloured."""

_SETTINGS = 8
_DIFFERENCE = {"+": "green", "-": "red"}
_HOW = {
    "bash": 'eval "$(bumps-remote completion bash)"   # in ~/.bashrc',
    "zsh": 'eval "$(bumps-remote completion zsh)"    # in ~/.zshrc, after compinit',
    "fish": "bumps-remote completion fish > ~/.config/fish/completions/bumps-remote.fish",
}


@click.command()
@common
def clusters(url: str | None, *, insecure: bool, as_json: bool) -> None:
    """List where jobs can run, with what each gives to one job."""
    with connect(url, insecure=insecure) as connection:
        found = connection.clusters()
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("cluster", "", "longest", "CPUs a job", "tasks", "partitions", "runs as", ""):
        table.add_column(title)
    for cluster in found:
        drained = clean_line(cluster.get("drained") or "", 100)
        cells = [
            clean_line(cluster["name"]) + ("*" if cluster.get("default") else ""),
            clean_line(cluster.get("title") or ""),
            clean_line(cluster.get("max_time") or ""),
            clean_line(cluster.get("max_cpus_per_job") or ""),
            clean_line(cluster.get("max_array") or ""),
            ", ".join(map(clean_line, cluster.get("partitions") or [])),
            clean_line(cluster.get("login") or cluster.get("accounts") or ""),
        ]
        waits = Text(f"waits: {drained}" if drained else "", style="yellow")
        table.add_row(*map(Text, cells), waits)
    answer({"items": found}, [table], as_json=as_json)


@click.command()
@click.argument("ids", nargs=-1, required=True, metavar="ID...", shell_complete=complete_job)
@click.option("--all", "everything", is_flag=True, help="Also settings that are the same.")
@common
def compare(
    ids: tuple[str, ...], *, everything: bool, url: str | None, insecure: bool, as_json: bool
) -> None:
    """Lay 2 to 10 results side by side; the first is what the others are held against.

    ID:2 is a job's second attempt, ID::3 element 3 of an array.
    """
    if not _LEAST <= len(ids) <= _MOST:
        raise UsageError(f"compare: give {_LEAST} to {_MOST} jobs, not {len(ids)}")
    with connect(url, insecure=insecure) as connection:
        refs = []
        for given in ids:
            head, colon, rest = given.partition(":")
            refs.append(connection.find(head) + colon + rest)
        found = compare_results(connection.transport, refs)
    answer(found, _compared(found, everything=everything), as_json=as_json)


def _compared(found: Document, *, everything: bool) -> Iterator[RenderableType]:
    jobs = found["jobs"]
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("")
    for index, job in enumerate(jobs):
        title = clean_line(job.get("title") or "", _TITLE)
        ends = clean_line(job["ref"].partition(":")[0][-6:]) + job["ref"][26:]
        table.add_column(Text(f"{index + 1}: {title}\n{clean_line(ends)}"))
    table.add_column("apart")
    for what in ("method", "chisq", "points", "delta_aic", "delta_bic"):
        cells = [job.get(what) for job in jobs]
        shown = [clean_line(cell) if isinstance(cell, str) else number(cell) for cell in cells]
        table.add_row(_WORDS.get(what, what), *map(Text, shown), "")
    for line in found["parameters"]:
        table.add_row(*_line(line))
    yield table
    if not found.get("same_data"):
        yield Text("they were not fitted to the same data: chi² does not compare", style="yellow")
    yield from _settings(found, everything=everything)


_WORDS = {"chisq": "chi²", "delta_aic": "ΔAIC", "delta_bic": "ΔBIC"}


def _line(line: Document) -> Iterator[Text]:
    far = line.get("farthest")
    style = "yellow" if isinstance(far, int | float) and far >= _FAR else ""
    yield Text(clean_line(line["label"], _LABEL), style=style)
    for cell in line["values"]:
        if cell is None:
            yield Text("-", style="dim")
            continue
        limit = "!" if cell.get("at_limit") else ""
        yield Text(with_uncertainty(cell.get("value"), cell.get("uncertainty")) + limit)
    yield Text(f"{number(far, 2)} std" if isinstance(far, int | float) else "", style=style)


def _settings(found: Document, *, everything: bool) -> Iterator[Text]:
    rows = [row for row in found.get("settings", []) if everything or row.get("differs")]
    # What one of them does not have at all, such as an option of another method, says least.
    rows.sort(key=lambda row: None in row["values"])
    for row in rows if everything else rows[:_SETTINGS]:
        values = " | ".join("-" if v is None else clean_line(v, _LABEL) for v in row["values"])
        yield Text(f"{clean_line(row['group'])} {clean_line(row['name'])}: {values}")
    if not everything and len(rows) > _SETTINGS:
        yield Text(f"and {len(rows) - _SETTINGS} more: --all", style="dim")


def preview_lines(found: Document) -> Iterator[Text]:
    """Say what a job would be, the script aside."""
    forecast, earliest = found.get("forecast"), found.get("earliest")
    tasks = found.get("tasks") or 1
    if tasks > 1:
        yield Text(f"{tasks} tasks; each:")
    if forecast:
        yield Text(clean(forecast.get("text") or ""))
    else:
        yield Text("how long is not known: nothing of this problem was timed there yet", "dim")
    if earliest and earliest.get("text"):
        yield Text(clean(earliest["text"]))
    accuracy = found.get("accuracy") or {}
    if accuracy.get("jobs"):
        yield Text(
            f"the last {accuracy['jobs']} forecasts there were off by a factor of "
            f"{number(accuracy.get('factor'), 2)}",
            "dim",
        )
    if found.get("difference"):
        yield Text("what you add to the script:")
        for line in str(found["difference"]).splitlines():
            yield Text(clean(line), style=_DIFFERENCE.get(line[:1], "dim"))
    for warning in found.get("warnings") or []:
        yield Text(clean(warning), style="yellow")


@click.command()
@click.argument("shell", type=click.Choice(sorted(_HOW)))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> Any:
    """Print what makes the Tab key complete commands, options, jobs and profiles in your SHELL."""
    kind = get_completion_class(shell)
    if kind is None:
        raise UsageError(f"{shell} is not known to the library: update click")
    program = ctx.find_root().command
    click.echo(kind(program, {}, "bumps-remote", "_BUMPS_REMOTE_COMPLETE").source())
    if sys.stdout.isatty():  # not where a shell reads it at each start
        notice(f"to keep it: {_HOW[shell]}")
