"""Host keys and our own: who is there, who we are, and what is said to nobody else."""

from __future__ import annotations

import base64
import logging
import os
import re
import subprocess
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from scheduler.base import SchedulerError
from scheduler.hosts import Hop, Identity, SSHRoute
from scheduler.key_files import certificate_end, passphrase_rounds
from scheduler.pacing import Doors
from scheduler.shell import (
    ShellCutError,
    ShellUnavailableError,
)
from scheduler.ssh import SSHShell
from scheduler.ssh_line import HostKeyError, SignInError, check_identities, fetch_host_keys
from tests.helpers import eventually, free_port
from tests.scheduler.sshd import Account, Clock, Connect, SSHServer, make_key, run, sign, sshd
from tests.scheduler.streams import (
    read_all,
    read_exactly,
)

CAT = ("/bin/cat",)
HORSE = "correct horse"
CANARY = "canary"
LOGIN = Hop(host="login", user="anna", host_keys=("SHA256:" + "A" * 43,))


def test_a_host_key_is_known_by_its_line_or_its_fingerprint(
    server: SSHServer, user: Account
) -> None:
    key = server.host_key
    shown = run("ssh-keygen", "-l", "-f", str(server.keys["ed25519"].with_suffix(".pub")))
    assert key.fingerprint in shown
    pins = (key.fingerprint, str(key), f"{key.line} root@login", f"[login]:2222 {key.line}")
    for pin in pins:
        login = server.hop(user, "SHA256:" + "A" * 43, pin)
        route = SSHRoute(login=login, identity=user.identity)
        other = SSHShell("alpha", route, Doors())
        assert read_all(other.start(["/bin/echo", "in"])) == b"in\n"
        other.close()


@pytest.mark.parametrize(
    ("pin", "why"),
    [
        ("", "has no SHA256"),
        ("MD5:16:27:ac:a5:76:28:2d:36:63:1b:56:4d:eb:df:a6:48", "has no SHA256"),
        ("SHA256:short", "has no SHA256"),
        ("ssh-dss AAAAB3NzaC1kc3M=", "has no SHA256"),
        ("ssh-ed25519 AAAAC3NzaC1lZDI1", "another type|base64"),
        ("ssh-ed25519 not-base64!", "not base64"),
        ("ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIJ", "another type|base64"),
    ],
)
def test_a_pin_that_is_none_is_refused_at_the_start(pin: str, why: str) -> None:
    with pytest.raises(SchedulerError, match=f"host_keys: cannot read.*({why})"):
        Hop(host="login", user="u", host_keys=(pin,))


def test_a_host_without_a_pin_is_refused_at_the_start() -> None:
    with pytest.raises(SchedulerError, match="host_keys: none is pinned for login; compare"):
        Hop(host="login", user="u")


def test_a_changed_host_key_stops_before_anything_is_said(
    connect: Connect, base: Path, user: Account, clock: Clock
) -> None:
    with sshd(base / "changed", [user]) as server:
        login = server.hop(user)
        shell = connect(login)
        assert read_all(shell.start(["/bin/echo", "in"])) == b"in\n"
        old = server.host_key
        server.stop()
        server.new_host_key()
        server.start()
        with pytest.raises(HostKeyError, match=f"not {re.escape(str(old))}; somebody") as caught:
            shell.start(CAT)
        assert str(server.host_key) in str(caught.value)
        assert eventually(lambda: "[preauth]" in server.log)
        assert "publickey" not in server.log
        assert user.name not in server.log
        clock.now += 1_000_000
        greeted = server.log.count("Connection from")
        with pytest.raises(HostKeyError, match="nobody tries again"):
            shell.start(CAT)
        assert server.log.count("Connection from") == greeted


def test_the_pinned_type_is_asked_for_when_a_server_has_several(
    connect: Connect, base: Path, user: Account
) -> None:
    directory = base / "several"
    with sshd(directory, [user]) as server:
        server.stop()
        server.new_host_key("rsa")
        server.new_host_key("ecdsa")
        server.start()
        shown = fetch_host_keys("127.0.0.1", server.port)
        assert {str(key) for key in shown} == {str(key) for key in server.host_keys}
        for key in shown:
            shell = connect(server.hop(user, key.line))
            assert read_all(shell.start(["/bin/echo", "in"])) == b"in\n"
            shell.close()
            # Each shell has another route here, and a door counts what is not undone.


def test_host_keys_are_shown_without_signing_in(base: Path, user: Account) -> None:
    with sshd(base / "asked", [user]) as server:
        (key,) = fetch_host_keys("127.0.0.1", server.port)
        assert key == server.host_key
        assert "publickey" not in server.log


def test_no_server_has_no_host_keys_to_show() -> None:
    port = free_port()
    with pytest.raises(ShellUnavailableError, match=f"127.0.0.1:{port} refuses connections"):
        fetch_host_keys("127.0.0.1", port)


