"""Plots of results in Chromium: many parameters, draws of dream, and other views of a curve."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.jobs.making_pages import HOSTILE, Fits, Window, pixels, serious

pytestmark = pytest.mark.browser
LONG = 60_000
COUNT = 21
SHOWN_S = 3.0
"""In which many parameters are to be shown."""

MANY = f"""
import numpy as np
from bumps.names import Curve, FitProblem

names = [f"a{{i}}" for i in range({COUNT})]
space = {{"np": np}}
exec(
    f"def f(x, {{', '.join(n + '=0' for n in names)}}):\\n"
    f"    return sum(a * np.cos(i * x) for i, a in enumerate([{{', '.join(names)}}]))",
    space,
)
x = np.linspace(0, 3, 60)
y = space["f"](x, *range({COUNT})) + np.random.default_rng(1).normal(0, 1, 60)
model = Curve(space["f"], x, y, np.ones(60))
for index, name in enumerate(names):
    getattr(model, name).value = index
    getattr(model, name).range(-100, 100)
model.a20.name = {HOSTILE!r}
problem = FitProblem(model)
"""

# Stands for an experiment of refl1d, which is not here: the driver tells one by its attributes.
FILM = """
import numpy as np
from bumps.names import FitProblem, Parameter


class Probe:
    Q = np.linspace(0.01, 0.2, 40)
    dQ = 0.02 * Q
    R = 1e-6 / Q**4
    dR = 0.1 * R
    calc_Q = Q

    @staticmethod
    def fresnel(substrate, surface):
        return lambda q: 2e-6 / q**4

    @staticmethod
    def apply_beam(q, values):
        return q, values


class Film:
    name = "film"
    probe = Probe
    _substrate = "silicon"

    def __init__(self):
        self.scale = Parameter(1.2, name="scale").range(0.5, 2)

    def parameters(self):
        return {"scale": self.scale}

    def reflectivity(self):
        return Probe.Q, self.scale.value * Probe.R

    def smooth_profile(self, dz):
        z = np.arange(-10, 110, dz)
        return z, np.where(z > 0, 9.4, 2.07), 0 * z

    def numpoints(self):
        return len(Probe.Q)

    def residuals(self):
        return (self.reflectivity()[1] - Probe.R) / Probe.dR

    def nllf(self):
        return 0.5 * np.sum(self.residuals() ** 2)

    def update(self):
        pass

    def simulate_data(self, noise=None):
        pass


