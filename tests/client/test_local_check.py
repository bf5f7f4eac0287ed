"""What would fail there is said here, before anything is sent."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from bumps_remote.array import make_elements
from bumps_remote.errors import UsageError
from bumps_remote.files import make_bundle
from bumps_remote.local_check import check_model
from bumps_remote.submission import Wanted

from tests.client.site import JOB_ID, Misbehaving, Reply, Shell, job_document, serve_submissions

ROOT = Path(__file__).parents[2]
SLAB = ROOT / "tests" / "recorded" / "problems" / "refl1d-nickel.json"
FIT_PYTHON = ROOT / ".venv-fit" / "bin" / "python"
MODEL = """\
import numpy as np
from bumps.names import Curve, FitProblem
x, y, dy = np.loadtxt("line.dat").T
M = Curve(lambda x, m, b: m * x + b, x, y, dy, m={m}, b=0.0)
M.m.range(-10, 10)
M.b.range(-10, 10)
{more}
problem = FitProblem(M)
"""


@pytest.fixture
def desk(site: Misbehaving, shell: Shell) -> Shell:
    """Give a laptop on which models are tried, with a good one."""
    serve_submissions(site)
    site.on("GET", "/jobs", Reply(body={"items": [], "next_cursor": None}))
    del shell.environment["BUMPS_REMOTE_CHECK"]
    write(shell)
    return shell


def write(shell: Shell, more: str = "", m: str = "1.0") -> None:
    shell.write("model.py", MODEL.format(m=m, more=more))
    rows = [f"{i} {2 * i + 1} 0.1" for i in range(9)]
    shell.write("line.dat", "\n".join(rows) + "\n")


def test_a_good_model_goes_and_other_versions_there_are_told(
    site: Misbehaving, desk: Shell
) -> None:
    body = {"items": [job_document(cluster="hpc")], "next_cursor": None}
    site.on("GET", "/jobs", Reply(body=body))
    there = {"versions": {"bumps": "0.9.1", "python": "3.8.2"}}
    site.on("GET", f"/jobs/{JOB_ID}/results", Reply(body={"results": [there], "files": []}))

    done = desk.run("submit", "model.py")

    assert "newest result of hpc has bumps 0.9.1 (here 1." in done.err
    assert "Python 3.8 (here 3." in done.err
    assert len(site.asked("POST", "/jobs")) == 1


def test_what_is_wrong_with_a_model_is_said_before_anything_is_sent(
    site: Misbehaving, desk: Shell
) -> None:
    write(desk, m="50.0")

    said = desk.run("submit", "model.py", code=2).err

    assert "m starts at 50, out of its bounds -10 to 10: change one of them" in said
    assert site.asked("POST", "/files") == []
    assert desk.run("submit", "model.py", "--unchecked").out
    assert len(site.asked("POST", "/jobs")) == 1


def test_names_of_a_grid_and_of_starts_are_those_of_the_model(
    site: Misbehaving, desk: Shell
) -> None:
    write(desk, more="M.b.fixed = True")
    desk.write("starts.csv", "slope\n1\n2\n")

    wrong = desk.run("submit", "model.py", "--grid=mm=1,2", code=2).err
    start = desk.run("submit", "model.py", "--from-starts=starts.csv", code=2).err
    desk.run("submit", "model.py", "--grid=b=1,2", "--grid=m=3,4")

    assert "--grid: the model has no parameter 'mm': did you mean 'm'? It fits m; " in wrong
    assert "--from-starts: the model has no parameter 'slope': it fits m; " in start
    assert len(site.asked("POST", "/jobs")) == 1


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("M.q.range(0, 1)", "model.py, line 7: AttributeError"),
        ("open('far/away.dat')", "add it with --data FILE"),
        ("M.y = M.y * np.nan", "chi-square is not finite at the start"),
        ("import os; os._exit(7)", "ended Python itself with 7"),
    ],
)
def test_each_fault_is_told_by_its_place(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, more: str, message: str
) -> None:
    monkeypatch.delenv("BUMPS_REMOTE_CHECK", raising=False)
    write(shell, more=more)

    with pytest.raises(UsageError, match=re.escape(message)):
        check_model(Wanted(bundle=make_bundle(shell.work / "model.py")), print)


def test_files_of_an_array_that_cannot_be_fitted_are_named_and_the_others_go(
    site: Misbehaving, desk: Shell
) -> None:
    good = (desk.work / "line.dat").read_text()
    for name, text in (("a", good), ("b", "1 x 2\n"), ("c", good.replace(" 1 ", " nan ", 1))):
        desk.write(f"runs/{name}.dat", text)

    done = desk.run("submit", "model.py", "--array", "runs/a.dat", "runs/b.dat", "runs/c.dat")
    assert "2 of 3 files cannot be fitted, and will fail alone: b: ValueError" in done.err
    assert "c: chi-square is not finite" in done.err
    assert len(site.asked("POST", "/jobs")) == 1

    said = desk.run("submit", "model.py", "--array", "runs/b.dat", "runs/c.dat", code=2).err
    assert "no file of the array can be fitted: b: ValueError" in said
    assert len(site.asked("POST", "/jobs")) == 1


def test_elements_are_tried_no_longer_than_said(
    desk: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BUMPS_REMOTE_CHECK", raising=False)
    monkeypatch.setattr("bumps_remote.local_check._ELEMENTS_S", 0.0)
    bundle, said = make_bundle(desk.work / "model.py"), list[str]()
    elements = make_elements(bundle, [desk.write("a.dat", "1 2 1\n"), desk.work / "line.dat"])

    assert "bumps" in check_model(Wanted(bundle=bundle, elements=elements), said.append)
    assert said == ["0 of 2 files were tried here"]


@pytest.mark.parametrize(
    ("roughness", "more", "said"),
    [
        (5.0, "Reference", ""),
        (25.0, "Reference", "Si interface starts at 25, out of its bounds 0 to 20"),
        (5.0, "os.popen", "not checked here: problem.json holds more than data"),
    ],
)
def test_a_json_problem_is_tried_where_it_holds_data_alone(
    site: Misbehaving, desk: Shell, roughness: float, more: str, said: str
) -> None:
    document = json.loads(SLAB.read_text(encoding="utf-8"))
    document["more"] = {"__class__": more}
    for one in document["references"].values():
        if one.get("name") == "Si interface":
            one["slot"]["value"] = roughness
    desk.write("problem.json", json.dumps(document))

    refused = roughness > 20
    done = desk.run(
        "submit", "problem.json", code=2 if refused else 0, BUMPS_REMOTE_PYTHON=str(FIT_PYTHON)
    )

    assert said in done.err
    assert ("not checked" in said) is ("not checked" in done.err)
    assert len(site.asked("POST", "/jobs")) == int(not refused)


def test_what_is_no_json_and_what_is_of_a_library_that_is_not_here(desk: Shell) -> None:
    desk.write("problem.json", SLAB.read_text(encoding="utf-8"))
    assert "there is no refl1d beside" in desk.run("submit", "problem.json").err
    desk.write("problem.json", "{")
    assert "problem.json is not JSON" in desk.run("submit", "problem.json", code=2).err


def test_what_may_be_there_and_is_not_here_is_no_fault_of_the_model(
    site: Misbehaving, desk: Shell
) -> None:
    write(desk, more="import a_library_of_the_cluster")

    done = desk.run("submit", "model.py")

    assert "not checked here: there is no a_library_of_the_cluster" in done.err
    assert len(site.asked("POST", "/jobs")) == 1


def test_a_python_that_is_not_there_is_named(desk: Shell) -> None:
    done = desk.run("submit", "model.py", code=2, BUMPS_REMOTE_PYTHON="/nowhere/python")
    assert "set BUMPS_REMOTE_PYTHON right" in done.err
