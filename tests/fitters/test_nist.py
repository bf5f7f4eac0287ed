"""Certified values of NIST, through the whole driver."""

from pathlib import Path

import pytest

from .job_folder import make_job
from .nist import FOLDER, read_dataset

FUNCTIONS = {
    "Misra1a": "b1 * (1 - np.exp(-b2 * x))",
    "Chwirut2": "np.exp(-b1 * x) / (b2 + b3 * x)",
    "DanWood": "b1 * x**b2",
    "Gauss1": "b1 * np.exp(-b2 * x) + b3 * np.exp(-((x - b4) ** 2) / b5**2)"
    " + b6 * np.exp(-((x - b7) ** 2) / b8**2)",
    "Eckerle4": "b1 / b2 * np.exp(-0.5 * ((x - b3) / b2) ** 2)",
    "Kirby2": "(b1 + b2 * x + b3 * x**2) / (1 + b4 * x + b5 * x**2)",
    "Hahn1": "(b1 + b2 * x + b3 * x**2 + b4 * x**3) / (1 + b5 * x + b6 * x**2 + b7 * x**3)",
    "Roszman1": "b1 - b2 * x - np.arctan(b3 / (x - b4)) / np.pi",
    "MGH09": "b1 * (x**2 + x * b2) / (x**2 + x * b3 + b4)",
}
LOOSE = {"MGH09"}

MODEL = """
import numpy as np
from bumps.names import Curve, FitProblem

y, x = np.loadtxt("{name}.dat", skiprows=60).T


def function(x, {names}):
    return {expression}


model = Curve(function, x, y, {deviation!r} * np.ones(len(x)), {start})
for name in "{names}".split(", "):
    getattr(model, name).range(-np.inf, np.inf)
problem = FitProblem(model)
"""


@pytest.mark.parametrize("name", list(FUNCTIONS))
def test_lm_meets_the_certified_values(tmp_path: Path, name: str) -> None:
    dataset = read_dataset(name)
    names = [f"b{index + 1}" for index in range(len(dataset.certified))]
    model = MODEL.format(
        name=name,
        names=", ".join(names),
        expression=FUNCTIONS[name],
        deviation=dataset.residual_deviation,
        start=", ".join(f"{n}={v!r}" for n, v in zip(names, dataset.start2, strict=True)),
    )
    text = (FOLDER / f"{name}.dat").read_text()
    job = make_job(tmp_path / "job", model, files={f"{name}.dat": text})
    job.run()
    result = job.result()
    assert result["status"] == "done"
    assert result["chisq"] == pytest.approx(1, abs=1e-5)
    digits = 3.0 if name in LOOSE else 3.5
    found = {parameter["label"]: parameter for parameter in result["parameters"]}
    for label, value, sigma in zip(names, dataset.certified, dataset.deviations, strict=True):
        assert found[label]["value"] == pytest.approx(value, rel=10**-digits)
        assert found[label]["uncertainty"] == pytest.approx(sigma, rel=0.01)
        assert found[label]["bounds"] == [None, None]
        assert found[label]["at_limit"] is None
