"""Run everything on this host: store, worker and web server, started and stopped together."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from functools import partial
from ipaddress import ip_address

import structlog

from gateway.accounts.service import Accounts
from gateway.database import (
    EmbeddedServer,
    check_store,
    connect,
    require_schema,
    store_place,
    store_url,
)
from gateway.settings import Settings, SettingsError, check_state
from scheduler.processes import die_with

_log = structlog.get_logger("run")
_READY_S = 30.0
_STOP_S = 15.0
_ENDS_WITHIN_S = 60.0
_MANY_ENDS = 10
_LEAST_PAUSE_S = 0.5
_MOST_PAUSE_S = 5.0
FIRST_USER = "scientist"


def gunicorn_arguments(settings: Settings) -> list[str]:
    """Say how the web server is started."""
    server = settings.server
    return [
        *("--bind", f"{server.host}:{server.port}", "--workers", str(server.workers)),
        # All is imported once, before the fork: a start and each new process cost half of it.
        *("--preload", "--worker-class", "gateway.web.gunicorn_worker.Worker"),
        # A thread for each client that sends or reads; half of all connections may be idle ones.
        *("--threads", str(server.connections)),
        *("--worker-connections", str(2 * server.connections)),
        *("--timeout", "60", "--graceful-timeout", "30", "--keep-alive", "5"),
        *("--limit-request-line", "8190", "--limit-request-fields", "60"),
        # Only ProxyFix, for as many proxies as are configured, believes what proxies say.
        *("--forwarded-allow-ips", "", "--no-control-socket", "gateway.wsgi:app"),
    ]


def exec_web(settings: Settings) -> None:
    """Become the web server."""
    require_safe_address(settings)
    command = [sys.executable, "-m", "gunicorn", *gunicorn_arguments(settings)]
    os.execv(sys.executable, command)  # noqa: S606 - our own argv, no shell


def require_safe_address(settings: Settings) -> None:
    """Refuse plain http on an address that others can reach: passwords would travel in clear."""
    host = settings.server.host
    loopback = host == "localhost" or (_is_address(host) and ip_address(host).is_loopback)
    if not loopback and not settings.server.url.startswith("https://"):
        raise SettingsError(
            f"server.host {host} can be reached by others: put TLS in front and set server.url "
            "to its https:// address, or listen on 127.0.0.1"
        )


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def run_all(settings: Settings, *, example: bool) -> int:
    """Start all parts, wait for a signal, stop all parts; answer the exit code."""
    check_state(settings.state_directory)
    require_safe_address(settings)
    stopping: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _: stopping.append(received))
    server = None if settings.redis.url else EmbeddedServer(settings)
    environment = {**os.environ, "GATEWAY_REDIS_URL": store_url(settings)}
    children: dict[str, subprocess.Popen[bytes]] = {}
    try:
        _prepare_store(settings)
        _make_first_user(settings)
        parts = {
            "worker": ["-m", "gateway.cli", "worker"],
            "web": ["-m", "gunicorn", *gunicorn_arguments(settings)],
        }
        start = {name: partial(_start, argv, environment) for name, argv in parts.items()}
        children |= {name: begin() for name, begin in start.items()}
        _wait_until_ready(settings, children)
        _welcome(settings, server)
        if example:
            from gateway.example import leave_example

            leave_example(settings, FIRST_USER)
        return _watch(children, start, server, stopping)
    finally:
        _stop(children)
        if server is not None:
            server.stop()


def _prepare_store(settings: Settings) -> None:
    client = connect(settings)
    require_schema(client)
    for fault in check_store(client):
        _log.warning("the store cannot be trusted", fault=fault)


def _start(arguments: list[str], environment: dict[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, *arguments],
        env=environment,
        start_new_session=True,
        # Killed together: a part left behind would keep the port, and a second loop would run.
        preexec_fn=partial(die_with, os.getpid()),
    )


def _wait_until_ready(settings: Settings, children: dict[str, subprocess.Popen[bytes]]) -> None:
    url = f"http://{settings.server.host}:{settings.server.port}/healthz"
    deadline = time.monotonic() + _READY_S
    while time.monotonic() < deadline:
        for name, child in children.items():
            if child.poll() is not None:
                raise SettingsError(f"the {name} ended at once; its reason is above")
        try:
            with urllib.request.urlopen(url, timeout=1):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
    raise SettingsError(f"the web server did not answer at {url} within {_READY_S:.0f} s")


def _welcome(settings: Settings, server: EmbeddedServer | None) -> None:
    """Say where it is."""
    store = store_place(settings) if server is None else f"{server.binary.origin}"
    print(f"bumps-gateway is ready: {settings.url}  (store: {store})", flush=True)  # noqa: T201


def _make_first_user(settings: Settings) -> None:
    """Make one when there is none, before anybody can be told that the gateway is ready."""
    accounts = Accounts(connect(settings), settings.accounts, settings.secret_key, settings.url)
    if not accounts.users(limit=1):
        password = secrets.token_urlsafe(12)
        accounts.add_user(FIRST_USER, password, admin=True)
        print(f"first user: {FIRST_USER}   password: {password}   (shown once)", flush=True)  # noqa: T201


def _watch(
    children: dict[str, subprocess.Popen[bytes]],
    start: Mapping[str, Callable[[], subprocess.Popen[bytes]]],
    server: EmbeddedServer | None,
    stopping: list[int],
) -> int:
    """Wait for a signal; start again what ends by itself, unless that happens all the time."""
    ends: list[float] = []
    store = None if server is None else _StoreKeeper(server)
    while not stopping:
        if store is not None:
            store.look()
        for name, child in list(children.items()):
            if (code := child.poll()) is not None:
                _log.error("a part ended by itself; starting it again", part=name, code=code)
                ends.append(time.monotonic())
                children[name] = start[name]()
        ends = [moment for moment in ends if time.monotonic() - moment < _ENDS_WITHIN_S]
        if len(ends) > _MANY_ENDS:
            _log.error("too many ends within a minute; giving up", ends=len(ends))
            return 1
        time.sleep(0.2)
    return 0


class _StoreKeeper:
    """Starts the store again when it ends: at once, and in growing distances if it does not stay.

    On a full disk it ends at each write. That is no reason to give up: once there is room, all
    goes on, and until then the web server says so.
    """

    def __init__(self, server: EmbeddedServer) -> None:
        self._server = server
        self._pause_s = 0.0
        self._started = time.monotonic()

    def look(self) -> None:
        """Start it if it has ended and it is time."""
        if not self._server.ended():
            return
        lived_s = time.monotonic() - self._started
        if lived_s > _ENDS_WITHIN_S:
            self._pause_s = 0.0
        if lived_s < self._pause_s:
            return
        _log.error("the store ended by itself; starting it again")
        self._pause_s = min(max(2 * self._pause_s, _LEAST_PAUSE_S), _MOST_PAUSE_S)
        self._started = time.monotonic()
        try:
            self._server.restart()
        except SettingsError as error:
            _log.error("the store did not start", error=str(error))


def _stop(children: dict[str, subprocess.Popen[bytes]]) -> None:
    """Ask the parts to end, the web server first; jobs go on without them."""
    for name in ("web", "worker"):
        child = children.get(name)
        if child is None:
            continue
        child.terminate()
        try:
            child.wait(timeout=_STOP_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
