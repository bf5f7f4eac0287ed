"""What a campaign becomes, and what is refused of it before anything runs."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from marshmallow import ValidationError

from gateway.jobs.campaign import (
    Campaign,
    KnownParameter,
    best_of,
    campaign_errors,
    fit_pack,
    pack_warning,
)
from gateway.jobs.campaign_schema import CampaignSchema
from gateway.jobs.grid_map import LEVELS, map_of
from gateway.jobs.line import LineLimits, in_line
from gateway.jobs.models import Job, Stage
from gateway.jobs.result_view import ElementView, ResultView
from gateway.web.errors import field_errors
from tests.jobs.making import make_job

KNOWN = {
    "a": KnownParameter(low=0, high=10),
    "b": KnownParameter(),
    "c/d": KnownParameter(fitted=False),
}


def test_a_grid_has_an_element_for_each_combination() -> None:
    campaign = CampaignSchema().load({"grid": {"a": [1, 2.5], "b": [0, -1e-9, 3]}})
    elements = campaign.elements()
    assert len(elements) == campaign.count == 6
    assert [row["label"] for row in elements[:2]] == ["a=1, b=0", "a=1, b=-1e-09"]
    assert elements[-1]["fixed"] == {"a": 2.5, "b": 3.0}
    assert len({row["label"] for row in elements}) == 6


def test_starts_are_drawn_or_given() -> None:
    drawn = CampaignSchema().load({"random": 3}).elements()
    assert [(row["label"], row["shake"]) for row in drawn][2] == ("start 3", True)
    given = CampaignSchema().load({"starts": [{"a": 1}, {"a": 2, "b": 0}]}).elements()
    assert [row["values"] for row in given] == [{"a": 1.0}, {"a": 2.0, "b": 0.0}]


WRONG: list[tuple[Any, str]] = [
    ({}, ""),
    ({"random": 2, "grid": {"a": [1]}}, ""),
    ({"random": 0}, "/random"),
    ({"random": True}, "/random"),
    ({"random": 2.5}, "/random"),
    ({"random": 10**9}, "/random"),
    ({"starts": []}, "/starts"),
    ({"starts": [{}]}, "/starts/0"),
    ({"starts": [{"a": 1}, {"a": 1.0}]}, "/starts/1"),
    ({"starts": [{"a": "1"}]}, "/starts/0/a"),
    ({"starts": [[1, 2]]}, "/starts/0"),
    ({"grid": {}}, "/grid"),
    ({"grid": [1]}, "/grid"),
    ({"grid": {"a": []}}, "/grid/a"),
    ({"grid": {"a": 1}}, "/grid/a"),
    ({"grid": {"a": [1, math.nan]}}, "/grid/a/1"),
    ({"grid": {"a": [1, 1e999]}}, "/grid/a/1"),
    ({"grid": {"a": [1, None]}}, "/grid/a/1"),
    ({"grid": {"a": [1, 2, 1.0]}}, "/grid/a/2"),
    ({"grid": {"": [1]}}, "/grid/"),
    ({"grid": {"a\nb": [1]}}, "/grid/a\nb"),
    ({"grid": {f"p{number}": [0, 1] for number in range(21)}}, "/grid"),
    ({"starts": [{f"p{n}": row for n in range(500)} for row in range(401)]}, "/starts"),
    ({"gird": {"a": [1]}}, "/gird"),
]


@pytest.mark.parametrize(("document", "pointer"), WRONG, ids=lambda part: json.dumps(part)[:80])
def test_what_is_no_campaign_is_named(document: Any, pointer: str) -> None:
    with pytest.raises(ValidationError) as caught:
        CampaignSchema().load(document)
    found = [error.pointer for error in field_errors({"json": caught.value.messages_dict})]
    assert pointer in found


@pytest.mark.parametrize(
    ("campaign", "pointer", "said"),
    [
        (Campaign(grid={"e": (1.0,)}), "/campaign/grid/e", "no parameter 'e'; it has a, b, c/d"),
        (Campaign(grid={"a": (1.0, 11.0)}), "/campaign/grid/a/1", "11 lies outside of the bounds"),
        (Campaign(grid={"a": (1.0,), "b": (1.0,)}), "/campaign/grid", "every fitted parameter"),
        (Campaign(starts=({"a": -1.0},)), "/campaign/starts/0/a", "-1 lies outside"),
        (Campaign(starts=({"c/d": 1.0},)), "/campaign/starts/0/c~1d", "it fits a, b"),
        (Campaign(random=101), "/campaign", "at most 100"),
        (Campaign(grid={n: tuple(range(1000)) for n in "abxyz"}), "/campaign", "1000000000000000"),
    ],
)
def test_what_does_not_fit_the_problem_is_named(
    campaign: Campaign, pointer: str, said: str
) -> None:
    errors = campaign_errors(campaign, KNOWN, 100)
    assert [error.pointer for error in errors] == [pointer]
    assert said in errors[0].detail


def test_what_is_not_fitted_may_be_held_and_a_script_is_asked_later() -> None:
    assert campaign_errors(Campaign(grid={"c/d": (99.0,)}), KNOWN, 100) == []
    assert campaign_errors(Campaign(grid={"e": (1.0,)}), None, 100) == []


def test_more_elements_than_an_array_may_have_share_tasks() -> None:
    for count, asked, most in ((2000, 1, 1000), (9999, None, 50), (7, 3, 2), (1, 1, 1000)):
        pack = fit_pack(count, asked, most)
        assert math.ceil(count / pack) <= most
        assert pack >= (asked or 1)
    assert "2 of them go to each of 1000 tasks" in pack_warning(2000, 1, 2)
    assert pack_warning(2000, 2, 2) == pack_warning(2000, None, 100) == ""


def there(tasks: int, **states: int) -> Job:
    return make_job(owner="ada", stage=Stage.SUBMITTED, tasks=tasks, task_states=states)


def test_tasks_beyond_what_an_account_may_submit_wait_here() -> None:
    limits = LineLimits(tasks=10)
    array = make_job(owner="bob", tasks=4)
    assert in_line([there(6), array], limits) == {}
    (waiting,) = in_line([there(7), array], limits).values()
    assert "7 tasks are at local, and with this job's 4 they would be more than 10" in waiting.text
    # What has ended over there counts no more, and who is alone goes however many tasks it has.
    assert in_line([there(7, COMPLETED=1, RUNNING=6), array], limits) == {}
    assert in_line([make_job(owner="bob", tasks=11)], limits) == {}


def row(index: Any, chisq: Any, status: str = "done") -> dict[str, Any]:
    return {"index": index, "label": f"start {index}", "status": status, "chisq": chisq}


def test_the_best_is_named_whatever_the_others_left() -> None:
    rows = [row(0, None), row(1, 1.5), row(2, math.nan), row(3, 1.2), row(4, 1.2001), row(5, "0")]
    found = best_of([*rows, row(6, 0.1, "failed"), row(7, True)])
    assert found is not None
    assert (found.index, found.chisq, found.same) == (3, 1.2, 1)
    assert found.text.startswith("The least χ² is 1.2, of element 3 (start 3); 1 other comes")
    assert best_of([row(0, None), row(1, 2.0, "failed"), {}]) is None


def element(index: int, chisq: float | None, **fixed: float) -> ElementView:
    result = ResultView(fixed=fixed, numbers={"chisq": chisq})
    return ElementView(index=index, result=result)


def test_a_map_has_the_best_of_each_pair_of_values_and_its_valley() -> None:
    elements = [
        element(0, 100.0, a=1.0, b=0.5, c=1.0),
        element(1, 10.0, a=2.0, b=0.5, c=1.0),
        element(2, 1.0, a=2.0, b=0.5, c=2.0),
        element(3, None, a=1.0, b=1.5, c=1.0),
        element(4, -1.0, a=1.0, b=1.5, c=2.0),
    ]
    found = map_of(elements, 0)
    assert found is not None
    assert found.pairs == (("a", "b"), ("a", "c"), ("b", "c"))
    assert (found.across, found.down, found.others) == ("a", "b", ("c",))
    assert found.columns == (1.0, 2.0)
    assert [value for value, _ in found.rows] == [1.5, 0.5]
    (strange, absent), (worst, best) = (cells for _, cells in found.rows)
    assert absent is None
    assert strange is not None
    assert worst is not None
    assert best is not None
    assert (strange.index, strange.chisq, strange.level, strange.best) == (4, -1.0, 0, False)
    assert (worst.level, worst.best) == (0, False)
    assert (best.index, best.level, best.best) == (2, LEVELS, True)
    other = map_of(elements, 99)
    assert other is not None
    assert (other.across, other.down) == ("b", "c")


def test_there_is_no_map_of_one_parameter_or_of_more_than_can_be_read() -> None:
    assert map_of([], 0) is None
    assert map_of([element(0, 1.0, a=1.0, b=1.0), element(1, 1.0, a=2.0, b=1.0)], 0) is None
    long = [element(n, 1.0, a=float(n), b=float(n % 2)) for n in range(61)]
    assert map_of(long, 0) is None
    assert map_of(long[:60], 0) is not None
