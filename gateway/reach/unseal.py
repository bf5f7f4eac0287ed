"""Open the private keys of cluster accounts: for the worker and an administrator's commands."""

from __future__ import annotations

import base64

from cryptography.exceptions import InvalidTag

from gateway.clusters.models import ClusterAccount
from gateway.clusters.seal import NONCE_BYTES, cipher, context


class SealedError(Exception):
    """A key cannot be opened: it was sealed with another secret, or for somebody else."""


def unseal(secret: bytes, account: ClusterAccount) -> str:
    """Decrypt the private key of an account.

    Raises
    ------
    SealedError
        If it was not sealed with this secret for this user and cluster.
    """
    box = base64.b64decode(account.sealed_key)
    nonce, text = box[:NONCE_BYTES], box[NONCE_BYTES:]
    try:
        opened = cipher(secret).decrypt(nonce, text, context(account.cluster, account.user))
    except InvalidTag:
        raise SealedError(
            f"the key of {account.user} for the cluster {account.cluster!r} cannot be opened: was "
            "the gateway's secret changed? Register the account again"
        ) from None
    return opened.decode()
