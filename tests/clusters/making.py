"""A cluster on which each user has an account, for a gateway beside its local one."""

from __future__ import annotations

CLUSTER = "hpc"
NOBODY = "ssh-ed25519 SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU"
"""A host key that no server has."""

_PREFIX = "GATEWAY_CLUSTERS__HPC__"
PER_USER = {
    f"{_PREFIX}SCHEDULER": "slurm",
    f"{_PREFIX}TITLE": "The cluster",
    f"{_PREFIX}ACCOUNTS": "per-user",
    f"{_PREFIX}BASE": "/scratch/{login}/gateway",
    f"{_PREFIX}PYTHON": "/usr/bin/python3",
    f"{_PREFIX}SSH__HOST": "127.0.0.1",
    f"{_PREFIX}SSH__PORT": "1",
    f"{_PREFIX}SSH__HOST_KEYS": f'["{NOBODY}"]',
}
"""Nobody listens on that port."""
