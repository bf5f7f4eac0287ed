"""Keys that are made or brought, and how they are kept."""

from __future__ import annotations

import base64
import struct
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.clusters.keys import KEY_CHARACTERS, make_key, read_key
from gateway.clusters.models import ClusterAccount, KeyPair, KeySource
from gateway.clusters.seal import seal
from gateway.errors import InvalidError
from gateway.reach.unseal import SealedError, unseal
from gateway.records import now
from tests.scheduler.sshd import make_key as openssh_key
from tests.scheduler.sshd import run

SECRET = b"0123456789abcdef0123456789abcdef"
PASSPHRASE = "four calm otters"  # noqa: S105 - of a throw-away key


def public_of(folder: Path, key: KeyPair) -> str:
    """Have OpenSSH itself read a private key."""
    path = folder / "key"
    path.touch(mode=0o600)
    path.write_text(key.private)
    return " ".join(run("ssh-keygen", "-y", "-P", "", "-f", str(path)).split()[:2])


def test_a_made_key_is_one_that_openssh_reads(tmp_path: Path) -> None:
    key = make_key()
    assert key.public.startswith("ssh-ed25519 ")
    assert public_of(tmp_path, key) == key.public
    (tmp_path / "line").write_text(f"{key.public}\n")
    assert key.fingerprint in run("ssh-keygen", "-lf", str(tmp_path / "line"))
    assert make_key() != key


@pytest.mark.parametrize("passphrase", ["", PASSPHRASE])
@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_a_key_that_is_brought_loses_its_passphrase(
    tmp_path: Path, kind: str, passphrase: str
) -> None:
    path = openssh_key(tmp_path / "own", kind, passphrase)
    key = read_key(path.read_text(), passphrase)
    assert path.with_suffix(".pub").read_text().startswith(key.public)
    assert public_of(tmp_path, key) == key.public


def test_a_passphrase_for_a_key_that_has_none_is_of_no_matter(tmp_path: Path) -> None:
    text = openssh_key(tmp_path / "own").read_text()
    assert read_key(text, PASSPHRASE).public == read_key(text).public


def slower(text: str, rounds: int) -> str:
    """Let a passphrase cost more."""
    first, *lines, last = text.strip().splitlines()
    blob = base64.b64decode("".join(lines))
    asked = struct.pack(">I", 16)
    place = blob.index(asked, blob.index(b"bcrypt") + 10 + 20)
    spoilt = blob[:place] + struct.pack(">I", rounds) + blob[place + 4 :]
    return "\n".join([first, base64.b64encode(spoilt).decode(), last])


def test_what_is_no_key_is_refused_by_its_field_and_not_quoted(tmp_path: Path) -> None:
    path = openssh_key(tmp_path / "own", passphrase=PASSPHRASE)
    locked, public = path.read_text(), path.with_suffix(".pub").read_text()
    plain = openssh_key(tmp_path / "plain").read_text()
    run("ssh-keygen", "-q", "-t", "rsa", "-b", "1024", "-N", "", "-f", str(tmp_path / "weak"))
    run("ssh-keygen", "-q", "-t", "rsa", "-m", "PEM", "-N", "", "-f", str(tmp_path / "old"))
    middle = len(plain) // 2
    for text, passphrase, pointer, words in (
        ("", "", "/private_key", "begins with"),
        (public, "", "/private_key", "begins with"),
        (plain[:middle], "", "/private_key", "pasted whole"),
        (plain[:middle] + plain[middle + 8 :], "", "/private_key", "damaged"),
        (plain.replace("b3BlbnNz", "a3BlbnNz"), "", "/private_key", "damaged"),
        (f"{plain[:80]}!{plain[81:]}", "", "/private_key", "damaged"),
        ((tmp_path / "old").read_text(), "", "/private_key", "ssh-keygen -p"),
        ((tmp_path / "weak").read_text(), "", "/private_key", "1024 bits is too weak"),
        (locked, "", "/passphrase", "type it here"),
        (locked, "wrong", "/passphrase", "does not open"),
        (slower(locked, 1 << 31), PASSPHRASE, "/private_key", "2147483648 times"),
        ("A" * (KEY_CHARACTERS + 1), "", "/private_key", "begins with"),
    ):
        with pytest.raises(InvalidError) as caught:
            read_key(text, passphrase)
        (error,) = caught.value.errors
        assert (error.pointer, words in error.detail) == (pointer, True), (error, words)
        assert caught.value.__suppress_context__ or caught.value.__context__ is None
        assert not text or text[40:60] not in str(caught.value)


@pytest.fixture
def account() -> ClusterAccount:
    key = make_key()
    return ClusterAccount(
        id="1", cluster="hpc", user="ada", login="alovelace", source=KeySource.GENERATED,
        public_key=key.public, fingerprint=key.fingerprint, added=now(),
        sealed_key=seal(SECRET, "hpc", "ada", key.private),
    )  # fmt: skip


def test_a_sealed_key_opens_for_its_own_user_and_cluster_alone(account: ClusterAccount) -> None:
    opened = unseal(SECRET, account)
    assert read_key(opened).public == account.public_key
    spoilt = base64.b64decode(account.sealed_key)[:-1] + b"\0"
    for other, secret in (
        (replace(account, user="bob"), SECRET),
        (replace(account, cluster="hpc2"), SECRET),
        (replace(account, cluster='hpc", "ada', user=""), SECRET),
        (replace(account, sealed_key=base64.b64encode(spoilt).decode()), SECRET),
        (account, SECRET[::-1]),
    ):
        with pytest.raises(SealedError, match="Register the account again"):
            unseal(secret, other)


def test_nothing_of_a_key_is_to_be_seen_outside(account: ClusterAccount) -> None:
    opened = unseal(SECRET, account)
    box = base64.b64decode(account.sealed_key)
    assert b"OPENSSH" not in box
    assert all(opened[at : at + 20].encode() not in box for at in range(40, 300, 20))
    assert account.sealed_key not in repr(account)
    assert seal(SECRET, "hpc", "ada", opened) != account.sealed_key  # another nonce each time
    assert opened not in repr(KeyPair(private=opened, public="p", fingerprint="f"))
