"""Keys to sign in to clusters with: made here, or brought by their owner.

What is brought is read in OpenSSH's own form alone, whose header says how long opening it takes:
other forms can be made to take hours.
"""

from __future__ import annotations

import base64
import hashlib

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_ssh_private_key,
)

from gateway.clusters.models import KeyPair
from gateway.errors import InvalidError
from scheduler.key_files import passphrase_rounds

KEY_CHARACTERS = 10_000
"""The longest key that is read; RSA with 8192 bits has 6,400."""

_BEGIN, _END = "-----BEGIN OPENSSH PRIVATE KEY-----", "-----END OPENSSH PRIVATE KEY-----"
_MAGIC = b"openssh-key-v1\0"
_ROUNDS = 100
"""Of the passphrase's hash: 0.9 s of a processor; ssh-keygen takes 16 unless told otherwise."""

_RSA_BITS = 2048
_Key = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def make_key() -> KeyPair:
    """Make a new Ed25519 key."""
    return _pair(ed25519.Ed25519PrivateKey.generate())


def read_key(text: str, passphrase: str = "") -> KeyPair:
    """Read a private key, and take its passphrase off.

    Raises
    ------
    InvalidError
        If it cannot be read; what was given is not quoted.
    """
    encrypted = _is_encrypted(text)
    if encrypted and not passphrase:
        raise InvalidError.at(
            "/passphrase", "this key has one: type it here; it is used once and not kept"
        )
    try:
        key = load_ssh_private_key(
            text.strip().encode(), passphrase.encode() if encrypted else None
        )
    except (ValueError, UnsupportedAlgorithm):
        # Without the cause: it may quote what it could not read.
        if encrypted:
            raise InvalidError.at("/passphrase", "does not open this key") from None
        raise _unreadable("it is damaged, or of a type that is not known here") from None
    return _pair(_checked(key))


def _checked(key: object) -> _Key:
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size < _RSA_BITS:
        raise _unreadable(f"an RSA key of {key.key_size} bits is too weak")
    if isinstance(key, ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        return key
    raise _unreadable("it is of a type that clusters do not take any more")


def _pair(key: _Key) -> KeyPair:
    private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    return KeyPair(private=private.decode(), public=public, fingerprint=fingerprint(public))


def fingerprint(public: str) -> str:
    """Write what ``ssh-keygen -l`` prints of a public key."""
    blob = base64.b64decode(public.split()[1])
    return f"SHA256:{base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip('=')}"


def _is_encrypted(text: str) -> bool:
    """Read from its header whether a key has a passphrase, and refuse one too slow to try."""
    text = text.strip()
    if not (text.startswith(_BEGIN) and text.endswith(_END)):
        raise _unreadable(f"it begins with {_BEGIN!r} and is pasted whole")
    try:
        rounds = passphrase_rounds(text)
    except ValueError:
        raise _unreadable("it is damaged") from None
    if rounds > _ROUNDS:
        raise InvalidError.at(
            "/private_key",
            f"its passphrase is hashed {rounds} times, more than the {_ROUNDS} that are tried "
            f"here: 'ssh-keygen -p -a {_ROUNDS} -f KEY' writes it anew",
        )
    return rounds > 0


def _unreadable(why: str) -> InvalidError:
    return InvalidError.at(
        "/private_key",
        f"cannot be read as a private key of OpenSSH (ed25519, ecdsa, or rsa of {_RSA_BITS} bits): "
        f"{why}; 'ssh-keygen -p -f KEY' writes an older one in this form",
    )
