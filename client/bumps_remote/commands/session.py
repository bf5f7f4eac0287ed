"""Log in, log out, and look at the server."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import click
from rich.table import Table
from rich.text import Text

from bumps_remote.commands.common import (
    INSECURE_OPTION,
    JSON_OPTION,
    PROFILE_OPTION,
    URL_OPTION,
    answer,
    chosen_profile,
    common,
    connect,
    patience,
)
from bumps_remote.commands.standing import standing_lines
from bumps_remote.completion import complete_job, complete_profile
from bumps_remote.config import (
    Server,
    check_profile,
    check_url,
    config_file,
    find_server,
    forget,
    load_config,
    remember,
    use_profile,
)
from bumps_remote.connection import Connection
from bumps_remote.errors import AuthError, RemoteError, UsageError
from bumps_remote.show import job_lines, notice
from bumps_remote.signin import (
    Made,
    Wish,
    has_browser,
    with_browser,
    with_device,
    with_password,
)
from bumps_remote.text import clean_line
from bumps_remote.transport import Document, Transport

_WAYS = "--browser, --device, --token, or --name with --password-stdin"


@click.command()
@click.argument("address", required=False, metavar="[URL]")
@URL_OPTION
@PROFILE_OPTION
@click.option("--browser", is_flag=True, help="Sign in on a page in this computer's browser.")
@click.option(
    "--device", is_flag=True, help="Sign in on a page anywhere: type eight letters there."
)
@click.option("--token", is_flag=True, help="Give a token made on the page Tokens; asked, hidden.")
@click.option("--token-stdin", is_flag=True, help="The same, read from standard input.")
@click.option("--name", "-n", help="Sign in with this name and its password.")
@click.option("--uid", is_flag=True, help="Sign in with a UID instead of name and password.")
@click.option("--password-stdin", is_flag=True, help="Read password or UID from standard input.")
@click.option("--label", default="", help="What the token is called in the list of your tokens.")
@click.option(
    "--days",
    default=90,
    show_default=True,
    type=click.IntRange(0, 3660),
    help="How long the token lives; 0: for ever.",
)
@click.option(
    "--scope",
    type=click.Choice(["read", "submit", "admin"]),
    default="submit",
    show_default=True,
    help="What it may do.",
)
@INSECURE_OPTION
@JSON_OPTION
def login(
    address: str | None,
    url: str | None,
    *,
    label: str,
    days: int,
    scope: str,
    insecure: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Sign in to the server at URL, and keep the token where you alone can read it.

    Without a further word: in the browser, or where there is none, by letters to type elsewhere.
    """
    server = _where(address or url, insecure=insecure)
    way = _way(given)
    transport = Transport(Server(url=server.url), patience(), notice)
    try:
        made = _sign_in(transport, way, given, Wish(label=label, scope=scope, days=days or None))
    finally:
        transport.close()
    kept = _keep(server, made)
    place = "the keyring" if kept.keyring else str(config_file())
    document = {
        "url": kept.url,
        "name": kept.name,
        "profile": kept.profile,
        "expires": kept.expires,
        "kept_in": place,
    }
    notice(f"the token is in {place}; profile {kept.profile}")
    answer(document, [Text(f"logged in to {kept.url} as {kept.name}")], as_json=as_json)


def _keep(server: Server, made: Made) -> Server:
    """Keep a token that works, in place of the one that was there."""
    with Connection(
        server.url, made.token, insecure=server.insecure, patience=patience()
    ) as connection:
        own = clean_line(connection.me()["name"])
    old = _token_of(server)
    kept = remember(replace(server, token=made.token, name=own, expires=made.expires))
    if old and old != made.token:
        _revoke(replace(server, token=old))
    return kept


def _where(url: str | None, *, insecure: bool) -> Server:
    """Say which server is meant, with the token that it had."""
    config, profile = load_config(), chosen_profile()
    known = config.profiles.get(check_profile(profile)) if profile else None
    if url is None and known is None and not profile:
        known = config.profiles.get(config.default)
    asked = (
        url or (known.url if known else "") or _asked("Server (https://...)", "the server's URL")
    )
    address = check_url(asked, insecure=insecure or bool(known and known.insecure))
    before = known if profile else config.at(address)
    if before is not None and before.url == address:
        return replace(before, insecure=insecure or before.insecure)
    return Server(url=address, profile=profile or "", insecure=insecure)