def test_a_key_that_is_not_authorized_is_refused_with_its_fingerprint(
    connect: Connect, server: SSHServer, user: Account, tmp_path: Path
) -> None:
    stranger = make_key(tmp_path / "stranger", "ecdsa")
    shell = connect(server.hop(user), identity=Identity(key_file=stranger))
    shown = run("ssh-keygen", "-l", "-f", str(stranger)).split()[1]
    match = rf"does not let {user.name} in with {re.escape(shown)}.*authorized_keys"
    with pytest.raises(SignInError, match=match):
        shell.start(CAT)


def test_a_refused_key_is_not_tried_again_for_minutes(
    connect: Connect, server: SSHServer, user: Account, tmp_path: Path, clock: Clock
) -> None:
    stranger = make_key(tmp_path / "stranger")
    shell = connect(server.hop(user), identity=Identity(key_file=stranger))
    with pytest.raises(SignInError):
        shell.start(CAT)
    clock.now += 290
    with pytest.raises(ShellUnavailableError, match=r"does not let .* next attempt in 10 s"):
        shell.start(CAT)
    clock.now += 11
    with pytest.raises(SignInError):
        shell.start(CAT)


@pytest.mark.parametrize("kind", ["rsa", "ecdsa", "ed25519"])
def test_a_key_with_a_passphrase_signs_in(
    connect: Connect, server: SSHServer, user: Account, tmp_path: Path, kind: str
) -> None:
    key = make_key(tmp_path / "key", kind, HORSE)
    both = user.key_file.with_suffix(".pub").read_text() + key.with_suffix(".pub").read_text()
    server.authorize(user, both)
    for passphrase, why in (("", "has a passphrase: give it"), (CANARY, "passphrase is wrong")):
        shell = connect(server.hop(user), identity=Identity(key_file=key, passphrase=passphrase))
        with pytest.raises(SignInError, match=why):
            shell.start(CAT)
    right = Identity(key=key.read_text(), passphrase=HORSE)
    assert read_all(connect(server.hop(user), identity=right).start(["/bin/echo", "in"])) == b"in\n"


