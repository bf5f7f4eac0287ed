"""What a site has decided: TOML, then the environment, into frozen values.

`config/default.toml` has every key with its meaning. A key that nobody knows, a value of the wrong
type and a missing or weak secret stop the start with one clear line.
"""

from __future__ import annotations

import os
import re
import secrets
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass, replace
from datetime import date
from ipaddress import ip_network
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from gateway.clusters.settings import ClusterSettings
from gateway.notifications.settings import MailSettings, NotificationSettings
from gateway.resources import cupboard
from gateway.sharing.settings import SharingSettings

_WEAK = frozenset({"changeme", "secret", "password", "default", "dev", "test", "insecure"})
_SECRET_BYTES = 32
_LEAST_UNUSED_S = 3600
_SHORT = (
    ("GATEWAY_REDIS_URL", "redis", "url"),
    ("GATEWAY_URL", "server", "url"),
    ("GATEWAY_STATE", "state", "directory"),
)
"""Variables with a short name, and the key that each sets."""

SECRET_FILE = "secret.key"  # noqa: S105 - the name of a file


_Part = TypeVar("_Part")


class SettingsError(Exception):
    """The site's settings cannot be used; the message is one line for the administrator."""


@dataclass(frozen=True, kw_only=True)
class ServerSettings:
    """How the web processes listen."""

    host: str
    port: int
    url: str
    workers: int
    threads: int
    connections: int
    streams: int
    trusted_proxies: int
    allowed_hosts: tuple[str, ...]
    metrics_networks: tuple[str, ...]
    accel_redirect: str

    def __post_init__(self) -> None:
        if self.accel_redirect and not re.fullmatch("/[A-Za-z0-9_-]+/", self.accel_redirect):
            raise ValueError(
                f"accel_redirect = {self.accel_redirect!r}: write it as /_files/, the internal "
                "location of nginx, or leave it empty"
            )
        for index, network in enumerate(self.metrics_networks):
            try:
                ip_network(network)
            except ValueError as error:
                raise ValueError(
                    f"metrics_networks[{index}] = {network!r}: {error}; write it as 127.0.0.0/8"
                ) from error


@dataclass(frozen=True, kw_only=True)
class StateSettings:
    """Where the gateway keeps its own files."""

    directory: str


@dataclass(frozen=True, kw_only=True)
class RedisSettings:
    """Where the store is."""

    url: str


@dataclass(frozen=True, kw_only=True)
class AccountSettings:
    """How people sign in."""

    access_s: float
    session_days: float
    session_max_days: float
    sessions: int
    tokens: int
    token_days: int
    guesses_per_pair: int
    guesses_per_address: int
    guesses_per_name: int
    registration: bool
    registrations: int

    def __post_init__(self) -> None:
        """Refuse what would let nobody have a token."""
        if self.token_days < 0:
            raise ValueError(f"token_days = {self.token_days}: give days, or 0 for no limit")


@dataclass(frozen=True, kw_only=True)
class LimitSettings:
    """How much anybody may ask for."""

    json_bytes: int
    file_bytes: int
    model_bytes: int
    files_per_problem: int
    problems_per_user: int
    jobs_per_user: int
    queued_per_user: int
    bytes_per_user: int
    elements_per_job: int
    result_bytes: int
    result_files: int
    log_bytes: int
    ended_events_s: float
    unused_files_s: float


