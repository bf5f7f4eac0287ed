"""Private keys at rest: encrypted with a key of the site's secret, each for one user and cluster.

Web processes only seal. `gateway.reach.unseal` opens, and only who reaches clusters imports it.
"""

from __future__ import annotations

import base64
import json
import secrets

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

NONCE_BYTES = 12
_KEY_BYTES = 32
_PURPOSE = b"bumps-gateway private keys of cluster accounts"


def seal(secret: bytes, cluster: str, user: str, private_key: str) -> str:
    """Encrypt a private key; what comes out is of no use for another user or cluster."""
    nonce = secrets.token_bytes(NONCE_BYTES)
    box = cipher(secret).encrypt(nonce, private_key.encode(), context(cluster, user))
    return base64.b64encode(nonce + box).decode()


def cipher(secret: bytes) -> AESGCM:
    """Make the cipher from the site's one secret."""
    return AESGCM(HKDF(SHA256(), _KEY_BYTES, salt=None, info=_PURPOSE).derive(secret))


def context(cluster: str, user: str) -> bytes:
    """Write whose key it is, so that no two read the same."""
    return json.dumps([cluster, user]).encode()
