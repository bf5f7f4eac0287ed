"""A private Redis for tests: a real server on a unix socket, empty, gone afterwards."""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import redis

from tests.helpers import eventually


class Store:
    """A server that a test may freeze, stop and start again; its data stay in its folder."""

    def __init__(self, folder: Path) -> None:
        self.socket = folder / "redis.sock"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its address, as ``GATEWAY_REDIS_URL`` takes it."""
        return f"unix://{self.socket}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        program = shutil.which("redis-server")
        assert program, "tests need redis-server: apt-get install redis-server"
        self._process = subprocess.Popen(
            [program, "--port", "0", "--unixsocket", str(self.socket), "--unixsocketperm", "700",
             "--dir", str(self._folder), "--save", "",
             "--appendonly", "yes", "--appendfsync", "always",
             "--maxmemory-policy", "noeviction"],
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        eventually(self._answers, within_s=20, what="the private redis-server")

    def freeze(self) -> None:
        """Let it hang: it takes connections, and never answers."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def stop(self) -> None:
        """End it; one that is ended already stays so."""
        if self._process is None:
            return
        self.thaw()
        self._process.terminate()
        self._process.wait(timeout=20)
        self._process = None

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, "the private redis-server did not start"
        client = redis.Redis(unix_socket_path=str(self.socket))
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False
        finally:
            client.close()


@contextmanager
def private_store() -> Iterator[Store]:
    """Run a server; its socket has a short path, as the kernel allows only 108 bytes."""
    with TemporaryDirectory(prefix="gw-redis-") as folder:
        store = Store(Path(folder))
        try:
            store.start()
            yield store
        finally:
            store.stop()


@contextmanager
def private_redis() -> Iterator[Path]:
    """Run a server that only serves; answer its socket."""
    with private_store() as store:
        yield store.socket
