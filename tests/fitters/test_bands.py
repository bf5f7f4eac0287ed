"""Bands of the curves: what they are, that they come again, and that they end in time."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fitters.base import Document
from fitters.bumps_bands import FEWEST, MOST_NUMBERS, VARIABLE, add_bands, choose_draws

from .job_folder import LINE, JobFolder, make_job

OPTIONS = {"samples": 4000}


def dream(path: Path, model: str = LINE, **environment: str) -> JobFolder:
    job = make_job(path, model, fit="dream", options=OPTIONS)
    job.run(env=environment)
    return job


def messages(job: JobFolder) -> str:
    return "\n".join(event["text"] for event in job.events_named("message"))


def test_bands_of_a_line_are_those_of_its_covariance_and_come_again(tmp_path: Path) -> None:
    first, again = (dream(tmp_path / name) for name in ("first", "again"))
    (curve,) = first.read("out/curves.json")["models"]
    bands = curve["bands"]
    x = np.asarray(curve["x"])
    slopes = np.array([x, np.ones_like(x)])
    if [p["label"] for p in first.result()["parameters"]] == ["b", "m"]:
        slopes = slopes[::-1]
    sigma = np.sqrt(np.sum(slopes * (np.array(first.result()["covariance"]) @ slopes), axis=0))
    for level, widths in (("68", 2 * 0.994), ("95", 2 * 1.96)):
        wide = np.subtract(bands[f"high_{level}"], bands[f"low_{level}"])
        assert wide == pytest.approx(widths * sigma, rel=0.25)
        assert np.all(np.asarray(bands[f"low_{level}"]) < curve["theory"])
        assert np.all(np.asarray(bands[f"high_{level}"]) > curve["theory"])
    assert bands["draws"] == 200
    assert again.read("out/curves.json") == first.read("out/curves.json")


def test_who_wants_no_bands_gets_none_and_a_wrong_wish_is_named(tmp_path: Path) -> None:
    without = dream(tmp_path / "without", **{VARIABLE: "0"})
    assert without.read("out/curves.json")["models"][0]["bands"] is None
    wrong = dream(tmp_path / "wrong", **{VARIABLE: "many"})
    assert f"{VARIABLE} must be 0 or a whole number from {FEWEST} on, not 'many'" in messages(wrong)
    assert wrong.read("out/curves.json")["models"][0]["bands"] is None
    assert wrong.result()["status"] == without.result()["status"] == "done"


def test_a_model_that_fails_at_a_draw_costs_the_bands_and_nothing_else(tmp_path: Path) -> None:
    model = LINE.replace("problem = ", "model.theory = failing(model.theory)\nproblem = ").replace(
        "model = Curve", FAILING + "\n\nmodel = Curve"
    )
    job = dream(tmp_path / "job", model)
    assert "Drawing the bands of the curves failed" in messages(job)
    assert job.result()["status"] == "done"
    (curve,) = job.read("out/curves.json")["models"]
    assert len(curve["theory"]) == 30
    assert curve["bands"] is None


FAILING = """
def failing(theory):
    import sys

    def now():
        frame = sys._getframe()
        while frame:
            if frame.f_code.co_name == "add_bands":
                raise ZeroDivisionError("no theory here")
            frame = frame.f_back
        return theory()

    return now
"""


def document(points: int) -> Document:
    found: Document = {"theory": np.zeros(points), "profile": None, "bands": None}
    return found


def test_draws_are_fewer_where_curves_are_long_and_the_same_for_a_seed() -> None:
    points = np.arange(5000.0)[:, None]
    chosen = [choose_draws(points, [document(10)], 200, seed) for seed in (1, 1, 2)]
    assert len(set(chosen[0].ravel())) == 200
    assert np.array_equal(chosen[0], chosen[1])
    assert not np.array_equal(chosen[0], chosen[2])
    assert len(choose_draws(points, [document(MOST_NUMBERS // 50)], 200, 1)) == 50
    assert len(choose_draws(points[:30], [document(10)], 200, 1)) == 30


@pytest.mark.parametrize(("allowed", "drawn"), [(FEWEST - 1, 0), (FEWEST, FEWEST), (1000, 40)])
def test_when_time_is_up_what_was_drawn_counts(allowed: int, drawn: int) -> None:
    asked = iter(range(1000))
    best = document(3)

    def curves_at(point: Any) -> list[Document]:
        return [{**document(3), "theory": np.full(3, point[0])}]

    made = add_bands([best], np.arange(40.0)[:, None], curves_at, lambda: next(asked) >= allowed)
    assert made == drawn
    if not drawn:
        assert best["bands"] is None
        return
    assert best["bands"]["draws"] == drawn
    assert best["bands"]["low_95"] == pytest.approx(np.full(3, 0.025 * (drawn - 1)))
