"""Jobs that people submit themselves: the same directory, and under watch when they want that."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from gateway.by_hand.adopt import Adoption
from gateway.by_hand.make import Asked, make_directory
from gateway.errors import GatewayError
from gateway.reach.reach import Reach
from gateway.settings import load_settings
from tests.clusters.making import NOBODY
from tests.helpers import eventually
from tests.live import Api, LiveGateway, live_gateway

LINE: dict[str, Any] = {
    "name": "line",
    "type": "curve",
    "curve": {
        "data": {"text": "".join(f"{x} {2 * x + 1 + 0.1 * (-1) ** x} 0.1\n" for x in range(50))},
        "columns": {"x": 0, "y": 1, "dy": {"from": "column", "column": 2}},
        "expression": "a*x+b",
        "parameters": [{"name": "a", "value": 1}, {"name": "b", "value": 0}],
    },
}


@pytest.fixture(scope="module")
def live() -> Iterator[LiveGateway]:
    # What no scheduler of ours knows is believed by its files after a while: here at once.
    brief = {"GATEWAY_WORKER__UNCONFIRMED_S": "0.2", "GATEWAY_WORKER__UNCONFIRMED_POLLS": "1"}
    with live_gateway(**brief) as running:
        yield running


@pytest.fixture
def api(live: LiveGateway) -> Api:
    return live.user()


def made(live: LiveGateway, user: str, folder: Path, **request: Any) -> Path:
    """Make the directory of a job by hand, where this gateway's local jobs lie."""
    problem = folder / "line.json"
    problem.write_text(json.dumps(LINE), encoding="utf-8")
    asked = Asked(
        problem=str(problem),
        files={},
        args=(),
        request={"kind": "fit", "options": {"fit": "lm"}, **request},
        user=user,
        login=user,
    )
    return Path(make_directory(load_settings(live.environment), "local", asked).directory)


def run_by_hand(place: Path, native_id: str) -> None:
    """Run the script as a scheduler would."""
    own = {**os.environ, "SLURM_JOB_ID": native_id}
    subprocess.run([place / "job.sh"], env=own, check=True, cwd="/", capture_output=True)


def adopt(live: LiveGateway, user: str, place: Path, cluster: str = "local") -> tuple[str, bool]:
    """Adopt in this process; answer the id of the job, and whether it is new."""
    with live.services() as services:
        reach = Reach(services.settings, services.cluster_accounts)
        job, new = Adoption(services, reach, cluster, user).adopt(PurePosixPath(place))
        reach.close()
    return job.id, new


