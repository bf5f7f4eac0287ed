"""The pages of jobs in Chromium: live, drawn, readable by everybody, and deaf to strangers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.jobs.making_pages import BROKEN, HOSTILE, Fits, Window, model, pixels, serious

pytestmark = pytest.mark.browser
DREAM = {"fit": "dream", "samples": 1000, "burn": 20, "pop": 5}
LONG = 60_000
MANY = 11_000
LATER = f"""
import time
from pathlib import Path

print("line 0", flush=True)
while not Path(TOLD).exists():
    time.sleep(0.05)
print("".join(f"line {{number}}\\n" for number in range(1, {MANY})), end="", flush=True)
"""
"""Prints more than a page keeps, once somebody looks; it is no model, so that it ends there."""

LOUD = """
for number in range(3000):
    print(f"line {number} <b>\\x1b[32mok\\x1b[0m {'.' * 20}")
"""


@pytest.fixture(scope="module")
def dream(fits: Fits) -> str:
    return fits.fitted(options=DREAM, tags=[HOSTILE], notes=HOSTILE)


@pytest.fixture(scope="module")
def broken(fits: Fits) -> str:
    return fits.fitted(fits.problem(model(BROKEN)))


@pytest.fixture(scope="module")
def long_log(fits: Fits) -> str:
    """A fit that printed some 130 kB, in colours."""
    text = model() + LOUD
    return fits.fitted(fits.problem(text), options={"fit": "lm"})


@pytest.fixture
def window(browser: Browser, fits: Fits) -> Iterator[Window]:
    opened = Window(browser, fits)
    yield opened
    opened.context.close()
    assert opened.faults == []


def test_texts_of_a_stranger_are_shown_as_texts(window: Window, dream: str) -> None:
    page = window.open(f"/jobs/{dream}")
    window.scroll_through()
    expect(page.locator("h1")).to_have_text(HOSTILE)
    expect(page.locator("table.parameters th", has_text=HOSTILE)).to_be_visible()
    expect(page.locator("#log-text")).to_contain_text(f"read {HOSTILE}^[]0;title^G")
    page.locator(".files > summary").click()
    expect(page.get_by_role("link", name=f"out/{HOSTILE}.txt")).to_be_visible()
    page.locator("details.edit > summary").click()
    expect(page.locator("#title")).to_have_value(HOSTILE)
    assert page.locator("img[src=x]").count() == 0
    window.open("/jobs")
    expect(page.locator(".jobs .title").first).to_have_text(HOSTILE)
    assert page.locator("img[src=x]").count() == 0


def test_every_plot_of_a_fit_is_drawn(window: Window, dream: str) -> None:
    page = window.open(f"/jobs/{dream}")
    window.scroll_through()
    for name in ("curves", "convergence", "traces"):
        assert pixels(page, f"[data-plot={name}] .plot canvas") > 500
    assert pixels(page, "[data-plot=correlations] canvas.heat") > 500
    words = page.locator("[data-plot=curves] .plot").first.get_attribute("aria-label") or ""
    assert "Data and fit. data, fit over x. 30 points, x from 0 to 29." in words
    page.locator("[data-plot=correlations] summary").click()
    expect(page.locator("[data-plot=correlations] td", has_text="1.00").first).to_be_visible()


def test_a_plot_zooms_by_key_button_and_mouse_with_its_residuals(
    window: Window, dream: str
) -> None:
    page = window.open(f"/jobs/{dream}")
    window.scroll_through()
    plots = page.locator("[data-plot=curves] .plot")

    def ends() -> list[str]:
        """Read what the two plots show, by the positions under the mouse."""
        return [str(plots.nth(index).screenshot()) for index in range(2)]

    whole = ends()
    plots.first.focus()
    page.keyboard.press("+")
    page.wait_for_timeout(100)
    zoomed = ends()
    assert all(one != other for one, other in zip(whole, zoomed, strict=True))
    page.keyboard.press("0")
    page.wait_for_timeout(100)
    box = plots.first.locator(".u-over").bounding_box()
    assert box
    page.mouse.move(box["x"] + 50, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + 250, box["y"] + 60)
    page.mouse.up()
    legend = plots.first.locator(".u-legend .u-value").first
    page.mouse.move(box["x"] + box["width"] - 2, box["y"] + 50)
    expect(legend).not_to_have_text("29")
    page.mouse.dblclick(box["x"] + 50, box["y"] + 50)
    page.mouse.move(box["x"] + box["width"] - 2, box["y"] + 50)
    expect(legend).to_have_text("29")
    toggle = page.locator("[data-plot=curves]").get_by_role("button", name="Log y")
    toggle.click()
    expect(toggle).to_have_attribute("aria-pressed", "true")


def test_a_running_fit_is_followed_and_stopped_with_its_result(window: Window, fits: Fits) -> None:
    slow = fits.problem(model(delay_s=0.004))
    job = fits.fit(slow, options={**DREAM, "samples": 3000}, title="followed")
    page = window.open(f"/jobs/{job}")
    expect(page.locator("[data-live=status] .state").first).to_have_text("Running", timeout=LONG)
    expect(page.locator("#live-chisq canvas")).to_be_visible(timeout=LONG)
    expect(page.locator("#live-parameters th", has_text=HOSTILE)).to_be_visible(timeout=LONG)
    expect(page.locator("#progress-text")).to_contain_text("step", timeout=LONG)
    page.get_by_role("button", name="Stop and keep").click()
    expect(page.locator("#ask")).to_be_visible()
    page.get_by_role("button", name="No").click()
    expect(page.locator("#ask")).to_be_hidden()
    assert fits.api.job(job)["wish"] == "run"
    page.get_by_role("button", name="Stop and keep").click()
    page.locator("#ask-yes").click()
    page.wait_for_url(f"**/jobs/{job}")
    expect(page.locator("#results-title")).to_have_text("Result", timeout=LONG)
    expect(page.locator(".verdict, .status .big").first).to_contain_text("stopped")
    expect(page.get_by_role("link", name="Continue")).to_be_visible()


def test_the_result_appears_by_itself_when_a_fit_ends(window: Window, fits: Fits) -> None:
    job = fits.fit(title="ends by itself")
    page = window.open(f"/jobs/{job}")
    page.evaluate("window.stayed = true")
    expect(page.locator("table.parameters")).to_be_visible(timeout=LONG)
    expect(page.get_by_role("button", name="Run again", exact=True)).to_be_visible(timeout=LONG)
    window.scroll_through()
    assert page.evaluate("window.stayed")


def test_without_event_streams_the_page_asks_instead(window: Window, fits: Fits) -> None:
    job = fits.fit(fits.problem(model(delay_s=0.004)), options=DREAM, title="polled")
    window.page.add_init_script(
        "window.EventSource = class { static CLOSED = 2; readyState = 2; close() {}"
        " addEventListener() {} constructor() { setTimeout(() => this.onerror(), 10) } }"
    )
    page = window.open(f"/jobs/{job}")
    expect(page.locator("[data-live=follow]")).to_have_attribute("data-by", "polling")
    expect(page.locator("#live-parameters th", has_text=HOSTILE)).to_be_visible(timeout=LONG)
    fits.api.http.post(f"/jobs/{job}/cancel")
    expect(page.locator("[data-live=status] .state").first).to_have_text("Cancelled", timeout=LONG)


def test_the_list_keeps_itself_up_to_date(window: Window, fits: Fits) -> None:
    job = fits.waiting()
    page = window.open("/jobs")
    row = page.locator(f"[data-job='{job}']")
    expect(row.locator(".state").first).to_have_text("Running")
    expect(row.locator("progress")).to_be_visible()
    fits.api.http.post(f"/jobs/{job}/cancel")
    expect(row.locator(".state", has_text="Cancelled")).to_be_visible(timeout=LONG)


def test_jobs_stay_chosen_while_the_list_changes_and_are_cancelled_at_once(
    window: Window, fits: Fits
) -> None:
    waiting = fits.waiting()
    page = window.open("/jobs?state=RUNNING")
    pick = page.get_by_role("checkbox", name="choose waits").first
    pick.check()
    expect(page.locator("#chosen")).to_have_text("1 chosen")
    version = page.locator("[data-live=rows]").get_attribute("data-version") or ""
    expect(page.locator("[data-live=rows]")).not_to_have_attribute(
        "data-version", version, timeout=LONG
    )
    expect(page.locator(f"#pick-{waiting}")).to_be_checked()
    page.locator("#bulk").get_by_role("button", name="Cancel").click()
    expect(page.locator("h1")).to_have_text("Cancel 1 job?")
    page.get_by_role("button", name="Cancel those that are ticked").click()
    expect(page.locator("#came")).to_contain_text("Asked to be cancelled.")
    page.get_by_role("link", name="Back to the jobs").click()
    expect(page).to_have_url(f"{window.origin}/jobs?state=RUNNING")
    assert fits.api.wait(waiting)["state"] == "CANCELLED"


def test_a_log_is_searched_and_its_lines_are_unwrapped(window: Window, dream: str) -> None:
    page = window.open(f"/jobs/{dream}")
    page.fill("#log-find", "ONERROR")
    expect(page.locator("#log-text mark")).to_have_text("onerror")
    expect(page.locator("#log-found")).to_have_text("found once")
    page.locator("#log-wrap").uncheck()
    assert page.locator("#log-text").evaluate("node => getComputedStyle(node).whiteSpace") == "pre"


def test_a_long_log_goes_back_to_its_beginning_with_colours_and_times(
    window: Window, long_log: str
) -> None:
    page = window.open(f"/jobs/{long_log}")
    text = page.locator("#log-text")
    expect(text).to_contain_text("line 2999 <b>")
    expect(text).not_to_contain_text("line 0 <b>")
    coloured = text.locator(".ansi-green", has_text="ok").last
    assert coloured.evaluate("node => getComputedStyle(node).color") != text.evaluate(
        "node => getComputedStyle(node).color"
    )
    assert text.locator("b").count() == 0
    for _ in range(9):
        if page.locator("#log-earlier").count():
            page.locator("#log-earlier a").click()
            page.wait_for_timeout(0)
        if "line 0 <b>" in (text.text_content() or ""):
            break
        page.wait_for_function(
            "count => document.querySelectorAll('#log-text .line').length > count",
            arg=text.locator(".line").count() - 1,
        )
    expect(text).to_contain_text("line 0 <b>")
    numbers = re.findall(r"line (\d+) <b>", text.text_content() or "")
    assert numbers == [str(number) for number in range(3000)], "each line once"
    page.locator("#log-times").check()
    shown = text.locator(".line").last.evaluate(
        "node => getComputedStyle(node, '::before').content"
    )
    assert re.fullmatch(r'"\d\d-\d\d \d\d:\d\d:\d\d  "', shown), shown
    page.fill("#log-find", "LINE 17 <")
    expect(page.locator("#log-text mark")).to_have_text("line 17 <")
    page.fill("#log-find", "")
    expect(page.locator("#log-text mark")).to_have_count(0)


def test_what_is_not_among_the_lines_shown_is_found_in_the_whole_log(
    window: Window, long_log: str
) -> None:
    page = window.open(f"/jobs/{long_log}")
    page.fill("#log-find", "LINE 17 <")
    expect(page.locator("#log-found")).to_have_text("not in the lines below")
    page.press("#log-find", "Enter")
    expect(page.get_by_text("1 line of the whole log has LINE 17 <")).to_be_visible()
    page.locator(".log-hits a").click()
    expect(page.locator("#log-text .line").first).to_contain_text("line 17 <b>")
    expect(page.locator("#log-text mark").first).to_have_text("line 17 <")
    assert serious(page) == []


def test_of_a_long_log_that_is_followed_old_lines_go_and_come_back(
    window: Window, fits: Fits, tmp_path: Path
) -> None:
    told = tmp_path / "go"
    job = fits.fit(fits.problem(LATER.replace("TOLD", repr(str(told)))), options={"fit": "lm"})
    page = window.open(f"/jobs/{job}")
    lines, earlier = page.locator("#log-text .line"), page.locator("#log-earlier a")
    expect(lines).to_have_text("line 0", timeout=LONG)
    expect(earlier).to_have_count(0)
    told.touch()
    expect(lines.last).to_have_text(f"line {MANY - 1}", timeout=LONG)
    expect(lines.first).not_to_have_text("line 0")
    assert 8_000 <= lines.count() < MANY
    while earlier.count():
        count = lines.count()
        earlier.click()
        expect(lines).not_to_have_count(count)
    text = page.locator("#log-text").text_content() or ""
    assert text == "".join(f"line {number}\n" for number in range(MANY)), "each line once"


def test_a_log_is_paused_and_goes_on(window: Window, fits: Fits) -> None:
    job = fits.waiting()
    page = window.open(f"/jobs/{job}")
    page.get_by_role("button", name="Pause").click()
    button = page.get_by_role("button", name="Go on")
    expect(button).to_have_attribute("aria-pressed", "true")
    with page.expect_request(lambda request: "part=log" in request.url):
        button.click()
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    fits.api.http.post(f"/jobs/{job}/cancel")


HEARS = """
    window.told = [];
    window.Notification = class {
      constructor(title, options) { told.push([title, options.body]); }
      static async requestPermission() { return window.answer; }
    };
