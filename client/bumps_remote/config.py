"""Which server, and what proves who asks.

``$XDG_CONFIG_HOME/bumps-remote/config.json`` (0600) holds a profile for each server one has logged
in to; the tokens are in the keyring, or in it, too. What is named on the command line wins, then
``BUMPS_REMOTE_URL``, ``BUMPS_REMOTE_TOKEN`` and ``BUMPS_REMOTE_PROFILE``, then the last login.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bumps_remote import vault
from bumps_remote.errors import AuthError, UsageError
from bumps_remote.text import clean_line

URL_VARIABLE = "BUMPS_REMOTE_URL"
TOKEN_VARIABLE = "BUMPS_REMOTE_TOKEN"  # noqa: S105 - the name of a variable
PROFILE_VARIABLE = "BUMPS_REMOTE_PROFILE"
_FOLDER = "bumps-remote"
_FORMAT = 2
_PROFILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}")


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

    profile: str = ""
    """What one calls it."""

    keyring: bool = False
    """The token is there, and not in the configuration."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """All servers one has logged in to, by the names of their profiles."""

    default: str = ""
    profiles: Mapping[str, Server] = field(default_factory=dict)

    def at(self, url: str) -> Server | None:
        """Find the profile of an address; of several, that of the last login."""
        address = url.strip().rstrip("/")
        order = sorted(self.profiles, key=lambda name: name != self.default)
        return next(
            (found for name in order if (found := self.profiles[name]).url == address), None
        )


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
        if document.get("format") != _FORMAT:
            document = _second_format(document)
        profiles = {name: _server(name, row) for name, row in document["profiles"].items()}
        default = str(document.get("default", ""))
        return Config(default=default if default in profiles else "", profiles=profiles)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{path} is damaged ({error}): delete it and log in again") from error


def save_config(config: Config, path: Path | None = None) -> None:
    """Write the configuration."""
    profiles = {
        name: {key: value for key, value in asdict(server).items() if key != "profile"}
        for name, server in config.profiles.items()
    }
    document = {"format": _FORMAT, "default": config.default, "profiles": profiles}
    write_private(path or config_file(), json.dumps(document, indent=1) + "\n")


def profile_name(url: str, config: Config) -> str:
    """Choose what a server is called of which only the address was said.

    >>> profile_name("https://fits.example.org", Config())
    'fits.example.org'
    """
    if (known := config.at(url)) is not None:
        return known.profile
    return _plain(url)


def check_profile(name: str) -> str:
    """Take a profile's name.

    Raises
    ------
    UsageError
        When it is none.
    """
    if not _PROFILE.fullmatch(name):
        raise UsageError(
            f"{clean_line(name, 70)!r} cannot be a profile: 1 to 64 letters, digits, or . _ : -"
        )
    return name


def remember(server: Server, path: Path | None = None) -> Server:
    """Keep a server's token, and make it the server that is meant when none is named."""
    config = load_config(path)
    name = check_profile(server.profile or profile_name(server.url, config))
    before = config.profiles.get(name)
    if before is not None and before.keyring:
        vault.drop(name, before.url)
    kept = replace(server, profile=name, keyring=vault.put(name, server.url, server.token))
    written = replace(kept, token="") if kept.keyring else kept
    save_config(Config(default=name, profiles={**config.profiles, name: written}), path)
    return kept


def use_profile(name: str, path: Path | None = None) -> None:
    """Make a profile the one that is meant when none is named."""
    config = load_config(path)
    _profile(config, name)
    save_config(replace(config, default=name), path)


def forget(profile: str, path: Path | None = None) -> None:
    """Drop a profile and its token."""
    config = load_config(path)
    gone = config.profiles.get(profile)
    if gone is not None and gone.keyring:
        vault.drop(profile, gone.url)
    left = {name: server for name, server in config.profiles.items() if name != profile}
    default = config.default if config.default in left else next(iter(left), "")
    save_config(Config(default=default, profiles=left), path)


def find_server(
    url: str | None = None,
    token: str | None = None,
    *,
    profile: str | None = None,
    insecure: bool = False,
) -> Server:
    """Find the server that is meant, and the token for it.

    Raises
    ------
    UsageError
        When no server is known, or no profile of this name.
    AuthError
        When there is no token for it.
    """
    config = load_config()
    known, asked = _meant(config, url, profile)
    allowed = insecure or (known is not None and known.insecure)
    address = check_url(asked, insecure=allowed)
    # A profile that is named is meant as a whole, whatever the environment says.
    given = token or ("" if profile else os.environ.get(TOKEN_VARIABLE, ""))
    if given and (known is None or given != known.token):
        return Server(url=address, token=given, insecure=allowed)
    if known is None or not (known.keyring or known.token):
        raise AuthError(f"you are not logged in to {address}: bumps-remote login {address}")
    if known.keyring:
        known = replace(known, token=vault.get(known.profile, known.url))
    return replace(known, insecure=allowed)


def _meant(config: Config, url: str | None, profile: str | None) -> tuple[Server | None, str]:
    """Say which profile is meant, if any, and which address."""
    if profile:
        known = _profile(config, profile)
        if url and url.strip().rstrip("/") != known.url:
            raise UsageError(
                f"the profile {profile} is {known.url}, and not {clean_line(url, 200)}: name one"
            )
        return known, known.url
    address = url or os.environ.get(URL_VARIABLE)
    if address:
        return config.at(address), address
    name = os.environ.get(PROFILE_VARIABLE) or config.default
    if not name:
        raise UsageError(f"which server? 'bumps-remote login https://...', or set {URL_VARIABLE}")
    return _profile(config, name), config.profiles[name].url


def _profile(config: Config, name: str) -> Server:
    if name not in config.profiles:
        have = ", ".join(config.profiles) or "none yet"
        raise UsageError(
            f"there is no profile {clean_line(name, 70)!r} (there are: {clean_line(have)}): "
            f"bumps-remote login https://... --profile {clean_line(name, 70)}"
        )
    return config.profiles[name]


def _plain(url: str) -> str:
    """Name a server by its host and port."""
    return re.sub(r"[^A-Za-z0-9._:-]", "", urlsplit(url).netloc).lstrip("._:-")


def _second_format(document: Mapping[str, Any]) -> dict[str, Any]:
    """Read what was written before there were profiles: servers by their addresses."""
    servers = document["servers"].items()
    return {
        "default": _plain(str(document.get("default", ""))),
        "profiles": {_plain(url): {**row, "url": url} for url, row in servers},
    }


def _server(name: str, row: Mapping[str, Any]) -> Server:
    known = {item.name for item in fields(Server)} - {"profile"}
    return Server(profile=name, **{key: value for key, value in row.items() if key in known})