def test_script_needs_no_gateway_and_says_how_to_go_on(tmp_path: Path) -> None:
    model = tmp_path / "model.py"
    model.write_text("problem = None  # read by bumps, not by us\n", encoding="utf-8")
    (tmp_path / "points.txt").write_text("0 1 0.1\n", encoding="utf-8")
    done = _script(
        tmp_path, "--problem", str(model), "--file", f"in/x.dat={tmp_path}/points.txt",
        "--arg=--x", "--arg=1 2", "--user", "ada", "--base", str(tmp_path / "jobs"),
        "--resource", "time=2:00:00", "--resource", "licenses=matlab:2", "--seed", "7",
        "--option", "samples=300", "--fit", "dream",
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    (place,) = (tmp_path / "jobs" / "ada").glob("*/1")
    assert f"sbatch {place}/job.sh" in done.stderr
    assert "bumps-gateway adopt" not in done.stderr  # it would be refused from there
    assert f"{tmp_path}/jobs is the base of no cluster of these settings" in done.stderr
    assert f"local ({tmp_path}/state/" in done.stderr
    assert (place / "job.sh").read_text(encoding="utf-8") == done.stdout
    assert "#SBATCH --licenses=matlab:2\n" in done.stdout
    assert (place / "data" / "in" / "x.dat").read_text(encoding="utf-8") == "0 1 0.1\n"
    job = json.loads((place / "job.json").read_text(encoding="utf-8"))
    assert (job["problem"]["args"], job["run"]["seed"]) == (["--x", "1 2"], 7)
    assert job["options"]["samples"] == 300
    assert place.stat().st_mode & 0o777 == 0o700
    assert not (tmp_path / "state").exists()


def test_script_says_how_it_is_adopted_and_what_the_job_will_miss(tmp_path: Path) -> None:
    text = "import numpy as np\nx = np.loadtxt('d.dat')\ny = np.loadtxt('gone.dat')\nproblem = x\n"
    (tmp_path / "model.py").write_text(text, encoding="utf-8")
    (tmp_path / "d.dat").write_text("0 1 0.1\n", encoding="utf-8")
    base = str(tmp_path / "state" / "jobs" / "local")
    words = ("--problem", "model.py", "--user", "ada", "--base", base)
    done = _script(tmp_path, *words)
    assert done.returncode == 0, done.stderr
    (place,) = Path(base).glob("ada/*/1")
    assert f"bumps-gateway adopt {place} --cluster local --user ada\n" in done.stderr
    assert "note: 'd.dat' lies beside the script, but the job will not have it" in done.stderr
    assert "note: 'gone.dat' is read but is not among the files" in done.stderr
    assert "'gone.dat' lies beside" not in done.stderr

    assert "--file d.dat=d.dat" in done.stderr
    again = _script(tmp_path, *words, "--file", "d.dat=d.dat")
    assert again.returncode == 0, again.stderr
    assert "'d.dat'" not in again.stderr


def test_a_base_of_another_machine_is_not_made_here(tmp_path: Path) -> None:
    base = tmp_path / "scratch" / "gateway"
    settings = tmp_path / "gateway.toml"
    settings.write_text(
        f'[clusters.hpc]\nscheduler = "slurm"\nbase = "{base}"\npython = "/usr/bin/python3"\n'
        f'[clusters.hpc.ssh]\nhost = "login.example.org"\nuser = "gw"\nhost_keys = ["{NOBODY}"]\n',
        encoding="utf-8",
    )
    (tmp_path / "line.json").write_text(json.dumps(LINE), encoding="utf-8")
    words = ("--problem", "line.json", "--cluster", "hpc", "--user", "ada")
    own = {"GATEWAY_CONFIG": str(settings)}
    done = _script(tmp_path, *words, **own)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"/base: {base} is not on this machine: run this on login.example.org" in done.stderr
    assert not base.parent.exists()

    base.mkdir(parents=True)
    there = _script(tmp_path, *words, **own)
    assert there.returncode == 0, there.stderr
    assert "--cluster hpc --user ada" in there.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--problem", "nowhere.py"), "/problem: 'nowhere.py' is no file here"),
        (("--problem", "line.json", "--fit", "lmm"), "/options/fit: no fit method"),
        (("--problem", "line.json", "--resource", "time=never"), "/resources/time: 'never'"),
        (("--problem", "line.json", "--resource", "qos=a\nb"), "/resources/qos"),
        (("--problem", "line.json", "--user", "A;B"), "/user: 'A;B': a user name has"),
        (("--problem", "line.json", "--cluster", "x"), "'x' is no cluster of these settings"),
        (("--problem", "line.json", "--file", "no.dat"), "/files: no.dat cannot be read"),
    ],
)  # fmt: skip
def test_script_says_what_is_wrong_and_makes_nothing(
    tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    (tmp_path / "line.json").write_text(json.dumps(LINE), encoding="utf-8")
    done = _script(tmp_path, *words, *(() if "--cluster" in words else ("--base", "jobs")))

    assert (done.returncode, done.stdout) == (1, "")
    assert said in done.stderr
    assert not (tmp_path / "jobs").exists()


def test_a_directory_by_hand_is_what_the_gateway_stages(
    live: LiveGateway, api: Api, tmp_path: Path
) -> None:
    problem = api.problem(LINE)["id"]
    job = api.submit(problem={"id": problem}, options={"fit": "lm"}, seed=3, title="line")
    api.wait(job["id"])
    theirs = live.state / "jobs" / "local" / api.name / job["id"] / "1"

    own = made(live, api.name, tmp_path, seed=3)

    correlation = r"gw:[^:]+:\S+"
    ours = (own / "job.sh").read_text(encoding="utf-8").replace(own.parent.name, job["id"])
    staged = (theirs / "job.sh").read_text(encoding="utf-8")
    assert re.sub(correlation, "", ours) == re.sub(correlation, "", staged)
    for name in ("driver.pyz", "data/model.py", "data/data.dat"):
        assert (own / name).read_bytes() == (theirs / name).read_bytes()
    text = (own / "job.json").read_text(encoding="utf-8").replace(own.parent.name, job["id"])
    assert text == (theirs / "job.json").read_text(encoding="utf-8")


def test_an_adopted_job_is_like_any_other_and_runs_once(
    live: LiveGateway, api: Api, tmp_path: Path
) -> None:
    place = made(live, api.name, tmp_path, title="by hand")
    run_by_hand(place, "4711")
    before = (place / "events.0.jsonl").read_bytes()
    run_by_hand(place, "4712")  # submitted once more: a twin, without a trace
    assert (place / "events.0.jsonl").read_bytes() == before

    said = live.command("adopt", str(place))
    assert f"adopted: job {place.parent.name} of {api.name} on local" in said
    job = api.wait(place.parent.name)

    assert (job["state"], job["native_id"], job["title"]) == ("COMPLETED", "4711", "by hand")
    values = {r["label"]: r["value"] for r in api.results(job["id"])["results"][0]["parameters"]}
    assert values == pytest.approx({"a": 2, "b": 1}, abs=0.02)
    assert [row["id"] for row in api.http.get("/jobs").json()["items"]] == [job["id"]]
    script = api.http.get(f"/jobs/{job['id']}/script").json()["script"]
    assert script == (place / "job.sh").read_text(encoding="utf-8")
    assert adopt(live, api.name, place) == (job["id"], False)

    again = api.http.post(f"/jobs/{job['id']}/rerun", json={})
    assert again.status_code == 202, again.text
    ended = api.wait(job["id"])
    assert (ended["state"], ended["attempt"]) == ("COMPLETED", 2)
    with live.services() as services:
        trail = services.accounts.audit.read("(command)")
    assert ("job.adopt", job["id"]) in [(entry.action, entry.subject) for _, entry in trail]


def test_adopting_never_submits_what_nobody_submitted(
    live: LiveGateway, api: Api, tmp_path: Path
) -> None:
    place = made(live, api.name, tmp_path)

    with pytest.raises(GatewayError, match=r"submit it first \(sbatch /"):
        adopt(live, api.name, place)

    assert api.http.get("/jobs").json()["items"] == []
    assert not list(place.glob("claim.*"))
    run_by_hand(place, "5")  # nothing of the refusal is in its way
    assert adopt(live, api.name, place) == (place.parent.name, True)
    assert api.wait(place.parent.name)["state"] == "COMPLETED"


def test_a_claim_that_lies_is_not_believed(live: LiveGateway, api: Api, tmp_path: Path) -> None:
    place = made(live, api.name, tmp_path)
    (place / "claim.1").write_text("999999\n", encoding="utf-8")  # somebody else's job, or nobody's

    job, _ = adopt(live, api.name, place)

    eventually(lambda: api.job(job)["tracking"] == "lost", what="that nobody knows such a job")
    assert not api.job(job)["final"]  # it left no exit file: nothing says how it ended
    assert not (place / "submit.1").exists()


def _script(folder: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    own = {key: text for key, text in os.environ.items() if not key.startswith("GATEWAY_")}
    return subprocess.run(
        [Path(sys.executable).parent / "bumps-gateway", "script", *words],
        env={**own, "GATEWAY_STATE": str(folder / "state"), **more},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


# ---- directories of strangers


def _edit(name: str, old: str, new: str) -> Callable[[Path], None]:
    def change(place: Path) -> None:
        text = (place / name).read_text(encoding="utf-8")
        assert old in text
        (place / name).write_text(text.replace(old, new, 1), encoding="utf-8")

    return change


def _write(name: str, content: bytes) -> Callable[[Path], None]:
    def change(place: Path) -> None:
        (place / name).parent.mkdir(exist_ok=True)
        (place / name).write_bytes(content)

    return change


def _link(name: str) -> Callable[[Path], None]:
    def change(place: Path) -> None:
        (place / name).unlink(missing_ok=True)
        (place / name).symlink_to("/etc/hostname")

    return change


def _crowd(place: Path) -> None:
    for number in range(300):
        (place / "data" / f"{number}.dat").touch()


def _pipe(place: Path) -> None:
    (place / "job.json").unlink()
    os.mkfifo(place / "job.json")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_link("job.json"), "job.json is a link or no plain file"),
        (_link("data/more.dat"), "data/more.dat is a link or no plain file"),
        (_pipe, "job.json is a link or no plain file"),
        (_write("job.json", b"[" * 100_000), "/job.json: is no job that can be read"),
        (_write("job.json", b"7" * (5 << 20)), "job.json has 5242880 bytes, more than"),
        (_write("job.json", b'{"kind": "fit"}'), "/job.json: is no job that can be read"),
        (_write("job.sh", b"#!/bin/sh\necho\n"), "/job.sh: is no script of ours"),
        (_write("driver.pyz", b"PK"), "/driver.pyz: is not this gateway's"),
        (_write("claim.2", b"5\n"), "claim.2 is there: it was run as another try than 1"),
        (_write("claim.1", b"void\n"), "it was given up"),
        (_write("submit.1/native_id", b"5\n"), "a gateway submitted it"),
        (_crowd, "more than the "),
        (_edit("job.json", '"kind": "fit"', '"kind": "dummy"'), "/job.json: is no fit"),
        (_edit("job.json", '"elements": []', '"elements": [{}]'), "/job.json: is not as this"),
        (_edit("job.json", '"resume": false', '"resume": true'), "/job.json: is not as this"),
        (_edit("job.json", '"seed": 3', '"seed": -3'), "/seed: "),
        (_edit("job.json", '"entry": "model.py"', '"entry": "../x.py"'), "/script/entry: "),
        (_edit("job.json", '"title": "line"', '"title": "li\\nne"'), "/title: "),
        (_edit("job.json", '"fit": "lm"', '"fit": "rm"'), "/options/fit: "),
        (_edit("job.json", '"attempt": 1', '"attempt": 2'), "/job.json: is not as this gateway"),
        (_edit("job.json", '"checkpoint_s": ', '"checkpoint_s": -'), "/job.json: run.chec"),
        (_edit("job.json", '"python": null', '"python": {}'), "/job.json: its problem is not"),
        (_edit("job.sh", "umask 077", "umask 000"), "/job.sh: is not as this gateway writes it"),
        (_edit("job.sh", "--job-name=gw-", "--job-name=xx-"), "/job.sh: its job name is 'xx-"),
        (_edit("job.sh", "--comment=gw:", "--comment=gw:x"), "/job.sh: its script was made for"),
        (_edit("job.sh", "--no-requeue", "--uid=0"), "/resources/uid: No such option"),
        (_edit("job.sh", "#SBATCH --time=", "#SBATCH --time=9"), "/resources/time: "),
    ],
)  # fmt: skip
def test_what_is_not_plainly_ours_is_refused_in_words(
    live: LiveGateway,
    template: tuple[str, Path],
    spoil: Callable[[Path], None],
    said: str,
) -> None:
    user, place = template
    kept = place.with_name("kept")
    shutil.copytree(place, kept)
    try:
        spoil(place)
        with pytest.raises(GatewayError, match=re.escape(said)):
            adopt(live, user, place)
        with live.services() as services:
            assert services.job_store.count(user) == 0
    finally:
        shutil.rmtree(place)
        kept.rename(place)


