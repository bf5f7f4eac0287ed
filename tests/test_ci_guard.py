"""The guard itself, in a pytest of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.ci_guard import SKIPPED_STATUS

ROOT = Path(__file__).resolve().parent.parent
_CONFTEST = """
from tests.ci_guard import guard


def pytest_configure(config):
    guard(config)
"""


def run(folder: Path, test: str, ci: str, *options: str) -> subprocess.CompletedProcess[str]:
    (folder / "conftest.py").write_text(_CONFTEST)
    (folder / "test_it.py").write_text(test)
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, str(folder)],
        cwd=folder,
        env={**os.environ, "CI": ci, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


SKIPPED = "import pytest\n\n\ndef test_it():\n    pytest.skip('no cluster')\n"
WHOLE_MODULE = "import pytest\n\npytest.skip('no cluster', allow_module_level=True)\n"
XFAIL = "import pytest\n\n\n@pytest.mark.xfail\ndef test_it():\n    assert False\n"


@pytest.mark.parametrize("options", [(), ("-n", "2")], ids=["one process", "two workers"])
@pytest.mark.parametrize("test", [SKIPPED, WHOLE_MODULE], ids=["a test", "a module"])
def test_what_is_skipped_in_ci_fails_the_run(
    tmp_path: Path, test: str, options: tuple[str, ...]
) -> None:
    # A module that is skipped whole ends with code 5, "nothing collected", which fails as well.
    more = "\n\ndef test_other():\n    pass\n"
    (tmp_path / "test_more.py").write_text(more)
    done = run(tmp_path, test, "true", *options)
    assert done.returncode == SKIPPED_STATUS, done.stdout
    assert "SKIPPED WHERE NOTHING MAY BE" in done.stdout


def test_an_expected_failure_is_no_skip(tmp_path: Path) -> None:
    assert run(tmp_path, XFAIL, "true").returncode == 0


def test_elsewhere_a_test_may_be_skipped(tmp_path: Path) -> None:
    assert run(tmp_path, SKIPPED, "").returncode == 0
