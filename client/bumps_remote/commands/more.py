"""Tags, and the journal of what is under way."""

from __future__ import annotations

import click
from rich.text import Text

from bumps_remote.commands.common import JSON_OPTION, answer, common, connect
from bumps_remote.commands.outcome import said_when_interrupted
from bumps_remote.completion import complete_job
from bumps_remote.errors import RemoteError, UsageError
from bumps_remote.journal import Draft, Entry, Journal, Repetition
from bumps_remote.show import job_table, notice
from bumps_remote.submission import age_text
from bumps_remote.text import clean_line
from bumps_remote.transferred import sending
from bumps_remote.transport import Document

_LATER = "interrupted: 'bumps-remote journal --continue' goes on with it"


@click.group()
def tags() -> None:
    """Look after the tags of your jobs."""


@tags.command("list")
@common
def list_tags(url: str | None, *, insecure: bool, as_json: bool) -> None:
    """List your tags with the number of jobs that have each."""
    with connect(url, insecure=insecure) as connection:
        found = connection.tags.list()
    lines = [Text(f"{count:6d}  {clean_line(tag)}") for tag, count in found.items()]
    answer({"tags": found}, lines, as_json=as_json)
    if not found:
        notice("none of your jobs has a tag: bumps-remote tags add ID TAG")


@tags.command()
@click.argument("tag", required=False)
@common
def count(tag: str | None, url: str | None, *, insecure: bool, as_json: bool) -> None:
    """Count the jobs that have TAG; without it, count your tags."""
    with connect(url, insecure=insecure) as connection:
        found = connection.tags.count(tag)
    answer({"tag": tag, "count": found}, [Text(str(found))], as_json=as_json)


@tags.command()
@click.argument("tag")
@common
def load(tag: str, url: str | None, *, insecure: bool, as_json: bool) -> None:
    """Show the jobs that have TAG."""
    with connect(url, insecure=insecure) as connection:
        documents = [job.document for job in connection.tags.load(tag)]
    answer({"items": documents}, [job_table(documents)], as_json=as_json)


@tags.command()
@click.argument("id", shell_complete=complete_job)
@click.argument("names", nargs=-1, required=True, metavar="TAG...")
@common
def add(id: str, names: tuple[str, ...], url: str | None, *, insecure: bool, as_json: bool) -> None:
    """Put tags on the job ID."""
    with connect(url, insecure=insecure) as connection:
        document = connection.tags.add(id, *names)
    shown = Text(f"{document['id']}: {clean_line(', '.join(document['tags']))}")
    answer(document, [shown], as_json=as_json)


@tags.command()
@click.argument("tag")
@common
def delete(tag: str, url: str | None, *, insecure: bool, as_json: bool) -> None:
    """Take TAG off all jobs that have it; the jobs stay."""
    with connect(url, insecure=insecure) as connection:
        found = connection.tags.delete(tag)
    text = Text(f"{clean_line(tag)}: taken off {found} jobs")
    answer({"tag": tag, "count": found}, [text], as_json=as_json)


@click.command()
@click.option("--continue", "go_on", is_flag=True, help="Send what is unfinished once more.")
@click.option("--drop", metavar="KEY", help="Forget one entry; a job that it made stays.")
@click.option("--insecure", is_flag=True, help="Allow plain http to another computer.")
@JSON_OPTION
def journal(drop: str | None, *, go_on: bool, insecure: bool, as_json: bool) -> None:
    """Show requests that got no answer; --continue finds or makes their jobs and attempts."""
    book = Journal()
    entries = book.entries()
    if drop:
        _drop(book, entries, drop)
        entries = book.entries()
    jobs = [_continue(entry, insecure=insecure, quiet=as_json) for entry in entries if go_on]
    left = book.entries()
    answer(
        {"entries": [_entry_document(entry) for entry in left], "jobs": jobs},
        [
            *(Text(f"{job['id']}  {clean_line(job['title'])}") for job in jobs),
            *(Text(_entry_line(entry)) for entry in left),
        ],
        as_json=as_json,
    )
    if not entries:
        notice("nothing is unfinished")


def _continue(entry: Entry, *, insecure: bool, quiet: bool) -> Document:
    draft = entry.draft
    with connect(draft.url, insecure=insecure) as connection:
        own = connection.me()["name"]
        if own != draft.user:
            raise UsageError(f"{entry.key} is {draft.user}'s, and you are {own}: log in as them")
        try:
            with said_when_interrupted(_LATER), sending(quiet=quiet) as bar:
                return connection.submitter(told=bar.told).send(entry).job
        except RemoteError:
            notice(f"{clean_line(draft.title)} ({entry.key}) did not go through:")
            raise


def _drop(book: Journal, entries: list[Entry], key: str) -> None:
    meant = [entry for entry in entries if entry.key.startswith(key)]
    if len(meant) != 1:
        raise UsageError(
            f"--drop: {len(meant)} entries have a key that begins with {clean_line(key, 40)!r}; "
            "'bumps-remote journal' shows the keys"
        )
    book.finish(meant[0])
    notice(f"dropped {meant[0].key}")


def _entry_line(entry: Entry) -> str:
    draft = entry.draft
    unsent = isinstance(draft, Draft) and not entry.problem_id
    sent = "not sent yet" if unsent else "may have been sent"
    age = age_text(entry.age_s)
    return f"{entry.key}  {clean_line(draft.title)} to {draft.url}, begun {age} ago, {sent}"


def _entry_document(entry: Entry) -> Document:
    draft = entry.draft
    head = {
        "key": entry.key,
        "url": draft.url,
        "user": draft.user,
        "begun": entry.begun.isoformat(),
    }
    if isinstance(draft, Repetition):
        return {**head, "verb": draft.verb, "job": draft.job, "change": draft.body}
    return {
        **head,
        "entry": draft.entry,
        "problem": entry.problem_id,
        "files": [vars(file) for file in draft.files],
        "job": draft.job,
    }
