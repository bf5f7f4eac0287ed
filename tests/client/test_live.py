"""The client against a whole gateway: real fits of a real model."""

from __future__ import annotations

import csv
import io
import json
import signal
import zipfile
from pathlib import Path
from uuid import uuid4

import pytest
from bumps_remote import Connection
from bumps_remote.faults import POINTS

from tests.client.site import Shell, make_shell
from tests.helpers import eventually
from tests.live import PASSWORD, LiveGateway

MODEL = """\
import sys
from os.path import join
import numpy as np
from bumps.names import Curve, FitProblem
from shapes import line

x, y, dy = np.loadtxt(join("data", "line.dat")).T
M = Curve(line, x, y, dy, m=1.0, b=0.0)
M.m.range(-10, 10)
M.b.range(-10, 10)
problem = FitProblem(M)
"""
SHAPES = """\
import time

def line(x, m, b):
    time.sleep({pause_s})
    return m * x + b
"""


def logged_in(live: LiveGateway, folder: Path, name: str) -> Shell:
    live.add_user(name)
    shell = make_shell(folder)
    shell.run("login", live.url, "--name", name, "--password-stdin", stdin=f"{PASSWORD}\n")
    return shell


@pytest.fixture
def laptop(live: LiveGateway, tmp_path: Path) -> Shell:
    """Give a laptop of a new user, logged in, with a model, its data and its helper module."""
    shell = logged_in(live, tmp_path, f"u{uuid4().hex[:10]}")
    shell.write("model.py", MODEL)
    shell.write("shapes.py", SHAPES.format(pause_s=0))
    rows = [f"{i} {2 * i + 1 + (0.1 if i % 2 else -0.1)} 0.1" for i in range(20)]
    shell.write("data/line.dat", "\n".join(rows) + "\n")
    return shell


def slow(shell: Shell) -> None:
    shell.write("shapes.py", SHAPES.format(pause_s=0.02))


def state(shell: Shell, id: str) -> str:
    return str(shell.run("status", id, "--json").json["state"])


def attempts(shell: Shell, id: str) -> list[str]:
    return [row["state"] for row in shell.run("info", id, "--json").json["attempts"]]


def test_a_model_with_data_and_helper_goes_there_and_back(laptop: Shell) -> None:
    done = laptop.run("model.py", "--fit=lm", "--tag=first", "-o", "here")

    assert "taking data/line.dat, model.py, shapes.py" in done.err
    result = json.loads((laptop.work / "here" / "result.0.json").read_text(encoding="utf-8"))
    values = {row["label"]: row["value"] for row in result["parameters"]}
    assert values == pytest.approx({"m": 2.0, "b": 1.0}, abs=0.05)
    assert (laptop.work / "here" / "out" / "session.h5").is_file()
    assert laptop.run("tags", "list", "--json").json == {"tags": {"first": 1}}
    assert f"{result['chisq']:.6g}" in laptop.run("list").out
    assert laptop.run("script", "last").out.startswith("#!")


def test_what_a_job_would_be_is_said_and_nothing_is_left_there(laptop: Shell) -> None:
    words = ("model.py", "--fit=dream", "--samples=20000")

    said = laptop.run("submit", *words, "--dry-run")
    told = laptop.run("forecast", *words, "--json").json

    assert said.out.startswith("#!")
    assert "nothing of this problem was timed" in said.err
    assert told["forecast"]["checked"]
    assert told["forecast"]["text"] in laptop.run("submit", *words, "--dry-run").err
    jobs = laptop.run("list", "--json").json["items"]
    assert [job["mode"] for job in jobs] == ["check"]


def test_two_fits_are_compared(laptop: Shell) -> None:
    for method in ("lm", "amoeba"):
        laptop.run("submit", "model.py", f"--fit={method}", "--wait", "--json")
    first, second = (job["id"] for job in laptop.run("list", "--json").json["items"])

    found = laptop.run("compare", first, second, "--json").json

    assert [job["method"] for job in found["jobs"]] == ["amoeba", "lm"]
    assert {line["label"] for line in found["parameters"]} == {"m", "b"}


