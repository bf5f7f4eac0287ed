"""The tables of a large campaign: as long as it is, never as its square, nor as wide as one asks.

A job writes its results itself, so what stands in the names of columns is a stranger's.
"""

from __future__ import annotations

import csv
import html
import io
import json
import re
import time
from collections.abc import Callable
from typing import Any

import pytest
from flask import render_template

from gateway.jobs.element_view import ended_grid
from gateway.jobs.parameter_table import to_csv, to_json, to_latex, to_text
from gateway.jobs.result_view import ElementView, ResultsView, read_result
from tests.web.fixtures import SiteMaker

Write = Callable[[ResultsView], str]


def fitted(label: str, value: float = 1.25) -> dict[str, Any]:
    return {"label": label, "value": value, "uncertainty": 0.01}


def results_of(*documents: dict[str, Any]) -> ResultsView:
    elements = (
        ElementView(index=index, result=read_result({"status": "done", "chisq": 1.0, **document}))
        for index, document in enumerate(documents)
    )
    return ResultsView(files=(), complete=True, elements=tuple(elements))


def campaign(count: int) -> ResultsView:
    return results_of(
        *(
            {"fixed": {"field": float(n)}, "parameters": [fitted("a"), fitted("b")]}
            for n in range(count)
        )
    )


def hostile(count: int, each: int) -> ResultsView:
    """Make each element hold and fit parameters that no other one has."""
    return results_of(
        *(
            {
                "fixed": {f"held {n} {k}": 1.0 for k in range(each)},
                "parameters": [fitted(f"free {n} {k}") for k in range(each)],
            }
            for n in range(count)
        )
    )


def cpu_s(write: Write, results: ResultsView) -> float:
    """Measure what this thread alone computes: others may have the processors meanwhile."""
    begun = time.thread_time()
    assert write(results)
    return time.thread_time() - begun


def test_parameters_of_one_label_are_told_apart_in_every_table() -> None:
    twice = {"parameters": [fitted("rho", 1.0), fitted("sigma", 7.0), fitted("rho", 2.0)]}
    results = results_of(twice, twice)
    assert results.labels == ("rho", "sigma", "rho (2)")
    assert [row["parameter"] for row in json.loads(to_json(results))[0]["parameters"]] == [
        *results.labels
    ]
    lines = csv.DictReader(io.StringIO(to_csv(results)))
    told = [(line["parameter"], float(line["value"])) for line in lines]
    assert told == 2 * [("rho", 1.0), ("sigma", 7.0), ("rho (2)", 2.0)]
    assert to_text(results).splitlines()[1].split() == [
        "0",
        "1",
        "1.000(10)",
        "7.000(10)",
        "2.000(10)",
    ]
    assert r"$1.000 \pm 0.010$ & $7.000 \pm 0.010$ & $2.000 \pm 0.010$" in to_latex(results)


@pytest.mark.parametrize("write", [to_csv, to_json, to_latex])
def test_a_table_of_ten_times_as_many_elements_takes_about_ten_times_as_long(write: Write) -> None:
    few = min(cpu_s(write, campaign(400)) for _ in range(3))
    assert cpu_s(write, campaign(4_000)) < 25 * few + 0.1


@pytest.mark.parametrize("write", [to_csv, to_latex])
def test_names_that_no_two_elements_share_make_no_table_wider_than_people_read(
    write: Write,
) -> None:
    results = hostile(400, 50)
    assert cpu_s(write, results) < 8
    assert max(len(line) for line in write(results).splitlines()) < 10_000


def test_csv_says_how_many_held_parameters_are_only_in_the_json() -> None:
    results = hostile(4, 20)
    rows = list(csv.DictReader(io.StringIO(to_csv(results))))
    names = [name for name in rows[0] if name.startswith("fixed ")]
    assert names[:2] == ["fixed held 0 0", "fixed held 0 1"]
    assert len(names) == 50
    (left_out,) = [name for name in rows[0] if "parameters.json" in name]
    assert {row["element"]: row[left_out] for row in rows} == {
        "0": "0",
        "1": "0",
        "2": "10",
        "3": "20",
    }
    assert len(rows) == 4 * 20, "what was fitted has a row of its own, and is all there"
    whole = json.loads(to_json(results))
    assert [len(item["fixed"]) for item in whole] == [20] * 4


def test_latex_says_what_it_leaves_out() -> None:
    text = to_latex(hostile(20, 10))
    said = text.splitlines()[0]
    assert said.startswith("% ")
    assert "left out here: 150 fixed and 100 fitted parameters" in said
    assert "parameters.json" in said
    assert "held 4 9" in text
    assert "held 5 0" not in text


def test_a_table_that_holds_all_has_no_word_of_what_is_left_out() -> None:
    results = campaign(3)
    for write in (to_csv, to_latex):
        assert "parameters.json" not in write(results)
    assert to_latex(results).startswith(r"\begin{tabular}{lrrrr}")
    head = to_csv(results).splitlines()[0]
    assert head.startswith("element,label,status,chisq,fixed field,parameter,value,")


def page(site: SiteMaker, results: ResultsView) -> str:
    with site().app.test_request_context():
        shown: dict[str, Any] = {"number": 1}
        return render_template(
            "jobs/_elements.html",
            results=results,
            ended=ended_grid([str(n) for n in range(len(results.elements))], results.elements),
            job={"id": "x", "attempt": shown},
            shown=shown,
            best=None,
            map=None,
        )


def test_a_row_says_what_the_fit_says_of_itself_in_one_line(make: SiteMaker) -> None:
    told = {"verdict": {"code": "at_limit", "text": "<b>rho</b> sits at its bound. " * 20}}
    text = page(make, results_of(told | {"parameters": [fitted("rho")]}, {"status": "failed"}))
    words = [part.partition("<")[0] for part in text.split('<td><span class="state ')[1:]]
    assert words == ['warn">at limit', 'bad">failed']
    said = re.findall(r'<td title="([^"]*)">([^<]*)</td>', text)
    assert html.unescape(said[0][0]) == told["verdict"]["text"]
    assert html.unescape(said[0][1]).startswith("<b>rho</b> sits")
    assert len(html.unescape(said[0][1])) <= 90


def test_the_page_says_what_it_leaves_out_too(make: SiteMaker) -> None:
    text = " ".join(page(make, hostile(20, 10)).split())
    assert "left out here: 150 fixed and 100 fitted parameters" in text
    assert text.count("<th class") == 1 + 50 + 100
    assert "left out" not in page(make, campaign(3))
