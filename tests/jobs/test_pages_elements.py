"""An array in Chromium: a cell for each element, live, with a link to its result at the end."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from gateway.jobs.models import ElementProgress, Progress
from gateway.services import Gateway, open_gateway
from gateway.settings import load_settings
from tests.helpers import eventually
from tests.jobs.making_pages import Fits, Window, data, serious
from tests.live import LiveGateway

pytestmark = pytest.mark.browser
LONG = 60_000
MANY = 1_000
SLOW = """
import time
import numpy as np
from bumps.names import Curve, FitProblem

x, y, dy = np.loadtxt("data.dat").T


def line(x, m, b):
    time.sleep(0.02)
    return m * x + b


model = Curve(line, x, y, dy, m=1, b=0)
model.m.range(0, 10)
model.b.range(-5, 5)
problem = FitProblem(model)
"""
NO_EVENTS = (
    "window.EventSource = class { static CLOSED = 2; readyState = 2; close() {}"
    " addEventListener() {} constructor() { setTimeout(() => this.onerror(), 10) } }"
)
LONG_TASKS = """
window.longTasks = [];
const keep = (list) => window.longTasks.push(...list.getEntries().map((task) => task.duration));
new PerformanceObserver(keep).observe({ type: "longtask" });
"""


def array(fits: Fits, **request: Any) -> str:
    """Queue an array of three that fit and one whose data nobody can read."""
    contents = [data(slope) for slope in (1, 2, 3)] + [b"1 2 many\n"]
    elements = [
        {"label": f"sample {index}", "files": {"data.dat": fits.api.upload("d.dat", content)}}
        for index, content in enumerate(contents)
    ]
    wanted = {"options": {"fit": "amoeba"}, "title": "array", "pack": 2, **request}
    return fits.fit(fits.problem(SLOW), elements=elements, **wanted)


@pytest.fixture(params=[360, 1280])
def window(browser: Browser, fits: Fits, request: pytest.FixtureRequest) -> Iterator[Window]:
    opened = Window(browser, fits, viewport={"width": request.param, "height": 800})
    yield opened
    opened.context.close()
    assert opened.faults == []


def cell(page: Page, index: int) -> Any:
    return page.locator(f".elements li[data-index='{index}']")


def look_at_the_trend(page: Page) -> None:
    """Look at a parameter over all elements: the slopes are 1, 2 and 3."""
    trend = page.locator("figure[data-plot=trend]")
    trend.scroll_into_view_if_needed()
    expect(trend).to_have_attribute("data-drawn", "yes", timeout=LONG)
    trend.get_by_label("Parameter").select_option("m")
    said = trend.get_by_role("status")
    expect(said).to_contain_text("3 of 3 elements with a result have it, from ")
    low, high = [
        float(text) for text in re.findall(r"\d\.\d+|\d+(?= to|\.$)", said.inner_text())[-2:]
    ]
    assert (round(low, 1), round(high, 1)) == (1, 3)
    trend.locator("select").last.select_option("number in its name")
    expect(trend.locator("canvas")).to_be_visible()


def test_each_element_is_seen_to_run_and_end_and_leads_to_its_result(
    window: Window, fits: Fits
) -> None:
    job = array(fits)
    page = window.open(f"/jobs/{job}")
    page.evaluate("window.stayed = true")
    expect(page.locator("[data-live=elements] li")).to_have_count(4)
    expect(cell(page, 0)).to_contain_text("running", timeout=LONG)
    expect(cell(page, 0).locator("progress")).to_be_visible(timeout=LONG)
    expect(page.locator("#progress-text")).to_contain_text("of 4 elements have ended")
    assert serious(page) == []
    assert window.overflow() <= 0
    expect(cell(page, 0)).to_contain_text("done", timeout=LONG)
    expect(page.locator("#results-title")).to_be_visible(timeout=LONG)
    expect(page.locator("[data-live=elements]")).to_be_hidden()
    expect(page.locator("#elements [data-word='converged']")).to_have_text("converged 3")
    expect(cell(page, 3)).to_contain_text("load error")
    assert "could not convert" in (cell(page, 3).get_attribute("title") or "")
    assert serious(page) == []
    assert window.overflow() <= 0
    assert page.evaluate("window.stayed")
    cell(page, 1).get_by_role("link").click()
    expect(page.locator("#results-title")).to_have_text("Element 1: sample 1")
    expect(page.locator("table.parameters tbody tr").last).to_contain_text("1.99")
    page = window.open(f"/jobs/{job}")
    look_at_the_trend(page)
    assert serious(page) == []
    assert window.overflow() <= 0
    page.get_by_role("button", name="Run what failed again").click()
    eventually(lambda: len(fits.api.job(job)["attempts"]) == 2, what="a second attempt")
    expect(page.locator("#elements [data-word='converged']")).to_have_text(
        "converged 3", timeout=LONG
    )
    assert len(fits.api.wait(job)["attempts"]) == 2


def test_the_list_counts_the_elements_that_have_ended(browser: Browser, fits: Fits) -> None:
    job = array(fits)
    window = Window(browser, fits)
    page = window.open("/jobs")
    row = page.locator(f"[data-job='{job}']")
    expect(row).to_contain_text("of 4 elements", timeout=LONG)
    fits.api.wait(job)
    assert fits.api.job(job)["progress"]["step"] == fits.api.job(job)["progress"]["steps"] == 4
    window.context.close()


def test_where_no_events_come_the_grid_is_asked_for(browser: Browser, fits: Fits) -> None:
    job = array(fits, pack=4)  # one after the other: some have ended while others wait
    window = Window(browser, fits)
    window.page.add_init_script(NO_EVENTS)
    page = window.open(f"/jobs/{job}")
    running = page.locator("[data-live=elements] li[data-index='0']")
    expect(running).to_contain_text("done", timeout=LONG)
    expect(page.locator("#elements li").first).to_be_visible(timeout=LONG)
    window.context.close()
    assert window.faults == []


@pytest.fixture
def services(live: LiveGateway) -> Iterator[Gateway]:
    found = open_gateway(load_settings(live.environment))
    yield found
    found.redis.close()


def tell(services: Gateway, job: str, first: int, last: int, status: str) -> None:
    """Write what the worker writes when elements report."""
    now = time.time()
    states = {
        index: ElementProgress(t=now, status=status, step=5, steps=9, chisq=1.25)
        for index in range(first, last)
    }
    kind = "step" if status == "running" else "end"
    events = [
        {"event": kind, "t": now, "element": index, "step": 5, "steps": 9, "chisq": 1.25,
         "status": status}
        for index in states
    ]  # fmt: skip
    step = last if kind == "end" else 0
    progress = Progress(t=now, step=step, steps=MANY, chisq=None)
    services.live.add_events(job, events, progress=progress, elements=states)


def test_a_thousand_elements_do_not_slow_the_page_down(
    browser: Browser, fits: Fits, services: Gateway
) -> None:
    whole = fits.waiting(600, resources={"cpus_per_task": os.cpu_count()})
    elements = [{"label": f"sample {index}"} for index in range(MANY)]
    job = fits.fit(elements=elements, pack=1, options={"fit": "lm"})
    fits.api.wait_for_state(job, "PENDING")
    window = Window(browser, fits)
    window.page.add_init_script(LONG_TASKS)
    page = window.open(f"/jobs/{job}")
    counts = page.locator("[data-live=elements] [data-counts]")
    expect(counts).to_contain_text(f"waiting {MANY}")
    expect(page.locator("[data-live=elements]")).to_have_attribute("data-held", "1")
    page.evaluate("window.longTasks.length = 0")
    for status in ("running", "done"):
        for first in range(0, MANY, 100):
            tell(services, job, first, first + 100, status)
        expect(counts).to_contain_text(f"{status} {MANY}", timeout=LONG)
    # What Chromium calls long is over 50 ms; here it shares two processors with a gateway.
    assert max(page.evaluate("window.longTasks"), default=0) < 1000
    held = page.request.get(f"{window.origin}/jobs/{job}?part=live&held=1")
    assert len(held.body()) < 30_000
    began = time.monotonic()
    assert page.request.get(f"{window.origin}/jobs/{job}?part=live").status == 200
    assert time.monotonic() - began < 2
    window.context.close()
    assert window.faults == []
    for each in (job, whole):
        fits.api.http.post(f"/jobs/{each}/cancel")
        fits.api.wait(each)
