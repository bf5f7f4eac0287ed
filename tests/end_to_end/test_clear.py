"""One command gives an empty store."""

from __future__ import annotations

import subprocess
import sys

from tests.live import live_gateway


def test_one_command_gives_an_empty_store_but_not_while_a_job_is_alive() -> None:
    with live_gateway() as gateway:
        api = gateway.user()
        printing = api.script_problem("print('kept in a log')\nproblem = 1\n")
        api.wait(api.submit(problem={"id": printing["id"]})["id"])
        job = api.submit(kind="dummy", options={"seconds": 60})
        api.wait_for_state(job["id"], "RUNNING")
        command = [sys.executable, "-m", "gateway.cli", "db", "clear"]

        asked = subprocess.run(
            command, env=gateway.environment, capture_output=True, text=True, check=False
        )
        refused = subprocess.run(
            [*command, "--yes"],
            env=gateway.environment,
            capture_output=True,
            text=True,
            check=False,
        )

        assert (asked.returncode, refused.returncode) == (2, 1)
        assert "--yes" in asked.stderr
        assert "1 jobs have not ended" in refused.stderr
        api.http.post(f"/jobs/{job['id']}/cancel")
        api.wait(job["id"])
        kept = {
            name: list((gateway.state / name).iterdir())
            for name in ("blobs", "sidecars", "logs", "jobs")
        }

        gateway.command("db", "clear", "--yes")

        assert gateway.command("user", "list") == ""
        for name, before in kept.items():
            assert before, name
            assert list((gateway.state / name).iterdir()) == []
        assert api.http.get("/jobs").status_code == 401
        fresh = gateway.user()
        assert fresh.http.get("/jobs").json()["total"] == 0
        assert fresh.wait(fresh.submit(kind="dummy", options={"seconds": 0})["id"])["final"]
