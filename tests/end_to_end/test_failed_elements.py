"""What failed of an array runs again, alone: the rest keeps its results."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.helpers import eventually
from tests.live import Api

MODEL = """
import json
from pathlib import Path
import numpy as np
from bumps.names import Curve, FitProblem

folder = next(one for one in Path(__file__).resolve().parents if (one / "job.json").is_file())
first = json.loads((folder / "job.json").read_text())["attempt"] == 1
x, y, dy = np.loadtxt("data.dat").T
if first and y[0] > 90:
    raise ValueError("the detector was off")
model = Curve(lambda x, m, b: m * x + b, x, y, dy, m=1, b=0)
model.m.range(0, 10)
model.b.range(-500, 500)
problem = FitProblem(model)
"""
BAD = (2, 5)
COUNT = 6


def data(offset: float) -> bytes:
    return "\n".join(f"{x} {2 * x + offset} 0.5" for x in range(9)).encode()


def submit(api: Api, bad: tuple[int, ...] = BAD) -> str:
    problem = api.script_problem(MODEL, data_dat=data(0))
    rows = [100.0 if number in bad else 1.0 + number for number in range(COUNT)]
    elements = [
        {"label": f"s{number}", "files": {"data.dat": api.upload("data.dat", data(row))}}
        for number, row in enumerate(rows)
    ]
    request: dict[str, Any] = {"elements": elements, "pack": 2, "options": {"fit": "lm"}}
    job = str(api.submit(problem={"id": problem["id"]}, **request)["id"])
    api.wait(job)
    return job


def rerun(api: Api, job: str, key: str = "", **body: Any) -> httpx.Response:
    headers = {"Idempotency-Key": key or uuid.uuid4().hex}
    return api.http.post(f"/jobs/{job}/rerun", json=body, headers=headers)


def statuses(api: Api, job: str) -> list[str]:
    rows = [row for result in api.results(job)["results"] for row in result["elements"]]
    return [row["status"] for row in rows]


def digests(api: Api, job: str) -> list[str]:
    files = {file["path"]: file["digest"] for file in api.results(job)["files"]}
    return [files[f"out/{number}/result.json"] for number in range(COUNT)]


def test_only_what_failed_runs_again_and_the_results_are_whole(api: Api) -> None:
    job = submit(api)
    assert [number for number, one in enumerate(statuses(api, job)) if one == "failed"] == [*BAD]
    before = digests(api, job)

    key = uuid.uuid4().hex
    answers = [rerun(api, job, key, elements="failed", resources={"time": "0:30:00"})] * 2
    assert [answer.status_code for answer in answers] == [202, 202], answers[0].text
    ended = api.wait(job)

    assert ended["state"] == "COMPLETED"
    assert ended["verdict"]["code"] == "elements"
    assert "#SBATCH --array=1-2\n" in api.http.get(f"/jobs/{job}/script").json()["script"]
    folder = next(Path(api.live.state).glob(f"**/{job}/2"))
    assert not (folder / "out" / "0").exists(), "what stays is sent nowhere"
    assert sorted(path.name for path in folder.glob("events.*")) == [
        "events.1.jsonl",
        "events.2.jsonl",
    ]
    assert [one["resources"]["time"] for one in ended["attempts"]][1] == "0-00:30:00"
    assert statuses(api, job) == ["done"] * COUNT
    after = digests(api, job)
    assert [number for number in range(COUNT) if before[number] != after[number]] == [*BAD]
    assert api.results(job)["complete"]
    eventually(lambda: (api.job(job)["progress"] or {}).get("step") == COUNT, what="all counted")

    refused = rerun(api, job, elements="failed")
    assert refused.status_code == 409
    assert "all 6 elements" in refused.json()["detail"]


def test_a_part_of_an_array_keeps_its_options(api: Api) -> None:
    job = submit(api, bad=(0,))
    for body in ({"options": {"steps": 7}}, {"seed": 5}):
        refused = rerun(api, job, elements="failed", **body)
        assert refused.status_code == 422
        assert [error["pointer"] for error in refused.json()["errors"]] == [f"/{next(iter(body))}"]
    assert len(api.job(job)["attempts"]) == 1


@pytest.mark.parametrize("wanted", ["all", 1, None])
def test_another_word_is_refused(api: Api, wanted: Any) -> None:
    job = str(api.submit(kind="dummy", options={"seconds": 0.1})["id"])
    api.wait(job)
    refused = rerun(api, job, elements=wanted)
    assert refused.status_code == 422
    assert [error["pointer"] for error in refused.json()["errors"]] == ["/elements"]


def test_what_is_no_array_has_no_part_that_failed(api: Api) -> None:
    job = str(api.submit(kind="dummy", options={"seconds": 0.1})["id"])
    api.wait(job)
    refused = rerun(api, job, elements="failed")
    assert refused.status_code == 422
    assert "no array" in refused.json()["errors"][0]["detail"]
