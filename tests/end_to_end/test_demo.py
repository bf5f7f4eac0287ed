"""``make demo``: right to the digit, and nothing left behind."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from rich.console import Console

from tests.helpers import eventually, processes
from tools.demo import CASES, ROOT, show
from tools.nist import read


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_demonstration_meets_nist_and_leaves_nothing_behind() -> None:
    # A short path: it holds a unix socket.
    with tempfile.TemporaryDirectory(prefix="demo-", dir="/tmp") as folder:
        done = subprocess.run(
            [sys.executable, "-m", "tools.demo"],
            cwd=ROOT,
            env={**os.environ, "TMPDIR": folder},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        parameters = sum(len(read(case.name).values) for case in CASES)
        assert len(re.findall(r"^│ b\d", done.stdout, re.MULTILINE)) == parameters
        assert list(Path(folder).iterdir()) == []
        eventually(lambda: not processes(folder), what=f"the end of {processes(folder)}")


def test_a_value_that_is_off_is_counted() -> None:
    case = CASES[0]
    certified = read(case.name)
    right = [
        {"label": label, "value": value, "uncertainty": None}
        for label, value in certified.values.items()
    ]
    wrong = [{**right[0], "value": certified.values["b1"] * 1.001}, *right[1:]]
    console = Console(quiet=True)
    assert show(console, case, "1", {"parameters": right}) == 0
    assert show(console, case, "1", {"parameters": wrong}) == 1
    assert show(console, case, "1", {"parameters": right[:1]}) == len(right) - 1
