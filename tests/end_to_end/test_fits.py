"""Real fits through the front door: form, script, resume, failures."""

from __future__ import annotations

import io
import json
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
