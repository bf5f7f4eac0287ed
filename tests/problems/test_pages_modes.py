"""What else than a fit the new-fit form asks for, in Chromium: shake, simulate, chi-square."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from tests.jobs.making_pages import Fits, serious
from tests.problems import making_form as form

pytestmark = pytest.mark.browser


def ask(page: Page) -> None:
    """Fill the form with a line that starts away from its data, for lm."""
    form.paste(page, form.line_data())
    page.check("#formula-expression")
    page.fill("#expression", "a*x + b")
    form.settle(page)
    for name, value in (("a", "2"), ("b", "0.5")):
        page.get_by_label(f"Start value of {name}").fill(value)
        page.get_by_label(f"Low of {name}").fill("-10")
        page.get_by_label(f"High of {name}").fill("10")
    page.check("#fit-lm")
    page.locator("summary", has_text="Random numbers, simulated data").click()
    form.settle(page)


def run(page: Page, fits: Fits) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Send the form; answer the job, what it ran, and its result."""
    form.settle(page)
    form.send(page)
    job = fits.api.wait(form.job_of(page))
    ran = fits.api.http.get(f"/jobs/{job['id']}/script").json()["job"]["run"]
    return job, ran, fits.api.results(job["id"])["results"][0]


def starts(result: dict[str, Any]) -> dict[str, float]:
    return {row["label"]: row["start"] for row in result["parameters"]}


def test_a_shaken_fit_starts_at_a_random_point_in_its_bounds(page: Page, fits: Fits) -> None:
    ask(page)
    page.get_by_label("Shake: start from a random point").check()
    page.fill("#seed", "11")
    _, ran, result = run(page, fits)
    assert (ran["mode"], ran["shake"], ran["seed"]) == ("fit", True, 11)
    begun = starts(result)
    assert begun != {"a": 2.0, "b": 0.5}
    assert all(-10 <= value <= 10 for value in begun.values())
    slope = {row["label"]: row["value"] for row in result["parameters"]}["a"]
    assert slope == pytest.approx(2.5, abs=0.05)


def test_chi_square_alone_is_that_which_the_form_shows(page: Page, fits: Fits) -> None:
    ask(page)
    page.get_by_label("χ² at the start only").check()
    form.settle(page)
    shown = page.locator("#curve-said").inner_text().rpartition("start values ")[2].rstrip(".")
    job, ran, result = run(page, fits)
    assert ran["mode"] == "chisq"
    assert (job["verdict"]["code"], starts(result)) == ("evaluated", {"a": 2.0, "b": 0.5})
    assert result["chisq"] == pytest.approx(float(shown), rel=1e-4)
    expect(page.locator(".figure")).to_contain_text(f"χ² = {shown}")
    assert [row["value"] for row in result["parameters"]] == [2.0, 0.5]


def test_data_are_simulated_with_the_noise_asked_for_and_can_be_downloaded(
    page: Page, fits: Fits
) -> None:
    ask(page)
    page.get_by_label("Simulate data only").check()
    page.get_by_label("Noise of simulated data").fill("1")
    job, ran, _ = run(page, fits)
    assert (ran["mode"], ran["simulate"]) == ("simulate", {"noise_percent": 1})
    assert job["verdict"]["code"] == "simulated"
    expect(page.locator("#results-title")).to_be_visible(timeout=20_000)
    page.locator(".files > summary").click()
    with page.expect_download() as download:
        page.get_by_role("link", name="out/simulated-1.dat").click()
    x, y, dy = np.loadtxt(download.value.path()).T
    theory = 2 * x + 0.5
    assert dy == pytest.approx(0.01 * theory)
    assert 0.2 < np.std((y - theory) / dy) < 2
    assert not np.array_equal(y, theory)


def test_a_fit_of_simulated_data_finds_what_they_were_made_of(page: Page, fits: Fits) -> None:
    ask(page)
    page.get_by_label("Simulate: fit theory plus noise").check()
    page.get_by_label("Noise of simulated data").fill("0.1")
    _, ran, result = run(page, fits)
    assert (ran["mode"], ran["simulate"]) == ("fit", {"noise_percent": 0.1})
    found = {row["label"]: row["value"] for row in result["parameters"]}
    assert found == pytest.approx({"a": 2, "b": 0.5}, rel=0.02)  # and not the 2.5 of the data


@pytest.mark.parametrize(
    ("noise", "is_simulated", "says"),
    [
        ("-5", True, "greater than or equal to 0"),
        ("much", True, "'much' is not a finite number"),
        ("5", False, "tick Simulate"),
    ],
)
def test_noise_that_cannot_be_is_refused_at_its_field(
    page: Page, fits: Fits, noise: str, is_simulated: bool, says: str
) -> None:
    ask(page)
    page.get_by_label("Noise of simulated data").fill(noise)
    if is_simulated:
        page.get_by_label("Simulate data only").check()
    form.settle(page)
    assert serious(page) == []
    form.send(page)
    assert says in form.wrong(page, "noise")
    assert page.input_value("#noise") == noise
    assert form.jobs(fits) == 0


def test_no_cell_of_the_form_is_empty_where_there_is_one_cluster(page: Page) -> None:
    cells = page.locator("section:has(#step-3) .grid").first.locator("> *").all()
    assert len(cells) == 3
    assert all(cell.inner_text().strip() for cell in cells)
    expect(page.locator("input[type=hidden][name=cluster]")).to_have_value("local")
