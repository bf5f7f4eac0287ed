"""Both distributions, built once from a copy of the source."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.packaging.environments import Environment, copy_source, run


@dataclass(frozen=True, kw_only=True)
class Wheels:
    """What was built."""

    server: Path
    client: Path


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Wheels:
    source = copy_source(tmp_path_factory.mktemp("source"))
    out = tmp_path_factory.mktemp("dist")
    # Each wheel is made from the sdist, so the sdist is known to be whole too.
    for folder in (source, source / "client"):
        run(
            [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(folder)],
            cwd=folder,
        )
    (server,) = out.glob("bumps_gateway-*.whl")
    (client,) = out.glob("bumps_remote-*.whl")
    return Wheels(server=server, client=client)


@pytest.fixture(scope="session")
def server(wheels: Wheels, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """Install the server alone, without any extra."""
    environment = Environment(tmp_path_factory.mktemp("server"))
    environment.install(wheels.server)
    return environment


@pytest.fixture(scope="session")
def beside_bumps(wheels: Wheels, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """Install the client beside bumps, as a scientist does."""
    environment = Environment(tmp_path_factory.mktemp("scientist"))
    environment.install(wheels.client, "bumps")
    return environment
