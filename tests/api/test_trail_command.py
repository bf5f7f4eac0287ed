"""S0-8: one command shows what became of something, by any of its ids."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest

from tests.api.hostile import GOOD
from tests.helpers import eventually
from tests.live import Api


def ask(
    api: Api, *words: str, code: int = 0, away: bool = False
) -> subprocess.CompletedProcess[str]:
    """Run the command with the gateway's own log."""
    log = api.live.state.parent / "gateway.log"
    store = {"GATEWAY_REDIS_URL": "unix:///nowhere/redis.sock"} if away else {}
    done = subprocess.run(
        [sys.executable, "-m", "gateway.cli", "trail", *words, "--log", str(log)],
        env={**api.live.environment, **store},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done


def document(api: Api, id: str, *, away: bool = False) -> dict[str, Any]:
    found = json.loads(ask(api, id, "--json", away=away).stdout)
    assert isinstance(found, dict)
    return found


def ends_of(api: Api, job: str) -> list[str]:
    return [line for line in api.live.log.splitlines() if job in line and '"ended"' in line]


def finished(api: Api, correlation: str) -> dict[str, Any]:
    """Run a fit to its end under a correlation id."""
    problem = api.script_problem(GOOD)
    wanted = {"problem": {"id": problem["id"]}, "options": {"fit": "lm"}, "title": "Ni on Si"}
    headers = {"X-Correlation-ID": correlation, "Idempotency-Key": correlation}
    answer = api.http.post("/jobs", json=wanted, headers=headers)
    assert answer.status_code == 202, answer.text
    job = api.wait(answer.json()["id"])
    assert job["state"] == "COMPLETED"
    return job


def test_each_id_leads_from_the_request_to_the_results(api: Api) -> None:
    correlation = f"trail-{uuid.uuid4().hex}"
    job = finished(api, correlation)
    eventually(lambda: ends_of(api, job["id"]), what="the log line of its end")

    for known in (job["id"], correlation, f"gw-{job['id']}-1"):
        found = document(api, known)
        (shown,) = found["jobs"]
        (attempt,) = shown["attempts"]
        assert (shown["id"], shown["owner"], shown["title"]) == (job["id"], api.name, "Ni on Si")
        assert shown["correlation_id"] == correlation
        assert (shown["in_store"], shown["in_files"]) == (True, True)
        assert (attempt["state"], attempt["native_id"]) == ("COMPLETED", job["native_id"])
        (row,) = attempt["tries"]
        assert row["try"] == 1
        assert job["native_id"] in row["claim"]
        assert json.loads(attempt["exits"][0]["content"])["rc"] == 0
        assert (attempt["events"]["start"], attempt["events"]["end"]) == (1, 1)
        assert attempt["here"]
        assert Path(attempt["directory"]).is_dir()
        assert attempt["dataset"]["found"]
        assert attempt["dataset"]["files"] > 3
        assert [problem["id"] for problem in found["problems"]] == [job["problem"]["id"]]
        logged = {(line["logger"], line["event"]) for line in found["log"]}
        assert {
            ("gateway.access", "request"),
            ("jobs", "accepted"),
            ("conclude", "ended"),
        } <= logged
        times = [line["timestamp"] for line in found["log"]]
        assert times == sorted(times)

    assert job["id"] in [shown["id"] for shown in document(api, job["native_id"])["jobs"]]
    assert job["id"] in [shown["id"] for shown in document(api, job["problem"]["id"])["jobs"]]


def test_people_read_it_line_by_line(api: Api) -> None:
    job = api.submit(kind="dummy", options={"seconds": 0}, title="\N{GREEK SMALL LETTER CHI}\u00b2")
    api.wait(job["id"])
    said = ask(api, job["id"]).stdout
    for words in (
        f"job {job['id']} of {api.name}: dummy on local, run",
        "attempt 1: COMPLETED",
        f"named gw-{job['id']}-1",
        "known by store and file",
        "try 1: ",
        'exit.0.json: {"rc": 0',
        "1 start",
        "jobs: accepted ",
    ):
        assert words in said, said


def test_a_later_request_leads_to_its_job_as_well(api: Api) -> None:
    job = api.wait(api.submit(kind="dummy", options={"seconds": 0})["id"])
    correlation = f"again-{uuid.uuid4().hex}"
    headers = {"X-Correlation-ID": correlation, "Idempotency-Key": correlation}
    assert api.http.post(f"/jobs/{job['id']}/rerun", headers=headers).status_code == 202
    api.wait(job["id"])
    (shown,) = document(api, correlation)["jobs"]
    assert shown["id"] == job["id"]
    assert [attempt["number"] for attempt in shown["attempts"]] == [1, 2]


def test_a_request_that_made_nothing_has_its_lines(api: Api) -> None:
    correlation = f"wrong-{uuid.uuid4().hex}"
    api.http.post("/jobs", json={"kind": "nobody"}, headers={"X-Correlation-ID": correlation})
    found = document(api, correlation)
    assert found["jobs"] == []
    assert [line["status"] for line in found["log"]] == [422]


def test_a_deleted_job_is_still_known(api: Api) -> None:
    job = api.wait(api.submit(kind="dummy", options={"seconds": 0})["id"])
    assert api.http.delete(f"/jobs/{job['id']}").status_code == 204
    found = document(api, job["id"])
    assert found["jobs"] == []
    assert [(gone["id"], gone["owner"]) for gone in found["deleted"]] == [(job["id"], api.name)]
    assert "was deleted" in ask(api, job["id"]).stdout


def test_without_its_store_the_files_tell_it(api: Api) -> None:
    job = api.wait(api.submit(kind="dummy", options={"seconds": 0})["id"])
    found = document(api, job["id"], away=True)
    (shown,) = found["jobs"]
    assert (shown["in_store"], shown["in_files"]) == (None, True)
    assert "the store does not answer" in found["notes"][0]
    assert shown["attempts"][0]["state"] == "COMPLETED"
    assert ask(api, job["id"], away=True).stdout.startswith("NOTE the store does not answer")


@pytest.mark.parametrize("id", ["01ARZ3NDEKTSV4RRFFQ69G5FAV", "*"])
def test_an_unknown_id_is_said_to_be_unknown(api: Api, id: str) -> None:
    assert f"nothing is known of {id}" in ask(api, id, code=1).stderr


def test_a_log_that_is_not_there_is_named(api: Api, tmp_path: Path) -> None:
    missing = tmp_path / "no.log"
    assert str(missing) in ask(api, "some-request", "--log", str(missing), code=2).stderr


def test_logs_may_be_packed_cut_or_come_by_a_pipe(api: Api, tmp_path: Path) -> None:
    correlation = f"packed-{uuid.uuid4().hex}"
    lines = [
        json.dumps({"event": "first", "request_id": correlation, "timestamp": "2026-01-01"}),
        f'{{"event": "cut", "request_id": "{correlation}"',
        "not json at all " + correlation,
        json.dumps([correlation]),
        json.dumps({"event": "esc\x1b[2J\nape", "request_id": correlation, "timestamp": "2026-02"}),
    ]
    packed = tmp_path / "old.log.gz"
    packed.write_bytes(gzip.compress("\n".join(lines).encode()))
    found = json.loads(ask(api, correlation, "--json", "--log", str(packed)).stdout)
    assert [line["event"] for line in found["log"]] == ["first", "esc\x1b[2J\nape"]
    said = ask(api, correlation, "--log", str(packed)).stdout
    assert "\x1b" not in said
    assert r"esc\x1b[2J\nape" in said
    piped = subprocess.run(
        [sys.executable, "-m", "gateway.cli", "trail", correlation, "--json", "--log", "-"],
        env=api.live.environment,
        input="\n".join(lines),
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(piped.stdout)["log"] == found["log"]


def test_what_a_job_put_in_the_way_is_not_followed(api: Api) -> None:
    job = api.wait(api.submit(kind="dummy", options={"seconds": 0})["id"])
    folder = Path(document(api, job["id"])["jobs"][0]["attempts"][0]["directory"])
    (folder / "exit.0.json").unlink()
    (folder / "exit.0.json").symlink_to("/etc/passwd")
    os.mkfifo(folder / "exit.7.json")
    (folder / "events.0.jsonl").write_bytes(b"[" * 100_000 + b'\n{"event": "x\x1b[2J"}\n\xff\n')
    done = ask(api, job["id"])
    assert "root:" not in done.stdout
    assert "\x1b" not in done.stdout
