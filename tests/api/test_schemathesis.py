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

# 412, too: so tus has it for who speaks another version of it.
[checks.negative_data_rejection]
expected-statuses = [400, 401, 403, 404, 405, 406, 409, 412, 415, 422, 428, 429, "5xx"]
"""
MEANING = """
# {why}
[[operations]]
include-name = "{name}"
checks.positive_data_acceptance.enabled = false
"""
BEYOND = {
    "POST /api/v1/auth/login": "a UID, or a name and a password, of somebody who is known",
    "POST /api/v1/auth/tokens": "the same",
    "POST /api/v1/auth/code": "a code that was given a moment ago",
    "POST /api/v1/auth/device/token": "the same",
    "GET /api/v1/jobs/compare": "results that differ from each other",
    "POST /api/v1/jobs/bulk": "ids of this gateway",
    "POST /api/v1/users": "a name that is no name of the system's",
    "PUT /api/v1/users/{name}/password": "a password that is long and not a common one",
    "PUT /api/v1/me/password": "the same",
    "POST /api/v1/files": "a file name that leaves no folder, on any system",
    "POST /api/v1/uploads": "the same, as tus writes it",
    "PATCH /api/v1/uploads/{upload_id}": "a piece of the type that tus has for it",
    "PUT /api/v1/clusters/{cluster}/account": "an account of that cluster",
    "PUT /api/v1/me/mail": "a site that sends mail",
    "POST /api/v1/me/mail/verify": "an address, and its code",
    "POST /api/v1/webhooks": "a URL of https, on a port that is allowed",
    "PATCH /api/v1/jobs/{job_id}": "text that can be printed in one line",
    "POST /api/v1/problems/{problem_id}/clone": "the same",
    "POST /api/v1/auth/device": "the same",
    "POST /api/v1/problems": "data, columns, formula and parameters that fit each other",
    "PUT /api/v1/problems/{problem_id}": "the same",
    "POST /api/v1/problems/columns": "the same",
    "POST /api/v1/problems/curve/preview": "the same",
    "POST /api/v1/jobs": "options of the method, resources of the cluster, a problem that is there",
    "POST /api/v1/jobs/preview": "the same",
    "POST /api/v1/jobs/many": "a key for all of them",
    "POST /api/v1/jobs/{job_id}/rerun": "the same",
    "POST /api/v1/jobs/{job_id}/resume": "the same",
    "POST /api/v1/jobs/{job_id}/shares": "one user, one group or a link, of this site",
}
"""Where a request may be refused that has the described form, and what else it must have."""


@pytest.fixture(scope="module")
def gateway() -> Iterator[LiveGateway]:
    """Run a gateway of its own: this leaves jobs, problems and tokens behind."""
    with live_gateway() as live:
        yield live


def run(live: LiveGateway, token: str, folder: Path, *options: str) -> None:
    config = folder / "schemathesis.toml"
    parts = [MEANING.format(name=name, why=why) for name, why in BEYOND.items()]
    config.write_text("".join([CONFIG, *parts]))
    done = subprocess.run(
        [
            *(str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(config)),
            *("run", f"{live.url}/api/v1/openapi.json"),
            *("-H", f"Authorization: Bearer {token}", *options),
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=150,
    )
    found = done.stdout.partition("= FAILURES")[2] or done.stdout[-4000:]
    assert done.returncode == 0, found[:8000] + done.stderr[-2000:]
    assert " 0 generated" not in done.stdout


# Signing out would end the token that all the other requests use; a stream does not end.
_LEFT_OUT = ("--exclude-path", "/api/v1/auth/logout", "--exclude-path-regex", "/events$")


@pytest.fixture(scope="module")
def token(gateway: LiveGateway) -> str:
    return gateway.user().http.headers["Authorization"].removeprefix("Bearer ")


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_a_generator_finds_no_answer_that_is_not_described(
    gateway: LiveGateway, token: str, tmp_path: Path
) -> None:
    phases = ("--phases", "coverage,fuzzing", "--max-time", "25")
    run(gateway, token, tmp_path, *phases, *_LEFT_OUT)


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_nor_over_sequences_of_calls(gateway: LiveGateway, token: str, tmp_path: Path) -> None:
    run(gateway, token, tmp_path, "--phases", "stateful", "--max-time", "12", *_LEFT_OUT)


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_nor_for_an_administrator(gateway: LiveGateway, tmp_path: Path) -> None:
    token = gateway.add_user("boss", admin=True)
    phases = ("--phases", "coverage,fuzzing", "--max-time", "8")
    run(gateway, token, tmp_path, *phases, "--include-path-regex", "^/api/v1/users")


def test_each_exception_is_an_operation_that_there_is(gateway: LiveGateway) -> None:
    paths = gateway.contract.document["paths"]
    known = {f"{method.upper()} {path}" for path, item in paths.items() for method in item}
    assert set(BEYOND) <= known
