"""A line on which nobody talks is kept, and one whose other end vanished is found."""

from __future__ import annotations

import socket
from typing import Any

import paramiko
import pytest

from scheduler.hosts import SSHRoute
from scheduler.ssh_line import dial
from tests.helpers import eventually
from tests.scheduler.sshd import Account, SSHServer


def test_every_machine_on_the_way_is_asked_whether_it_is_there(
    server: SSHServer, user: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    ask = paramiko.Transport.global_request

    def heard(self: paramiko.Transport, kind: str, *words: Any, **others: Any) -> object:
        if kind.startswith("keepalive@"):
            asked.append(id(self))
        return ask(self, kind, *words, **others)

    monkeypatch.setattr(paramiko.Transport, "global_request", heard)
    hop = server.hop(user)
    route = SSHRoute(login=hop, jumps=(hop,), identity=user.identity, keepalive_s=1)
    line = dial("alpha", route)
    try:
        eventually(lambda: len(set(asked)) == 2, within_s=10)
    finally:
        line.kill()


def test_a_machine_that_vanished_is_given_up_within_two_minutes(
    server: SSHServer, user: Account
) -> None:
    route = SSHRoute(login=server.hop(user), identity=user.identity)
    line = dial("alpha", route)
    try:
        plain = line.transport.sock
        assert isinstance(plain, socket.socket)
        held_ms = plain.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
        assert 0 < route.keepalive_s <= 60
        assert 0 < held_ms <= 60_000
    finally:
        line.kill()
