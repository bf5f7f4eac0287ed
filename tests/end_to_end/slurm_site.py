"""A gateway in front of a real Slurm cluster, for tests that go the whole way."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.live import LiveGateway, live_gateway
from tests.slurm.cluster import Cluster

_SITE = """
[clusters.hpc]
scheduler = "slurm"
title = "Test cluster"
base = "{base}"
python = "{python}"
slurm_conf = "{slurm_conf}"
look_s = 1.0
look_most_s = 2.0
follow_s = 0.3
look_again_s = 2.0
calls_per_minute = 0
mpi = "srun --mpi=pmi2"
"""


@contextmanager
def slurm_settings(cluster: Cluster, ssh: str = "") -> Iterator[dict[str, str]]:
    """Write what makes this cluster a gateway's only one; answer how to name it.

    Parameters
    ----------
    ssh
        Further TOML: how to get to the login node; empty to run Slurm's commands here.
    """
    with TemporaryDirectory(prefix="bgw-site-") as name:
        folder = Path(name)
        site = folder / "site.toml"
        text = _SITE.format(
            base=folder / "jobs",
            python=sys.executable,
            slurm_conf=cluster.environment["SLURM_CONF"],
        )
        (folder / "jobs").mkdir(mode=0o755)
        folder.chmod(0o755)
        site.write_text(text + ssh, encoding="utf-8")
        yield {"GATEWAY_CONFIG": str(site)}


@contextmanager
def slurm_gateway(cluster: Cluster, ssh: str = "", **overrides: str) -> Iterator[LiveGateway]:
    """Run a gateway whose only cluster is this one; ``ssh`` as above."""
    with slurm_settings(cluster, ssh) as settings, live_gateway(**settings, **overrides) as live:
        yield live
