"""What every kind of job promises, whoever wrote it."""

import json
import signal
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

from fitters.base import Fitter
from gateway.jobs.declared import declared_resources
from tests.helpers import eventually

from .job_folder import JobFolder, make_job

KINDS = sorted(point.name for point in entry_points(group="gateway.fitters"))
SHORT: dict[str, dict[str, Any]] = {"fit": {}, "dummy": {"seconds": 0.2}}
LONG: dict[str, dict[str, Any]] = {"fit": {"starts": 10**6}, "dummy": {"seconds": 60}}
BAD: dict[str, dict[str, Any]] = {"fit": {"steps": -1}, "dummy": {"seconds": -1}}


def load(name: str) -> Fitter:
    (point,) = (p for p in entry_points(group="gateway.fitters") if p.name == name)
    kind: Fitter = point.load()()
    return kind


def start(path: Path, kind: str, options: dict[str, Any]) -> JobFolder:
    job = make_job(path, kind=kind, options=options if kind != "fit" else None)
    if kind == "fit":
        document = job.read("job.json")
        from fitters.bumps_options import check_options

        document["options"] = {**check_options("lm", {}), **options}
        (path / "job.json").write_text(json.dumps(document))
    return job


def test_the_kinds_of_the_house_are_registered() -> None:
    assert {"fit", "dummy"} <= set(KINDS)


@pytest.mark.parametrize("name", KINDS)
def test_a_kind_declares_itself(name: str) -> None:
    kind = load(name)
    assert kind.name == name
    assert kind.title
    assert kind.shape in {"single", "array", "array-reduce"}
    assert kind.output_type
    declared_resources(name)
    for option in kind.options:
        assert isinstance(option.default, (int, float, bool, str))
        assert option.label


@pytest.mark.parametrize("name", sorted(SHORT))
def test_a_kind_reports_and_leaves_a_result(tmp_path: Path, name: str) -> None:
    job = start(tmp_path / "job", name, SHORT[name])
    job.run()
    result = job.result()
    assert (result["format"], result["kind"], result["status"]) == (1, name, "done")
    assert result["verdict"]["text"]
    names = [event["event"] for event in job.events()]
    assert names[0] == "start"
    assert "step" in names
    assert names[-1] == "end"
    assert "result.0.json" in job.manifest()
    text = (job.path / "result.0.json").read_text()
    assert "NaN" not in text
    assert "Infinity" not in text


@pytest.mark.parametrize("name", sorted(LONG))
def test_a_kind_stops_when_asked(tmp_path: Path, name: str) -> None:
    job = start(tmp_path / "job", name, LONG[name])
    with job.started() as process:
        eventually(lambda: job.events_named("step"))
        process.send_signal(signal.SIGUSR1)
        assert process.wait(10) == 0
    assert job.result()["status"] == "stopped"


@pytest.mark.parametrize("name", sorted(BAD))
def test_a_kind_refuses_bad_options_with_a_sentence(tmp_path: Path, name: str) -> None:
    job = start(tmp_path / "job", name, BAD[name])
    job.run()
    result = job.result()
    assert result["status"] == "failed"
    assert "-1" in result["verdict"]["text"]


@pytest.mark.parametrize("name", sorted(SHORT))
def test_a_kind_runs_as_elements(tmp_path: Path, name: str) -> None:
    job = start(tmp_path / "job", name, SHORT[name])
    document = job.read("job.json")
    row: dict[str, Any] = {"label": "a", "files": {}, "args": None, "start": []}
    document |= {"elements": [row, row], "pack": 2}
    (job.path / "job.json").write_text(json.dumps(document))
    job.run()
    assert [element["status"] for element in job.result()["elements"]] == ["done", "done"]
