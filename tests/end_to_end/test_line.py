"""S2-10: a site lets so many jobs of a user run at once; the others wait in line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.helpers import eventually
from tests.live import Api, LiveGateway, live_gateway


@pytest.fixture(scope="module")
def serial() -> Iterator[LiveGateway]:
    """Run a gateway that lets each user have one job at a time."""
    with live_gateway(GATEWAY_CLUSTERS__LOCAL__MAX_JOBS_PER_USER="1") as live:
        yield live


@pytest.fixture
def ada(serial: LiveGateway) -> Iterator[Api]:
    user = serial.user()
    yield user
    user.cancel_all()


def submit(user: Api, seconds: float) -> str:
    return str(user.submit(kind="dummy", options={"seconds": seconds})["id"])


def in_line(user: Api, job: str, place: int) -> dict[str, Any]:
    """Wait until a job stands at a place in line."""
    eventually(
        lambda: user.job(job)["reason_text"].endswith(f"Place {place} in line."),
        what=lambda: f"place {place}: {user.job(job)['reason_text']}",
    )
    return user.job(job)


def test_one_of_each_user_runs_at_a_time_and_the_others_know_their_place(
    ada: Api, serial: LiveGateway
) -> None:
    first, second, third = (submit(ada, seconds) for seconds in (60, 0.2, 0.2))
    ada.wait_for_state(first, "RUNNING")
    waiting = in_line(ada, second, 1)
    in_line(ada, third, 2)
    assert (waiting["state"], waiting["reason"]) == ("PENDING", "InLine")
    assert waiting["reason_text"].startswith("Waits in the gateway: 1 of your jobs are at local")
    assert waiting["native_id"] is None, "the cluster knows nothing of it"

    other = serial.user()
    assert other.wait(submit(other, 0.1))["state"] == "COMPLETED"

    assert ada.http.post(f"/jobs/{first}/cancel").status_code == 202
    ends = [ada.wait(job) for job in (second, third)]
    assert [end["state"] for end in ends] == ["COMPLETED", "COMPLETED"]
    assert ends[0]["ended"] <= ends[1]["started"], "one after the other, in their order"
    assert ends[0]["reason"] == ""


def test_who_waits_in_line_can_leave_it_at_once(ada: Api) -> None:
    first, second, third = (submit(ada, 60) for _ in range(3))
    in_line(ada, third, 2)
    assert ada.http.post(f"/jobs/{second}/cancel").status_code == 202
    assert ada.wait(second, within_s=10)["state"] == "CANCELLED"
    in_line(ada, third, 1)
    assert ada.http.post(f"/jobs/{third}/stop").status_code == 202
    assert ada.wait(third, within_s=10)["state"] == "CANCELLED"
    assert ada.job(first)["state"] in ("PENDING", "RUNNING")


def test_a_gateway_that_dies_keeps_the_line(ada: Api, serial: LiveGateway) -> None:
    first, second = submit(ada, 60), submit(ada, 0.1)
    ada.wait_for_state(first, "RUNNING")
    in_line(ada, second, 1)
    serial.stop()
    serial.start()
    ada = Api(serial, ada.name)
    assert ada.http.post(f"/jobs/{first}/cancel").status_code == 202
    assert ada.wait(second)["state"] == "COMPLETED"
