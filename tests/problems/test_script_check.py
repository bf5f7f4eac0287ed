"""Model scripts: looked at by a limited child, never imported."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from gateway.errors import InvalidError
from gateway.problems.script_check import KNOWN_PACKAGES, ScriptReport, check_script

MODEL = b"""
import os.path
from pathlib import Path
import numpy as np
from bumps.names import *
from helper import line
from shapes.round import disc
import strangelib.deep as s
data = np.loadtxt("data.dat")
more = Path("missing.txt").read_text()
third = open("/etc/hosts")
M = Curve(line, *data)
problem = FitProblem(M)
"""


def check(source: bytes | str, **files: bytes) -> ScriptReport:
    raw = source.encode() if isinstance(source, str) else source
    return check_script("model.py", {"model.py": raw, **files})


def refusal(source: bytes | str, **files: bytes) -> tuple[str, str]:
    with pytest.raises(InvalidError) as caught:
        check(source, **files)
    error = caught.value.errors[0]
    return error.pointer, error.detail


def test_a_script_is_known_by_what_it_imports_and_opens() -> None:
    files = {"helper.py": b"line = 1", "shapes/round.py": b"disc = 1", "data.dat": b"1 2"}
    report = check(MODEL, **files)
    assert report.standard == ("os.path", "pathlib")
    assert report.bundled == ("helper", "shapes.round")
    assert report.environment == ("bumps", "numpy", "strangelib")
    assert report.opens == ("/etc/hosts", "data.dat", "missing.txt")
    assert len(report.warnings) == 3
    assert any("strangelib" in warning for warning in report.warnings)
    assert any("'/etc/hosts' is an absolute path" in warning for warning in report.warnings)
    assert any("'missing.txt' is read but is not" in warning for warning in report.warnings)


@pytest.mark.parametrize(
    "source",
    [
        "problem = 1",
        "if True:\n    problem = 1",
        "problem: object = 1",
        "from other import problem",
        "from other import *",
        "for problem in [1]: pass",
    ],
)
def test_every_way_to_assign_the_problem_is_seen(source: str) -> None:
    assert not any("no 'problem'" in warning for warning in check(source).warnings)


@pytest.mark.parametrize("source", ["x = 1", "problem.x = 1", "print(problem)", "problems = 1"])
def test_a_script_without_a_problem_is_a_warning(source: str) -> None:
    assert any("no 'problem'" in warning for warning in check(source).warnings)


def test_a_syntax_error_has_line_column_and_text() -> None:
    pointer, detail = refusal("x = 1\ny = = 2\nproblem = 1\n")
    assert pointer == "/script/entry"
    assert detail == "model.py, line 2, column 5: invalid syntax in 'y = = 2'"


def test_a_syntax_error_in_a_helper_is_found() -> None:
    pointer, detail = refusal("problem = 1", **{"lib/helper.py": b"def f(:\n  pass"})
    assert pointer == "/script/files/lib~1helper.py"
    assert "line 1" in detail


def test_parsing_runs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    canary = tmp_path / "CANARY"
    check(f"import os; os.system('touch {canary}')\nopen({str(canary)!r}, 'w')\nproblem = 1")
    check(b"problem = 1", **{"ast.py": b"open('CANARY', 'w')", "json.py": b"open('CANARY', 'w')"})
    assert list(tmp_path.iterdir()) == []
    assert not Path("CANARY").exists()


@pytest.mark.parametrize(
    "source",
    [
        b"(" * 1_000_000,
        b"-" * 1_000_000 + b"1",
        b"[" * 200 + b"]" * 200,
        b"x = " + b"1 + " * 400_000 + b"1",
        b"x = " + b"f(" * 90 + b")" * 90,
        b"a." * 300_000 + b"b",
        b"x = '" + b"y" * 4_000_000,
        b"if 1:\n" * 1,
        b"\n".join(b" " * k + b"if 1:" for k in range(120)),
        b"\\\n" * 1_000_000,
        b"x = " + b"9" * 1_000_000,
        b"f'" + b"{" * 100_000 + b"'",
    ],
    ids=lambda source: repr(source[:8]),
)
def test_a_script_meant_to_crash_the_parser_harms_only_the_child(source: bytes) -> None:
    before = os.getpid()
    start = time.perf_counter()
    try:
        check(source)
        outcome = "taken"
    except InvalidError as error:
        outcome = error.errors[0].pointer
    assert outcome in ("taken", "/script/entry")
    assert time.perf_counter() - start < 20
    assert os.getpid() == before


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (b"problem = 1\0", "zero byte at 11"),
        ("problem = 1".encode("utf-16"), "UTF-16"),
        (b"problem = '\xe9'", "not UTF-8 at byte 11"),
        (b"# coding: utf-7\nproblem = 1", "coding 'utf-7'"),
        (b"#!/usr/bin/python\n# -*- coding: latin-1 -*-\nproblem = 1", "coding 'latin-1'"),
        (b"# vim: set fileencoding=unicode_escape :\n", "coding 'unicode_escape'"),
        (b"x" * 5_000_001, "at most 5000000"),
    ],
)
def test_text_that_python_might_read_otherwise_is_refused(source: bytes, words: str) -> None:
    pointer, detail = refusal(source)
    assert pointer == "/script/entry"
    assert words in detail


@pytest.mark.parametrize(
    "source",
    [
        b"# -*- coding: utf-8 -*-\nproblem = 1",
        b"\xef\xbb\xbf# coding=UTF-8\nproblem = '\xc3\xa9'",
        b"#\n#\n# coding: latin-1\nproblem = 1",
    ],
)
def test_utf8_is_taken(source: bytes) -> None:
    assert check(source).warnings == ()


def test_the_entry_must_be_a_script_among_the_files() -> None:
    with pytest.raises(InvalidError, match="not among the files"):
        check_script("model.py", {"other.py": b""})
    with pytest.raises(InvalidError, match=r"ends in \.py"):
        check_script("data.dat", {"data.dat": b""})


def test_relative_imports_are_of_the_bundle() -> None:
    assert check("from . import a\nfrom .b import c\nproblem = 1").bundled == (".a", ".b")


def test_the_packages_of_a_fit_are_no_warning() -> None:
    source = "".join(f"import {name}\n" for name in sorted(KNOWN_PACKAGES)) + "problem = 1"
    assert check(source).warnings == ()
    assert "numpy" not in sys.stdlib_module_names
