"""What ``make run`` leaves for a first user."""

from __future__ import annotations

import pytest

from gateway.example import leave_example
from gateway.settings import load_settings
from tests.live import Api, live_gateway


def test_a_new_gateway_leaves_one_finished_example_and_never_a_second_one() -> None:
    with live_gateway() as live:
        live.add_user("grace")
        settings = load_settings(live.environment)
        job = leave_example(settings, "grace")
        assert leave_example(settings, "grace").id == job.id
        api = Api(live, "grace")
        assert api.wait(job.id)["state"] == "COMPLETED"
        (result,) = api.results(job.id)["results"]
        found = {one["label"]: one["value"] for one in result["parameters"]}
        # Certified by NIST; a tenth of the certified deviation is far more than the fit's error.
        assert found["b1"] == pytest.approx(238.94212918, abs=0.27)
        assert found["b2"] == pytest.approx(5.5015643181e-4, abs=7.3e-7)
        assert len(api.http.get("/jobs").json()["items"]) == 1
        assert len(api.http.get("/problems").json()["items"]) == 1
