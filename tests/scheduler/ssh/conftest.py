"""An SSH server, a user on it, and shells that sign in."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from scheduler.hosts import Hop, SSHRoute
from scheduler.pacing import Doors
from scheduler.ssh import SSHShell
from tests.scheduler.sshd import Account, Clock, Connect, SSHServer, account, sshd


@pytest.fixture(scope="module")
def base() -> Iterator[Path]:
    """A directory that other accounts may enter; pytest closes its own again and again."""
    with tempfile.TemporaryDirectory(prefix="bgw-ssh-") as name:
        path = Path(name)
        path.chmod(0o755)
        yield path


@pytest.fixture(scope="module")
def user(base: Path) -> Iterator[Account]:
    """A user of this host, gone after the file's tests."""
    with account(base / "home") as made:
        yield made


@pytest.fixture(scope="module")
def server(base: Path, user: Account) -> Iterator[SSHServer]:
    """A server for tests that leave it as it was."""
    with sshd(base / "server", [user]) as one:
        yield one


@pytest.fixture
def clock() -> Clock:
    """A clock that goes when it is told to."""
    return Clock()


@pytest.fixture
def connect(user: Account, clock: Clock) -> Iterator[Connect]:
    """Open shells whose attempts are counted by the test's own clock; closed in the end."""
    doors = Doors(clock=clock)
    with contextlib.ExitStack() as stack:

        def open_shell(login: Hop, **settings: object) -> SSHShell:
            route = replace(
                SSHRoute(login=login, identity=user.identity, connect_s=5.0, start_s=5.0),
                **settings,  # type: ignore[arg-type]  # names are the route's
            )
            shell = SSHShell("alpha", route, doors, jitter=lambda: 0.0)
            stack.callback(shell.close)
            return shell

        yield open_shell


@pytest.fixture
def shell(connect: Connect, server: SSHServer, user: Account) -> SSHShell:
    """A shell on that server."""
    return connect(server.hop(user))
