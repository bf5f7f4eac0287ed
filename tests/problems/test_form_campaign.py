"""Many fits in one job, as people type them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.errors import InvalidError
from gateway.jobs.campaign_schema import CampaignSchema
from gateway.problems.form_campaign import campaign_document, campaign_fields
from gateway.problems.form_errors import field_of
from gateway.problems.form_filling import of_job
from tests.jobs.making import make_job

GRID = "m: 0 to 0.3 in 4\n\n Si interface = 5, -1e-3\n"
STARTS = "m\tSi interface\n1\t5\n2.5\t\n"


def read(**values: str) -> Any:
    return campaign_document(values)


def test_one_fit_is_no_campaign_whatever_stands_in_the_other_fields() -> None:
    assert read(grid=GRID, random_starts="20", pack="3") == {}


def test_each_way_is_read() -> None:
    assert read(campaign="random", random_starts=" 20 ", pack="4", throttle=" 2") == {
        "campaign": {"random": 20},
        "pack": 4,
        "throttle": 2,
    }
    assert read(campaign="grid", grid=GRID) == {
        "campaign": {"grid": {"m": [0, 0.1, 0.2, 0.3], "Si interface": [5, -0.001]}},
        "pack": None,
    }
    assert read(campaign="starts", starts=STARTS)["campaign"] == {
        "starts": [{"m": 1, "Si interface": 5}, {"m": 2.5}]
    }


@pytest.mark.parametrize(
    "values",
    [
        {"campaign": "random", "random_starts": "20"},
        {"campaign": "grid", "grid": GRID, "pack": "7", "throttle": "2"},
        {"campaign": "starts", "starts": STARTS},
    ],
)
def test_a_job_fills_the_form_with_what_makes_it_again(values: dict[str, str]) -> None:
    document = read(**values)
    assert read(**campaign_fields(document)) == document
    CampaignSchema().load(document["campaign"])


def test_one_task_at_once_is_carried_where_the_form_has_no_field_for_it() -> None:
    request = {"elements": [{"label": "one"}], "pack": 1, "throttle": 1}
    assert json.loads(of_job(make_job(request=request), None)["carried"]) == {
        "elements": [{"label": "one"}],
        "throttle": 1,
    }


@pytest.mark.parametrize(
    ("values", "pointer"),
    [
        ({"campaign": "many"}, "/campaign"),
        ({"campaign": "grid", "grid": "m 1, 2"}, "/campaign/grid"),
        ({"campaign": "grid", "grid": ": 1, 2"}, "/campaign/grid"),
        ({"campaign": "grid", "grid": "m: 1\nm: 2"}, "/campaign/grid/m"),
        ({"campaign": "grid", "grid": "m: 0 to 1 in 1"}, "/campaign/grid/m"),
        ({"campaign": "grid", "grid": "m: 0 to one in 3"}, "/campaign/grid/m"),
        ({"campaign": "grid", "grid": "m: 0 to 1 in 9999999"}, "/campaign/grid/m"),
        ({"campaign": "grid", "grid": "m: -1e308 to 1e308 in 2"}, "/campaign/grid/m"),
        ({"campaign": "starts", "starts": "m b\n1 2 3"}, "/campaign/starts/0"),
        ({"campaign": "starts", "starts": "m m\n1 2"}, "/campaign/starts"),
    ],
)
def test_a_line_that_cannot_be_read_is_named_at_its_field(
    values: dict[str, str], pointer: str
) -> None:
    with pytest.raises(InvalidError) as caught:
        campaign_document(values)
    (error,) = caught.value.errors
    assert error.pointer == pointer
    assert field_of(error.pointer, values) in values


def test_what_is_no_number_stays_for_the_schema_to_name() -> None:
    document = read(campaign="grid", grid="m: 1, two")["campaign"]
    assert document == {"grid": {"m": [1, "two"]}}