def test_a_key_is_in_no_message_and_no_log(
    connect: Connect,
    server: SSHServer,
    user: Account,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("scheduler.ssh_line.wire").setLevel(logging.DEBUG)
    text = make_key(tmp_path / "stranger").read_text()
    broken = text.replace("KEY", "CAT")
    said = []
    try:
        for identity in (Identity(key=text), Identity(key=broken, passphrase=CANARY)):
            with pytest.raises(SignInError) as caught:
                connect(server.hop(user), identity=identity).start(CAT)
            said += [str(caught.value), repr(identity), repr(caught.value.__cause__)]
    finally:
        logging.getLogger("scheduler.ssh_line.wire").setLevel(logging.CRITICAL)
    secret = text.splitlines()[1:-1]
    whole = "\n".join(said) + caplog.text
    assert "ssh-ed25519" in whole  # the log was looked at
    assert not any(line in whole for line in secret)
    assert CANARY not in whole


def test_a_key_file_that_others_may_read_is_refused_unasked(
    connect: Connect, server: SSHServer, user: Account, tmp_path: Path
) -> None:
    key = make_key(tmp_path / "key")
    key.chmod(0o640)
    greeted = server.log.count("Connection from")
    with pytest.raises(SignInError, match=f"open to others: chmod 600 {key}"):
        connect(server.hop(user), identity=Identity(key_file=key)).start(CAT)
    with pytest.raises(SignInError, match=r"cannot be read: .*No such file"):
        connect(server.hop(user), identity=Identity(key_file=tmp_path / "none")).start(CAT)
    assert server.log.count("Connection from") == greeted


def test_nothing_to_sign_in_with_is_refused_at_the_start() -> None:
    with pytest.raises(SchedulerError, match="give key_file, or set agent"):
        Identity()


def test_a_certificate_signs_in_and_one_that_ended_says_so(
    connect: Connect, base: Path, user: Account, tmp_path: Path
) -> None:
    authority, key = make_key(tmp_path / "authority"), make_key(tmp_path / "key", "rsa")
    trust = f"TrustedUserCAKeys {authority.with_suffix('.pub')}"
    with sshd(base / "certified", [user], trust) as server:
        good = sign(authority, key, principal=user.name, validity="-1h:+1h")
        identity = Identity(key_file=key, certificate_file=good)
        shell = connect(server.hop(user), identity=identity)
        assert read_all(shell.start(["/bin/echo", "in"])) == b"in\n"
        with pytest.raises(SignInError, match="does not let"):
            connect(server.hop(user), identity=Identity(key_file=key)).start(CAT)
        shell.close()
        sign(authority, key, principal=user.name, validity="-2h:-1h")
        with pytest.raises(SignInError, match=r"ended at \d{4}-\d\d-\d\d \d\d:\d\d UTC: get a new"):
            shell.start(CAT)
        good.write_text(user.key_file.with_suffix(".pub").read_text())
        with pytest.raises(SignInError, match="not an OpenSSH certificate"):
            shell.start(CAT)
        other = sign(
            authority, make_key(tmp_path / "other"), principal="x", validity="always:forever"
        )
        with pytest.raises(SignInError, match="does not fit the key"):
            connect(
                server.hop(user), identity=Identity(key_file=key, certificate_file=other)
            ).start(CAT)


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_the_end_of_a_certificate_is_read_whatever_its_key(tmp_path: Path, kind: str) -> None:
    authority, key = make_key(tmp_path / "authority"), make_key(tmp_path / "key", kind)
    signed = sign(authority, key, principal="anna,ben", validity="20250101Z:20260102030405Z")
    text = signed.read_text()
    assert certificate_end(text) == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    endless = sign(authority, key, principal="anna", validity="always:forever")
    assert certificate_end(endless.read_text()) is None
    head, blob, *_ = text.split()
    for length in range(0, len(blob) - 4, 4):
        with pytest.raises(ValueError, match=r"cut off|not an OpenSSH"):
            certificate_end(f"{head} {blob[:length]}"[: len(head) + 1 + min(length, 160)])


def test_a_key_that_asks_for_a_year_of_work_is_refused(tmp_path: Path) -> None:
    text = make_key(tmp_path / "key", passphrase=HORSE).read_text()
    assert 0 < passphrase_rounds(text) < 100
    lines = text.splitlines()
    blob = bytearray(base64.b64decode("".join(lines[1:-1])))
    at = blob.index(b"bcrypt") + len("bcrypt") + 8 + 16
    blob[at : at + 4] = b"\xff\xff\xff\xff"
    identity = Identity(key="\n".join([lines[0], base64.b64encode(blob).decode(), lines[-1]]))
    with pytest.raises(SignInError, match="4294967295 rounds for its passphrase, more than 1024"):
        check_identities("alpha", SSHRoute(login=LOGIN, identity=identity))


def test_a_broken_key_is_an_error_that_does_not_quote_it(tmp_path: Path) -> None:
    text = make_key(tmp_path / "key").read_text()
    for cut in range(0, len(text) - 80, 7):  # the comment at its end may be anything
        for broken in (text[:cut] or " ", text[:cut] + "canary" + text[cut + 6 :]):
            identity = Identity(key=broken)
            with pytest.raises(SignInError, match="private key cannot be read") as caught:
                check_identities("alpha", SSHRoute(login=LOGIN, identity=identity))
            assert not any(line in str(caught.value) for line in text.splitlines())


def test_the_agents_keys_sign_in(
    connect: Connect,
    server: SSHServer,
    user: Account,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "agent"
    with subprocess.Popen(["/usr/bin/ssh-agent", "-D", "-a", str(path)], stdout=-3) as agent:
        try:
            eventually(path.exists)
            monkeypatch.setenv("SSH_AUTH_SOCK", str(path))
            shell = connect(server.hop(user), identity=Identity(agent=True))
            with pytest.raises(SignInError, match="agent has no keys; see SSH_AUTH_SOCK"):
                shell.start(CAT)
            run("ssh-add", "-q", str(make_key(tmp_path / "stranger")))
            run("ssh-add", "-q", str(user.key_file))
            assert read_all(shell.start(["/bin/echo", "in"])) == b"in\n"
        finally:
            agent.kill()


def test_a_login_node_is_reached_over_two_others(
    connect: Connect, base: Path, user: Account, server: SSHServer
) -> None:
    with sshd(base / "jump1", [user]) as first, sshd(base / "jump2", [user]) as second:
        jumps = (first.hop(user), second.hop(user))
        shell = connect(server.hop(user), jumps=jumps)
        stream = shell.start(CAT)
        data = os.urandom(1 << 20)
        sender = threading.Thread(target=stream.send, args=(data, 20))
        sender.start()
        assert read_exactly(stream, len(data)) == data
        sender.join(5)
        (key,) = fetch_host_keys("127.0.0.1", server.port, jumps=jumps, identity=user.identity)
        assert key == server.host_key
        first.cut()
        with pytest.raises(ShellCutError, match="cut"):
            stream.receive(1, 10)


def test_each_machine_on_the_way_is_known_by_its_own_key(
    connect: Connect, base: Path, user: Account, server: SSHServer
) -> None:
    with sshd(base / "jump", [user]) as jump:
        wrong = jump.hop(user, server.host_key.line)
        with pytest.raises(HostKeyError, match=f"127.0.0.1:{jump.port} shows another host key"):
            connect(server.hop(user), jumps=(wrong,)).start(CAT)
        behind = server.hop(user, jump.host_key.line)
        with pytest.raises(HostKeyError, match=f"127.0.0.1:{server.port} shows another host key"):
            connect(behind, jumps=(jump.hop(user),)).start(CAT)


def test_a_machine_that_forwards_nothing_is_told_apart(
    connect: Connect, base: Path, user: Account, server: SSHServer
) -> None:
    with sshd(base / "closed", [user], "AllowTcpForwarding no") as jump:
        shell = connect(server.hop(user), jumps=(jump.hop(user),))
        with pytest.raises(ShellUnavailableError, match="see AllowTcpForwarding there"):
            shell.start(CAT)
