"""Columns of text: every way people write them, and every reason to refuse them."""

from __future__ import annotations

import math
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import InvalidError
from gateway.problems.columns import ROW_LIMIT, read_columns
from gateway.problems.selection import Choice, Curve, Uncertainty, select

THREE = ((1.0, 3.0), (2.0, 4.0), (0.5, 0.25))
COLUMN = Uncertainty(rule="column", column=2)


@pytest.mark.parametrize(
    "text",
    [
        "1 2 0.5\n3 4 0.25\n",
        "1,2,0.5\n3,4,0.25",
        "1, 2, 0.5,\n3, 4, 0.25,\n",
        "1;2;0.5\r\n3;4;0.25\r\n",
        "1;2;0,5\n3;4;0,25\n",
        "1\t2\t0.5\n3\t4\t0.25\n",
        "1,0 2,0 0,5\n3,0 4,0 0,25\n",
        "  1   2\t0.5  \n\n3 4 2.5E-1\n",
        "1.D0 2 5d-1\n3 4 +.25\n",
        '"1","2","0.5"\n"3","4","0.25"\n',
        "# a comment\n1 2 0.5 # one\n! another\n% more\n// and more\n3 4 0.25\n",
        "x y dy\n1 2 0.5\n3 4 0.25\n",
        "\ufeff1 2 0.5\n3 4 0.25\n",
    ],
)
def test_numbers_are_read_however_they_are_separated(text: str) -> None:
    assert read_columns(text).columns == THREE
    assert read_columns(text.encode()).columns == THREE


@pytest.mark.parametrize(
    ("text", "names", "units"),
    [
        ("q,I,dI\n1,2,3", ("q", "I", "dI"), ("", "", "")),
        ("q (1/A), I [1/cm], dI\n1,2,3", ("q", "I", "dI"), ("1/A", "1/cm", "")),
        ("# q (1/A)  I (a u)  dI\n1 2 3", ("q", "I", "dI"), ("1/A", "a u", "")),
        ("# made by hand\n# T (K) P\n1 2", ("T", "P"), ("K", "")),
        ("1 2", ("column 1", "column 2"), ("", "")),
        ("Zeit (s);Größe\n1,5;2", ("Zeit", "Größe"), ("s", "")),
        ("only one word\n1 2", ("column 1", "column 2"), ("", "")),
    ],
)
def test_a_header_gives_names_and_units(
    text: str, names: tuple[str, ...], units: tuple[str, ...]
) -> None:
    table = read_columns(text)
    assert (table.names, table.units) == (names, units)


def test_what_is_left_out_is_a_warning_with_its_line() -> None:
    table = read_columns("some words\nx y\n1 2\n3 nan\nend of part\n5 6\n")
    assert table.warnings == (
        "line 5 without numbers left out",
        "line 1 above the data left out",
        "line 4 with a cell that is no finite number",
    )
    assert table.lines == (3, 4, 6)


def test_decimal_commas_are_a_warning() -> None:
    assert "commas were read as decimal points" in read_columns("1,5 2,5\n3,5 4,5").warnings


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no line has a number"),
        ("a b\nc d\n", "no line has a number"),
        ("# 1 2 3\n", "no line has a number"),
        ("nan nan\n", "no line has a number"),
        ("1 2\n3\n4 5 6\n", "line 1 has 2 columns, line 2 has 1, line 3 has 3"),
        ("1 2\n" + "3\n" * 9, "and 4 more"),
        (" ".join(["1"] * 51), "at most 50"),
        ("1" * 20_001, "line 1 has more than"),
        ("1 2\n" * (ROW_LIMIT + 1), "more than 200000 rows"),
        (b"\x00\x01\x02", "zero byte"),
    ],
)
def test_text_that_is_no_table_is_refused(text: str | bytes, words: str) -> None:
    with pytest.raises(InvalidError, match=words) as caught:
        read_columns(text, "/curve/data")
    assert caught.value.errors[0].pointer == "/curve/data"


def test_a_table_at_the_limit_is_read_in_seconds() -> None:
    start = time.perf_counter()
    assert read_columns("0.001 2.5e3 1\n" * ROW_LIMIT).rows == ROW_LIMIT
    assert time.perf_counter() - start < 15


@given(st.text(alphabet="0123456789.,;+-eEdx \t\n#'\"()[]naif", max_size=200))
@settings(max_examples=500, deadline=None)
def test_any_text_is_a_table_or_an_error(text: str) -> None:
    try:
        table = read_columns(text)
    except InvalidError:
        return
    assert {len(column) for column in table.columns} == {table.rows}
    assert len(table.names) == len(table.units) == len(table.columns)


