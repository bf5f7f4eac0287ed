"""A real cluster behind `SlurmApi` and the double of pyslurm."""

from __future__ import annotations

import contextlib
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from scheduler.slurm_api import SlurmApi
from tests.scheduler.site import Site, open_slurm, slurm_config
from tests.slurm.cluster import Cluster

_DOUBLE = Path(__file__).parent.parent / "slurm" / "pyslurm_double.py"


@dataclass(frozen=True, kw_only=True)
class Double:
    """What a test can do to the double of pyslurm."""

    folder: Path

    @property
    def python(self) -> str:
        """A Python that has it."""
        return str(self.folder / "python")

    def spoil(self, *faults: str) -> None:
        """Let the next calls go wrong: each the name of a call and what happens."""
        (self.folder / "faults").write_text("\n".join(faults))

    @property
    def spoilt(self) -> bool:
        """Whether all that was to go wrong did."""
        return not (self.folder / "faults").read_text()

    def become(self, version: str) -> None:
        """Be of another version."""
        (self.folder / "version").write_text(version)


def make_double(folder: Path, version: str) -> Double:
    """Put the double where a Python of its own imports it, under its original's name."""
    folder.mkdir()
    shutil.copy(_DOUBLE, folder / "pyslurm.py")
    python = folder / "python"
    python.write_text(
        f"#!/bin/sh\nexport PYSLURM_DOUBLE={folder}\nexport PYTHONPATH={folder}:$PYTHONPATH\n"
        f'exec {sys.executable} "$@"\n'
    )
    python.chmod(0o755)
    double = Double(folder=folder)
    double.become(version)
    return double


def release_of(cluster: Cluster) -> str:
    """Say which pyslurm fits a cluster."""
    major, minor = cluster.run("scontrol", "--version").split()[1].split(".")[:2]
    return f"{int(major)}.{int(minor)}.2"


@contextlib.contextmanager
def slurm_by_api(
    cluster: Cluster, python: str, command_timeout_s: float = 20.0
) -> Iterator[SlurmApi]:
    """Reach a cluster through a library that some Python has."""
    config = replace(slurm_config(cluster), python=python, command_timeout_s=command_timeout_s)
    api = SlurmApi("api", config)
    yield api
    api.close()


@contextlib.contextmanager
def open_api(cluster: Cluster, api: SlurmApi) -> Iterator[Site]:
    """Open a real cluster, and end all that runs there afterwards."""
    with open_slurm(cluster, api, cluster.folder / "jobs") as site:
        site.refusal = "999999"
        yield site
