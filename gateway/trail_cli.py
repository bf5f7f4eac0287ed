"""Show what became of something, to an administrator."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING

import click

from gateway.cli_reported import reported
from gateway.records import Document
from gateway.settings import load_settings
from gateway.texts import size_text

if TYPE_CHECKING:
    from gateway.trail import Trail


@click.command()
@click.argument("id")
@click.option(
    "--log",
    "logs",
    multiple=True,
    metavar="FILE",
    help="A file with the log as JSON lines, also .gz; may be repeated; - is standard input.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@reported
def trail(id: str, logs: tuple[str, ...], *, as_json: bool) -> None:
    """Show what became of ID, from the request to the results.

    ID is a job's, a request's (its correlation id), a problem's, a dataset's or the scheduler's.
    It is looked for in the store, in the sidecar files and in the log; the log of systemd comes by
    `journalctl -o cat -u 'bumps-gateway*' | bumps-gateway trail ID --log -`.
    """
    from gateway.trail import follow_trail

    with NamedTemporaryFile() as kept:  # standard input is read twice
        if "-" in logs:
            shutil.copyfileobj(sys.stdin.buffer, kept)
            kept.flush()
        paths = [Path(kept.name if name == "-" else name) for name in logs]
        if missing := [path for path in paths if not path.is_file()]:
            raise click.BadParameter(f"there is no file {missing[0]}", param_hint="--log")
        found = follow_trail(load_settings(with_secret=False), id, paths)
    if as_json:
        click.echo(json.dumps(asdict(found), indent=2))
    else:
        click.echo("\n".join(_text(found)))
    if not found.found:
        where = "the store and the files" if logs == () else "the store, the files and the log"
        raise click.ClickException(f"nothing is known of {id}: {where} were searched")


def _text(found: Trail) -> Iterator[str]:
    for note in found.notes:
        yield f"NOTE {note}"
    for problem in found.problems:
        yield f"problem {problem['id']} of {problem.get('owner')}: {_shown(problem.get('name'))}"
    for gone in found.deleted:
        yield f"job {gone['id']} of {gone.get('owner')} was deleted {gone.get('deleted')}"
    for job in found.jobs:
        yield from _job_text(job)
    if found.log:
        yield "log"
    for line in found.log:
        yield f"  {line.get('timestamp', '')} {_log_text(line)}"


def _job_text(job: Document) -> Iterator[str]:
    places = [word for key, word in (("in_store", "store"), ("in_files", "file")) if job[key]]
    yield f"job {job['id']} of {job['owner']}: {job['kind']} on {job['cluster']}, {job['wish']}"
    known = " and ".join(places) or "no one"
    yield f"  title {_shown(job['title'])}, accepted {job['created']}, known by {known}"
    yield f"  correlation id {job['correlation_id']}"
    if job["problem"].get("id"):
        yield f"  problem {job['problem']['id']}, version {job['problem'].get('version')}"
    for attempt in job["attempts"]:
        yield from _attempt_text(attempt)


def _attempt_text(attempt: Document) -> Iterator[str]:
    yield f"  attempt {attempt['number']}: {attempt['state']} - {_shown(attempt['reason_text'])}"
    yield f"    scheduler's job {attempt['native_id']} named {attempt['marker']}"
    where = "" if attempt["here"] else " (not on this host)"
    yield f"    directory {attempt['directory']}{where}"
    for row in attempt.get("tries", ()):
        words = [
            f"{name} {_shown(row[name])}"
            for name in ("native_id", "refused", "claim")
            if name in row
        ]
        yield f"    try {row['try']}: {', '.join(words) or 'no trace of its outcome'}"
    for row in attempt.get("exits", ()):
        yield f"    {row['file']}: {_shown(row['content'])}"
    if attempt.get("events"):
        counts = ", ".join(f"{count} {name}" for name, count in attempt["events"].items())
        yield f"    events: {_shown(counts)}"
    if (dataset := attempt["dataset"]) is not None:
        size = size_text(dataset["bytes"])
        yield f"    dataset {dataset['id']}: {dataset['files']} files, {size}"


def _log_text(line: Document) -> str:
    known = {"timestamp", "level", "logger", "event"}
    more = " ".join(
        f"{name}={_shown(value)}" for name, value in line.items() if name not in known and value
    )
    return f"{line.get('logger', '')}: {_shown(line.get('event'))} {more}"


def _shown(value: object) -> str:
    """Write a stranger's text so that it moves no cursor and makes no line of ours."""
    text = str(value)
    return text if text.isprintable() else repr(text)[1:-1]
