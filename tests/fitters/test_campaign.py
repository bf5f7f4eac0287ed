"""Campaigns: one problem from many starts, or with parameters held at each of several values."""

import json
from pathlib import Path
from typing import Any

import pytest

from .job_folder import LINE, make_job

LEAST_SQUARES_M = 2.5


def element(label: str, **more: Any) -> dict[str, Any]:
    return {"label": label, "files": {}, "args": None, "start": [], **more}


def run(path: Path, rows: list[dict[str, Any]], model: str = LINE, **more: Any) -> Any:
    job = make_job(path, model, elements=rows, pack=len(rows), **more)
    job.run()
    return job.result()["elements"]


def values(row: dict[str, Any]) -> dict[str, float]:
    return {one["label"]: one["value"] for one in row["parameters"]}


def started(row: dict[str, Any]) -> dict[str, float]:
    return {one["label"]: one["start"] for one in row["parameters"]}


def test_a_parameter_is_held_at_each_value_of_a_grid(tmp_path: Path) -> None:
    rows = [element(f"m={m}", fixed={"m": m}) for m in (2.0, 2.5, 3.0)]
    done = run(tmp_path / "job", rows)

    assert [row["status"] for row in done] == ["done"] * 3
    assert [row["fixed"] for row in done] == [{"m": 2.0}, {"m": 2.5}, {"m": 3.0}]
    assert [set(values(row)) for row in done] == [{"b"}] * 3
    # Of a line through points around y = 2.5 x + 1 at x from 0 to 10, b follows from m.
    assert [values(row)["b"] for row in done] == pytest.approx([3.5, 1.0, -1.5], abs=0.1)
    assert min(done, key=lambda row: row["chisq"])["fixed"]["m"] == LEAST_SQUARES_M
    whole = json.loads((tmp_path / "job/out/0/result.json").read_text())
    assert whole["fixed"] == {"m": 2.0}
    assert whole["dof"] == 29


def test_random_starts_are_drawn_within_bounds_and_the_same_again(tmp_path: Path) -> None:
    def starts(name: str, cpus: int) -> list[tuple[float, float]]:
        rows = [element(f"start {n}", shake=True) for n in range(4)]
        done = run(tmp_path / name, rows, run={"cpus": cpus})
        found = [started(row) for row in done]
        return [(row["m"], row["b"]) for row in found]

    once = starts("once", 1)
    assert len(set(once)) == 4
    assert all(0 <= m <= 10 and -5 <= b <= 5 for m, b in once)
    assert starts("again", 2) == once


def test_starts_may_name_some_of_the_parameters(tmp_path: Path) -> None:
    rows = [element("a", values={"b": 4.0}), element("b", values={"b": -4.0, "m": 9.0})]
    done = run(tmp_path / "job", rows)
    assert [started(row) for row in done] == [{"m": 1, "b": 4}, {"m": 9, "b": -4}]
    assert "fixed" not in done[0]


def test_what_a_script_does_not_fit_can_be_held_too(tmp_path: Path) -> None:
    model = LINE.replace("model.b.range(-5, 5)\n", "")
    done = run(tmp_path / "job", [element("b", fixed={"b": 1.0})], model)
    assert values(done[0]) == {"m": pytest.approx(LEAST_SQUARES_M, abs=0.02)}


TWICE = LINE.replace("def line(x, m, b)", "def line(x, m, b, c, d)").replace(
    "m=1, b=0)", "m=1, b=0, c=0, d=0)\nmodel.c.name = model.d.name = 'twice'"
)
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"fixed": {"n": 1.0}}, "fixed.n: the problem has no parameter 'n'; it fits"),
    ({"values": {"n": 1.0}}, "values.n: the problem has no parameter 'n'"),
    ({"fixed": {"m": 11.0}}, "fixed.m: 11 lies outside of the bounds 0 to 10 of m"),
    ({"values": {"b": -6.0}}, "values.b: -6 lies outside of the bounds -5 to 5 of b"),
    ({"fixed": {"m": 1.0}, "values": {"m": 2.0}}, "values.m: the problem has no parameter 'm'"),
    ({"fixed": {"m": float("nan")}}, "fixed.m: nan is no finite number"),
    ({"fixed": {"twice": 1.0}}, "fixed.twice: 2 parameters are called 'twice'"),
    ({"fixed": {"m": 1.0, "b": 1.0}}, "no parameters to fit"),
]


def test_what_cannot_be_given_fails_its_element_alone_and_is_named(tmp_path: Path) -> None:
    rows = [element("bad", **wrong) for wrong, _ in WRONG]
    *bad, fine = run(tmp_path / "job", [*rows, element("fine")], TWICE)
    for (_, said), row in zip(WRONG, bad, strict=True):
        assert row["status"] == "failed", said
        assert said in row["verdict"]["text"]
    assert fine["status"] == "done"