@dataclass(frozen=True, kw_only=True)
class ProblemSettings:
    """What a fit problem may be made of."""

    allowed_classes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class WorkerSettings:
    """How the reconciler paces itself."""

    tick_s: float
    idle_tick_s: float
    lease_s: float
    max_tries: int
    submit_at_once: int
    unconfirmed_s: float
    unconfirmed_polls: int
    sweep_s: float

    def __post_init__(self) -> None:
        if self.submit_at_once < 1:
            raise ValueError(f"submit_at_once = {self.submit_at_once}: a call takes a job at least")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All that a site has decided."""

    server: ServerSettings
    state: StateSettings
    redis: RedisSettings
    accounts: AccountSettings
    limits: LimitSettings
    problems: ProblemSettings
    sharing: SharingSettings
    notifications: NotificationSettings
    mail: MailSettings
    worker: WorkerSettings
    clusters: Mapping[str, ClusterSettings]
    state_directory: Path
    """Absolute; made by `prepare_state`."""

    secret_key: bytes = field(repr=False)
    """At least 32 bytes; signs access tokens and previews."""

    @property
    def url(self) -> str:
        """The address that people type, without a slash at its end."""
        return (self.server.url or f"http://{self.server.host}:{self.server.port}").rstrip("/")

    @property
    def default_cluster(self) -> str:
        """The cluster that is taken when nobody names one."""
        chosen = [name for name, cluster in self.clusters.items() if cluster.default]
        return chosen[0] if chosen else next(iter(self.clusters))


def load_settings(
    environment: Mapping[str, str] | None = None, *, with_secret: bool = True
) -> Settings:
    """Read defaults, the site's file and the environment.

    Parameters
    ----------
    environment
        None: the process's own.
    with_secret
        False for commands that sign nothing: the secret is then random and of no use.

    Raises
    ------
    SettingsError
        One line that says which key or secret is wrong and what to do.
    """
    env = os.environ if environment is None else environment
    tree = tomllib.loads((cupboard("config") / "default.toml").read_text(encoding="utf-8"))
    if site := env.get("GATEWAY_CONFIG"):
        _merge_site(tree, _read_site(Path(site)))
    _merge_environment(tree, env)
    clusters = {
        name: build_table(ClusterSettings, table, f"clusters.{name}")
        for name, table in tree.pop("clusters", {}).items()
    }
    if not clusters:
        raise SettingsError("no cluster is configured: add a [clusters.NAME] table")
    parts = {
        name: kind
        for name, kind in get_type_hints(Settings).items()
        if is_dataclass(kind) and name in tree
    }
    if unknown := sorted(set(tree) - set(parts)):
        raise SettingsError(f"unknown section [{unknown[0]}]; known: {', '.join(sorted(parts))}")
    built: dict[str, Any] = {
        name: build_table(kind, tree[name], name)  # type: ignore[arg-type]  # checked by is_dataclass
        for name, kind in parts.items()
    }
    if built["limits"].unused_files_s < _LEAST_UNUSED_S:
        raise SettingsError(
            f"limits.unused_files_s = {built['limits'].unused_files_s:g} is too short: files would "
            f"go while somebody works with them; take {_LEAST_UNUSED_S} seconds or more"
        )
    directory = _state_directory(built["state"].directory, env)
    secret = _secret(env, directory) if with_secret else secrets.token_bytes(_SECRET_BYTES)
    settings = Settings(**built, clusters=clusters, state_directory=directory, secret_key=secret)
    return replace(settings, clusters=_complete(settings))


def prepare_state(directory: Path) -> None:
    """Make the state directory, 0700, and its secret; refuse one that others can reach."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    check_state(directory)
    path = directory / SECRET_FILE
    if not path.exists():
        unfinished = directory / f".{SECRET_FILE}.{os.getpid()}"
        unfinished.touch(mode=0o600)
        unfinished.write_text(secrets.token_hex(_SECRET_BYTES) + "\n", encoding="ascii")
        try:
            path.hardlink_to(unfinished)  # never replaces a secret that another process made
        except FileExistsError:
            pass
        finally:
            unfinished.unlink()


def check_state(directory: Path) -> None:
    """Refuse a state directory that belongs to somebody else or that others may enter."""
    status = directory.stat()
    if status.st_uid != os.getuid():
        raise SettingsError(f"{directory} belongs to uid {status.st_uid}, not to the gateway")
    if status.st_mode & 0o077:
        raise SettingsError(
            f"{directory} can be read by others (mode {status.st_mode & 0o777:04o}): "
            f"chmod 0700 {directory}"
        )


def _read_site(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"GATEWAY_CONFIG={path}: {error}") from error


def _merge_site(tree: dict[str, Any], site: dict[str, Any]) -> None:
    """Lay a site's file over the defaults. With clusters of its own this host is none of them.

    Whoever wants jobs to run here as well says so with ``[clusters.local]``, however empty.
    """
    own = site.get("clusters")
    if isinstance(own, dict) and own and "local" not in own:
        del tree["clusters"]["local"]
    _merge(tree, site)