@pytest.fixture(scope="module")
def template(live: LiveGateway, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """Make a job that has run, to be spoilt: its user and its directory."""
    user = live.user().name
    place = made(live, user, tmp_path_factory.mktemp("template"), seed=3)
    (place / "claim.1").write_text("5\n", encoding="utf-8")
    return user, place


def test_whose_it_is_and_where_it_lies_must_agree(
    live: LiveGateway, api: Api, template: tuple[str, Path]
) -> None:
    user, place = template
    moved = live.state / "jobs" / "local" / api.name / place.parent.name / "1"
    shutil.copytree(place, moved)

    for who, where, said in (
        (api.name, place, f"jobs of {api.name} on local lie in "),
        (api.name, moved, f"its script was made for '{user}'"),
        (user, place.parent, "cannot be adopted: jobs of"),
        (user, place.parent / "2", "cannot be adopted: jobs of"),
        (user, Path("/"), "cannot be adopted: jobs of"),
        ("nobody", place, "there is no user 'nobody'"),
    ):
        with pytest.raises(GatewayError, match=re.escape(said)):
            adopt(live, who, where)
    with pytest.raises(GatewayError, match="'mars' is no cluster here; known: local"):
        adopt(live, user, place, cluster="mars")


def test_a_directory_of_a_job_that_is_known_makes_no_second_one(
    live: LiveGateway, api: Api
) -> None:
    job = api.submit(kind="dummy", options={"seconds": 0, "steps": 1})["id"]
    api.wait(job)
    place = live.state / "jobs" / "local" / api.name / job / "1"

    assert adopt(live, api.name, place) == (job, False)
    assert api.http.delete(f"/jobs/{job}").status_code == 204
    with pytest.raises(GatewayError):  # whatever its directory still holds
        adopt(live, api.name, place)
