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
    page.fill("#expression", "m*x + b + c*x*x")
    form.settle(page)
    page.get_by_label("Start value of m").fill("1")
    page.get_by_label("Start value of b").fill("0")
    page.get_by_label("Start value of c").fill("0")
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
    page.fill("#grid", "m: 2 to 3 in 3\nb: 0, 1")
    page.fill("#throttle", "7")
    form.settle(page)
    form.send(page)
    assert "more than its tasks: at most 6" in form.wrong(page, "throttle")
    page.fill("#throttle", "2")
    form.settle(page)
    form.send(page)
    job = fits.api.wait(form.job_of(page))
    assert (job["elements"], job["pack"]) == (6, 1)
    assert "of element 3 (m=2.5, b=1)" in job["verdict"]["text"]

    page = window.open(f"/jobs/{job['id']}")
    row = page.locator("table.of-elements tbody tr").nth(3)
    expect(row).to_contain_text("best")
    expect(row.locator("td").nth(4)).to_have_text("2.5")
    chart = page.get_by_role("region", name="Map of χ²")
    expect(chart.locator("tbody th")).to_have_text(["m 3", "2.5", "2"])
    expect(chart.locator("tfoot th")).to_have_text(["b", "0", "1"])
    best = chart.locator("td.best a")
    expect(best).to_contain_text("the best")
    expect(best).to_have_attribute("href", "?element=3")
    trend = page.locator("figure[data-plot=trend]")
    trend.scroll_into_view_if_needed()
    expect(trend).to_have_attribute("data-drawn", "yes")
    over = trend.locator("select").last
    expect(over).to_have_value("b")
    assert over.locator("option").all_inner_texts() == ["b", "m", "number of the element"]
    expect(trend.get_by_role("status")).to_contain_text("6 of 6 elements")
    assert serious(page) == []

    page = window.open(f"/fits/new?from={job['id']}")
    expect(page.get_by_label("Over a grid")).to_be_checked()
    filled = page.locator("#grid").input_value()
    assert sorted(filled.splitlines()) == ["b: 0, 1", "m: 2, 2.5, 3"]
    expect(page.locator("#throttle")).to_have_value("2")
