"""What OpenSSH's key files say of themselves, read before any of it is used."""

from __future__ import annotations

import base64
import binascii
import struct
from datetime import UTC, datetime

_KEY_FIELDS = {"ssh-ed25519": 1, "ssh-rsa": 2}
"""How many fields a public key has; those of ECDSA have two."""

_SUFFIX = "-cert-v01@openssh.com"
_YEAR_10000 = 253_402_300_800
_FRAME = "-----{} OPENSSH PRIVATE KEY-----"
_MAGIC = b"openssh-key-v1\0"


def certificate_end(text: str) -> datetime | None:
    """Read when a certificate ends, from the line in its file; None for never.

    Raises
    ------
    ValueError
        If it is no certificate.
    """
    words = text.split()
    if len(words) < 2 or not words[0].endswith(_SUFFIX):
        raise ValueError(f"not an OpenSSH certificate: it begins with {text[:40]!r}")
    fields = _KEY_FIELDS.get(words[0].removesuffix(_SUFFIX), 2)
    try:
        rest = memoryview(base64.b64decode(words[1]))
        for _ in range(2 + fields):  # its type, a nonce, the key
            _, rest = _string(rest)
        rest = rest[12:]  # serial number, kind
        for _ in range(2):  # key id, principals
            _, rest = _string(rest)
        _, end = struct.unpack_from(">QQ", rest)
    except (struct.error, binascii.Error):
        raise ValueError("the certificate is cut off") from None
    return None if end >= _YEAR_10000 else datetime.fromtimestamp(end, UTC)


def passphrase_rounds(text: str) -> int:
    """Read how much work the passphrase of a private key is; 0 without one.

    OpenSSH writes 16 or 24. Whoever may give us a key could ask for a year of work.

    Raises
    ------
    ValueError
        If the file cannot be read so far.
    """
    _, begin, rest = text.partition(_FRAME.format("BEGIN"))
    body, end, _ = rest.partition(_FRAME.format("END"))
    if not begin:
        return 0
    try:
        blob = memoryview(base64.b64decode("".join(body.split())))
        if not end or blob[: len(_MAGIC)] != _MAGIC:
            raise ValueError("not an OpenSSH private key")
        _, blob = _string(blob[len(_MAGIC) :])
        _, blob = _string(blob)
        options, _ = _string(blob)
        if not options:
            return 0
        _, rounds = _string(options)
        (number,) = struct.unpack_from(">I", rounds)
    except (struct.error, binascii.Error):
        raise ValueError("the private key is cut off") from None
    return int(number)


def _string(blob: memoryview) -> tuple[memoryview, memoryview]:
    """Take a text with its length before it, and the rest."""
    (length,) = struct.unpack_from(">I", blob)
    return blob[4 : 4 + length], blob[4 + length :]
