"""Until when an OpenSSH certificate is good: what people with short-lived ones forget."""

from __future__ import annotations

import base64
import struct
from datetime import UTC, datetime

_KEY_FIELDS = {"ssh-ed25519": 1, "ssh-rsa": 2}
"""How many fields a public key has; those of ECDSA have two."""

_SUFFIX = "-cert-v01@openssh.com"
_FOREVER = 2**63


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
    blob = memoryview(base64.b64decode(words[1]))
    try:
        for _ in range(2 + fields):  # its type, a nonce, the key
            blob = _after_string(blob)
        blob = blob[12:]  # serial number, kind
        for _ in range(2):  # key id, principals
            blob = _after_string(blob)
        _, end = struct.unpack_from(">QQ", blob)
    except struct.error:
        raise ValueError("the certificate is cut off") from None
    return None if end >= _FOREVER else datetime.fromtimestamp(end, UTC)


def _after_string(blob: memoryview) -> memoryview:
    (length,) = struct.unpack_from(">I", blob)
    return blob[4 + length :]
