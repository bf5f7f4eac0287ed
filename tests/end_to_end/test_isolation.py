"""What goes wrong with one job's files holds up that job, and nobody else's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.helpers import eventually
from tests.live import Api, LiveGateway

DUMMY: dict[str, Any] = {"kind": "dummy", "options": {"seconds": 0, "steps": 1}}
LONG: dict[str, Any] = {"kind": "dummy", "options": {"seconds": 3, "steps": 3}}


def test_a_job_that_cannot_be_staged_holds_up_nobody(live: LiveGateway) -> None:
    one, other = live.user(), live.user()
    in_the_way = jobs_of(other).parent / one.name
    in_the_way.write_text("a file where a directory is wanted")

    held = one.submit(**DUMMY)["id"]
    assert other.wait(other.submit(**DUMMY)["id"])["state"] == "COMPLETED"
    eventually(lambda: "cannot be made" in str(one.job(held)), what="the reason to be told")

    in_the_way.unlink()
    assert one.wait(held)["state"] == "COMPLETED"


def test_a_job_whose_record_cannot_be_written_holds_up_nobody(live: LiveGateway) -> None:
    one, other = live.user(), live.user()
    held = one.submit(**LONG)["id"]
    one.wait_for_state(held, "RUNNING")
    folder = live.state / "sidecars" / "jobs" / held[-2:]
    away = folder.with_name(f"{folder.name}.away")
    folder.rename(away)
    folder.write_text("a file where a directory is wanted")
    try:
        free = [other.submit(**DUMMY)["id"] for _ in range(2)]
        for job_id in free:
            assert other.wait(job_id)["state"] == "COMPLETED"
        eventually(lambda: str(folder) in live.log, what="the fault in the log")
    finally:
        folder.unlink()
        away.rename(folder)
    assert one.wait(held)["state"] == "COMPLETED"


def jobs_of(api: Api) -> Path:
    """Find the directory of a user's jobs: there once one has been staged."""
    job_id = api.submit(**DUMMY)["id"]
    api.wait(job_id)
    (found,) = api.live.state.rglob(f"{api.name}/{job_id}")
    return found.parent
