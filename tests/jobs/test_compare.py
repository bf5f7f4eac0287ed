"""Results side by side: over the API, without scripts, and drawn over each other in Chromium."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from gateway.datasets.blobs import BlobStore
from gateway.errors import InvalidError
from gateway.jobs.compared import MOST, Cell, Line, parse_refs
from gateway.jobs.compared_files import _changes
from gateway.jobs.named import by_name
from gateway.jobs.result_view import ParameterRow
from tests.jobs.making_pages import HOSTILE, Fits, Window, data, model, pixels, serious
from tests.jobs.test_pages import Plain
from tests.live import LiveGateway

LONG = 60_000
DREAM = {"fit": "dream", "samples": 1000, "burn": 20, "pop": 5}
WIDER = model().replace("range(0, 10)", f"range(0, 20)  # {HOSTILE}")
MISSING = "01ARZ3NDEKTSV4RRFFQ69G5FAV"


@dataclass(frozen=True)
class Three:
    """Two fits of the same data by two methods, and a dream of other data."""

    one: str
    same: str
    other: str

    @property
    def ids(self) -> str:
        return ",".join((self.one, self.same, self.other))


@pytest.fixture(scope="module")
def three(fits: Fits) -> Three:
    problem = fits.problem()
    wanted = [
        fits.fit(problem, title="reference", options={"fit": "lm"}, seed=1),
        fits.fit(problem, options={"fit": "amoeba"}, seed=1),
        fits.fit(fits.problem(WIDER, data_dat=data(3.0)), options=DREAM, seed=2),
    ]
    return Three(*(str(fits.api.wait(job)["id"]) for job in wanted))


@pytest.fixture(scope="module")
def array(fits: Fits) -> str:
    digests = [fits.api.upload(f"{slope}.dat", data(slope)) for slope in (2, 3)]
    rows = [{"label": f"s{i}", "files": {"data.dat": one}} for i, one in enumerate(digests)]
    return fits.fitted(elements=rows, pack=2, options={"fit": "lm"})


@pytest.fixture(scope="module")
def plain(fits: Fits) -> Iterator[Plain]:
    browser = Plain(fits)
    yield browser
    browser.http.close()


def asked(fits: Fits, ids: str, status: int = 200) -> dict[str, Any]:
    answer = fits.api.http.get("/jobs/compare", params={"ids": ids})
    assert answer.status_code == status, answer.text
    return dict(answer.json())


def found(fits: Fits, job: str) -> dict[str, dict[str, Any]]:
    return {row["label"]: row for row in fits.api.results(job)["results"][0]["parameters"]}


def test_differences_are_those_of_the_results_to_their_last_digit(fits: Fits, three: Three) -> None:
    document = asked(fits, three.ids)
    results = [found(fits, job) for job in (three.one, three.same, three.other)]
    assert [line["label"] for line in document["parameters"]] == list(results[0])
    for line in document["parameters"]:
        first = results[0][line["label"]]
        assert line["values"][0]["difference"] is None
        for cell, result in zip(line["values"], results, strict=True):
            row = result[line["label"]]
            assert (cell["value"], cell["uncertainty"]) == (row["value"], row["uncertainty"])
            if result is not results[0]:
                error = math.hypot(row["uncertainty"], first["uncertainty"])
                difference = row["value"] - first["value"]
                assert cell["difference"] == pytest.approx(difference, rel=1e-12)
                assert cell["sigmas"] == pytest.approx(difference / error, rel=1e-12)
    slope = next(line for line in document["parameters"] if line["label"] == HOSTILE)
    assert slope["differs"]
    assert slope["values"][1]["sigmas"] == pytest.approx(0, abs=0.1)
    assert slope["values"][2]["difference"] == pytest.approx(0.5, abs=0.05)


def test_criteria_are_told_of_the_same_data_only(fits: Fits, three: Three) -> None:
    same = asked(fits, f"{three.one},{three.same}")
    assert same["same_data"] is True
    assert min(job["delta_aic"] for job in same["jobs"]) == 0
    other = asked(fits, three.ids)
    assert other["same_data"] is False
    assert {job["delta_aic"] for job in other["jobs"]} == {None}
    assert [job["points"] for job in other["jobs"]] == [30, 30, 30]


def test_what_was_set_otherwise_is_named_and_nothing_else(fits: Fits, three: Three) -> None:
    document = asked(fits, three.ids)
    bounds = next(one for one in document["settings"] if one["group"] == "bounds")
    assert (bounds["name"], bounds["values"]) == (HOSTILE, ["0 … 10", "0 … 10", "0 … 20"])
    settings = {one["name"]: one for one in document["settings"]}
    assert settings["fit"]["values"] == ["lm", "amoeba", "dream"]
    assert settings["seed"]["values"] == [1, 1, 2]
    data_file = settings["file data.dat"]["values"]
    assert data_file[0] == data_file[1] != data_file[2]
    script = settings["file model.py"]["values"]
    assert script[0] == script[1] != script[2]
    assert settings["cluster"]["differs"] is False
    for one in document["settings"]:
        assert one["differs"] == (len({str(value) for value in one["values"]}) > 1), one


def test_elements_and_attempts_are_compared_like_jobs(fits: Fits, array: str) -> None:
    document = asked(fits, f"{array}::0,{array}:1:1")
    slope = next(line for line in document["parameters"] if line["label"] == HOSTILE)
    assert [cell["value"] for cell in slope["values"]] == pytest.approx([2, 3], abs=0.05)
    names = {one["name"] for one in document["settings"] if one["differs"]}
    assert names == {"file data.dat"}
    twice = asked(fits, f"{array}::0,{array}:1:0", 422)
    assert "by two names" in twice["errors"][0]["detail"]


@pytest.mark.parametrize(
    ("ids", "status", "words"),
    [
        ("ONE", 422, "1 given: name 2 to 10 jobs"),
        ("ONE,ONE", 422, "is there twice"),
        (",".join(f"ONE:{n}" for n in range(1, 12)), 422, "11 given"),
        ("ONE,../etc/passwd", 422, "'../etc/passwd' names no job"),
        (f"ONE,{HOSTILE}", 422, "names no job"),
        (f"ONE,{MISSING}", 404, MISSING),
        ("ONE,SAME:7", 404, "has no attempt 7"),
        ("ONE,SAME::0", 404, "has no element 0"),
    ],
)
def test_what_cannot_be_compared_is_named(
    fits: Fits, three: Three, ids: str, status: int, words: str
) -> None:
    named = ids.replace("ONE", three.one).replace("SAME", three.same)
    document = asked(fits, named, status)
    assert words in str(document)


def test_jobs_of_somebody_else_are_not_there(live: LiveGateway, fits: Fits, three: Three) -> None:
    stranger = live.user()
    answer = stranger.http.get("/jobs/compare", params={"ids": three.ids})
    assert answer.status_code == 404
    other = stranger.submit(kind="dummy", options={"seconds": 0})["id"]
    asked(fits, f"{three.one},{other}", 404)


def test_a_job_without_a_result_is_shown_as_such(fits: Fits, three: Three) -> None:
    job = fits.waiting()
    document = asked(fits, f"{three.one},{job}")
    fits.api.http.post(f"/jobs/{job}/cancel")
    assert document["jobs"][1]["chisq"] is None
    assert all(line["values"][1] is None and line["differs"] for line in document["parameters"])
    assert document["same_data"] is None


def test_the_page_is_whole_without_scripts(plain: Plain, three: Three) -> None:
    text = plain.get(f"/jobs/compare?ids={three.ids}").text
    assert HOSTILE not in text
    assert text.count("&lt;img src=x onerror=alert(1)&gt;") >= 3
    assert "They were fitted to different data" in text
    assert 'class="differs"' in text
    only = plain.get(f"/jobs/compare?ids={three.ids}&only=differing").text
    assert (text.count('<tr class="differs"'), only.count('<tr class="differs"')) == (1, 1)
    assert "1 of 2 differ" in only
    assert '<th scope="row" class="text">b</th>' not in only
    assert "<del>-model.m.range(0, 10)</del>" in text
    assert "<ins>+model.m.range(0, 20)  # &lt;img src=x" in text
    turned = f"/jobs/compare?ids={three.same},{three.one},{three.other}"
    assert f'href="{turned}"' in text
    assert plain.get(turned).status_code == 200


def test_the_table_is_written_with_all_digits(plain: Plain, fits: Fits, three: Three) -> None:
    answer = plain.get(f"/jobs/compare.csv?ids={three.ids}")
    assert answer.headers["content-disposition"].startswith("attachment")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    for row in rows:
        for job in (three.one, three.same, three.other):
            assert float(row[f"value {job}"]) == found(fits, job)[row["parameter"]]["value"]
    assert plain.get("/jobs/compare.csv?ids=x").status_code == 422


def test_fits_are_chosen_without_scripts(plain: Plain, fits: Fits, three: Three) -> None:
    first = plain.get(f"/jobs/compare?ids={three.one}")
    assert first.status_code == 200
    assert f'value="{three.one}" checked' in first.text
    same, other = (first.text.index(f'value="{job}"') for job in (three.same, three.other))
    assert same < other, "those of the same problem come first"
    found_one = plain.get(f"/jobs/compare?ids={three.one}&choose=more&q=no+such+word").text
    assert "No other result has these words" in found_one
    wrong = plain.get("/jobs/compare?ids=nonsense")
    assert wrong.status_code == 422
    assert "names no job" in wrong.text
    token = first.text.partition('name="csrf-token" content="')[2].partition('"')[0]
    sent = plain.http.post(
        "/jobs/compare",
        data={"csrf_token": token, "job": [three.one, three.other]},
        headers={"Origin": fits.api.live.url},
    )
    assert sent.status_code == 303
    assert sent.headers["location"] == f"/jobs/compare?ids={three.one},{three.other}"


def test_a_stranger_is_asked_to_sign_in(live: LiveGateway) -> None:
    answer = httpx.get(f"{live.url}/jobs/compare?ids={MISSING}")
    assert answer.status_code == 303


def row(value: float | None, uncertainty: float | None = None) -> ParameterRow:
    return ParameterRow(label="x", value=value, uncertainty=uncertainty)


@pytest.mark.parametrize(
    "pairs",
    [
        [(1.7e308, 1e-300), (-1.7e308, 1e-300)],
        [(1e308, 1e308), (1e308, 1e-308), (-1e308, 1e308)],
        [(1.0, 5e-324), (2.0, 1e300)],
        [(None, 1.0), (1.0, None)],
        [(1.0, 0.0), (1.0, -1.0)],
    ],
)
def test_hostile_numbers_become_nothing_and_never_infinite(
    pairs: list[tuple[float | None, float | None]],
) -> None:
    line = Line(label="x", cells=tuple(Cell(row=row(*pair)) for pair in pairs))
    numbers = [line.spread, line.farthest, line.chisq, *(line.mean or ())]
    assert all(number is None or math.isfinite(number) for number in numbers)


def test_no_parameter_hides_another_of_its_label() -> None:
    labels = ["x", "x (2)", "x", *["y"] * 20_000]
    found = by_name(ParameterRow(label=label, value=index) for index, label in enumerate(labels))
    assert [one.value for one in found.values()] == list(range(len(labels)))
    assert [*found][:5] == ["x", "x (2)", "x (3)", "y", "y (2)"]


def test_the_weighted_mean_is_that_of_the_textbook() -> None:
    line = Line(label="x", cells=(Cell(row=row(1.0, 0.1)), Cell(row=row(1.4, 0.2)), None))
    assert line.mean == pytest.approx((1.08, 0.2 / math.sqrt(5)), rel=1e-12)
    assert line.chisq == pytest.approx(0.8**2 + 1.6**2, rel=1e-12)
    assert line.differs, "one does not have it"


def test_scripts_are_held_against_each_other_and_no_longer_than_a_page_waits(
    tmp_path: Path,
) -> None:
    blobs = BlobStore(tmp_path)

    def kept(text: str) -> str:
        return blobs.put(text.encode()).digest

    old, new, windows = kept("a = 1\nb = 2\n"), kept("a = 1\nb = 3\n"), kept("a = 1\r\nb = 2\r\n")
    long, longer = kept("x\n" * 3_000), kept("y\n" * 3_000)
    pairs = [
        (2, "a.py", (old, new)),
        (2, "b.py", (old, windows)),
        (2, "c.py", (long, kept("x\n" * 3_001))),
        (2, "d.py", (long, "0" * 64)),
        *[(3, "e.py", (long, longer))] * 12,
    ]
    found = list(_changes(pairs, blobs))
    assert found[0].lines == ("@@ -1,2 +1,2 @@", " a = 1", "-b = 2", "+b = 3")
    assert [one.lines for one in found[1:4]] == [(), None, None]
    assert [one.lines is None for one in found[4:]] == [False] * 9 + [True] * 3
    assert (found[4].added, found[4].removed, found[4].more) == (3_000, 3_000, 5_601)


def test_as_many_as_may_be_compared_are_read() -> None:
    texts = [f"{MISSING}:{number}" for number in range(1, MOST + 1)]
    assert [str(ref) for ref in parse_refs([",".join(texts)])] == texts
    with pytest.raises(InvalidError):
        parse_refs([MISSING, MISSING.lower()])


@pytest.fixture
def window(browser: Browser, fits: Fits) -> Iterator[Window]:
    opened = Window(browser, fits)
    yield opened
    opened.context.close()
    assert opened.faults == []


def drawn(page: Page) -> None:
    figure = page.locator("figure[data-plot=overlay]")
    expect(figure).to_have_attribute("data-drawn", "yes", timeout=LONG)


@pytest.mark.browser
def test_curves_lie_over_each_other_and_are_taken_out_and_shifted(
    window: Window, three: Three
) -> None:
    page = window.open(f"/jobs/compare?ids={three.ids}")
    drawn(page)
    plots = page.locator("[data-plot=overlay] .plot")
    expect(plots).to_have_count(2)
    assert pixels(page, "[data-plot=overlay] .plot canvas") > 500
    words = page.locator("[data-plot=overlay] [role=status]")
    expect(words).to_contain_text("3: 0 of 30 points beyond")
    expect(words).to_contain_text("of draws of the parameters lie, of 3; only a fit by dream")
    shaded = pixels(page, "[data-plot=overlay] .plot:last-child canvas")
    page.get_by_role("button", name="Bands").click()
    expect(words).not_to_contain_text("Shaded")
    assert shaded > 1.1 * pixels(page, "[data-plot=overlay] .plot:last-child canvas")
    names = plots.first.locator(".u-legend .u-label")
    expect(names.filter(has_text="fit 3")).to_be_visible()
    page.get_by_label(HOSTILE).last.uncheck()
    expect(words).not_to_contain_text("3: 0 of 30")
    expect(names.filter(has_text="fit 3")).to_have_count(0)
    page.get_by_role("button", name="Shift apart").click()
    expect(words).to_contain_text("shifted up")
    page.get_by_role("button", name="Log y").click()
    expect(words).to_contain_text("down by a factor of ten")
    assert page.locator("img[src=x]").count() == 0


@pytest.mark.browser
def test_a_person_goes_from_a_result_to_the_comparison(window: Window, three: Three) -> None:
    page = window.open(f"/jobs/{three.one}")
    page.get_by_role("link", name="Compare with others").click()
    page.locator(f"input[value='{three.same}']").check()
    page.get_by_role("button", name="Compare", exact=True).click()
    drawn(page)
    expect(page.locator("h1")).to_have_text("2 fits compared")
    expect(page.get_by_text("All were fitted to the same data")).to_be_visible()
    page.get_by_role("link", name="Add another").click()
    page.locator(f"input[value='{three.other}']").check()
    page.get_by_role("button", name="Compare", exact=True).click()
    expect(page.locator("h1")).to_have_text("3 fits compared")
    page.get_by_role("link", name="Show only these").click()
    expect(page.locator("table.side-by-side tbody tr")).to_have_count(1)
    page.locator("a", has_text="take out").first.click()
    expect(page.locator("h1")).to_have_text("2 fits compared")


@pytest.mark.browser
def test_jobs_are_ticked_in_their_list_and_compared(window: Window, three: Three) -> None:
    page = window.open("/jobs")
    for job in (three.one, three.other):
        page.locator(f".pick input[value='{job}']").check()
    page.get_by_role("button", name="Compare", exact=True).click()
    drawn(page)
    expect(page.locator("h1")).to_have_text("2 fits compared")


@pytest.mark.browser
def test_elements_are_ticked_and_compared(window: Window, array: str) -> None:
    page = window.open(f"/jobs/{array}")
    for name in ("compare s0", "compare s1"):
        page.get_by_label(name).check()
    page.get_by_role("button", name="Compare the ticked elements").click()
    drawn(page)
    expect(page.locator("table.members")).to_contain_text("element s1")


@pytest.mark.browser
def test_curves_that_are_none_are_said_to_be_so_and_run_no_script(
    window: Window, three: Three
) -> None:
    hostile = {"models": [{"x": ["<b>"], "y": "y"}, {"x": [1], "y": [HOSTILE], "label": HOSTILE}]}
    window.page.route(f"**/{three.one}/files/**", lambda route: route.fulfill(json=hostile))
    window.page.route(f"**/{three.same}/files/**", lambda route: route.fulfill(json=["models"]))
    page = window.open(f"/jobs/compare?ids={three.ids}")
    drawn(page)
    expect(page.get_by_text("2: it has no curve that could be drawn.")).to_be_visible()
    assert page.locator("img[src=x]").count() == 0


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_everybody_can_read_the_comparison_at_every_width(
    browser: Browser, fits: Fits, three: Three, width: int, scheme: str
) -> None:
    window = Window(browser, fits, viewport={"width": width, "height": 800}, color_scheme=scheme)
    page = window.open(f"/jobs/compare?ids={three.ids}")
    drawn(page)
    for path in ("", f"/jobs/compare?ids={three.one}"):
        page = window.open(path) if path else page
        assert window.overflow() <= 0, path
        assert serious(page) == [], path
    window.context.close()
    assert window.faults == []