"""
"""In the place of the desktop, which a browser without a screen has not."""


def test_the_desktop_is_told_of_an_end_though_nobody_looks(window: Window, fits: Fits) -> None:
    job = fits.waiting()
    window.context.add_init_script(HEARS)
    page = window.open(f"/jobs/{job}")
    button = page.locator("#tell")
    page.evaluate("window.answer = 'denied'")
    button.click()
    expect(button).to_have_text("Your browser does not allow it")
    expect(button).to_have_attribute("aria-pressed", "false")
    page.evaluate("window.answer = 'granted'")
    button.click()
    expect(button).to_have_attribute("aria-pressed", "true")
    page.evaluate(
        """Object.defineProperty(document, "hidden", { get: () => true });
           document.dispatchEvent(new Event("visibilitychange"))"""
    )
    fits.api.http.post(f"/jobs/{job}/cancel")
    page.wait_for_function("() => told.length > 0", timeout=LONG)
    [[title, words]] = page.evaluate("told")
    assert (title, words.partition(",")[0]) == ("waits", "Cancelled")
    expect(button).to_be_hidden()


def test_the_table_is_copied(browser: Browser, fits: Fits, dream: str) -> None:
    window = Window(browser, fits, permissions=["clipboard-read", "clipboard-write"])
    page = window.open(f"/jobs/{dream}")
    button = page.get_by_role("button", name="Copy CSV")
    button.click()
    expect(page.locator("#said")).to_have_text("Copied")
    text = page.evaluate("navigator.clipboard.readText()")
    assert text.startswith("parameter,value,uncertainty,")
    window.context.close()
    assert window.faults == []


def test_a_job_is_shared_read_and_taken_back_on_its_page(
    browser: Browser, window: Window, fits: Fits, dream: str
) -> None:
    other = fits.api.live.user()
    page = window.open(f"/jobs/{dream}")
    page.get_by_role("link", name="Who has access").click()
    page.get_by_label("A user").fill("nobody-of-this-name")
    with page.expect_response(lambda answer: answer.request.method == "POST") as refused:
        page.locator("button[value=user]").click()
    assert refused.value.status == 422
    expect(page.locator("#wrong-user")).to_contain_text("is no user here")
    expect(page.get_by_label("A user")).to_have_value("nobody-of-this-name")
    window.faults.clear()  # the browser's own word for the 422
    page.get_by_label("A user").fill(other.name)
    page.locator("button[value=user]").click()
    expect(page.locator(".shares .whom b")).to_have_text(other.name)
    page.get_by_role("button", name="Make a link").click()
    expect(page.locator(".shares .secret")).to_contain_text("/shared/")
    assert serious(page) == []

    reader = Window(browser, Fits(other), viewport={"width": 360, "height": 800})
    seen = reader.open("/jobs?shared=true")
    seen.get_by_role("link", name=HOSTILE).first.click()
    expect(seen.locator("#reading")).to_contain_text(f"{fits.api.name} shares this job with you")
    assert serious(seen) == []
    assert reader.overflow() == 0
    seen.get_by_role("button", name="New fit like this").click()
    expect(seen.get_by_role("heading", level=1)).to_have_text("Run again with changes")

    window.open(f"/jobs/{dream}")
    expect(page.locator(".shares li").first).to_contain_text(f"ago by {other.name}")
    page.get_by_role("button", name=f"Take back from {other.name}").click()
    expect(page.locator(".shares li")).to_have_count(1)
    assert reader.faults == []
    gone = seen.goto(f"{reader.origin}/jobs/{dream}")
    assert gone is not None
    assert gone.status == 404
    reader.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_everybody_can_read_the_pages_at_every_width(
    browser: Browser, fits: Fits, dream: str, broken: str, width: int, scheme: str
) -> None:
    window = Window(
        browser,
        fits,
        viewport={"width": width, "height": 800},
        color_scheme=scheme,
    )
    for path in ("/jobs", f"/jobs/{dream}", f"/jobs/{broken}"):
        page = window.open(path)
        window.scroll_through()
        assert window.overflow() <= 0, path
        assert serious(page) == [], path
    window.context.close()
    assert window.faults == []
