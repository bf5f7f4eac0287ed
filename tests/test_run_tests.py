"""The order of runs, and what gets a second look; pytest itself is a list of answers here."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tools.run_tests import FAILURES, MOST_FILES, run_all

SIDE_BY_SIDE, ALONE = ("-n", "3", "-m", "not alone"), ("-m", "alone")
LATE = "tests/web/test_slow.py"


class Runs:
    """Answers each run with a status, and leaves its list of failures."""

    def __init__(self, root: Path, failed: Sequence[str], *statuses: int) -> None:
        self.cache = root / FAILURES
        self.failed = failed
        self.statuses = list(statuses)
        self.seen: list[tuple[str, ...]] = []

    def __call__(self, arguments: Sequence[str]) -> int:
        self.seen.append(tuple(arguments))
        if len(self.seen) == 1 and self.failed:
            self.cache.parent.mkdir(parents=True, exist_ok=True)
            self.cache.write_text(json.dumps(dict.fromkeys(self.failed, True)))
        return self.statuses.pop(0)

    def all(self, root: Path) -> int:
        return run_all(self, root, ["-n", "3"])


def test_a_good_run_is_followed_by_those_that_compare_durations(tmp_path: Path) -> None:
    runs = Runs(tmp_path, [], 0, 0)
    assert runs.all(tmp_path) == 0
    assert runs.seen == [SIDE_BY_SIDE, ALONE]


def test_only_files_with_a_test_that_runs_alone_are_collected_for_it(tmp_path: Path) -> None:
    for name, text in {
        "web/test_a.py": "@pytest.mark.alone\n",
        "test_b.py": "pytestmark = [pytest.mark.slow, pytest.mark.alone]\n",
        "test_c.py": "@pytest.mark.slow\n",
        "making.py": "pytest.mark.alone\n",
    }.items():
        path = tmp_path / "tests" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    runs = Runs(tmp_path, [], 0, 0)
    assert runs.all(tmp_path) == 0
    assert runs.seen == [SIDE_BY_SIDE, (*ALONE, "tests/test_b.py", "tests/web/test_a.py")]


def test_what_passes_alone_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = Runs(tmp_path, [f"{LATE}::test_one", f"{LATE}::test_two[x]"], 1, 0, 0)
    assert runs.all(tmp_path) == 0
    assert runs.seen == [SIDE_BY_SIDE, ("-m", "not alone", LATE), ALONE]
    assert f"passed alone: {LATE}\n" in capsys.readouterr().err


def test_what_fails_twice_is_red(tmp_path: Path) -> None:
    runs = Runs(tmp_path, [f"{LATE}::test_one"], 1, 1)
    assert runs.all(tmp_path) == 1
    assert len(runs.seen) == 2


@pytest.mark.parametrize(
    ("failed", "status"),
    [
        (["tests/faults/test_campaigns.py::test_twenty_kills", f"{LATE}::test_one"], 1),
        (["tests/jobs/test_decide_model.py::test_no_order"], 1),
        ([f"tests/web/test_{number}.py::test_it" for number in range(MOST_FILES + 1)], 1),
        ([f"{LATE}::test_one"], 10),
        ([f"{LATE}::test_one"], 2),
        ([], 1),
    ],
    ids=["a double run", "the model", "too many", "skipped", "interrupted", "no list"],
)
def test_there_is_no_second_look(tmp_path: Path, failed: list[str], status: int) -> None:
    runs = Runs(tmp_path, failed, status)
    assert runs.all(tmp_path) == status
    assert runs.seen == [SIDE_BY_SIDE]


def test_a_list_of_an_earlier_run_is_not_taken_for_one_of_this(tmp_path: Path) -> None:
    Runs(tmp_path, [f"{LATE}::test_one"], 1, 1).all(tmp_path)
    runs = Runs(tmp_path, [], 1)
    assert runs.all(tmp_path) == 1
    assert len(runs.seen) == 1


def test_durations_that_are_wrong_stay_wrong(tmp_path: Path) -> None:
    assert Runs(tmp_path, [], 0, 1).all(tmp_path) == 1


def test_the_list_is_where_pytest_leaves_it(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text("def test_it():\n    assert False\n")
    command = [sys.executable, "-m", "pytest", "-q", "--rootdir", str(tmp_path), "test_it.py"]
    assert subprocess.run(command, cwd=tmp_path, check=False, capture_output=True).returncode == 1
    assert list(json.loads((tmp_path / FAILURES).read_text())) == ["test_it.py::test_it"]
