"""A running fit in Chromium: its best curve and its population, as they come."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from benchmarks.browser import end_delay_s
from benchmarks.requests import LINE
from tests.helpers import eventually
from tests.jobs.making_pages import Fits, Window, pixels, serious
from tests.live import LiveGateway

pytestmark = pytest.mark.browser
LONG = 60_000
SLOW_DREAM = {"fit": "dream", "samples": 100_000, "burn": 1000, "pop": 10}
TWO = """
import time
import numpy as np
from bumps.names import Curve, FitProblem

x, y, dy = np.loadtxt("data.dat").T


def line(x, m, b):
    time.sleep(0.01)
    return m * x + b


def make(scale):
    model = Curve(line, x, scale * y, scale * dy, m=scale, b=0)
    model.m.range(0, 50)
    model.b.range(-50, 50)
    return model


problem = FitProblem([make(1), make(2)])
"""
"""Two curves, and four parameters that take dream many steps of half a second."""

NO_EVENTS = (
    "window.EventSource = class { static CLOSED = 2; readyState = 2; close() {}"
    " addEventListener() {} constructor() { setTimeout(() => this.onerror(), 10) } }"
)


JUMPY = 0.1
"""Above it people call a page so (https://web.dev/articles/cls)."""

SHIFTS = """
    window.shifts = [];
    const watch = (list) => shifts.push(...list.getEntries().map((one) => one.value));
    new PerformanceObserver(watch).observe({ type: "layout-shift", buffered: true });
"""


@pytest.fixture(scope="module")
def running(fits: Fits) -> Iterator[str]:
    """A fit that runs for as long as it is looked at."""
    job = fits.fit(fits.problem(TWO), options=SLOW_DREAM, title="two curves")
    fits.api.wait_for_state(job, "RUNNING")
    yield job
    fits.api.http.post(f"/jobs/{job}/cancel")
    fits.api.wait(job)


@pytest.fixture
def window(browser: Browser, fits: Fits) -> Iterator[Window]:
    opened = Window(browser, fits, viewport={"width": 1280, "height": 1000})
    yield opened
    opened.context.close()
    assert opened.faults == []


def told(fits: Fits, job: str, t: float) -> dict[int, dict[str, Any]]:
    """Read the curves of a moment from the events, by model."""
    found = {}
    with fits.api.http.stream("GET", f"/jobs/{job}/events") as answer:
        for line in answer.iter_lines():
            event = json.loads(line[6:]) if line.startswith("data: ") else {}
            if event.get("event") == "curve" and abs(event["t"] - t) < 1:
                found[event["model"]] = event
            if len(found) == 2:
                return found
    raise AssertionError(f"no curves of {t} among the events")


def at_the_right_end(page: Page, plot: Locator) -> dict[str, float]:
    """Read what the plot says of its last point, under the mouse."""
    plot.scroll_into_view_if_needed()
    found: dict[str, str] = {}

    def read() -> bool:
        """Look once more: a plot that is drawn anew meanwhile says "-" until the mouse moves."""
        box = plot.locator(".u-over").bounding_box()
        assert box
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 20)
        page.mouse.move(box["x"] + box["width"] - 1, box["y"] + 20)
        names = plot.locator(".u-legend .u-label").all_inner_texts()
        values = plot.locator(".u-legend .u-value").all_inner_texts()
        found.update(zip(names, values, strict=True))
        return not {"-", "--"} & set(found.values())

    eventually(read, what="numbers under the mouse")
    return {name: float(value) for name, value in found.items()}


def shown_t(page: Page) -> float:
    return float(page.locator("#live-curve").get_attribute("data-t") or 0)


def newer(page: Page, t: float) -> float:
    eventually(lambda: shown_t(page) > t, what="a newer curve")
    return shown_t(page)


def read_curve(page: Page, fits: Fits, job: str, after: float) -> tuple[float, dict[str, float]]:
    """Read a curve that is newer than a moment, and see that it is the one of the events."""
    while True:
        t = newer(page, after)
        legend = at_the_right_end(page, page.locator("#live-curve .plot"))
        if shown_t(page) == t:
            break
    curve = told(fits, job, t)[0]
    assert legend["x"] == curve["x"][-1] == 29
    assert legend["data"] == pytest.approx(curve["y"][-1], rel=1e-4)
    assert legend["best so far"] == pytest.approx(curve["theory"][-1], rel=1e-4)
    return t, legend


def test_data_and_best_curve_are_drawn_and_change_while_the_fit_runs(
    window: Window, fits: Fits, running: str
) -> None:
    page = window.open(f"/jobs/{running}")
    place = page.locator("#live-curve")
    expect(place.locator("canvas")).to_be_visible(timeout=LONG)
    first, then = read_curve(page, fits, running, 0.0)
    later, now = read_curve(page, fits, running, first)
    assert later > first
    assert then["best so far"] != now["best so far"]
    assert then["data"] == now["data"]
    expect(page.locator("#live-curve-note")).to_contain_text(" ago: 30 points; at most")
    page.get_by_label("Model").select_option("model 2")
    legend = at_the_right_end(page, place.locator(".plot"))
    assert legend["data"] == pytest.approx(2 * now["data"], rel=1e-4)


def test_the_band_of_the_population_is_drawn_and_moves_nothing(
    window: Window, running: str
) -> None:
    window.page.add_init_script(SHIFTS)
    page = window.open(f"/jobs/{running}")
    plot = page.locator("#live-chisq .plot")
    expect(plot.locator(".u-legend")).to_contain_text("80 %", timeout=LONG)
    assert "The band holds" in (plot.get_attribute("aria-label") or "")
    assert pixels(page, "#live-chisq canvas") > 500
    values = at_the_right_end(page, plot)
    assert values["best"] <= values["20 %"] <= values["median"] <= values["80 %"]
    assert page.evaluate("shifts.reduce((sum, one) => sum + one, 0)") < JUMPY
    assert serious(page) == []
    assert window.overflow() <= 0


def test_where_no_events_come_the_curve_is_asked_for(window: Window, running: str) -> None:
    window.page.add_init_script(NO_EVENTS)
    page = window.open(f"/jobs/{running}")
    expect(page.locator("[data-live=follow]")).to_have_attribute("data-by", "polling")
    expect(page.locator("#live-curve canvas")).to_be_visible(timeout=LONG)
    first = shown_t(page)
    newer(page, first)


def test_an_open_page_shows_the_end_of_a_fit_soon(
    browser: Browser, live: LiveGateway, fits: Fits
) -> None:
    problem = str(fits.api.problem(LINE)["id"])
    delays = sorted(end_delay_s(live, browser, fits, problem) for _ in range(3))
    # 0.8 s were measured, on a busy computer; two seconds are the goal of the benchmark.
    assert 0 < delays[1] < 6, delays


def test_the_curves_of_somebody_else_are_not_there(
    browser: Browser, fits: Fits, running: str
) -> None:
    window = Window(browser, Fits(fits.api.live.user()))
    answer = window.page.request.get(f"{window.origin}/jobs/{running}?part=curves")
    assert answer.status == 404
    window.context.close()
