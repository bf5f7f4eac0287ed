"""``docs/features.rst`` and ``docs/users.rst`` name tests that are there and forget no promise."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "features.rst"
PROMISED = {
    *("S0-8", "S0-10", "S0-11", "S0-13", "S0-14", "S0-15"),
    *("S1-1", "S1-2", "S1-3", "S1-4", "S1-5", "S1-6", "S1-7", "S1-8", "S1-9", "S1-10", "S1-11"),
    *("S1-13", "S1-14", "S1-15", "S1-16", "S1-17"),
    *("S31", "S2-10", "S2-11", "S3-7", "S3-9", "S3-10", "S4-14"),
    *("N1", "N2", "N3", "N4", "N5", "N6", "N7", "N8", "N9", "N10", "N11", "N12", "N13"),
    *("N14", "N15", "N16"),
}
"""The rows of this version."""


def sections() -> tuple[str, str]:
    shown, _, missing = PAGE.read_text(encoding="utf-8").partition("\nNot yet shown\n")
    assert missing
    return shown, missing


def rows(text: str) -> list[str]:
    return re.findall(r"^   \* - ([SJN]\d+(?:-\d+)?)$", text, re.MULTILINE)


def test_every_named_test_is_there() -> None:
    """Each test that the page names is in the source, and is a test."""
    named = re.findall(r"``(tests/[\w/]+\.py)::(\w+)``", sections()[0])
    assert len(named) > 50
    missing = [f"{file}::{name}" for file, name in named if name not in functions(file)]
    assert missing == []


def functions(file: str) -> set[str]:
    path = ROOT / file
    if not path.is_file():
        return set()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


def test_each_wish_of_users_names_tests_that_are_there_or_says_that_it_is_open() -> None:
    text = (ROOT / "docs" / "users.rst").read_text(encoding="utf-8")
    wishes = re.split(r"^   \* - (?=\d+$)", text, flags=re.MULTILINE)[1:]
    assert [int(wish.split()[0]) for wish in wishes] == list(range(1, 23))
    assert [wish for wish in wishes if "::test_" not in wish and "**Open**" not in wish] == []
    named = re.findall(r"``(tests/[\w/]+\.py)::(\w+)``", text)
    assert [pair for pair in named if pair[1] not in functions(pair[0])] == []


def test_no_promise_is_forgotten_and_none_is_made_up() -> None:
    shown, missing = sections()
    assert {*rows(shown), *rows(missing)} == PROMISED


def test_a_row_stands_once_in_each_list() -> None:
    for text in sections():
        found = rows(text)
        assert len(found) == len(set(found))


def test_every_shown_row_names_a_test() -> None:
    body = sections()[0]
    parts = re.split(r"^   \* - (?=[SJN]\d)", body, flags=re.MULTILINE)[1:]
    assert parts
    assert [part.split()[0] for part in parts if "::test_" not in part] == []