def _merge(tree: dict[str, Any], other: Mapping[str, Any]) -> None:
    for key, value in other.items():
        if isinstance(value, dict) and isinstance(tree.get(key), dict):
            _merge(tree[key], value)
        else:
            tree[key] = value


def _merge_environment(tree: dict[str, Any], env: Mapping[str, str]) -> None:
    """Take ``GATEWAY_SERVER__PORT=80``; the value is read as TOML, else as text."""
    for name, text in env.items():
        if not name.startswith("GATEWAY_") or "__" not in name:
            continue
        *sections, key = name.removeprefix("GATEWAY_").lower().split("__")
        table = tree
        for section in sections:
            table = table.setdefault(section, {})
        table[key] = _value(text)
    for name, section, key in _SHORT:
        if env.get(name):
            tree[section][key] = env[name]


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def build_table(kind: type[_Part], table: Any, path: str) -> _Part:
    """Make a frozen value of a TOML table; SettingsError names the key that is wrong."""
    if not isinstance(table, dict):
        raise SettingsError(f"[{path}] must be a table")
    hints = get_type_hints(kind)
    known = {item.name for item in fields(kind)}  # type: ignore[arg-type]  # a dataclass
    if unknown := sorted(set(table) - known):
        raise SettingsError(f"unknown key {path}.{unknown[0]}; known: {', '.join(sorted(known))}")
    if missing := sorted(set(_required(kind)) - set(table)):
        raise SettingsError(f"{path}.{missing[0]} is missing")
    values = {key: _typed(hints[key], value, f"{path}.{key}") for key, value in table.items()}
    try:
        return kind(**values)
    except ValueError as error:
        raise SettingsError(f"[{path}] {error}") from error


def _required(kind: type[Any]) -> list[str]:
    """Name the keys that have no default."""
    return [
        item.name
        for item in fields(kind)
        if item.default is MISSING and item.default_factory is MISSING
    ]


def _typed(hint: Any, value: Any, path: str) -> Any:
    """Check one value against its annotation; whole numbers may stand for real ones."""
    if get_origin(hint) is UnionType:  # a table that may be left out
        hint = next(kind for kind in get_args(hint) if kind is not NoneType)
    if is_dataclass(hint):
        return build_table(hint, value, path)  # type: ignore[arg-type]  # checked by is_dataclass
    if get_origin(hint) is tuple and isinstance(value, list):
        kind = get_args(hint)[0]
        return tuple(_typed(kind, item, f"{path}[{n}]") for n, item in enumerate(value))
    if hint is float and type(value) in (int, float):
        return float(value)
    if hint in (str, int, bool, date) and type(value) is hint:
        return value
    if isinstance(value, dict) and hint not in (str, int, bool, float, date):
        return {key: _typed(str, item, f"{path}.{key}") for key, item in value.items()}
    wanted = getattr(hint, "__name__", str(hint))
    raise SettingsError(f"{path} = {value!r} is not of type {wanted}")


def _state_directory(configured: str, env: Mapping[str, str]) -> Path:
    if configured:
        return Path(configured).expanduser().absolute()
    base = env.get("XDG_STATE_HOME") or str(Path(env.get("HOME", "/")) / ".local" / "state")
    return Path(base) / "bumps-gateway"


def _secret(env: Mapping[str, str], directory: Path) -> bytes:
    text = env.get("GATEWAY_SECRET_KEY")
    where = "GATEWAY_SECRET_KEY"
    if text is None:
        path = directory / SECRET_FILE
        where = str(path)
        try:
            text = path.read_text(encoding="ascii").strip()
        except FileNotFoundError:
            raise SettingsError(
                f"no secret: run 'bumps-gateway init' to make {path}, or set GATEWAY_SECRET_KEY"
            ) from None
    if text.lower() in _WEAK or len(text.encode()) < _SECRET_BYTES or len(set(text)) < 8:
        raise SettingsError(f"{where} is too weak: take 32 random bytes (openssl rand -hex 32)")
    return text.encode()


def _complete(settings: Settings) -> dict[str, ClusterSettings]:
    """Fill what a cluster leaves open from what this host has."""
    return {
        name: replace(
            cluster,
            title=cluster.title or name,
            base=cluster.base.rstrip("/") or str(settings.state_directory / "jobs" / name),
        )
        for name, cluster in settings.clusters.items()
    }
