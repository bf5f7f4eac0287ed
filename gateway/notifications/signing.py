"""The secrets of webhooks, and signatures by the Standard Webhooks specification."""

from __future__ import annotations

import base64
import hmac
import json
import secrets

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_PREFIX = "whsec_"
_SECRET_BYTES = 32
_NONCE_BYTES = 12
_PURPOSE = b"bumps-gateway secrets of webhooks"


def make_secret() -> str:
    """Make the secret of a webhook.

    >>> make_secret()[:6]
    'whsec_'
    """
    return _PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def seal(site_secret: bytes, user: str, id: str, secret: str) -> str:
    """Encrypt a secret for the store; what comes out is of no use for another webhook."""
    nonce = secrets.token_bytes(_NONCE_BYTES)
    box = _cipher(site_secret).encrypt(nonce, secret.encode(), _context(user, id))
    return base64.b64encode(nonce + box).decode()


def unseal(site_secret: bytes, user: str, id: str, sealed: str) -> str:
    """Decrypt a secret.

    Raises
    ------
    cryptography.exceptions.InvalidTag
        When it was sealed with another secret of the site, or for another webhook.
    """
    raw = base64.b64decode(sealed)
    nonce, box = raw[:_NONCE_BYTES], raw[_NONCE_BYTES:]
    return _cipher(site_secret).decrypt(nonce, box, _context(user, id)).decode()


def signed_headers(secret: str, id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Write the three headers of a message (https://www.standardwebhooks.com).

    >>> key = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    >>> id, body = "msg_p5jXN8AQM9LWM0D4loKWxJek", b'{"test": 2432232314}'
    >>> headers = signed_headers(key, id, 1614265330, body)
    >>> headers["webhook-signature"]
    'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE='
    """
    key = base64.b64decode(secret.removeprefix(_PREFIX))
    signature = hmac.digest(key, f"{id}.{timestamp}.".encode() + body, "sha256")
    return {
        "webhook-id": id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{base64.b64encode(signature).decode()}",
    }


def _cipher(site_secret: bytes) -> AESGCM:
    return AESGCM(HKDF(SHA256(), 32, salt=None, info=_PURPOSE).derive(site_secret))


def _context(user: str, id: str) -> bytes:
    return json.dumps([user, id]).encode()
