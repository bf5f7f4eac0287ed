"""Many starts and grids from the command line and from Python."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from bumps_remote.campaign import make_campaign, read_grid, read_starts
from bumps_remote.errors import UsageError
from bumps_remote.tables import results_tables, to_csv
from rich.console import Console

from gateway.jobs.campaign import Campaign
from gateway.jobs.campaign_schema import CampaignSchema
from tests.client.site import Misbehaving, Shell, serve_submissions


def sent(site: Misbehaving) -> dict[str, Any]:
    (asked,) = site.asked("POST", "/jobs")
    return dict(asked.json)


def test_a_grid_is_sent_and_the_server_takes_it(site: Misbehaving, shell: Shell) -> None:
    serve_submissions(site)
    shell.write("model.py", "")
    done = shell.run("submit", "model.py", "--grid", "m=0:0.3:4", "--grid=b=-1,1", "--fit=lm")

    body = sent(site)
    assert body["pack"] is None
    assert "elements" not in body
    found = CampaignSchema().load(body["campaign"])
    assert found == Campaign(grid={"m": (0.0, 0.1, 0.2, 0.3), "b": (-1.0, 1.0)})
    assert "8 fits in one job" in done.err


def test_starts_are_a_number_or_a_table(site: Misbehaving, shell: Shell, tmp_path: Path) -> None:
    serve_submissions(site)
    shell.write("model.py", "")
    shell.run("submit", "model.py", "--from-starts=20", "--pack=5")
    assert sent(site)["campaign"] == {"random": 20}
    assert sent(site)["pack"] == 5
    table = tmp_path / "starts.csv"
    table.write_text("# by hand\nSi interface,m\n5,1\n,2e-1\n", encoding="utf-8")
    given = make_campaign(None, read_starts(str(table)))
    assert given == {"starts": [{"Si interface": 5.0, "m": 1.0}, {"m": 0.2}]}
    assert CampaignSchema().load(given).count == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--grid", "m"), "--grid: 'm' is not NAME=VALUE"),
        (("--grid", "=1"), "is not NAME=VALUE"),
        (("--grid", "m=1,x"), "--grid m=1,x: 'x' is no finite number"),
        (("--grid", "m=1,nan"), "'nan' is no finite number"),
        (("--grid", "m=0:1:1"), "the third number says how many values"),
        (("--grid", "m=1", "--grid", "m=2"), "m is given twice"),
        (("--grid", "m=1", "--from-starts", "3"), "give a grid or starts, not both"),
        (
            ("--from-starts", "nowhere.csv"),
            "'nowhere.csv' is neither a number nor a file of starts",
        ),
        (("--from-starts", "3", "--check"), "--grid and --from-starts are for fits"),
        (("--from-starts", "3", "--session", "s.h5"), "a session of its own"),
        (("--from-starts", "3", "--array", "model.py"), "give one of them"),
        (("--pack", "3"), "--pack belongs to --array"),
    ],
)
def test_what_cannot_be_sent_is_said_before_anything_is(
    site: Misbehaving, shell: Shell, words: tuple[str, ...], said: str
) -> None:
    serve_submissions(site)
    shell.write("model.py", "")
    assert said in shell.run("submit", "model.py", *words, code=2).err
    assert site.asked("POST", "/jobs") == []


@pytest.mark.parametrize(
    "text", ["m, b\n", "m m\n1 2\n", "m b\n1\n", "m b\n1 two\n", "m b\n1 inf\n", ""]
)
def test_a_table_that_is_none_names_its_file(text: str, tmp_path: Path) -> None:
    path = tmp_path / "starts.txt"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=r"starts\.txt"):
        read_starts(str(path))


def test_an_empty_grid_and_both_are_refused_in_python() -> None:
    for grid, starts in (({}, None), ({"m": [1.0]}, 3)):
        with pytest.raises(UsageError):
            make_campaign(grid, starts)
    assert make_campaign(None, None) is None
    assert read_grid([]) == {}


def test_the_tables_show_what_was_fixed() -> None:
    def element(index: int, fixed: Any) -> dict[str, Any]:
        row = {"label": "b", "value": 1.5, "uncertainty": 0.1}
        found = {"index": index, "label": f"m={index}", "status": "done", "chisq": 1.0}
        return {**found, "fixed": fixed, "parameters": [row]}

    results = [{"elements": [element(0, {"m": 2.5}), element(1, {"m": 3}), element(2, "no")]}]
    head, *lines = csv.reader(io.StringIO(to_csv(results)))
    assert head == ["index", "element", "status", "chisq", "fixed m", "b", "b uncertainty"]
    assert [line[4] for line in lines] == ["2.5", "3", ""]
    console = Console(width=100, file=io.StringIO(), record=True)
    for part in results_tables(results, 100):
        console.print(part)
    assert "m (fixed)" in console.export_text()