def test_a_job_is_shared_read_copied_and_taken_back(
    laptop: Shell, live: LiveGateway, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    reader = f"r{uuid4().hex[:10]}"
    other = logged_in(live, tmp_path / "other", reader)
    job = laptop.run("submit", "model.py", "--fit=lm", "--wait", "--json").json["job"]["id"]
    assert "no job" in other.run("results", job[-6:], code=6).err

    wrong = laptop.run("share", job, "--user", reader, "--group=nobodies", code=6).err
    linked = laptop.run("share", job, "--link", "--days=3", "--json").json
    found = other.run("shared", "--json").json["items"]
    told = other.run("results", job[-6:]).out  # a part of the id is enough
    mine = other.run("copy", job, "--set", "steps=7", "--wait", "--json").json["job"]

    assert f"it is shared with {reader}; then:" in wrong
    assert "'nobodies' is no group of" in wrong
    assert [share["how"] for share in linked["items"]] == ["user", "link"]
    assert [one["id"] for one in found] == [job]
    assert "20 points" in told
    assert (mine["owner"], mine["state"]) == (reader, "COMPLETED")
    assert (mine["id"] == job, mine["options"]["steps"]) == (False, 7)
    assert "can do this" in other.run("delete", job, code=3).err
    laptop.run("share", job, "--take-back", reader)
    assert other.run("info", job, code=6).out == ""
    link = laptop.run("share", job).out.splitlines()[-1]
    assert job in other.run("shared", link).out
    assert "nobody else may read it" in laptop.run("share", job, "--take-back=all").out
    assert "opens nothing" in other.run("shared", link, code=6).err


def test_every_verb_of_the_python_connection_has_its_effect(
    laptop: Shell, live: LiveGateway
) -> None:
    config = laptop.home / "config" / "bumps-remote" / "config.json"
    [server] = json.loads(config.read_text(encoding="utf-8"))["profiles"].values()
    with Connection.login(live.url, server["name"], PASSWORD, label="from Python") as connection:
        job = connection.submit(
            laptop.work / "model.py", fit="amoeba", steps=50, gpus=1, tags=["t"], new=True
        )
        assert connection.status(job.id) in ("PENDING", "RUNNING", "COMPLETED")
        assert connection.wait(job.id, 60)["state"] == "COMPLETED"
        assert [found.id for found in connection.list()] == [job.id]
        told = connection.info(job.id)
        assert (told["options"]["steps"], told["request"]["resources"]["gpus"]) == (50, 1)
        assert job.result()["dof"] == 18
        assert connection.results(job.id)["complete"] is True
        assert connection.tags.count("t") == 1
        assert [found.id for found in connection.tags.load("t")] == [job.id]
        assert connection.tags.delete("t") == 1
        assert connection.tags.list() == {}
        job.delete()
        assert connection.list() == ()
        connection.logout()
        assert connection.server.token not in repr(connection.server)
    again = Connection(live.url, connection.server.token)
    with again, pytest.raises(Exception, match="log in"):
        again.me()


@pytest.mark.slow
def test_a_dream_that_is_stopped_keeps_its_result_and_goes_on(laptop: Shell) -> None:
    slow(laptop)
    submitted = laptop.run("submit", "model.py", "--fit=dream", "--samples=1e6", "--json").json
    job = submitted["id"]
    eventually(
        lambda: (laptop.run("status", job, "--json").json["progress"] or {}).get("step", 0) > 3,
        within_s=60,
        every_s=0.3,
    )

    laptop.run("stop", job)
    laptop.run("wait", job, "--timeout=60")
    stopped = laptop.run("results", job, "--json").json["results"][0]
    laptop.write("shapes.py", SHAPES.format(pause_s=0))
    resumed = laptop.run("resume", job, "--set", "samples=400", "--set", "burn=5", "--json").json
    laptop.run("wait", job, "--timeout=90")

    assert stopped["status"] == "stopped"
    assert resumed["attempt"] == 2
    ended = laptop.run("info", job, "--json").json
    assert ended["attempts"][1]["resumed_from"] == 1
    assert ended["efficiency"]["text"] in " ".join(laptop.run("info", job).out.split())
    assert laptop.run("delete", job).out == f"{job}: deleted\n"
    assert laptop.run("list", "--json").json["items"] == []


def test_an_id_may_be_its_beginning_its_end_or_last(laptop: Shell) -> None:
    job = laptop.run("submit", "model.py", "--fit=lm", "--json").json["id"]

    for text in (job[:4].lower(), job[:5], job[:10], job[-4:], job[-6:].lower(), "last"):
        assert laptop.run("info", text, "--json").json["id"] == job
    for text in (job[1:5], job[-5:-1], "ZZZZ"):
        assert f"no job {text}" in laptop.run("info", text, code=6).err


def test_a_cancelled_job_is_exit_code_1(laptop: Shell) -> None:
    slow(laptop)
    job = laptop.run("submit", "model.py", "--fit=dream", "--samples=1e6", "--json").json["id"]
    eventually(lambda: state(laptop, job) == "RUNNING", every_s=0.3)

    laptop.run("cancel", job)

    assert "CANCELLED" in laptop.run("wait", job, "--timeout=60", code=1).out


def test_a_model_that_fails_is_told_with_its_line(laptop: Shell) -> None:
    laptop.write("model.py", "x = 1\nimport nowhere\n")

    done = laptop.run("model.py", code=1)

    assert "model.py, line 2" in done.out
    assert "nowhere" in done.out


def test_wrong_options_are_named_by_the_server(laptop: Shell) -> None:
    done = laptop.run("submit", "model.py", "--fit=dream", "--samples=-5", "--wall=9999", code=6)

    assert "samples: must be at least 1, not -5" in done.err


@pytest.mark.parametrize("point", POINTS)
def test_a_laptop_that_dies_in_the_middle_finds_its_job(laptop: Shell, point: str) -> None:
    laptop.run("submit", "model.py", "--fit=lm", code=-9, BUMPS_REMOTE_CRASH_AT=point)
    before = laptop.run("list", "--json").json["items"]

    job = laptop.run("submit", "model.py", "--fit=lm", "--json").json["id"]

    jobs = laptop.run("list", "--json").json["items"]
    assert [found["id"] for found in jobs] == [job]
    assert [found["id"] for found in before] in ([], [job])
    assert len(before) == 1 if point == "answered" else True
    assert laptop.run("journal", "--json").json["entries"] == []


def test_a_laptop_that_dies_while_asking_for_a_rerun_finds_its_attempt(laptop: Shell) -> None:
    job = laptop.run("submit", "model.py", "--fit=lm", "--wait", "--json").json["job"]["id"]
    laptop.run("rerun", job, "--seed=5", code=-9, BUMPS_REMOTE_CRASH_AT="sent")
    # Its first attempt may have ended by now: the same words then still mean this one.
    eventually(lambda: attempts(laptop, job) == ["COMPLETED"] * 2, every_s=0.3, what="the rerun")

    again = laptop.run("rerun", job, "--seed=5")

    assert f"{job}: attempt 2" in again.out
    assert attempts(laptop, job) == ["COMPLETED"] * 2
    assert "attempt 3" in laptop.run("rerun", job, "--seed=5").out


def test_a_bundle_comes_out_the_same_here(laptop: Shell) -> None:
    laptop.run("submit", "model.py", "--fit=dream", "--samples=500", "--burn=10", "--wait")
    laptop.run("fetch", "last", "--bundle", "-o", "b.zip")
    with zipfile.ZipFile(laptop.work / "b.zip") as archive:
        assert {"job.json", "driver.pyz", "data/model.py"} <= set(archive.namelist())

    done = laptop.run("rerun", "b.zip", "--local", "--json")

    assert done.json["same"] is True
    assert done.json["results"][0]["difference"] == 0


def test_watching_ends_by_ctrl_c_and_the_job_goes_on(laptop: Shell) -> None:
    slow(laptop)
    job = laptop.run("submit", "model.py", "--fit=dream", "--samples=1e6", "--json").json["id"]
    eventually(lambda: state(laptop, job) == "RUNNING", every_s=0.3)
    with laptop.started("watch", job) as watching:
        assert watching.stderr is not None
        assert watching.stderr.readline()

        watching.send_signal(signal.SIGINT)
        _, said = watching.communicate(timeout=30)

    assert watching.returncode == 130
    assert "the job goes on" in said
    assert state(laptop, job) == "RUNNING"
    laptop.run("cancel", job)


def test_many_files_are_fitted_as_one_job_with_a_line_for_each(laptop: Shell) -> None:
    for slope in range(1, 5):
        rows = [f"{i} {slope * i + 1 + (0.1 if i % 2 else -0.1)} 0.1" for i in range(20)]
        laptop.write(f"runs/s{slope}.dat", "\n".join(rows) + "\n")
    laptop.write("runs/s9.dat", "no numbers")
    words = ("--array", "runs/s*.dat", "--pack=3", "--fit=lm", "--wait")

    done = laptop.run("submit", "model.py", *words)
    table = list(csv.DictReader(io.StringIO(laptop.run("results", "last", "--csv").out)))
    laptop.run("fetch", "last", "--element=s3", "-o", "third")

    assert "5 elements (s1 … s9" in done.err
    assert "s4" in done.out
    assert [row["element"] for row in table] == ["s1", "s2", "s3", "s4", "s9"]
    assert [row["status"] for row in table] == [*["done"] * 4, "failed"]
    assert [float(row["m"]) for row in table[:4]] == pytest.approx([1, 2, 3, 4], abs=0.05)
    assert (laptop.work / "third" / "out" / "2" / "session.h5").is_file()
    assert not (laptop.work / "third" / "out" / "1").exists()
    whole = laptop.run("results", "last", "--element=s9", "--json").json
    assert whole["error"]["file"] == "model.py"


def test_the_log_of_a_job_can_be_read(laptop: Shell) -> None:
    laptop.write("model.py", MODEL + "print('hello\\x1b[2J')\n")
    laptop.run("submit", "model.py", "--fit=lm", "--wait")

    assert r"hello\x1b[2J" in laptop.run("logs", "last", "--all").out
