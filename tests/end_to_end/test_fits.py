"""Real fits through the front door: form, script, resume, failures."""

from __future__ import annotations

import io
import json
import re
import zipfile
from typing import Any

import pytest

from tests.fitters.nist import read_dataset
from tests.live import Api

LINE = """
from bumps.names import *
import numpy as np

x = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
y = np.array([3.1, 4.9, 7.2, 8.8, 11.1])


def line(x, slope=1.0, intercept=0.0):
    return slope * x + intercept


M = Curve(line, x, y, dy=0.1 * np.ones(5))
M.slope.range(-10, 10)
M.intercept.range(-10, 10)
problem = FitProblem(M)
"""


def misra(api: Api) -> dict[str, Any]:
    """Make the NIST problem Misra1a as a curve with an expression, from the far start."""
    data = read_dataset("Misra1a")
    text = "\n".join(f"{x} {y}" for x, y in zip(data.x, data.y, strict=True))
    return api.problem(
        {
            "name": "Misra1a",
            "type": "curve",
            "curve": {
                "data": {"text": text},
                "columns": {"x": 0, "y": 1, "dy": {"from": "constant", "value": 0.10187876330}},
                "expression": "b1*(1-exp(-b2*x))",
                "parameters": [{"name": "b1", "value": 500.0}, {"name": "b2", "value": 0.0001}],
            },
        }
    )


def test_a_curve_with_an_expression_gives_the_certified_values(api: Api) -> None:
    problem = misra(api)

    job = api.submit(problem={"id": problem["id"]}, options={"fit": "lm"}, seed=1)
    ended = api.wait(job["id"])

    assert ended["state"] == "COMPLETED", ended
    result = api.results(job["id"])["results"][0]
    values = {row["label"]: row["value"] for row in result["parameters"]}
    assert values["b1"] == pytest.approx(2.3894212918e02, rel=1e-4)
    assert values["b2"] == pytest.approx(5.5015643181e-04, rel=1e-4)
    assert ended["chisq"] == pytest.approx(1.0, abs=1e-4)


def test_a_model_script_is_fitted_and_its_bundle_holds_everything(api: Api) -> None:
    problem = api.script_problem(LINE)

    job = api.submit(problem={"id": problem["id"]}, options={"fit": "amoeba"})
    api.wait(job["id"])

    answer = api.http.get(f"/jobs/{job['id']}/bundle.zip")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as bundle:
        names = set(bundle.namelist())
        assert {"job.json", "job.sh", "driver.pyz", "data/model.py", "result.0.json"} <= names
        assert json.loads(bundle.read("bundle.json"))["seed"] == job["seed"]
    again = api.http.get(f"/jobs/{job['id']}/bundle.zip")
    assert again.content == answer.content


def test_a_dream_fit_continues_with_the_samples_it_has(api: Api) -> None:
    problem = api.script_problem(LINE)
    options = {"fit": "dream", "samples": 1000, "burn": 20}
    job = api.submit(problem={"id": problem["id"]}, options=options, seed=3)
    first = api.wait(job["id"])
    assert first["resumable"], first
    before = api.results(job["id"])["results"][0]

    answer = api.http.post(f"/jobs/{job['id']}/resume", json={"options": {"samples": 4000}})

    assert answer.status_code == 202, answer.text
    ended = api.wait(job["id"])
    assert ended["attempt"] == 2
    assert ended["attempts"][1]["resumed_from"] == 1
    assert ended["state"] == "COMPLETED", ended
    after = api.results(job["id"])["results"][0]
    assert after["options"]["samples"] == 4000
    assert before["options"]["samples"] == 1000
    assert samples_taken_over(api, job["id"]) == 1000
    # 20 chains: bumps counts on from the 50 generations that are those samples, without the burn.
    assert [first_step(api, job["id"], attempt) for attempt in (1, 2)] == [1, 51]


def samples_taken_over(api: Api, job: str) -> int:
    """Read from its own log how many samples the fit of an attempt began with."""
    text = api.http.get(f"/jobs/{job}/files/out/log.txt").text
    found = re.search(r"Goes on from (\d+) samples drawn before", text)
    assert found, text
    return int(found[1])


