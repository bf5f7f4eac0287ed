"""Campaigns, the whole way: from many starts, over a grid, more elements than tasks."""

from __future__ import annotations

import uuid
from typing import Any

import httpx
import pytest

from tests.helpers import eventually
from tests.live import Api

M, B = 2.5, 1.0
DATA = "".join(f"{x} {M * x + B + 0.3 * (-1) ** x} 0.3\n" for x in range(20))
LINE: dict[str, Any] = {
    "name": "line",
    "type": "curve",
    "curve": {
        "data": {"text": DATA},
        "columns": {"x": 0, "y": 1, "dy": {"from": "column", "column": 2}},
        "expression": "m*x+b",
        "parameters": [
            {"name": "m", "value": 1, "bounds": [0, 10]},
            {"name": "b", "value": 0, "bounds": [-5, 5]},
        ],
    },
}
SCRIPT = """
import numpy as np
from bumps.names import Curve, FitProblem

x = np.arange(20.0)
model = Curve(lambda x, m, b: m * x + b, x, 2.5 * x + 1, 0.3 * np.ones(20), m=1, b=0)
model.m.range(0, 10)
model.b.range(-5, 5)
problem = FitProblem(model)
"""


def ask(api: Api, problem: str, campaign: Any, **more: Any) -> httpx.Response:
    body = {"problem": {"id": problem}, "options": {"fit": "lm"}, "campaign": campaign, **more}
    headers = {"Idempotency-Key": uuid.uuid4().hex}
    return api.http.post("/jobs", json=body, headers=headers)


def run(api: Api, problem: str, campaign: Any, **more: Any) -> tuple[Any, list[dict[str, Any]]]:
    answer = ask(api, problem, campaign, **more)
    assert answer.status_code == 202, answer.text
    job = api.wait(answer.json()["id"])
    rows = [row for result in api.results(job["id"])["results"] for row in result["elements"]]
    return job, sorted(rows, key=lambda row: int(row["index"]))


def test_a_grid_of_a_curve_is_one_job_with_its_values(api: Api) -> None:
    problem = api.problem(LINE)["id"]
    grid = {"m": [2.0, M, 3.0]}
    job, rows = run(api, problem, {"grid": grid}, pack=None)

    assert (job["state"], job["elements"], job["pack"]) == ("COMPLETED", 3, 1)
    assert [row["fixed"] for row in rows] == [{"m": m} for m in grid["m"]]
    assert [row["label"] for row in rows] == ["m=2", "m=2.5", "m=3"]
    assert min(rows, key=lambda row: float(row["chisq"]))["index"] == 1
    assert "least χ²" in job["verdict"]["text"]
    assert "m=2.5" in job["verdict"]["text"]

    again = api.http.post(
        f"/jobs/{job['id']}/rerun", json={}, headers={"Idempotency-Key": uuid.uuid4().hex}
    )
    assert again.status_code == 202, again.text
    assert api.wait(job["id"])["attempt"] == 2
    (first, *_) = api.results(job["id"])["results"]
    assert first["elements"][0]["fixed"] == {"m": 2.0}


def test_so_many_tasks_at_once_reach_the_script_and_stay_with_the_job(api: Api) -> None:
    problem = api.problem(LINE)["id"]
    job, rows = run(api, problem, {"grid": {"m": [2.0, M, 3.0]}}, throttle=1)

    assert (len(rows), job["request"]["throttle"]) == (3, 1)
    script = api.http.get(f"/jobs/{job['id']}/script").json()["script"]
    assert "#SBATCH --array=0-2%1\n" in script
    headers = {"Idempotency-Key": uuid.uuid4().hex}
    again = api.http.post(f"/jobs/{job['id']}/rerun", json={}, headers=headers)
    assert again.status_code == 202, again.text
    api.wait(job["id"])
    second = api.http.get(f"/jobs/{job['id']}/script", params={"attempt": 2}).json()["script"]
    assert "#SBATCH --array=0-2%1\n" in second


@pytest.mark.parametrize(
    ("campaign", "throttle", "said"),
    [
        ({"random": 4}, 0, "greater than or equal to 1"),
        ({"random": 4}, 1.5, "integer"),
        ({"random": 4}, 5, "5 at once are more than its tasks: at most 4"),
        (None, 2, "one fit is one task: give elements or a campaign"),
    ],
)
def test_a_wrong_number_of_tasks_at_once_is_refused_at_its_field(
    api: Api, campaign: Any, throttle: Any, said: str
) -> None:
    answer = ask(api, api.problem(LINE)["id"], campaign, throttle=throttle)
    assert answer.status_code == 422, answer.text
    (error,) = answer.json()["errors"]
    assert error["pointer"] == "/throttle"
    assert said in error["detail"]


def test_what_a_script_does_not_have_fails_there_and_is_named(api: Api) -> None:
    problem = api.script_problem(SCRIPT)["id"]
    job, rows = run(api, problem, {"starts": [{"m": 3}, {"slope": 3}]}, pack=2)

    assert [row["status"] for row in rows] == ["done", "failed"]
    assert "values.slope: the problem has no parameter 'slope'" in rows[1]["verdict"]["text"]
    assert job["verdict"]["code"] == "partial"


@pytest.mark.parametrize(
    ("campaign", "more", "pointer"),
    [
        ({"grid": {"slope": [1]}}, {}, "/campaign/grid/slope"),
        ({"grid": {"m": [1, 11]}}, {}, "/campaign/grid/m/1"),
        ({"grid": {"m": [1, "2"]}}, {}, "/campaign/grid/m/1"),
        ({"grid": {"m": [1, 1]}}, {}, "/campaign/grid/m/1"),
        ({"grid": {"m": [1], "b": [1]}}, {}, "/campaign/grid"),
        ({"grid": {"m": [n / 1e5 for n in range(10_001)]}}, {}, "/campaign"),
        ({"starts": [{"b": 6}]}, {}, "/campaign/starts/0/b"),
        ({"random": 0}, {}, "/campaign/random"),
        ({"random": 2}, {"mode": "check"}, "/campaign"),
        ({"random": 2}, {"kind": "dummy", "options": {}}, "/campaign"),
        ({"random": 2}, {"elements": [{"label": "one"}]}, "/campaign"),
        ({}, {}, "/campaign"),
        ([], {}, "/campaign"),
    ],
)
def test_a_wrong_campaign_is_refused_at_its_field(
    api: Api, campaign: Any, more: dict[str, Any], pointer: str
) -> None:
    answer = ask(api, api.problem(LINE)["id"], campaign, **more)
    assert answer.status_code == 422, answer.text
    assert pointer in [error["pointer"] for error in answer.json()["errors"]]
    assert api.http.get("/jobs").json()["total"] == 0


def test_two_thousand_elements_are_one_job_and_one_table(api: Api) -> None:
    count = 2000
    elements = [{"label": f"e{number}"} for number in range(count)]
    options = {"seconds": 0, "steps": 1}
    made = api.submit(kind="dummy", options=options, elements=elements, pack=1000)
    job = api.wait(made["id"], within_s=120)

    assert (job["state"], job["verdict"]["code"]) == ("COMPLETED", "elements")
    results = api.results(job["id"])
    rows = [row for result in results["results"] for row in result["elements"]]
    assert results["complete"]
    assert sorted(row["index"] for row in rows) == list(range(count))
    assert {row["status"] for row in rows} == {"done"}
    eventually(
        lambda: (api.job(job["id"])["progress"] or {}).get("step") == count, what="all counted"
    )
