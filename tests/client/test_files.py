"""What a script needs is found by reading it, and it is never run."""

from __future__ import annotations

from pathlib import Path

import pytest
from bumps_remote.errors import UsageError
from bumps_remote.files import Bundle, make_bundle


def write(folder: Path, **files: str) -> Path:
    """Write files; ``data__a_dat`` is data/a.dat. Answer model.py."""
    for name, text in files.items():
        stem, _, suffix = name.replace("__", "/").rpartition("_")
        path = folder / f"{stem}.{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder / "model.py"


def names(bundle: Bundle) -> list[str]:
    return [file.name for file in bundle.files]


@pytest.mark.parametrize(
    "text",
    [
        "load('data/a.dat')",
        "import os; load(os.path.join('data', 'a.dat'))",
        "from os.path import join; load(join('data', 'a.dat'))",
        "from pathlib import Path; load(Path('data') / 'a.dat')",
        "from pathlib import Path; load(Path(__file__).parent / 'data' / 'a.dat')",
        "from pathlib import Path; load(Path('data').joinpath('a.dat'))",
        "load('data/' + 'a.dat')",
        "load('data\\\\a.dat')",
        "def f(name='data/a.dat'): load(name)",
    ],
)
def test_a_data_file_that_a_script_names_is_taken_along(tmp_path: Path, text: str) -> None:
    model = write(tmp_path, model_py=text, data__a_dat="1 2", data__b_dat="3 4")

    assert names(make_bundle(model)) == ["data/a.dat", "model.py"]


def test_modules_beside_the_script_are_taken_along_with_what_they_need(tmp_path: Path) -> None:
    model = write(
        tmp_path,
        model_py="import numpy\nfrom shapes import line\nimport lib.peaks",
        shapes_py="import helper\nX = 'a.dat'",
        helper_py="",
        lib____init___py="from . import base",
        lib__peaks_py="from .deep.gauss import g",
        lib__base_py="",
        lib__deep__gauss_py="",
        unused_py="",
        a_dat="1 2",
    )
    (tmp_path / "lib" / "__init__.py").write_text("from . import base", encoding="utf-8")

    assert names(make_bundle(model)) == [
        "a.dat",
        "helper.py",
        "lib/__init__.py",
        "lib/base.py",
        "lib/deep/gauss.py",
        "lib/peaks.py",
        "model.py",
        "shapes.py",
    ]


def test_a_script_is_never_run(tmp_path: Path) -> None:
    trap = tmp_path / "sprung"
    model = write(tmp_path, model_py=f"open({str(trap)!r}, 'w')\nimport other", other_py="1/0")

    make_bundle(model)

    assert not trap.exists()


def test_files_among_the_arguments_are_taken_along(tmp_path: Path) -> None:
    model = write(tmp_path, model_py="import sys", run_dat="1")

    bundle = make_bundle(model, args=["run.dat", "3"])

    assert names(bundle) == ["model.py", "run.dat"]
    assert bundle.args == ("run.dat", "3")


def test_what_lies_elsewhere_or_is_hidden_stays_and_is_told(tmp_path: Path) -> None:
    (tmp_path / "secret.dat").write_text("1", encoding="utf-8")
    home = tmp_path / "home"
    model = write(home, model_py=f"a = '../secret.dat', '.netrc', {str(tmp_path / 'secret.dat')!r}")
    (home / ".netrc").write_text("password", encoding="utf-8")

    bundle = make_bundle(model)

    assert names(bundle) == ["model.py"]
    told = "\n".join(bundle.hints)
    assert "../secret.dat lies outside" in told
    assert ".netrc is hidden" in told


def test_a_pattern_in_a_script_is_told_and_data_takes_it(tmp_path: Path) -> None:
    model = write(tmp_path, model_py="glob('run*.dat')", run1_dat="1", run2_dat="2")

    assert "matches 2 files" in make_bundle(model).hints[0]
    taken = make_bundle(model, data=[str(tmp_path / "run*.dat")])
    assert names(taken) == ["model.py", "run1.dat", "run2.dat"]


def test_data_from_elsewhere_gets_its_own_name_or_the_given_one(tmp_path: Path) -> None:
    model = write(tmp_path / "here", model_py="")
    other = tmp_path / "there.dat"
    other.write_text("1", encoding="utf-8")

    assert names(make_bundle(model, data=[str(other)])) == ["model.py", "there.dat"]
    assert names(make_bundle(model, data=[f"d/x.dat={other}"])) == ["d/x.dat", "model.py"]


def test_without_auto_only_the_model_and_data_go(tmp_path: Path) -> None:
    model = write(tmp_path, model_py="import helper; load('a.dat')", helper_py="", a_dat="1")

    assert names(make_bundle(model, automatic=False)) == ["model.py"]


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a\\b", "c:x", "a//b", "a/./b", "x\n", " x"])
def test_a_name_that_could_leave_its_folder_is_refused(tmp_path: Path, name: str) -> None:
    model = write(tmp_path, model_py="", a_dat="1")

    with pytest.raises(UsageError, match="cannot be a file name"):
        make_bundle(model, data=[f"{name}={tmp_path / 'a.dat'}"])


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("model.py", "def f(:\n", r"model.py, line 1: "),
        ("model.py", "x = '\0'", r"model\.py.*null bytes"),
        ("model.pickle", "", "pickle"),
        ("model.txt", "", r"must be a .py model or a bumps .json"),
    ],
)
def test_a_model_that_cannot_be_sent_is_refused_with_the_reason(
    tmp_path: Path, name: str, text: str, message: str
) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")

    with pytest.raises(UsageError, match=message):
        make_bundle(tmp_path / name)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"there is no file .*none\.py"):
        make_bundle(tmp_path / "none.py")
    model = write(tmp_path, model_py="")
    with pytest.raises(UsageError, match=r"--data: there is no file none\.dat"):
        make_bundle(model, data=["none.dat"])


def test_a_json_problem_goes_alone(tmp_path: Path) -> None:
    path = tmp_path / "problem.json"
    path.write_text('{"a": "x.dat"}', encoding="utf-8")
    (tmp_path / "x.dat").write_text("1", encoding="utf-8")

    bundle = make_bundle(path)

    assert (bundle.type, names(bundle)) == ("json", ["problem.json"])
    with pytest.raises(UsageError, match="takes no arguments"):
        make_bundle(path, args=["1"])