def first_step(api: Api, job: str, attempt: int) -> int:
    """Find the number of the first step that an attempt told, in its directory."""
    (path,) = api.live.state.rglob(f"{job}/{attempt}/events.0.jsonl")
    events = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return next(int(event["step"]) for event in events if event["event"] == "step")


def test_what_cannot_be_continued_says_so(api: Api) -> None:
    problem = api.script_problem(LINE)
    job = api.submit(problem={"id": problem["id"]}, options={"fit": "lm"})
    api.wait(job["id"])

    answer = api.http.post(f"/jobs/{job['id']}/resume", json={})

    assert answer.status_code == 409
    assert "lm" in answer.json()["detail"]


def test_the_same_seed_gives_the_same_result(api: Api) -> None:
    problem = api.script_problem(LINE)
    options = {"fit": "dream", "samples": 500, "burn": 10}
    jobs = [api.submit(problem={"id": problem["id"]}, options=options, seed=7) for _ in range(2)]

    for job in jobs:
        api.wait(job["id"])
    results = [api.results(job["id"])["results"][0]["parameters"] for job in jobs]

    assert results[0] == results[1]


@pytest.mark.parametrize("mode", ["check", "chisq", "simulate"])
def test_a_problem_can_be_looked_at_before_it_is_fitted(api: Api, mode: str) -> None:
    problem = api.script_problem(LINE)
    job = api.submit(problem={"id": problem["id"]}, mode=mode)

    ended = api.wait(job["id"])

    codes = {"check": "checked", "chisq": "evaluated", "simulate": "simulated"}
    assert ended["verdict"]["code"] == codes[mode], ended
    assert ended["chisq"] is not None


@pytest.mark.parametrize(
    ("line", "code", "word"),
    [
        ("raise RuntimeError('no such sample')", "load_error", "no such sample"),
        ("problem = 3", "load_error", "problem"),
        ("M.slope.range(2, 3); M.slope.fixed = True; M.intercept.fixed = True", "", ""),
        ("import no_such_module", "load_error", "no_such_module"),
    ],
)
def test_a_broken_model_is_told_apart_with_its_line(
    api: Api, line: str, code: str, word: str
) -> None:
    problem = api.script_problem(f"{LINE}\n{line}\n")
    job = api.submit(problem={"id": problem["id"]}, options={"fit": "lm"})

    ended = api.wait(job["id"])

    assert ended["state"] == "FAILED", ended
    assert ended["raw_state"] == "COMPLETED"
    assert ended["verdict"]["code"] == (code or "no_parameters")
    assert word in ended["verdict"]["text"] + json.dumps(api.results(job["id"])["results"])


def test_an_array_of_elements_gives_a_result_for_each(api: Api) -> None:
    text = LINE.replace("y = np.array([3.1, 4.9, 7.2, 8.8, 11.1])", "y = np.loadtxt('y.dat')")
    problem = api.script_problem(text, y_dat=b"3 5 7 9 11\n")
    rows = [f"{k} {2 * k} {3 * k} {4 * k} {5 * k}\n".encode() for k in range(1, 6)]
    elements = [
        {"label": f"s{k}", "files": {"y.dat": api.upload("y.dat", row)}}
        for k, row in enumerate(rows, start=1)
    ]

    job = api.submit(
        problem={"id": problem["id"]}, options={"fit": "lm"}, elements=elements, pack=3
    )
    ended = api.wait(job["id"])

    assert ended["state"] == "COMPLETED", ended
    assert slopes_of(api, job["id"]) == pytest.approx([1, 2, 3, 4, 5], abs=1e-3)


def test_the_results_of_an_array_stand_in_the_order_of_its_tasks(api: Api) -> None:
    problem = api.script_problem(LINE)
    elements = [{"label": f"s{k}", "start": [k / 10, 0.0]} for k in range(12)]

    job = api.submit(problem={"id": problem["id"]}, mode="fit", elements=elements, pack=1)
    api.wait(job["id"])

    results = api.results(job["id"])["results"]
    assert [row["index"] for result in results for row in result["elements"]] == list(range(12))