@given(st.lists(st.tuples(*[st.floats(allow_nan=False, width=64)] * 3), min_size=1, max_size=30))
@settings(max_examples=100, deadline=None)
def test_numbers_survive_being_written_and_read(rows: list[tuple[float, ...]]) -> None:
    text = "\n".join(" ".join(map(repr, row)) for row in rows)
    table = read_columns(text)
    assert list(zip(*table.columns, strict=True)) == rows


def chosen(text: str, dy: Uncertainty = COLUMN, **more: object) -> Curve:
    choice: dict[str, object] = {"x": 0, "y": 1, "dy": dy, **more}
    mask = choice.pop("mask", ())
    return select(read_columns(text), Choice(**choice), mask)  # type: ignore[arg-type] # shorthand


@pytest.mark.parametrize(
    ("text", "more", "pointer", "words"),
    [
        ("1 2 0\n3 4 1", {}, "/columns/dy", "not positive in line 1"),
        ("1 2 -1\n3 4 -2", {}, "/columns/dy", "line 1, 2"),
        ("1 2 nan\n3 4 1", {}, "/columns/dy", "no finite number in line 1"),
        ("1 inf 1\n3 4 1", {}, "/columns/y", "no finite number in line 1"),
        ("nan 2 1\n3 4 1", {}, "/columns/x", "no finite number in line 1"),
        ("# x\n\n1 2 1\n1e999 4 1", {}, "/columns/x", "no finite number in line 4"),
        ("1 2 1 -1", {"dx": 3}, "/columns/dx", "negative in line 1"),
        ("1 2 1", {"dx": 3}, "/columns/dx", "no column 3"),
        ("1 2 1", {"y": 3}, "/columns/y", "no column 3; the data have 3"),
        ("1 2 1", {"x": -1}, "/columns/x", "no column -1"),
        ("1 2 1", {"y": 0}, "/columns/y", "x and y are both"),
        ("1 2", {}, "/columns/dy/column", "no column 2"),
        ("1 2 1", {"others": {"T": 9}}, "/columns/others/T", "no column 9"),
        ("1 2 1", {"mask": [(0, 1)]}, "/mask", "every row is left out"),
        ("1 2 1", {"mask": [(0, 2)]}, "/mask/0", "no range"),
        ("1 2 1", {"mask": [(-1, 1)]}, "/mask/0", "no range"),
        ("1 2 1", {"mask": [(1, 1)]}, "/mask/0", "no range"),
    ],
)
def test_columns_that_cannot_be_fitted_are_refused(
    text: str, more: dict[str, object], pointer: str, words: str
) -> None:
    with pytest.raises(InvalidError, match=words) as caught:
        chosen(text, COLUMN, **more)
    assert caught.value.errors[0].pointer == pointer


@pytest.mark.parametrize(
    ("dy", "pointer"),
    [
        (Uncertainty(rule="constant", value=0.0), "/columns/dy/value"),
        (Uncertainty(rule="constant", value=-1.0), "/columns/dy/value"),
        (Uncertainty(rule="percent", value=math.nan), "/columns/dy/value"),
        (Uncertainty(rule="percent", value=5.0), "/columns/dy"),
        (Uncertainty(rule="sqrt"), "/columns/dy"),
    ],
)
def test_a_rule_that_gives_no_uncertainty_is_refused(dy: Uncertainty, pointer: str) -> None:
    with pytest.raises(InvalidError) as caught:
        chosen("1 0\n2 -3\n", dy)
    assert caught.value.errors[0].pointer == pointer


def test_rows_that_are_left_out_may_hold_anything() -> None:
    curve = chosen("1 2 1\n2 nan 0\n3 4 1\n", mask=[(1, 2)])
    assert curve.used == (True, False, True)
    assert curve.kept().y == (2.0, 4.0)


def test_x_that_turns_back_or_repeats_is_a_warning() -> None:
    assert chosen("1 2 1\n3 2 1\n2 2 1\n4 2 1\n").warnings == (
        "x turns back at line 3: the rows are not in the order of x",
    )
    assert chosen("1 2 1\n1 2 1\n").warnings == ("1 rows repeat the x of another row",)
    assert chosen("3 2 1\n2 2 1\n1 2 1\n").warnings == ()
