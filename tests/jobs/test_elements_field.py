"""Elements as they are sent: the quick way and the schema read the same."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from marshmallow import ValidationError

from gateway.jobs.elements_field import plain_rows
from gateway.jobs.schemas import ElementSchema, JobRequestSchema

ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=3),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=2), st.integers(), max_size=2),
)
TEXTS = st.one_of(st.text(max_size=8), st.sampled_from(["x" * 200, "x" * 201, "a\nb", "x" * 1001]))
DIGESTS = st.sampled_from(["a" * 64, "A" * 64, "a" * 63, "a" * 64 + "\n", 7, None])
NUMBERS = st.one_of(st.integers(), st.floats(), st.sampled_from([True, "1", None, 10**400]))
ROWS = st.fixed_dictionaries(
    {},
    optional={
        "label": st.one_of(TEXTS, ODD),
        "files": st.one_of(st.dictionaries(TEXTS, DIGESTS, max_size=2), ODD),
        "args": st.one_of(st.lists(TEXTS, max_size=2), ODD),
        "start": st.one_of(st.lists(NUMBERS, max_size=3), ODD),
        "starts": ODD,
    },
)


def by_schema(rows: Any) -> Any:
    try:
        return ElementSchema(many=True).load(rows)
    except ValidationError:
        return None


@given(st.lists(st.one_of(ROWS, ODD), max_size=3))
def test_what_is_plain_is_read_as_the_schema_reads_it(rows: Any) -> None:
    assert repr(plain_rows(rows)) == repr(by_schema(rows))


@pytest.mark.parametrize(
    ("rows", "where"),
    [
        ([{"label": "a"}, {"label": "a\nb"}], {1: ["label"]}),
        ([{"start": [1.0, float("nan")]}], {0: ["start"]}),
        ([{"lable": "a"}], {0: ["lable"]}),
        ([{"files": {"a.dat": "abc"}}], {0: ["files"]}),
        ([{"args": "--fit"}], {0: ["args"]}),
    ],
)
def test_a_wrong_row_is_named(rows: Any, where: dict[int, list[str]]) -> None:
    with pytest.raises(ValidationError) as caught:
        JobRequestSchema().load({"problem": {"id": "01ARZ3NDEKTSV4RRFFQ69G5FAV"}, "elements": rows})
    messages: Any = caught.value.messages
    assert {number: list(found) for number, found in messages["elements"].items()} == where


def test_no_list_is_said_to_be_none() -> None:
    with pytest.raises(ValidationError, match="Not a valid list"):
        JobRequestSchema().load({"kind": "dummy", "elements": {"label": "a"}})


def test_a_thousand_elements_cost_a_fraction_of_what_the_schema_takes() -> None:
    rows = [{"label": f"s{number}", "start": [1.0 + number, 0.0]} for number in range(1000)]

    def taken_s(way: Any) -> float:
        begun = time.process_time()
        assert len(way(rows)) == len(rows)
        return time.process_time() - begun

    turns = [(taken_s(plain_rows), taken_s(by_schema)) for _ in range(3)]
    assert min(quick for quick, _ in turns) < min(slow for _, slow in turns) / 3