def slopes_of(api: Api, job: str) -> list[float]:
    """Read the parameter ``slope`` of each element, in their order."""
    found = [row for result in api.results(job)["results"] for row in result["elements"]]
    return [
        parameter["value"]
        for row in sorted(found, key=lambda row: int(row["index"]))
        for parameter in row["parameters"]
        if parameter["label"] == "slope"
    ]


def test_elements_of_a_curve_are_read_by_its_columns(api: Api) -> None:
    problem = api.problem(
        {
            "name": "line",
            "type": "curve",
            "curve": {
                "data": {"text": "x;y;e\n1;2;0.1\n2;4;0.1\n3;6;0.1\n4;8;0.1\n"},
                "columns": {"x": 0, "y": 1, "dy": {"from": "column", "column": 2}},
                "expression": "slope*x",
                "parameters": [{"name": "slope", "value": 1.0}],
            },
        }
    )
    texts = [f"x;y;e\n1;{k};1\n2;{2 * k};1\n3;{3 * k};1\n4;{4 * k};1\n" for k in (1, 2, 3)]
    elements = [{"files": {"data.dat": api.upload("d", text.encode())}} for text in texts]

    job = api.submit(
        problem={"id": problem["id"]}, options={"fit": "lm"}, elements=elements, pack=9
    )

    assert api.wait(job["id"])["state"] == "COMPLETED"
    assert slopes_of(api, job["id"]) == pytest.approx([1, 2, 3], rel=1e-4)


def test_a_job_runs_again_though_its_problem_was_deleted(api: Api) -> None:
    problem = api.script_problem(LINE)
    job = api.submit(problem={"id": problem["id"]}, options={"fit": "lm"}, seed=1)
    first = api.wait(job["id"])
    assert api.http.delete(f"/problems/{problem['id']}").status_code == 204

    answer = api.http.post(f"/jobs/{job['id']}/rerun", json={"options": {"steps": 50}})

    assert answer.status_code == 202, answer.text
    ended = api.wait(job["id"])
    assert ended["attempt"] == 2
    assert ended["chisq"] == pytest.approx(first["chisq"])
    assert ended["options"]["steps"] == 50


def test_a_fit_whose_time_runs_out_is_saved_and_continues_with_its_samples(api: Api) -> None:
    problem = api.script_problem(LINE)
    options = {"fit": "dream", "samples": 50_000_000, "burn": 20}
    job = api.submit(problem={"id": problem["id"]}, options=options, resources={"time": "0:00:24"})

    ended = api.wait(job["id"])

    assert (ended["state"], ended["reason"]) == ("COMPLETED", "TimeLimit"), ended
    assert ended["resumable"]
    assert api.results(job["id"])["results"][0]["status"] == "stopped"
    answer = api.http.post(
        f"/jobs/{job['id']}/resume",
        json={"options": {"samples": 2000}, "resources": {"time": "0:05:00"}},
    )
    assert answer.status_code == 202, answer.text
    continued = api.wait(job["id"])
    assert continued["state"] == "COMPLETED", continued
    assert continued["reason"] == ""
    assert samples_taken_over(api, job["id"]) > 1000
    assert first_step(api, job["id"], 2) > first_step(api, job["id"], 1)


def test_a_shaken_fit_starts_elsewhere_and_ends_at_the_same_point(api: Api) -> None:
    problem = api.script_problem(LINE)
    wanted: dict[str, Any] = {
        "problem": {"id": problem["id"]},
        "options": {"fit": "amoeba"},
        "seed": 5,
    }
    plain = api.submit(**wanted)
    shaken = api.submit(**wanted, shake=True)

    results = []
    for job in (plain, shaken):
        assert api.wait(job["id"])["state"] == "COMPLETED"
        results.append(api.results(job["id"])["results"][0])

    starts = [[row["start"] for row in result["parameters"]] for result in results]
    assert starts[0] != starts[1]
    assert results[0]["chisq"] == pytest.approx(results[1]["chisq"], rel=1e-4)
