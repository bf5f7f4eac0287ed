"""A grid from the form to its table and plot, in Chromium."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.helpers import eventually
from tests.jobs.making_pages import Fits, Window, serious
from tests.problems import making_form as form

pytestmark = pytest.mark.browser


def test_a_grid_is_asked_for_in_the_form_and_seen_over_its_values(
    window: Window, fits: Fits
) -> None:
    page = window.open(form.PATH)
    form.paste(page, form.line_data())
    page.check("#formula-expression")
    page.fill("#expression", "m*x + b")
    form.settle(page)
    page.get_by_label("Start value of m").fill("1")
    page.get_by_label("Start value of b").fill("0")
    page.check("#fit-lm")
    page.locator("summary", has_text="Several fits in one job").click()
    page.get_by_label("Over a grid").check()
    page.fill("#grid", "slope: 2, 2.5, 3")
    form.settle(page)
    form.send(page)
    assert "no parameter 'slope'" in form.wrong(page, "grid")
    page.set_viewport_size({"width": 360, "height": 800})
    # Plots are drawn anew for the width a moment after it has changed.
    eventually(lambda: window.overflow() <= 0, what="nothing to be wider than the page")
    assert serious(page) == []

    page.set_viewport_size({"width": 1280, "height": 800})
    page.fill("#grid", "m: 2 to 3 in 3")
    page.fill("#throttle", "4")
    form.settle(page)
    form.send(page)
    assert "more than its tasks: at most 3" in form.wrong(page, "throttle")
    page.fill("#throttle", "2")
    form.settle(page)
    form.send(page)
    job = fits.api.wait(form.job_of(page))
    assert (job["elements"], job["pack"]) == (3, 1)
    assert "of element 1 (m=2.5)" in job["verdict"]["text"]

    page = window.open(f"/jobs/{job['id']}")
    row = page.locator("table.of-elements tbody tr").nth(1)
    expect(row).to_contain_text("best")
    expect(row.locator("td").nth(3)).to_have_text("2.5")
    trend = page.locator("figure[data-plot=trend]")
    trend.scroll_into_view_if_needed()
    expect(trend).to_have_attribute("data-drawn", "yes")
    over = trend.locator("select").last
    expect(over).to_have_value("m")
    assert over.locator("option").all_inner_texts() == ["m", "number of the element"]
    expect(trend.get_by_role("status")).to_contain_text("3 of 3 elements")
    assert serious(page) == []

    page = window.open(f"/fits/new?from={job['id']}")
    expect(page.get_by_label("Over a grid")).to_be_checked()
    expect(page.locator("#grid")).to_have_value("m: 2, 2.5, 3")
    expect(page.locator("#throttle")).to_have_value("2")
