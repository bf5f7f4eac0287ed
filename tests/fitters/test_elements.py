"""Arrays: many elements in warm interpreters, each failing alone."""

import signal
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import eventually

from .job_folder import LINE, JobFolder, make_job, slow_line

READS_DATA = LINE.replace(
    "y = 2.5 * x + 1 + ", "slope = float(open('data.dat').read())\ny = slope * x + 1 + "
)


def elements(*files: dict[str, str], **more: Any) -> list[dict[str, Any]]:
    return [
        {"label": f"s{index:02}", "files": row, "args": None, "start": [], **more}
        for index, row in enumerate(files)
    ]


def make_campaign(path: Path, model: str, slopes: list[float], **more: Any) -> JobFolder:
    """One model and a data file for each element."""
    rows = [{"data.dat": f"elements/{index}/data.dat"} for index in range(len(slopes))]
    files = {f"elements/{index}/data.dat": f"{slope}\n" for index, slope in enumerate(slopes)}
    files["data.dat"] = "0\n"
    settings = {"elements": elements(*rows), "pack": len(slopes), **more}
    return make_job(path, model, files=files, **settings)


def test_each_element_has_its_own_data_and_result(tmp_path: Path) -> None:
    slopes = [1.0, 2.0, 3.0, 4.0]
    job = make_campaign(tmp_path / "job", READS_DATA, slopes)
    job.run()
    result = job.result()
    assert result["status"] == "done"
    assert [element["label"] for element in result["elements"]] == ["s00", "s01", "s02", "s03"]
    for index, slope in enumerate(slopes):
        element = result["elements"][index]
        values = {p["label"]: p["value"] for p in element["parameters"]}
        assert values["m"] == pytest.approx(slope, abs=0.02)
        whole = job.read(f"out/{index}/result.json")
        assert whole["chisq"] == element["chisq"]
        assert f"out/{index}/session.h5" in whole["files"]
    assert (job.data / "data.dat").read_text() == "0\n"
    assert not list((job.path / "work").iterdir())
    ends = [event["element"] for event in job.events_named("end")]
    assert sorted(ends) == [0, 1, 2, 3]


def test_a_task_does_only_its_own_elements(tmp_path: Path) -> None:
    job = make_campaign(tmp_path / "job", READS_DATA, [1.0, 2.0, 3.0, 4.0, 5.0], pack=2)
    job.run("--task", "1")
    job.run(env={"SLURM_ARRAY_TASK_ID": "2"})
    assert [element["index"] for element in job.result(1)["elements"]] == [2, 3]
    assert [element["index"] for element in job.result(2)["elements"]] == [4]
    assert {path.split("/")[1] for path in job.manifest(1) if path.startswith("out")} == {"2", "3"}
    assert not (job.path / "events.0.jsonl").exists()


BROKEN = """
import os, signal, sys
case = open('data.dat').read().strip()
if case == 'raise':
    raise ValueError('no such sample')
if case == 'exit':
    sys.exit(7)
if case == 'vanish':
    os._exit(7)
if case == 'kill':
    os.kill(os.getpid(), signal.SIGKILL)
if case == 'crash':
    os.kill(os.getpid(), signal.SIGSEGV)
if case == 'children':
    if os.fork() == 0:
        import time
        time.sleep(5)
        os._exit(0)
    os._exit(3)
"""


def test_a_broken_element_fails_alone(tmp_path: Path) -> None:
    cases = ["fine", "raise", "fine", "exit", "vanish", "kill", "crash", "children", "fine"]
    job = make_job(
        tmp_path / "job",
        BROKEN + LINE,
        files={
            "data.dat": "fine",
            **{f"elements/{index}/data.dat": case for index, case in enumerate(cases)},
        },
        elements=elements(*[{"data.dat": f"elements/{i}/data.dat"} for i in range(len(cases))]),
        pack=20,
    )
    job.run()
    result = job.result()
    assert result["status"] == "partial"
    statuses = dict(zip(range(len(cases)), result["elements"], strict=True))
    for index, case in enumerate(cases):
        assert (statuses[index]["status"] == "done") == (case == "fine"), case
    texts = {case: statuses[index]["verdict"] for index, case in enumerate(cases)}
    assert texts["raise"]["code"] == "load_error"
    assert "no such sample" in texts["raise"]["text"]
    assert "SIGKILL" in texts["kill"]["text"]
    assert "SIGSEGV" in texts["crash"]["text"]
    assert "exit code 7" in texts["vanish"]["text"]
    assert "exit code 3" in texts["children"]["text"]
    assert statuses[1]["error"]["file"] == "model.py"


