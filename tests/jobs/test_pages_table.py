"""The table of parameters in Chromium: intervals of dream, and parameters at their bounds."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, expect

from tests.jobs.making_pages import Fits, Window, serious

pytestmark = pytest.mark.browser
NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e[-+]?\d+)?")
DREAM = {"fit": "dream", "samples": 3000, "burn": 100, "pop": 5}
HELD = "slope that a bound holds back"
MODEL = f"""
import numpy as np
from bumps.names import Curve, FitProblem

x, y, dy = np.loadtxt("data.dat").T
model = Curve(lambda x, slope, free: slope * x + free, x, y, dy, slope=1, free=0)
model.slope.range(0, 2)
model.slope.name = {HELD!r}
model.free.range(-50, 50)
problem = FitProblem(model)
"""
"""The data have a slope of 2.5: its upper bound is below that."""

BUMPS = """
import sys
from bumps.dream.stats import save_vars, var_stats
from bumps.webview.server.state_hdf5_backed import State

state = State()
state.read_session_file(sys.argv[1])
save_vars(var_stats(state.fitting.fit_state.draw()), sys.argv[2])
"""


@pytest.fixture(scope="module")
def job(fits: Fits) -> str:
    return fits.fitted(fits.problem(MODEL), options=DREAM, seed=4)


@pytest.fixture(params=[360, 1280])
def window(browser: Browser, fits: Fits, request: pytest.FixtureRequest) -> Iterator[Window]:
    opened = Window(browser, fits, viewport={"width": request.param, "height": 800})
    yield opened
    opened.context.close()
    assert opened.faults == []


def read(text: str) -> tuple[float, float]:
    """Read an interval of the page."""
    low, _, high = text.partition(" … ")
    return float(low), float(high)


def cells(row: Locator, head: list[str]) -> dict[str, str]:
    return dict(
        zip(head, [cell.strip() for cell in row.locator("th, td").all_inner_texts()], strict=True)
    )


def parameters(fits: Fits, job: str) -> dict[str, dict[str, Any]]:
    return {row["label"]: row for row in fits.api.results(job)["results"][0]["parameters"]}


def test_intervals_of_dream_are_those_of_the_result_to_their_last_digit(
    window: Window, fits: Fits, job: str
) -> None:
    page = window.open(f"/jobs/{job}")
    table = page.locator("table.parameters")
    expect(table).to_be_visible()
    head = [text.strip() for text in table.locator("thead th").all_inner_texts()]
    for label, row in parameters(fits, job).items():
        shown = cells(table.locator("tbody tr", has_text=label), head)
        for name in ("68", "95"):
            low, high = row[f"interval_{name}"]
            assert high > low
            got = read(shown[f"{name} % interval"])
            assert got == pytest.approx((low, high), abs=(high - low) / 100)
        narrow, wide = read(shown["68 % interval"]), read(shown["95 % interval"])
        assert wide[0] < narrow[0] < narrow[1] < wide[1]


def test_numbers_of_the_page_are_those_that_bumps_itself_writes(
    browser: Browser, fits: Fits, job: str, tmp_path: Path
) -> None:
    session, written = tmp_path / "session.h5", tmp_path / "fit-err.json"
    answer = fits.api.http.get(f"/jobs/{job}/files/out/session.h5")
    session.write_bytes(answer.content)
    subprocess.run([sys.executable, "-c", BUMPS, session, written], cwd=tmp_path, check=True)
    window = Window(browser, fits)
    page = window.open(f"/jobs/{job}")
    for label, row in json.loads(written.read_text()).items():
        details = page.locator("table.parameters tbody tr", has_text=label).locator("details")
        details.locator("summary").click()
        lines = details.locator("span.mono").inner_text().splitlines()
        assert [line.rpartition(" ")[0].partition(" ")[0] for line in lines] == [
            *("value", "mean", "median", "68", "95")
        ]
        shown = [[float(text) for text in NUMBER.findall(line)] for line in lines]
        narrow = row["p68"]
        assert shown[0][1] == pytest.approx((narrow[1] - narrow[0]) / 2, rel=1e-12)
        assert [shown[1][0], shown[2][0]] == pytest.approx([row["mean"], row["median"]], rel=1e-12)
        assert shown[3][1:] == pytest.approx(narrow, rel=1e-12)
        assert shown[4][1:] == pytest.approx(row["p95"], rel=1e-12)
    window.context.close()
    assert window.faults == []


def test_a_parameter_at_its_bound_is_marked_and_no_other(
    window: Window, fits: Fits, job: str
) -> None:
    found = parameters(fits, job)
    assert (found[HELD]["at_limit"], found["free"]["at_limit"]) == ("high", None)
    page = window.open(f"/jobs/{job}")
    row = page.locator("table.parameters tr", has_text=HELD)
    held = row.locator(".state.warn", has_text="at its upper bound")
    expect(held).to_be_visible()
    # Also on a telephone, where one has to scroll for the rest of the row.
    box = held.bounding_box()
    assert box
    assert box["x"] + box["width"] <= page.evaluate("innerWidth")
    free = page.locator("table.parameters tr", has_text="free")
    assert free.locator(".state", has_text="bound").count() == 0
    expect(page.locator(".advice")).to_contain_text(f"Ask whether the bounds of {HELD} are right")
    assert serious(page) == []


@pytest.fixture(scope="module")
def idle(fits: Fits) -> str:
    model = MODEL.replace("slope, free:", "slope, free, idle:").replace(
        "problem =", "model.idle.value = 3\nmodel.idle.range(0, 10)\nproblem ="
    )
    return fits.fitted(fits.problem(model), options={"fit": "lm"})


def test_other_methods_have_no_intervals_and_say_what_they_cannot_determine(
    window: Window, idle: str
) -> None:
    page = window.open(f"/jobs/{idle}")
    expect(page.locator("table.parameters")).to_be_visible()
    assert page.locator("th", has_text="interval").count() == 0
    row = page.locator("table.parameters tr", has_text="idle")
    expect(row.locator(".state.warn")).to_have_text("not determined by the data")
    assert row.locator("summary").inner_text().startswith("3 ± 1")
    assert page.get_by_text("not determined by the data").count() == 1
