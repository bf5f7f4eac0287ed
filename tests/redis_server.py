"""A private Redis for tests: a real server on a unix socket, empty, gone afterwards."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import redis


@contextmanager
def private_redis() -> Iterator[Path]:
    """Run a server; its socket has a short path, as the kernel allows only 108 bytes."""
    program = shutil.which("redis-server")
    assert program, "tests need redis-server: apt-get install redis-server"
    with TemporaryDirectory(prefix="gw-redis-") as folder:
        socket = Path(folder) / "redis.sock"
        process = subprocess.Popen(
            [program, "--port", "0", "--unixsocket", str(socket), "--unixsocketperm", "700",
             "--dir", folder, "--save", "", "--appendonly", "yes", "--appendfsync", "always",
             "--maxmemory-policy", "noeviction"],
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            _await(process, socket)
            yield socket
        finally:
            process.terminate()
            process.wait(timeout=10)


def _await(process: subprocess.Popen[bytes], socket: Path) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and process.poll() is None:
        if socket.exists():
            client = redis.Redis(unix_socket_path=str(socket))
            try:
                if client.ping():
                    return
            except redis.RedisError:
                pass
            finally:
                client.close()
        time.sleep(0.005)
    raise AssertionError("the private redis-server did not start")