def _way(given: Mapping[str, Any]) -> str:
    """Choose the way to sign in."""
    password = bool(given["name"] or given["uid"] or given["password_stdin"])
    token = given["token"] or given["token_stdin"]
    said = {
        "browser": given["browser"],
        "device": given["device"],
        "token": token,
        "password": password,
    }
    ways = [way for way, wanted in said.items() if wanted]
    if len(ways) > 1:
        raise UsageError(f"login: one way to sign in is enough: {_WAYS}")
    if ways:
        return ways[0]
    if not sys.stdin.isatty():
        raise UsageError(f"login: nobody is here to be asked: say {_WAYS}")
    return "browser" if has_browser() else "device"


def _sign_in(transport: Transport, way: str, given: Mapping[str, Any], wish: Wish) -> Made:
    if way == "browser":
        return with_browser(transport, wish, notice)
    if way == "device":
        return with_device(transport, wish, notice)
    if way == "token":
        from_stdin = given["token_stdin"] or not sys.stdin.isatty()
        return Made(token=_secret("Token", "--token-stdin", from_stdin=from_stdin), expires=None)
    name = "" if given["uid"] else (given["name"] or _asked("Name", "--name"))
    what = "UID" if given["uid"] else "Password"
    secret = _secret(what, "--password-stdin", from_stdin=given["password_stdin"])
    who = {"uid": secret} if given["uid"] else {"name": name, "password": secret}
    return with_password(transport, who, wish)


def _token_of(server: Server) -> str:
    """Read the token that a login is about to replace."""
    try:
        return find_server(profile=server.profile).token if server.keyring else server.token
    except RemoteError:
        return ""  # a keyring that does not open: it ends by itself


def _revoke(old: Server) -> None:
    """Do not leave the token behind that a login has replaced."""
    try:
        with Connection(old.url, old.token, insecure=old.insecure) as connection:
            connection.logout()
    except RemoteError:
        return  # it has ended already, or ends by itself


@click.command()
@PROFILE_OPTION
@URL_OPTION
@click.option("--forget-only", is_flag=True, help="Drop the token here without telling the server.")
@JSON_OPTION
def logout(url: str | None, *, forget_only: bool, as_json: bool) -> None:
    """Revoke the token on the server and forget it here."""
    server = find_server(url, profile=chosen_profile())
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
    forget(server.profile)
    document = {"url": server.url, "profile": server.profile, "revoked": not forget_only}
    answer(document, [Text(f"logged out of {server.url}")], as_json=as_json)


@click.command()
@click.option(
    "--use", metavar="NAME", shell_complete=complete_profile, help="Mean this one from now on."
)
@JSON_OPTION
def profiles(use: str | None, *, as_json: bool) -> None:
    """List the servers that you are logged in to; the one that is meant has a star."""
    if use:
        use_profile(use)
    config = load_config()
    rows = [
        {
            "profile": name,
            "default": name == config.default,
            "url": server.url,
            "name": server.name,
            "expires": server.expires,
            "kept_in": "keyring" if server.keyring else "file",
        }
        for name, server in config.profiles.items()
    ]
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("", "profile", "server", "you are", "token ends", "kept in"):
        table.add_column(title)
    for row in rows:
        cells = (row["profile"], row["url"], row["name"], row["expires"] or "", row["kept_in"])
        star = "*" if row["default"] else ""
        table.add_row(star, *(Text(clean_line(cell)) for cell in cells))
    answer({"items": rows}, [table] if rows else [], as_json=as_json)
    if not rows:
        notice("you are logged in nowhere: bumps-remote login https://...")


@click.command()
@click.argument("id", required=False, shell_complete=complete_job)
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
            "policy": connection.policy(),
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
    yield from standing_lines(document["policy"])
    for name, options in document["methods"].items():
        names = " ".join(option["name"] for option in options)
        yield Text(f"--fit={clean_line(name)}: {clean_line(names)}")


def _facts(job: Document) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    shown = ("cluster", "native_id", "attempt", "restarts", "seed", "created", "started", "ended")
    facts: dict[str, Any] = {name: job.get(name) for name in shown}
    problem = job.get("problem") or {}
    facts["problem"] = f"{problem.get('name')}, version {problem.get('version')}"
    used = job.get("efficiency") or {}
    facts["used"] = ". ".join(used[name] for name in ("text", "advice") if used.get(name))
    facts["options"] = " ".join(f"{key}={value}" for key, value in job.get("options", {}).items())
    facts["tags"] = ", ".join(map(str, job.get("tags") or []))
    facts["notes"] = job.get("notes")
    for name, value in facts.items():
        if value not in (None, ""):
            table.add_row(name, Text(clean_line(value, 2000)))
    return table


def _secret(what: str, option: str, *, from_stdin: bool) -> str:
    if from_stdin:
        return _line(what)
    return _asked(what, option, hidden=True)


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
