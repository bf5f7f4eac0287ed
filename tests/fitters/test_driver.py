"""The driver as a process: what it writes, and what its exit code says."""

import hashlib
import os
from pathlib import Path

import pytest

from .job_folder import LINE, make_job

METHODS = ["lm", "amoeba", "de", "newton", "dream", "pt", "auto"]


@pytest.mark.parametrize("method", METHODS)
def test_every_method_finds_the_line(tmp_path: Path, method: str) -> None:
    job = make_job(tmp_path / "job", fit=method)
    job.run()
    result = job.result()
    assert result["status"] == "done"
    assert result["method"] == method
    values = {parameter["label"]: parameter for parameter in result["parameters"]}
    assert values["m"]["value"] == pytest.approx(2.5, abs=0.02)
    assert values["b"]["value"] == pytest.approx(1.0, abs=0.1)
    assert values["m"]["uncertainty"] == pytest.approx(0.0184, rel=0.2)
    assert result["points"] == 30
    assert result["dof"] == 28
    assert result["versions"]["bumps"]
    assert result["start_chisq"] > 100 * result["chisq"]


def test_the_events_tell_the_story_in_order(tmp_path: Path) -> None:
    job = make_job(tmp_path / "job", fit="amoeba")
    job.run(env={"SLURM_JOB_ID": "17"})
    names = [event["event"] for event in job.events()]
    assert names[0] == "start"
    assert names[-1] == "end"
    assert "step" in names
    start, end = job.events()[0], job.events()[-1]
    assert sorted(start["labels"]) == ["b", "m"]
    assert (start["points"], start["dof"], start["seed"]) == (30, 28, 42)
    assert start["native_id"] == "17"
    assert end["status"] == "done"
    assert end["chisq"] == job.result()["chisq"]
    step = job.events_named("step")[-1]
    assert len(step["best"]) == 2
    assert len(step["quantiles"]) == 5
    assert step["chisq"] == pytest.approx(job.result()["chisq"])
    taken = [event["max_rss_bytes"] for event in job.events_named("step")]
    assert taken == sorted(taken)
    assert 20 << 20 < taken[-1] < 4 << 30


def test_the_manifest_lists_every_result_file_with_its_digest(tmp_path: Path) -> None:
    job = make_job(tmp_path / "job", fit="dream", options={"samples": 2000})
    job.run()
    manifest = job.read("manifest.0.json")["files"]
    paths = [file["path"] for file in manifest]
    assert paths == sorted(paths)
    found = {path.relative_to(job.path).as_posix() for path in job.out.rglob("*")}
    assert set(paths) == found | {"result.0.json"}
    for file in manifest:
        content = (job.path / file["path"]).read_bytes()
        assert file["size"] == len(content)
        assert file["sha256"] == hashlib.sha256(content).hexdigest()
    names = {Path(path).name for path in paths}
    assert names >= {
        "curves.json",
        "convergence.json",
        "correlations.json",
        "traces.json",
        "histograms.json",
        "session.h5",
        "fit.par",
        "fit.err",
        "log.txt",
    }
    assert set(job.result()["files"]) == set(paths) - {"result.0.json"}


def test_a_directory_without_a_job_is_exit_code_3(tmp_path: Path) -> None:
    job = make_job(tmp_path / "job")
    (job.path / "job.json").unlink()
    assert "job.json" in job.run(expect=3).stderr
    (job.path / "job.json").write_text("[1, 2]")
    assert "must hold a JSON object" in job.run(expect=3).stderr
    (job.path / "job.json").write_text('{"format": 99}')
    assert "format must be 1" in job.run(expect=3).stderr
    assert not list(job.path.glob("result*"))


def test_a_driver_that_cannot_write_is_exit_code_4(tmp_path: Path) -> None:
    job = make_job(tmp_path / "job")
    (job.path / "out").write_text("a file where the folder should be")
    assert "FileExistsError" in job.run(expect=4).stderr


def test_what_the_model_prints_goes_to_the_logs_as_it_is(tmp_path: Path) -> None:
    model = LINE + "import os, sys\nprint('x' * 100000)\nsys.stderr.write('to the other\\n')\n"
    job = make_job(tmp_path / "job", model)
    done = job.run()
    assert done.stdout == "x" * 100000 + "\n"
    assert done.stderr == "to the other\n"


def test_the_users_own_modules_are_found_and_ours_shadow_none(tmp_path: Path) -> None:
    model = "from fitters import line\nfrom events import x, y\n" + LINE.replace(
        "def line(x, m, b):", "def other(x, m, b):"
    )
    files = {
        "fitters.py": "def line(x, m, b):\n    return m * x + b\n",
        "events.py": "x, y = 1, 2\n",
    }
    job = make_job(tmp_path / "job", model, files=files)
    job.run()
    assert job.result()["status"] == "done"


def test_a_model_reads_its_data_and_its_arguments(tmp_path: Path) -> None:
    model = LINE.replace(
        "y = 2.5 * x", "import sys\nslope = float(open(sys.argv[1]).read())\ny = slope * x"
    )
    job = make_job(
        tmp_path / "job",
        model,
        files={"slope.dat": "3.5\n"},
        problem={"args": ["slope.dat"]},
    )
    job.run()
    values = {p["label"]: p["value"] for p in job.result()["parameters"]}
    assert values["m"] == pytest.approx(3.5, abs=0.02)


def test_links_and_pipes_in_the_results_are_never_listed(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("not a result")
    model = LINE + (
        "import os\n"
        f"os.symlink({str(secret)!r}, '../out/secret.json')\n"
        f"os.symlink({str(tmp_path)!r}, '../out/folder')\n"
        f"os.symlink({str(secret)!r}, '../out/curves.json.part')\n"
        f"os.symlink({str(secret)!r}, '../out/fit.par')\n"
        "os.mkfifo('../out/pipe')\n"
        "os.mkdir('../out/own')\n"
        "open('../out/own/kept.txt', 'w').write('a result')\n"
    )
    job = make_job(tmp_path / "job", model)
    job.run()
    paths = job.manifest()
    assert "out/own/kept.txt" in paths
    assert not {"out/secret.json", "out/pipe"} & set(paths)
    assert not any(path.startswith("out/folder") for path in paths)
    assert secret.read_text() == "not a result"
    assert (job.out / "fit.par").is_file()
    assert not (job.out / "fit.par").is_symlink()


def test_a_model_that_forks_leaves_one_result(tmp_path: Path) -> None:
    model = LINE + "import os, time\nif os.fork() == 0:\n    time.sleep(3)\n    os._exit(0)\n"
    job = make_job(tmp_path / "job", model)
    job.run()
    assert len(job.events_named("end")) == 1
    assert job.result()["status"] == "done"


def test_the_environment_of_a_fit_is_set_only_where_it_is_not(tmp_path: Path) -> None:
    model = LINE + "import os, json\nprint(json.dumps(dict(os.environ)))\n"
    job = make_job(tmp_path / "job", model)
    env = {"OMP_NUM_THREADS": "3", "XDG_CACHE_HOME": str(tmp_path / "cache")}
    seen = __import__("json").loads(job.run(env=env).stdout)
    assert seen["MPLBACKEND"] == "Agg"
    assert seen["OMP_NUM_THREADS"] == "3"
    assert seen["NUMBA_CACHE_DIR"].startswith(str(tmp_path / "cache"))
    assert os.access(seen["SAS_DLL_PATH"], os.W_OK)
