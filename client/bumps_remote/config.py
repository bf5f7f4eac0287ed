"""Which server, and what proves who asks.

``$XDG_CONFIG_HOME/bumps-remote/config.json`` (0600) holds the servers one has logged in to;
``BUMPS_REMOTE_URL`` and ``BUMPS_REMOTE_TOKEN`` win over it.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bumps_remote.errors import AuthError, UsageError
from bumps_remote.text import clean_line

URL_VARIABLE = "BUMPS_REMOTE_URL"
TOKEN_VARIABLE = "BUMPS_REMOTE_TOKEN"  # noqa: S105 - the name of a variable
_FOLDER = "bumps-remote"


@dataclass(frozen=True, kw_only=True)
class Server:
    """A gateway and one's token for it."""

    url: str
    """Without a slash at its end."""

    token: str = field(default="", repr=False)
    name: str = ""
    """Who one is there."""

    expires: str | None = None
    insecure: bool = False
    """Plain http to another computer was explicitly allowed."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """All servers one has logged in to."""

    default: str = ""
    servers: Mapping[str, Server] = field(default_factory=dict)


def is_loopback(host: str) -> bool:
    """Whether a host is this computer.

    >>> is_loopback("localhost"), is_loopback("::1"), is_loopback("fits.example.org")
    (True, True, False)
    """
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def check_url(text: str, *, insecure: bool = False) -> str:
    """Take a server's address.

    >>> check_url("https://fits.example.org/")
    'https://fits.example.org'

    Raises
    ------
    UsageError
        When it is no address, or plain http would carry the token over a network.
    """
    shown = clean_line(text, 200)
    try:
        parts = urlsplit(text.strip())
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise UsageError(f"the server's address {shown!r} cannot be read: {error}") from error
    if parts.scheme not in ("http", "https") or not host:
        raise UsageError(
            f"the server's address must begin with https:// (or http:// on this computer), not "
            f"{shown!r}"
        )
    if parts.username or parts.password or parts.query or parts.fragment:
        raise UsageError(
            f"the server's address {parts.scheme}://{clean_line(host)} must be plain: "
            "without user, password, '?' or '#'"
        )
    if parts.scheme == "http" and not is_loopback(host) and not insecure:
        raise UsageError(
            f"{shown} would send your token unencrypted: use https://, or allow it with --insecure"
        )
    return text.strip().rstrip("/")


def folder(variable: str, fallback: str, environ: Mapping[str, str] | None = None) -> Path:
    """Say where this program's files of one sort lie (XDG base directories)."""
    env = os.environ if environ is None else environ
    base = env.get(variable, "")
    # The specification: a relative path is to be ignored.
    root = Path(base) if Path(base).is_absolute() else Path.home() / fallback
    return root / _FOLDER


def config_file() -> Path:
    """Say where the configuration lies."""
    return folder("XDG_CONFIG_HOME", ".config") / "config.json"


def state_folder() -> Path:
    """Say where the journal lies."""
    return folder("XDG_STATE_HOME", ".local/state")


def problems_folder() -> Path:
    """Say where problems made for submissions under way lie."""
    return state_folder() / "problems"


def private_folder(path: Path) -> Path:
    """Make a folder that only its owner may enter."""
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    if os.name == "posix" and path.stat().st_mode & 0o077:
        path.chmod(0o700)
    return path


def write_private(path: Path, text: str) -> None:
    """Write a file 0600, whole or not at all, and make it survive a loss of power."""
    private_folder(path.parent)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.unlink(missing_ok=True)
    handle = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Make the names in a folder survive a loss of power."""
    if os.name != "posix":
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def load_config(path: Path | None = None) -> Config:
    """Read the configuration; an absent one is empty.

    Raises
    ------
    UsageError
        When it is damaged, or others can read the tokens in it.
    """
    path = path or config_file()
    try:
        text = path.read_text(encoding="utf-8")
        mode = path.stat().st_mode
    except FileNotFoundError:
        return Config()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from error
    if os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise UsageError(f"{path} holds tokens and can be read by others: chmod 600 {path}")
    try:
        document = json.loads(text)
        servers = {url: _server(url, row) for url, row in document["servers"].items()}
        return Config(default=str(document.get("default", "")), servers=servers)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{path} is damaged ({error}): delete it and log in again") from error


def save_config(config: Config, path: Path | None = None) -> None:
    """Write the configuration."""
    servers = {
        url: {key: value for key, value in asdict(server).items() if key != "url"}
        for url, server in config.servers.items()
    }
    document = {"format": 1, "default": config.default, "servers": servers}
    write_private(path or config_file(), json.dumps(document, indent=1) + "\n")


def remember(server: Server, path: Path | None = None) -> None:
    """Keep a server's token, and make it the server that is meant when none is named."""
    config = load_config(path)
    servers = {**config.servers, server.url: server}
    save_config(Config(default=server.url, servers=servers), path)


def forget(url: str, path: Path | None = None) -> None:
    """Drop a server's token."""
    config = load_config(path)
    servers = {key: server for key, server in config.servers.items() if key != url}
    default = config.default if config.default in servers else next(iter(servers), "")
    save_config(Config(default=default, servers=servers), path)


def find_server(
    url: str | None = None, token: str | None = None, *, insecure: bool = False
) -> Server:
    """Find the server that is meant, and the token for it.

    Raises
    ------
    UsageError
        When no server is known.
    AuthError
        When there is no token for it.
    """
    config = load_config()
    asked = url or os.environ.get(URL_VARIABLE) or config.default
    if not asked:
        raise UsageError(f"which server? 'bumps-remote login https://...', or set {URL_VARIABLE}")
    known = config.servers.get(asked.strip().rstrip("/"))
    allowed = insecure or (known is not None and known.insecure)
    address = check_url(asked, insecure=allowed)
    found = token or os.environ.get(TOKEN_VARIABLE) or (known.token if known else "")
    if not found:
        raise AuthError(f"you are not logged in to {address}: bumps-remote login {address}")
    own = known is not None and found == known.token
    return Server(
        url=address,
        token=found,
        name=known.name if known and own else "",
        expires=known.expires if known and own else None,
        insecure=allowed,
    )


def _server(url: str, row: Mapping[str, Any]) -> Server:
    known = {item.name for item in fields(Server)} - {"url"}
    return Server(url=url, **{key: value for key, value in row.items() if key in known})
