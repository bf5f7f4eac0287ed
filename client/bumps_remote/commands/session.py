"""Log in, log out, and look at the server."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import click
from rich.table import Table
from rich.text import Text

from bumps_remote.commands.common import INSECURE_OPTION, answer, common, connect, patience
from bumps_remote.config import check_url, config_file, find_server, forget, load_config, remember
from bumps_remote.connection import Connection
from bumps_remote.errors import AuthError, RemoteError, UsageError
from bumps_remote.show import job_lines, notice
from bumps_remote.text import clean_line
from bumps_remote.transport import Document


@click.command()
@click.argument("url", required=False)
@click.option("--name", "-n", help="Your name there; asked if not given.")
@click.option("--uid", is_flag=True, help="Log in with a UID instead of name and password.")
@click.option("--password-stdin", is_flag=True, help="Read password or UID from standard input.")
@click.option("--token-stdin", is_flag=True, help="Read a token made on the tokens page.")
@click.option("--label", default="", help="What the token is called in the list of your tokens.")
@click.option(
    "--days", default=90, show_default=True, help="How long the token lives; 0: for ever."
)
@INSECURE_OPTION
def login(
    url: str | None,
    name: str | None,
    *,
    uid: bool,
    password_stdin: bool,
    token_stdin: bool,
    label: str,
    days: int,
    insecure: bool,
) -> None:
    """Get a token from the server at URL and keep it, readable by you alone."""
    asked = url or load_config().default or _asked("Server (https://...)", "the server's URL")
    address = check_url(asked, insecure=insecure)
    if token_stdin:
        connection = Connection(address, _line("token"), insecure=insecure, patience=patience())
    else:
        who = "" if uid else (name or _asked("Name", "--name"))
        secret = _secret("UID" if uid else "Password", from_stdin=password_stdin)
        given = {"uid": secret} if uid else {"name": who, "password": secret}
        connection = Connection.login(
            address,
            **given,
            label=label,
            days=days or None,
            insecure=insecure,
            patience=patience(),
        )
    with connection:
        me = connection.me()
        own = clean_line(me["name"])
        remember(replace(connection.server, name=own, insecure=insecure))
    notice(f"the token is in {config_file()}")
    click.echo(f"logged in to {address} as {own}")


@click.command()
@click.option("--url", metavar="URL", help="The server; else that of the last login.")
@click.option("--forget-only", is_flag=True, help="Drop the token here without telling the server.")
def logout(url: str | None, *, forget_only: bool) -> None:
    """Revoke the token on the server and forget it here."""
    server = find_server(url)
    if not forget_only:
        try:
            with Connection(server.url, server.token, insecure=server.insecure) as connection:
                connection.logout()
        except AuthError:
            notice("the server did not know the token any more")
        except RemoteError as error:
            raise type(error)(
                f"{error}\nthe token may still be valid there; --forget-only drops it just here"
            ) from error
    forget(server.url)
    click.echo(f"logged out of {server.url}")


@click.command()
@click.argument("id", required=False)
@common
def info(id: str | None, url: str | None, *, insecure: bool, as_json: bool) -> None:
    """Show everything about the job ID; without one, about the server and you."""
    with connect(url, insecure=insecure) as connection:
        if id:
            document = connection.info(id)
            answer(document, [*job_lines(document), _facts(document)], as_json=as_json)
            return
        document = {
            "url": connection.server.url,
            "me": connection.me(),
            "clusters": connection.clusters(),
            "methods": {
                name: [vars(option) for option in options.values()]
                for name, options in connection.methods().items()
            },
        }
        answer(document, _about(document), as_json=as_json)


def _about(document: Document) -> Iterator[Text]:
    me = document["me"]
    scopes = ", ".join(map(clean_line, me.get("scopes", [])))
    yield Text(f"{document['url']}: you are {clean_line(me['name'])} ({scopes})")
    for cluster in document["clusters"]:
        limit = cluster.get("max_cpus_per_job")
        parts = [
            f"at most {clean_line(cluster.get('max_time'))}",
            f"{limit} CPUs a job" if limit else "",
            ", ".join(map(clean_line, cluster.get("partitions") or [])),
        ]
        default = " (default)" if cluster.get("default") else ""
        shown = "; ".join(part for part in parts if part)
        yield Text(f"cluster {clean_line(cluster['name'])}{default}: {shown}")
    for name, options in document["methods"].items():
        names = " ".join(option["name"] for option in options)
        yield Text(f"--fit={clean_line(name)}: {clean_line(names)}")


def _facts(job: Document) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    shown = ("cluster", "native_id", "attempt", "restarts", "seed", "created", "started", "ended")
    facts: dict[str, Any] = {name: job.get(name) for name in shown}
    problem = job.get("problem") or {}
    facts["problem"] = f"{problem.get('name')}, version {problem.get('version')}"
    facts["options"] = " ".join(f"{key}={value}" for key, value in job.get("options", {}).items())
    facts["tags"] = ", ".join(map(str, job.get("tags") or []))
    facts["notes"] = job.get("notes")
    for name, value in facts.items():
        if value not in (None, ""):
            table.add_row(name, Text(clean_line(value, 2000)))
    return table


def _secret(what: str, *, from_stdin: bool) -> str:
    if from_stdin:
        return _line(what)
    return _asked(what, "--password-stdin", hidden=True)


def _asked(prompt: str, option: str, *, hidden: bool = False) -> str:
    """Ask somebody at a terminal; where there is none, say what would have answered."""
    if not sys.stdin.isatty():
        raise UsageError(f"login: nobody is here to be asked for {prompt}: give {option}")
    return str(click.prompt(prompt, hide_input=hidden, err=True))


def _line(what: str) -> str:
    text = sys.stdin.readline().strip("\r\n")
    if not text:
        raise UsageError(f"no {what} came on standard input")
    return text
