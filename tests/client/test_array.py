"""One model and many data files: what is sent, and what comes back for each."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from bumps_remote import Connection
from bumps_remote.array import find_element, labels, make_elements, summaries
from bumps_remote.errors import UsageError
from bumps_remote.files import make_bundle
from bumps_remote.tables import results_tables, to_csv
from rich.console import Console

from tests.client.site import (
    JOB_ID,
    TOKEN,
    Misbehaving,
    Shell,
    serve_results,
    serve_submissions,
)

MODEL = "import helper\nload('data.dat')\n"


def campaign(shell: Shell, count: int = 3) -> None:
    shell.write("model.py", MODEL)
    shell.write("helper.py", "")
    shell.write("data.dat", "0 0")
    for number in range(count):
        shell.write(f"runs/s{number:02}.dat", f"{number} 1")


def sent(site: Misbehaving) -> dict[str, Any]:
    (asked,) = site.asked("POST", "/jobs")
    return dict(asked.json)


def test_each_file_takes_the_place_of_the_data_file(site: Misbehaving, shell: Shell) -> None:
    serve_submissions(site)
    campaign(shell)
    runs = [f"runs/s{number:02}.dat" for number in range(3)]

    done = shell.run("submit", "model.py", "--array", *runs, "--fit=lm")

    body = sent(site)
    uploads = {seen.query["name"] for seen in site.asked("POST", "/files")}
    files = [file["name"] for file in site.asked("POST", "/problems")[0].json["script"]["files"]]
    digests = [row["files"]["data.dat"] for row in body["elements"]]
    assert [row["label"] for row in body["elements"]] == ["s00", "s01", "s02"]
    assert len(set(digests)) == 3
    assert body["pack"] == 1
    assert uploads == {"model.py", "helper.py", "data.dat", "s00.dat", "s01.dat", "s02.dat"}
    assert files == ["data.dat", "helper.py", "model.py"]
    assert "3 elements (s00 … s02; 9 B), each in the place of data.dat" in done.err


def test_a_pattern_in_quotes_and_many_to_a_process(site: Misbehaving, shell: Shell) -> None:
    serve_submissions(site)
    campaign(shell, 50)

    shell.run("submit", "model.py", "--array=runs/s*.dat", "--pack=1e1", "--throttle=2")
    shell.run("submit", "model.py", "--array", "runs/s*.dat")

    first, second = (seen.json for seen in site.asked("POST", "/jobs"))
    assert [len(first["elements"]), first["pack"], first["throttle"]] == [50, 10, 2]
    assert "throttle" not in second
    assert second["pack"] == 3
    assert len(site.asked("POST", "/files")) == 2 * 53


def test_equal_files_are_uploaded_once(site: Misbehaving, shell: Shell) -> None:
    serve_submissions(site)
    campaign(shell, 0)
    for name in "abc":
        shell.write(f"{name}.dat", "the same")

    shell.run("submit", "model.py", "--array", "a.dat", "b.dat", "c.dat")

    assert len(sent(site)["elements"]) == 3
    assert len(site.asked("POST", "/files")) == 4


def test_without_an_array_nothing_of_it_is_sent(site: Misbehaving, shell: Shell) -> None:
    serve_submissions(site)
    campaign(shell)

    shell.run("submit", "model.py")

    assert not {"elements", "pack"} & set(sent(site))


def test_a_killed_submission_of_an_array_goes_on_as_the_same(
    site: Misbehaving, shell: Shell
) -> None:
    serve_submissions(site)
    campaign(shell)
    command = ("submit", "model.py", "--array", "runs/*.dat")
    shell.run(*command, code=-9, BUMPS_REMOTE_CRASH_AT="sent")

    shell.run(*command)
    first, second = site.asked("POST", "/jobs")
    assert (first.key, first.body) == (second.key, second.body)
    shell.write("runs/s01.dat", "another content")
    shell.run(*command)

    assert site.asked("POST", "/jobs")[2].key != first.key


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("model.py", "--array"), "which files? Give them after the model"),
        (("--array", "runs/s00.dat", "model.py"), "put the model before --array"),
        (("model.py", "--array", "nowhere.dat"), "--array: there is no file nowhere.dat"),
        (("model.py", "--array", "no*.dat"), "--array 'no*.dat' matches no file"),
        (("model.py", "--array", "runs"), "runs is a folder; 'runs/*' means its files"),
        (("model.py", "--array", "runs/s00.dat", "runs/s00.dat"), "is given twice"),
        (
            ("model.py", "--array", "runs/s00.dat", "--replace=other.dat"),
            "no file 'other.dat'. Its data files are: data.dat",
        ),
        (
            ("model.py", "--data", "runs/s01.dat", "--array", "runs/s00.dat"),
            "Say it with --replace NAME; they are: data.dat, runs/s01.dat",
        ),
        (
            ("model.py", "--no-auto", "--array", "runs/s00.dat"),
            "they are: none (--data adds one that was not found in the script)",
        ),
        (("model.py", "--array", "runs/s00.dat", "--pack=0"), "--pack must be at least 1, not 0"),
        (("model.py", "--pack=3"), "--pack belongs to --array"),
        (("model.py", "--array", "runs/s00.dat", "--throttle=0"), "must be at least 1, not 0"),
        (("model.py", "--throttle=3"), "--throttle belongs to --array, --grid or --from-starts"),
        (("model.py", "--replace=data.dat"), "--replace belongs to --array"),
        (("model.py", "--array", "runs/s00.dat", "--check"), "--array is for fits"),
        (("model.py", "--array", "runs/s00.dat", "--session=s.h5"), "has a session of its own"),
    ],
)
def test_a_wrong_array_is_refused_with_what_would_be_right(
    site: Misbehaving, shell: Shell, words: tuple[str, ...], said: str
) -> None:
    serve_submissions(site)
    campaign(shell)

    assert said in shell.run("submit", *words, code=2).err
    assert not site.asked("POST", "/files")


def test_the_file_to_replace_is_named_where_there_are_several(
    site: Misbehaving, shell: Shell
) -> None:
    serve_submissions(site)
    campaign(shell)
    shell.write("resolution.dat", "1")
    words = ("--data=resolution.dat", "--array", "runs/s00.dat", "--replace", "resolution.dat")

    shell.run("submit", "model.py", *words)

    assert list(sent(site)["elements"][0]["files"]) == ["resolution.dat"]


def test_python_maps_a_model_over_files(
    site: Misbehaving, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    serve_submissions(site)
    (tmp_path / "model.py").write_text("load('data.dat')")
    paths = [tmp_path / name for name in ("data.dat", "b.dat", "c.dat")]
    for path in paths:
        path.write_text(path.name)
    with Connection(site.url, TOKEN) as connection:
        connection.map(tmp_path / "model.py", paths, fit="lm", pack=2, title="many")
        with pytest.raises(UsageError, match="which files"):
            connection.map(tmp_path / "model.py", [])

    body = sent(site)
    assert [row["label"] for row in body["elements"]] == ["data", "b", "c"]
    assert (body["pack"], body["options"], body["title"]) == (2, {"fit": "lm"}, "many")


def test_labels_tell_files_apart() -> None:
    assert labels([Path("a/x.dat"), Path("a/x.txt")]) == ["x.dat", "x.txt"]
    assert labels([Path("a/b/x"), Path("c/b/x")]) == ["0 x", "1 x"]


def test_a_json_problem_has_no_data_file_to_replace(tmp_path: Path) -> None:
    (tmp_path / "p.json").write_text("{}")
    (tmp_path / "a.dat").write_text("1")
    bundle = make_bundle(tmp_path / "p.json")
    with pytest.raises(UsageError, match="they are: none"):
        make_elements(bundle, [tmp_path / "a.dat"])


# ---- what comes back


def parameter(label: str, value: object, uncertainty: object = 0.1, **more: object) -> Any:
    return {"label": label, "value": value, "uncertainty": uncertainty, **more}


def element(index: int, *parameters: Any, **more: Any) -> dict[str, Any]:
    verdict = {"code": "converged", "text": "The fit converged."}
    return {
        "index": index,
        "label": f"s{index:02}",
        "status": "done",
        "chisq": 1.0 + index,
        "verdict": verdict,
        "parameters": list(parameters),
        "error": None,
        **more,
    }


RESULTS = [
    {"elements": [element(2, parameter("m", 3.0), parameter("b", 0.5, at_limit="low"))]},
    {
        "elements": [
            element(0, parameter("m", 1.0), parameter("b", 0.1)),
            element(
                1,
                status="failed",
                chisq=None,
                verdict={"code": "load_error", "text": "no such\x1b[2J file"},
            ),
        ]
    },
]


def drawn(results: list[Any], width: int) -> str:
    text = io.StringIO()
    console = Console(file=text, width=width)
    for part in results_tables(results, width):
        console.print(part)
    return text.getvalue()


def test_the_elements_of_all_tasks_are_one_table() -> None:
    lines = [line.split() for line in drawn(RESULTS, 200).splitlines()]
    assert lines[0] == ["element", "status", "chi²", "m", "b"]
    assert [line[0] for line in lines[1:]] == ["s00", "s01", "s02"]
    assert lines[1] == ["s00", "done", "1", "1.00", "±", "0.10", "0.10", "±", "0.10"]
    assert lines[2] == ["s01", "failed", "-", "no", "such\\x1b[2J", "file"]
    assert lines[3][-3:] == ["0.50", "±", "0.10!"]


@pytest.mark.parametrize("width", [40, 60, 80])
def test_a_narrow_terminal_shows_fewer_parameters_and_says_so(width: int) -> None:
    many = [parameter(f"parameter {n}", 1.0 + n) for n in range(12)]
    text = drawn([{"elements": [element(0, *many)]}], width)
    lines = text.splitlines()
    assert lines[1].startswith("s00")
    assert "not shown for lack of room" in " ".join(lines[2:])
    assert "--csv" in text


def test_csv_has_every_digit_and_no_formula() -> None:
    odd = element(3, parameter("=cmd()", 0.1 + 0.2, None), parameter("m", "evil", True))
    rows = list(csv.reader(io.StringIO(to_csv([*RESULTS, {"elements": [odd]}]))))
    head, *lines = rows
    assert head[:6] == ["index", "element", "status", "chisq", "m", "m uncertainty"]
    assert "'=cmd()" in head
    assert lines[0][:8] == ["0", "s00", "done", "1.0", "1.0", "0.1", "0.1", "0.1"]
    assert lines[1] == ["1", "s01", "failed", *[""] * (len(head) - 3)]
    assert lines[3][head.index("'=cmd()")] == repr(0.1 + 0.2)
    assert lines[3][head.index("m")] == ""


def test_parameters_of_the_same_name_keep_their_columns() -> None:
    twins = element(0, parameter("rho", 1.0), parameter("rho", 2.0))
    (head, line) = csv.reader(io.StringIO(to_csv([{"elements": [twins]}])))
    assert head[4::2] == ["rho", "rho (2)"]
    assert line[4::2] == ["1.0", "2.0"]


def test_csv_of_one_fit_is_a_line_for_each_parameter() -> None:
    text = to_csv([{"parameters": [parameter("m", 2.0), parameter("b", 1.0, None)]}])
    assert text == "parameter,value,uncertainty\nm,2.0,0.1\nb,1.0,\n"


def test_an_element_is_found_by_label_or_number() -> None:
    rows = summaries(RESULTS)
    assert [find_element(rows, which) for which in ("s02", "2", 2, "s00")] == [2, 2, 2, 0]
    with pytest.raises(UsageError, match=r"0 elements are called 's9': give a number from 0 to 2"):
        find_element(rows, "s9")
    with pytest.raises(UsageError, match="no array"):
        find_element([], "0")


WHOLE = json.dumps({"chisq": 2.0, "parameters": [parameter("m", 2.5)]}).encode()
FILES = {
    "out/0/fit.par": b"m 1",
    "out/1/fit.par": b"m 2",
    "out/1/result.json": WHOLE,
    "out/10/fit.par": b"m 3",
}


def test_fetch_brings_the_files_of_one_element(site: Misbehaving, shell: Shell) -> None:
    serve_results(site, FILES, results=RESULTS)

    shell.run("fetch", JOB_ID, "--element", "s01", "-o", "here")

    found = {p.relative_to(shell.work / "here").as_posix() for p in shell.work.rglob("here/**/*.*")}
    assert found == {"out/1/fit.par", "out/1/result.json", "manifest.json"}
    assert "give a number from 0 to 2" in shell.run("fetch", JOB_ID, "--element=7", code=2).err


def test_results_of_one_element_are_whole(site: Misbehaving, shell: Shell) -> None:
    serve_results(site, FILES, results=RESULTS)

    assert shell.run("results", JOB_ID, "--element=1", "--json").json["chisq"] == 2.0
    assert "2.50 ± 0.10" in shell.run("results", JOB_ID, "--element=s01").out
    assert "m,2.5,0.1" in shell.run("results", JOB_ID, "--element=s01", "--csv").out
    assert "left no out/0/result.json" in shell.run("results", JOB_ID, "--element=0", code=6).err
    assert shell.run("results", JOB_ID, "--csv").out.count("\n") == 4
    assert "s02" in shell.run("results", JOB_ID).out


def test_an_element_that_is_not_what_was_listed_is_refused(site: Misbehaving, shell: Shell) -> None:
    serve_results(site, FILES, results=RESULTS)
    site.routes["GET", f"/jobs/{JOB_ID}/files/out/1/result.json"] = site.routes[
        "GET", f"/jobs/{JOB_ID}/files/out/0/fit.par"
    ]

    said = shell.run("results", JOB_ID, "--element=1", code=6).err
    assert "came with another digest" in said
