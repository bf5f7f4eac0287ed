"""S3-7: a stranger's generator makes requests of the description; each answer must keep to it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live import LiveGateway, live_gateway

CONFIG = """
seed = 20261122
workers = 1
request-timeout = 20
continue-on-failure = true

[checks]
# What a schema cannot say (that a file exists, that a formula fits its data) is still refused.
positive_data_acceptance.enabled = false
# /jobs/preview is also an address of /jobs/{job_id}, so OPTIONS names the methods of both.
allow_header_conformance.enabled = false

[phases]
stateful.enabled = false
"""


@pytest.fixture(scope="module")
def gateway() -> Iterator[LiveGateway]:
    """Run a gateway of its own: this leaves jobs, problems and tokens behind."""
    with live_gateway() as live:
        yield live


def run(live: LiveGateway, token: str, folder: Path, seconds: int, *options: str) -> None:
    config = folder / "schemathesis.toml"
    config.write_text(CONFIG)
    done = subprocess.run(
        [
            *(str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(config)),
            *("run", f"{live.url}/api/v1/openapi.json", "--max-time", str(seconds)),
            *("-H", f"Authorization: Bearer {token}", *options),
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds + 120,
    )
    found = done.stdout.partition("= FAILURES")[2] or done.stdout[-4000:]
    assert done.returncode == 0, found[:8000] + done.stderr[-2000:]
    assert " 0 generated" not in done.stdout


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_generator_finds_no_answer_that_is_not_described(
    gateway: LiveGateway, tmp_path: Path
) -> None:
    token = gateway.user().http.headers["Authorization"].removeprefix("Bearer ")
    # Signing out would end the token that all the other requests use; a stream does not end.
    run(
        gateway,
        token,
        tmp_path,
        70,
        *("--exclude-path", "/api/v1/auth/logout", "--exclude-path-regex", "/events$"),
    )


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_nor_for_an_administrator(gateway: LiveGateway, tmp_path: Path) -> None:
    token = gateway.add_user("boss", "--admin")
    run(gateway, token, tmp_path, 20, "--include-path-regex", "^/api/v1/users")
