"""Look at jobs, and end them or let them go on."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import Any

import click
from rich.text import Text

from bumps_remote.commands.common import answer, common, connect, print_json
from bumps_remote.commands.outcome import follow, left_alone, report
from bumps_remote.commands.parameters import (
    PLAIN,
    SECONDS,
    WHOLE,
    given_options,
    resource_options,
    resources_of,
)
from bumps_remote.completion import complete_job
from bumps_remote.connection import Connection
from bumps_remote.errors import RemoteError
from bumps_remote.show import err, job_lines, job_table, notice
from bumps_remote.text import clean
from bumps_remote.transport import Document
from bumps_remote.watching import Watching

NEW_ATTEMPT = click.option(
    "--new", is_flag=True, help="Another attempt even if the same is unfinished in the journal."
)
_LOG_LOOK_S = 1.0
_TAIL_BYTES, _GLANCE_BYTES = 65536, 2000


@click.command("list")
@click.option("--state", help="Only jobs in this state, such as RUNNING.")
@click.option("--tag", help="Only jobs with this tag.")
@click.option("--kind", help="Only jobs of this kind.")
@click.option("--search", "-q", "words", help="Only jobs with these words in title, notes or tags.")
@click.option("--limit", "-l", default=20, show_default=True, type=click.IntRange(1, 100_000))
@common
def list_jobs(
    state: str | None,
    tag: str | None,
    kind: str | None,
    words: str | None,
    limit: int,
    url: str | None,
    *,
    insecure: bool,
    as_json: bool,
) -> None:
    """List your jobs, newest first."""
    with connect(url, insecure=insecure) as connection:
        state = state.upper() if state else None
        found = connection.list(limit, state=state, tag=tag, kind=kind, q=words)
        documents = [job.document for job in found]
    narrowed = any((state, tag, kind, words))
    hint = "no such jobs" if narrowed else "no jobs yet: bumps-remote model.py --fit=lm"
    empty = Text(hint, style="dim")
    lines = [job_table(documents) if documents else empty]
    answer({"items": documents}, lines, as_json=as_json)


@click.command()
@click.argument("id", shell_complete=complete_job)
@common
def status(id: str, url: str | None, *, insecure: bool, as_json: bool) -> None:
    """Say how the job ID is."""
    with connect(url, insecure=insecure) as connection:
        document = connection.info(id)
    answer(document, job_lines(document), as_json=as_json)


@click.command()
@click.argument("id", shell_complete=complete_job)
@click.option(
    "--timeout", type=SECONDS, metavar="SECONDS", help="Give up after so long (exit code 5)."
)
@common
def wait(id: str, timeout: float | None, url: str | None, *, insecure: bool, as_json: bool) -> None:
    """Wait until the job ID has ended: exit code 0 if well, 1 if not."""
    with left_alone(id), connect(url, insecure=insecure) as connection:
        job = follow(connection.job(id), timeout, quiet=as_json)
        report(job, as_json=as_json)


@click.command()
@click.argument("id", shell_complete=complete_job)
@click.option(
    "--timeout", type=SECONDS, metavar="SECONDS", help="Give up after so long (exit code 5)."
)
@common
def watch(
    id: str, timeout: float | None, url: str | None, *, insecure: bool, as_json: bool
) -> None:
    """Watch the job ID live; with --json one event a line."""
    with left_alone(id), connect(url, insecure=insecure) as connection:
        job = connection.job(id)
        if not as_json:
            if (console := err()).is_terminal:
                with Watching(console, job.document, partial(_tail, connection, job.id)) as view:
                    for event in job.events(timeout):
                        view.feed(event)
            else:
                follow(job, timeout)
            report(job, as_json=False)
            return
        for event in job.events(timeout):
            click.echo(_event_line(event.event, event.id, event.data))
        report(job, as_json=False, quiet=True)


def _tail(connection: Connection, id: str) -> str:
    """Read the end of a log that is only looked at: what is not there yet is no fault."""
    try:
        return str(connection.log_part(id, "stdout", -_GLANCE_BYTES)["text"])
    except RemoteError:
        return ""


@click.command()
@click.argument("id", shell_complete=complete_job)
@click.option("--follow", "-f", "following", is_flag=True, help="Go on until the job has ended.")
@click.option("--stderr", is_flag=True, help="The error log instead of the output.")
@click.option("--all", "everything", is_flag=True, help="From its beginning, not just its end.")
@click.option("--task", default=0, type=click.IntRange(0), help="Which task of an array.")
@click.option("--raw", is_flag=True, help="As the job wrote it, terminal escapes and all.")
@common
def logs(
    id: str,
    *,
    following: bool,
    stderr: bool,
    everything: bool,
    task: int,
    raw: bool,
    url: str | None,
    insecure: bool,
    as_json: bool,
) -> None:
    """Print the log of the job ID."""
    stream = "stderr" if stderr else "stdout"
    offset = 0 if everything else -_TAIL_BYTES
    ended = left_alone(id) if following else nullcontext()
    with ended, connect(url, insecure=insecure) as connection:
        whole = connection.find(id)
        if as_json:
            print_json(connection.log_part(whole, stream, offset, task))
            return
        show = sys.stdout.write if raw else _write_clean
        _print_log(connection, whole, stream, offset, task, show, following=following)


@click.command()
@click.argument("ids", nargs=-1, required=True, metavar="ID...", shell_complete=complete_job)
@common
def stop(ids: tuple[str, ...], url: str | None, *, insecure: bool, as_json: bool) -> None:
    """Ask running fits to stop early and keep their results."""
    _each(ids, url, Connection.stop, "asked to stop", insecure=insecure, as_json=as_json)


@click.command()
@click.argument("ids", nargs=-1, required=True, metavar="ID...", shell_complete=complete_job)
@common
def cancel(ids: tuple[str, ...], url: str | None, *, insecure: bool, as_json: bool) -> None:
    """Ask for the end of jobs; their results do not matter."""
    _each(ids, url, Connection.cancel, "asked to end", insecure=insecure, as_json=as_json)


@click.command()
@click.argument("id", shell_complete=complete_job)
@common
def instead(id: str, url: str | None, *, insecure: bool, as_json: bool) -> None:
    """Cancel the job ID, which can never start, and ask for one that can."""
    with connect(url, insecure=insecure) as connection:
        document = connection.instead(id)
    answer(document, job_lines(document), as_json=as_json)


@click.command()
@click.argument("ids", nargs=-1, required=True, metavar="ID...", shell_complete=complete_job)
@common
def delete(ids: tuple[str, ...], url: str | None, *, insecure: bool, as_json: bool) -> None:
    """Forget jobs that have ended, with their results."""
    _each(ids, url, _delete, "deleted", insecure=insecure, as_json=as_json)


@click.command()
@click.argument("id", shell_complete=complete_job)
@click.option("--set", "changes", multiple=True, metavar="NAME=VALUE", help="Such as samples=1e5.")
@click.option("--seed", type=WHOLE)
@resource_options
@PLAIN
@NEW_ATTEMPT
@click.option("--wait/--no-wait", "waiting", default=False, help="Wait until it has ended.")
@common
def resume(id: str, url: str | None, *, insecure: bool, as_json: bool, **given: Any) -> None:
    """Continue a dream or de fit that has ended: more samples, more time."""
    with connect(url, insecure=insecure) as connection:
        again(connection, id, Connection.resume, given, as_json=as_json)


def again(
    connection: Connection,
    id: str,
    verb: Callable[..., Document],
    given: dict[str, Any],
    *,
    as_json: bool,
) -> None:
    """Ask for another attempt, and wait for it if wished."""
    whole = connection.find(id)
    change = {**given_options(given["changes"], connection.methods()), **resources_of(given)}
    if given.get("failed"):
        change["failed"] = True
    document = verb(connection, whole, seed=given["seed"], new=given["new"], **change)
    if given["waiting"]:
        report(follow(connection.job(whole), None, quiet=as_json), as_json=as_json)
        return
    lines = [Text(f"{whole}: attempt {document.get('attempt')}")]
    answer(document, lines, as_json=as_json)
    if not as_json:
        notice(f"watch it: bumps-remote watch {whole}")


def _each(
    ids: tuple[str, ...],
    url: str | None,
    verb: Callable[[Connection, str], Document],
    word: str,
    *,
    insecure: bool,
    as_json: bool,
) -> None:
    """Do the same with several jobs; all ids are found before anything is done."""
    with connect(url, insecure=insecure) as connection:
        whole = [connection.find(given) for given in ids]
        documents = [verb(connection, found) for found in whole]
    lines = [Text(f"{found}: {word}") for found in whole]
    answer({"items": documents}, lines, as_json=as_json)


def _delete(connection: Connection, id: str) -> Document:
    connection.delete(id)
    return {"id": id, "deleted": True}


def _print_log(
    connection: Connection,
    id: str,
    stream: str,
    offset: int,
    task: int,
    show: Callable[[str], object],
    *,
    following: bool,
) -> None:
    final = not following
    empty = True
    while True:
        part = connection.log_part(id, stream, offset, task)
        empty = empty and not part["text"]
        show(str(part["text"]))
        sys.stdout.flush()
        offset = int(part["next_offset"])
        if offset < part["size"] and part["text"]:
            continue
        if final:
            break
        # Read once more after the end, for what came between the two questions.
        final = bool(connection.info(id).get("final"))
        if not final:
            time.sleep(_LOG_LOOK_S)
    if empty:
        other = "what it wrote as errors: --stderr" if stream == "stdout" else "its output: logs"
        notice(f"nothing was written there ({other}; what the fit said: fetch --only out/log.txt)")
    if part.get("cut"):
        err().print(Text("the log is longer than the site keeps", style="yellow"))


def _write_clean(text: str) -> None:
    sys.stdout.write(clean(text))


def _event_line(event: str, id: str, data: Document) -> str:
    return json.dumps({"event": event, "id": id, "data": data})
