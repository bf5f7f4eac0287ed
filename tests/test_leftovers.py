"""What a failed test leaves behind is its own affair; in a pytest of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CONFTEST = """
from tests.leftovers import Leftovers


def pytest_configure(config):
    config.pluginmanager.register(Leftovers())
"""
LEAKS = """
import gc
import subprocess
import sys

import pytest


def leak():
    argv = [sys.executable, "-c", "input()"]
    return subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def test_that_leaks():
    process = leak()
    circle = [process]
    circle.append(circle)
    assert {passes}


def test_that_is_innocent():
    gc.collect()
"""


def run(folder: Path, conftest: str, *, passes: bool) -> str:
    (folder / "conftest.py").write_text(conftest)
    (folder / "test_it.py").write_text(LEAKS.replace("{passes}", str(passes)))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", "."],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout


@pytest.mark.parametrize(("conftest", "failed"), [("", 2), (CONFTEST, 1)], ids=["without", "with"])
def test_a_failed_test_fails_no_other_by_what_it_has_left(
    tmp_path: Path, conftest: str, failed: int
) -> None:
    assert f"{failed} failed" in run(tmp_path, conftest, passes=False)


def test_what_a_passing_test_leaves_is_still_an_error(tmp_path: Path) -> None:
    said = run(tmp_path, CONFTEST, passes=True)
    assert "1 failed, 1 passed" in said
    assert "ResourceWarning" in said