@pytest.mark.slow
def test_a_hanging_element_is_overtaken_and_ended_by_a_stop(tmp_path: Path) -> None:
    hang = "case = open('data.dat').read().strip()\nwhile case == '0':\n    pass\n"
    model = hang + READS_DATA
    job = make_campaign(tmp_path / "job", model, [0, 1.0, 2.0])
    text = "0"
    (job.data / "elements/0/data.dat").write_text(text)
    with job.started() as process:
        # The other two are done although the first one never ends.
        eventually(lambda: len(job.events_named("end")) == 2, within_s=60)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 143
    result = job.result()
    assert [element["status"] for element in result["elements"]] == ["failed", "done", "done"]
    assert "did not end" in result["elements"][0]["verdict"]["text"]


def test_a_stop_keeps_the_running_element_and_names_those_not_begun(tmp_path: Path) -> None:
    job = make_job(
        tmp_path / "job",
        slow_line(0.002),
        fit="dream",
        options={"samples": 100000},
        elements=elements({}, {}, {}),
        pack=3,
    )
    with job.started() as process:
        eventually(lambda: len(job.events_named("step")) > 1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 143
    result = job.result()
    assert result["status"] == "partial"
    assert [element["status"] for element in result["elements"]] == ["stopped"] * 3
    assert result["elements"][0]["parameters"]
    assert "before this element began" in result["elements"][1]["verdict"]["text"]
    assert "out/0/session.h5" in job.manifest()


def test_a_task_begun_again_does_not_repeat_what_is_done(tmp_path: Path) -> None:
    model = READS_DATA + "open('../../began.txt', 'a').write(f'{slope}\\n')\n"
    job = make_campaign(tmp_path / "job", model, [1.0, 2.0, 3.0])
    job.run()
    for name in ("result.0.json", "manifest.0.json", "out/2/result.json"):
        (job.path / name).unlink()  # as if the node had died in the last element
    job.run()
    assert (job.path / "began.txt").read_text().split() == ["1.0", "2.0", "3.0", "3.0"]
    assert job.result()["status"] == "done"
    job.run()
    assert len((job.path / "began.txt").read_text().split()) == 7


def test_elements_have_arguments_starts_and_modules_of_their_own(tmp_path: Path) -> None:
    model = "import sys\nfrom helper import slope\n" + LINE.replace("2.5 * x", "slope * x")
    model += "print('args', sys.argv[1:])\n"
    rows = [
        {"label": "a", "files": {"helper.py": "elements/0/helper.py"}, "args": ["1"], "start": []},
        {"label": "b", "files": {}, "args": None, "start": [0.5, 0.25]},
    ]
    files = {"helper.py": "slope = 2.0\n", "elements/0/helper.py": "slope = 4.0\n"}
    problem = {"args": ["of the job"]}
    job = make_job(tmp_path / "job", model, files=files, elements=rows, pack=2, problem=problem)
    done = job.run()
    first, second = job.result()["elements"]
    values = [{p["label"]: p["value"] for p in e["parameters"]}["m"] for e in (first, second)]
    assert values == [pytest.approx(4.0, abs=0.02), pytest.approx(2.0, abs=0.02)]
    assert [p["start"] for p in second["parameters"]] == [0.5, 0.25]
    assert done.stdout == "args ['1']\nargs ['of the job']\n"


def test_a_file_that_is_not_there_fails_its_element_alone(tmp_path: Path) -> None:
    job = make_campaign(tmp_path / "job", READS_DATA, [1.0, 2.0])
    (job.data / "elements/0/data.dat").unlink()
    job.run()
    first, second = job.result()["elements"]
    assert first["verdict"]["code"] == "load_error"
    assert "data.dat" in first["verdict"]["text"]
    assert second["status"] == "done"


def test_each_element_draws_its_own_noise_and_the_same_one_again(tmp_path: Path) -> None:
    def chisqs(name: str, cpus: int) -> list[float]:
        job = make_job(
            tmp_path / name,
            elements=elements({}, {}, {}),
            pack=3,
            run={"simulate": {"noise_percent": None}, "cpus": cpus},
        )
        job.run()
        return [element["chisq"] for element in job.result()["elements"]]

    once = chisqs("once", 1)
    assert len(set(once)) == 3
    assert chisqs("again", 2) == once


def test_the_results_of_a_hostile_element_are_written_beneath_out(tmp_path: Path) -> None:
    model = LINE + (
        "import os\n"
        "from pathlib import Path\n"
        f"target = Path({str(tmp_path / 'elsewhere')!r})\n"
        "target.mkdir(exist_ok=True)\n"
        "if not Path('../out/1').exists():\n"
        "    os.symlink(target, '../out/1')\n"
    )
    job = make_job(tmp_path / "job", model, elements=elements({}, {}), pack=2)
    job.run()
    assert not (job.out / "1").is_symlink()
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert job.result()["status"] == "done"