problem = FitProblem(Film())
"""


@pytest.fixture(scope="module")
def many(fits: Fits) -> str:
    options = {"fit": "dream", "samples": 1000, "burn": 5, "pop": 1}
    return fits.fitted(fits.problem(MANY), options=options, title="many", seed=3)


@pytest.fixture(scope="module")
def film(fits: Fits) -> str:
    return fits.fitted(fits.problem(FILM), options={"fit": "lm"}, title="film")


@pytest.fixture
def window(browser: Browser, fits: Fits) -> Iterator[Window]:
    opened = Window(browser, fits)
    yield opened
    opened.context.close()
    assert opened.faults == []


def test_among_many_parameters_those_are_chosen_whose_correlations_one_wants(
    window: Window, many: str
) -> None:
    page = window.open(f"/jobs/{many}")
    window.scroll_through()
    figure = page.locator("[data-plot=correlations]")
    assert pixels(page, "[data-plot=correlations] canvas.heat") > 500
    figure.get_by_text(f"Choose among {COUNT} parameters").click()
    ticks = figure.get_by_role("checkbox")
    expect(ticks).to_have_count(COUNT)
    assert sum(tick.is_checked() for tick in ticks.all()) == 15
    figure.get_by_role("button", name="None").click()
    expect(figure.get_by_text("Choose two parameters or more.")).to_be_visible()
    figure.get_by_role("searchbox").fill("a1")
    figure.get_by_role("button", name="All of these").click()
    figure.get_by_text("As a table").click()
    expect(figure.locator("thead th")).to_have_count(11)  # a1 and a10 to a19
    figure.get_by_role("searchbox").fill("")
    figure.get_by_role("button", name="All of these").click()
    expect(figure.locator("thead th")).to_have_count(COUNT)
    expect(figure.locator("thead th", has_text=HOSTILE)).to_be_visible()
    assert page.locator("img[src=x]").count() == 0


@pytest.mark.alone
def test_many_parameters_are_shown_in_time(window: Window, many: str) -> None:
    page = window.open(f"/jobs/{many}")
    figure = page.locator("[data-plot=correlations]")
    took_s = []
    for _ in range(3):
        page.reload()
        figure.scroll_into_view_if_needed()
        expect(figure).to_have_attribute("data-drawn", "yes", timeout=LONG)
        took_s.append(page.evaluate("performance.now()") / 1000)
    expect(page.locator("table.parameters tbody tr")).to_have_count(COUNT)
    assert min(took_s) < SHOWN_S, took_s


def test_numbers_of_the_correlations_are_those_of_the_file(
    window: Window, fits: Fits, many: str
) -> None:
    page = window.open(f"/jobs/{many}")
    window.scroll_through()
    told = fits.api.http.get(f"/jobs/{many}/files/out/correlations.json").json()
    figure = page.locator("[data-plot=correlations]")
    figure.get_by_text("As a table").click()
    names = figure.locator("thead th").all_inner_texts()
    rows = figure.locator("tbody tr").all()
    assert len(names) == len(rows) == 15
    places = [told["labels"].index(name) for name in names]
    for row, place in zip(rows, places, strict=True):
        shown = [float(text) for text in row.locator("td").all_inner_texts()]
        wanted = [told["matrix"][place][other] for other in places]
        assert shown == pytest.approx(wanted, abs=0.0051)


def test_a_pair_of_parameters_is_drawn_by_mouse_and_by_key(window: Window, many: str) -> None:
    page = window.open(f"/jobs/{many}")
    window.scroll_through()
    figure = page.locator("[data-plot=correlations]")
    canvas = figure.locator("canvas.heat")
    canvas.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    title = figure.locator(".pair-of-draws h3")
    expect(title).to_contain_text(" over ", timeout=LONG)
    first = title.inner_text()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(title).not_to_have_text(first, timeout=LONG)
    assert pixels(page, ".pair-of-draws .plot canvas") > 200


def test_all_distributions_are_seen_and_one_is_chosen_with_its_traces(
    window: Window, many: str
) -> None:
    page = window.open(f"/jobs/{many}")
    window.scroll_through()
    figure = page.locator("[data-plot=traces]")
    sketches = figure.locator(".sketches button")
    expect(sketches).to_have_count(COUNT)
    assert pixels(page, ".sketches canvas") > 50
    sketches.filter(has_text=HOSTILE).click()
    expect(figure.locator("select option:checked")).to_have_text(HOSTILE)
    expect(figure.get_by_text("Traces of 11 of 21 chains")).to_be_visible()
    expect(figure.locator(".sketches [aria-pressed=true]")).to_have_text(HOSTILE)
    assert page.locator("img[src=x]").count() == 0
    assert serious(page) == []


def test_each_parameter_says_whether_its_chains_agree(
    window: Window, fits: Fits, many: str
) -> None:
    page = window.open(f"/jobs/{many}")
    told = fits.api.results(many)["results"][0]
    assert max(told["convergence"]["r_hat"]) > 1.1
    rows = page.locator("table.parameters tbody tr")
    for row, r_hat in zip(rows.all(), told["convergence"]["r_hat"], strict=True):
        cell = row.locator("td").nth(3)
        assert float(cell.inner_text()) == pytest.approx(r_hat, rel=0.005)
        assert cell.locator(".state.warn").count() == (r_hat >= 1.1)


def test_a_reflectivity_is_seen_times_q_to_the_fourth_and_with_its_profile(
    window: Window, fits: Fits, film: str
) -> None:
    page = window.open(f"/jobs/{film}")
    window.scroll_through()
    figure = page.locator("[data-plot=curves]")
    expect(figure.locator(".plot")).to_have_count(3)  # the curve, its residuals, the profile
    expect(figure.get_by_role("button", name="Log y")).to_have_attribute("aria-pressed", "true")
    before = figure.locator(".plot").first.screenshot()
    figure.locator("select[data-views]").select_option(label="R · Q⁴")
    assert figure.locator(".plot").first.screenshot() != before
    source = page.evaluate(
        "[...document.scripts].map(s => s.src).find(s => s.includes('/js/job'))"
    ).replace("job.js", "views.js")
    told = fits.api.http.get(f"/jobs/{film}/files/out/curves.json").json()
    model = told["models"][0]
    shown = page.evaluate(
        """async ([source, found]) => {
            const { trusted, viewed } = await import(source);
            return ["4", "fresnel"].map((way) => viewed(trusted(found)[0], way));
        }""",
        [source, told],
    )
    shown, over_bare = shown
    assert over_bare["y"] == pytest.approx([0.5] * 40, rel=1e-9)
    assert over_bare["dy"] == pytest.approx([0.05] * 40, rel=1e-9)
    for name in ("y", "dy", "theory"):
        wanted = [q**4 * value for q, value in zip(model["x"], model[name], strict=True)]
        assert shown[name] == pytest.approx(wanted, rel=1e-12)
    assert shown["residuals"] == model["residuals"]
    assert math.isclose(shown["y"][0], 1e-6, rel_tol=1e-9)
    places = page.evaluate(
        """async (source) => {
            const { logPlaces } = await import(source.replace("views.js", "plot.js"));
            const ends = [[205, 1500], [0.02, 0.05], [1e-30, 1e30]];
            return ends.map(([low, high]) => logPlaces(0, 0, low, high));
        }""",
        source,
    )
    assert places[0] == [300, 400, 500, 600, 700, 800, 900, 1000]
    assert places[1] == [0.02, 0.03, 0.04, 0.05]
    assert places[2][:2] == [1e-30, 1e-28]


def test_bands_lie_behind_the_curve_and_are_taken_away(window: Window, many: str) -> None:
    page = window.open(f"/jobs/{many}")
    window.scroll_through()
    figure = page.locator("[data-plot=curves]")
    expect(figure.get_by_text("68 % and 95 % of the curves of 200 draws")).to_be_visible()
    bands = figure.get_by_role("button", name="Bands")
    residuals = "[data-plot=curves] .plot:last-child canvas"
    shaded = pixels(page, residuals)
    bands.click()
    expect(bands).to_have_attribute("aria-pressed", "false")
    assert shaded > 1.2 * pixels(page, residuals)


def test_the_first_view_waits_for_nothing_that_draws_plots(window: Window, film: str) -> None:
    library = "**/vendor/uplot/*.js"
    for path in (f"/jobs/{film}", "/fits/new?example=adsorption"):
        page = window.open(path)
        expect(page.locator(".plot canvas").first).to_be_visible(timeout=LONG)
        blocking = page.evaluate(
            """performance.getEntriesByType("resource")
               .filter((one) => one.renderBlockingStatus === "blocking")
               .map((one) => one.name.split("/").pop())"""
        )
        assert set(blocking) <= {"gateway.css", "jobs.css", "results.css", "fits.css"}
        assert len(blocking) == 3
    window.page.route(library, lambda route: route.abort())
    page = window.open(f"/jobs/{film}")
    expect(
        page.get_by_text("This plot cannot be drawn (what draws plots did not")
    ).not_to_have_count(0)
    window.page.unroute(library)
    page = window.open("/fits/new?example=adsorption")
    expect(page.locator("#plot-place canvas")).to_be_visible(timeout=LONG)
    window.faults.clear()  # the browser's own word for what did not come


def test_a_file_that_would_stop_the_browser_is_left_where_it_is(window: Window, film: str) -> None:
    window.page.route(
        "**/out/curves.json*",
        # Its length is all that is looked at; as many bytes would take the test half a minute.
        lambda route: route.fulfill(
            body='{"models": []}',
            headers={"Content-Type": "application/json", "Content-Length": "31000000"},
        ),
    )
    page = window.open(f"/jobs/{film}")
    figure = page.locator("[data-plot=curves]")
    figure.scroll_into_view_if_needed()
    expect(figure).to_have_attribute("data-drawn", "no", timeout=LONG)
    expect(figure).to_contain_text("its file has 31 MB")


def test_files_of_plots_that_are_none_are_said_to_be_so(window: Window, many: str) -> None:
    broken = {
        "curves": {"models": [{"x": [1, "2"], "y": [1, 2]}, {"x": 7}, None, {"x": [1], "y": [[]]}]},
        "correlations": {"labels": [HOSTILE, {"a": 1}], "matrix": [["1", None]]},
        "traces": {"labels": [HOSTILE, 2], "draws": [[[1, 2]], "x", [[HOSTILE, None]]]},
        "histograms": {"edges": [[0, HOSTILE]], "counts": [["1"]]},
    }
    for name, document in broken.items():
        window.page.route(
            f"**/out/{name}.json*", lambda route, _, told=document: route.fulfill(json=told)
        )
    page = window.open(f"/jobs/{many}")
    window.scroll_through()
    expect(page.get_by_text("This problem has no curve that could be drawn.")).to_be_visible()
    expect(page.locator("[data-plot=traces] option").first).to_have_text(HOSTILE)
    assert page.locator("img[src=x]").count() == 0
