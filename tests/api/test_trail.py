"""S0-8 and S1-5: one id from request to job, and user code in job processes alone."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from tests.api.hostile import GOOD
from tests.helpers import eventually
from tests.live import Api

CANARY = """
import json, os, pathlib, sys
def words(pid):
    return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\\0")
def parent(pid):
    return int(pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
lines, pid = [], os.getpid()
while pid > 1:
    lines.append(words(pid))
    pid = parent(pid)
with open(%r, "a") as seen:
    seen.write(json.dumps({"modules": sorted(sys.modules), "line": lines}) + chr(10))
"""


def logged(api: Api) -> list[dict[str, Any]]:
    """Read the lines that web and worker have written."""
    lines = (line for line in api.live.log.splitlines() if line.startswith("{"))
    return [json.loads(line) for line in lines]


def test_one_id_follows_a_request_into_answer_log_job_and_script(api: Api) -> None:
    trail = f"trail-{uuid.uuid4().hex}"
    headers = {"X-Correlation-ID": trail, "Idempotency-Key": trail}
    answer = api.http.post("/jobs", json={"kind": "dummy"}, headers=headers)
    assert answer.headers["X-Correlation-ID"] == trail
    job = answer.json()
    assert job["correlation_id"] == trail
    script = api.http.get(f"/jobs/{job['id']}/script").json()["script"]
    comments = [line for line in script.splitlines() if line.startswith("#SBATCH --comment=")]
    assert len(comments) == 1
    assert trail in comments[0]
    api.wait(job["id"])

    def loggers() -> set[str]:
        return {line.get("logger", "") for line in logged(api) if trail in json.dumps(line)}

    eventually(lambda: {"gateway.access", "jobs", "conclude"} <= loggers(), what="its log lines")


@pytest.mark.parametrize("given", ["x", "a b c d e f", "x" * 65, "$(id)-$(id)", "<script>x</s>"])
def test_a_malformed_id_reaches_nothing(api: Api, given: str) -> None:
    answer = api.http.post("/jobs", json={"kind": "dummy"}, headers={"X-Correlation-ID": given})
    job = answer.json()
    assert answer.headers["X-Correlation-ID"] != given
    assert job["correlation_id"] == answer.headers["X-Correlation-ID"]
    assert given not in api.http.get(f"/jobs/{job['id']}/script").text or given == "x"
    api.wait(job["id"])


def test_a_model_is_only_ever_run_by_a_job(api: Api, tmp_path: Any) -> None:
    seen = tmp_path / "seen"
    problem = api.script_problem(CANARY % str(seen) + GOOD)
    for path in ("", "/versions", "/export.zip"):
        assert api.http.get(f"/problems/{problem['id']}{path}").status_code == 200
    request: dict[str, Any] = {"problem": {"id": problem["id"]}, "options": {"fit": "lm"}}
    assert api.http.post("/jobs/preview", json=request).status_code == 200
    assert not seen.exists()

    ended = api.wait(api.submit(**request)["id"])

    assert ended["state"] == "COMPLETED", ended
    for path in ("results", "log", "bundle.zip"):
        assert api.http.get(f"/jobs/{ended['id']}/{path}").status_code == 200
    runs = [json.loads(line) for line in seen.read_text().splitlines()]
    assert len(runs) == 1
    lines = [" ".join(words) for words in runs[0]["line"]]
    assert "driver.pyz" in lines[0]
    assert not any("gunicorn" in line or "gateway.cli" in line for line in lines[:2])
    assert not [name for name in runs[0]["modules"] if name.split(".")[0] == "gateway"]
