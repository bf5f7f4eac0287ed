"""The new-fit form and the pages of problems in Chromium: the whole path, and everything wrong."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.jobs.making_pages import Fits, Window, serious
from tests.live import PASSWORD
from tests.problems import making_form as form
from tests.problems.nist import read
from tests.web.chromium import picture

pytestmark = pytest.mark.browser


def test_a_pasted_curve_is_fitted_to_its_certified_values_by_the_script_that_was_shown(
    page: Page, fits: Fits
) -> None:
    form.ask_for_misra1a(page)
    shown = page.locator("#script-text").inner_text()
    digest = page.locator("#script-digest").inner_text()
    form.send(page)
    job = fits.api.wait(form.job_of(page))
    kept = fits.api.http.get(f"/jobs/{job['id']}/script").json()
    assert (kept["script"], kept["sha256"]) == (shown, digest)
    assert hashlib.sha256(kept["script"].encode()).hexdigest() == digest
    assert (job["options"]["fit"], job["verdict"]["code"]) == ("lm", "converged")
    result = fits.api.results(job["id"])["results"][0]
    certified = read("Misra1a").values
    for item in result["parameters"]:
        assert item["value"] == pytest.approx(certified[item["label"]], rel=1e-4)


def test_a_script_with_its_data_and_helper_is_uploaded_and_run(page: Page, fits: Fits) -> None:
    page.check("#tab-script")
    scripts = [form.file("model.py", form.SCRIPT), form.file("shape.py", form.HELPER)]
    page.set_input_files("#files", scripts)
    expect(page.locator(".report")).to_contain_text("'data.dat' is read but is not among the files")
    page.set_input_files("#files", [form.file("data.dat", form.line_data())])
    expect(page.locator(".files code")).to_have_text(["model.py", "shape.py", "data.dat"])
    expect(page.locator(".report")).not_to_contain_text("is not among the files")
    page.check("#fit-amoeba")
    form.settle(page)
    form.send(page)
    job = fits.api.wait(form.job_of(page))
    slope = fits.api.results(job["id"])["results"][0]["parameters"]
    assert sorted(item["value"] for item in slope)[1] == pytest.approx(2.5, abs=0.05)


def test_a_large_file_goes_on_where_its_line_was_cut(window: Window, page: Page) -> None:
    content = os.urandom(9_000_000)
    sent: list[int] = []

    def cut(route: Route) -> None:
        sent.append(int(route.request.headers["upload-offset"]))
        if len(sent) == 1:
            route.abort("connectionreset")
        elif len(sent) == 2:  # it arrives, and nobody hears of it
            route.fetch()
            route.abort("connectionreset")
        else:
            route.continue_()

    page.route("**/api/v1/uploads/*", lambda route: _pieces(route, cut))
    page.check("#tab-script")
    scripts = [form.file("model.py", form.SCRIPT), form.file("big.dat", content)]
    page.set_input_files("#files", scripts)
    expect(page.locator(".files code")).to_have_text(["model.py", "big.dat"], timeout=60_000)
    expect(page.locator(".sending")).to_have_count(0)
    assert sent == [0, 0, 4 << 20, 8 << 20]
    digest = hashlib.sha256(content).hexdigest()
    expect(page.locator(f"input[value='{digest}']")).to_have_count(1)
    assert len(window.faults) == 2
    assert all("ERR_CONNECTION_RESET" in fault for fault in window.faults)
    window.faults.clear()


def _pieces(route: Route, cut: Callable[[Route], None]) -> None:
    cut(route) if route.request.method == "PATCH" else route.continue_()


def test_a_file_that_is_too_large_is_said_before_it_is_sent(window: Window, page: Page) -> None:
    page.check("#tab-script")
    page.evaluate(
        """() => {
          const file = new File([], "big.dat");
          Object.defineProperty(file, "size", { value: 3e9 });
          const files = [file];
          const input = document.getElementById("files");
          Object.defineProperty(input, "files", { get: () => files });
          input.dispatchEvent(new Event("change", { bubbles: true }));
        }"""
    )
    expect(page.locator("#form-state")).to_contain_text("at most")
    assert all("status of 413" in fault for fault in window.faults)
    window.faults.clear()


def test_a_bumps_json_is_reported_and_run(page: Page, fits: Fits) -> None:
    page.check("#tab-json")
    page.set_input_files("#json_file", form.RECORDED / "curve.json")
    expect(page.locator(".report table tbody tr").first).to_be_visible()
    expect(page.locator("#script-text")).to_be_visible()
    form.send(page)
    assert fits.api.wait(form.job_of(page))["state"] == "COMPLETED"


def test_a_json_with_a_class_off_the_list_is_refused_with_its_pointer(
    page: Page, fits: Fits, tmp_path: Path
) -> None:
    text = (form.RECORDED / "curve.json").read_text(encoding="utf-8")
    bad = tmp_path / "bad.json"
    bad.write_text(text.replace("bumps.curve.Curve", "os.system"), encoding="utf-8")
    page.check("#tab-json")
    page.set_input_files("#json_file", bad)
    said = form.wrong(page, "json_file")
    assert "os.system" in said
    assert "At /" in said
    form.send(page)
    assert "os.system" in form.wrong(page, "json_file")
    assert form.jobs(fits) == 0


@pytest.mark.parametrize(
    ("text", "field", "says"),
    [
        ("1 2 0.1\n2 nan 0.1\n3 4 0.1\n4 5 0.1\n", "y", "line 2"),
        ("1 2 0.1\n2 3 0\n3 4 0.1\n4 5 0.1\n", "dy_from", "not positive in line 2"),
    ],
)
def test_bad_data_are_named_at_their_column_and_kept(
    page: Page, fits: Fits, text: str, field: str, says: str
) -> None:
    form.paste(page, text)
    assert says in form.wrong(page, field)
    form.send(page)
    assert says in form.wrong(page, field)
    expect(page.locator(f"[id='{field}']")).to_be_focused()
    assert page.input_value("#data_text") == text
    page.fill("#mask", "2")
    form.settle(page)
    assert not form.marked(page, field)
    assert form.jobs(fits) == 0


def test_a_setting_out_of_its_range_is_refused_at_the_setting(page: Page, fits: Fits) -> None:
    form.paste(page, form.line_data())
    page.check("#fit-lm")
    page.fill("[id='o.lm.steps']", "-1")
    form.settle(page)
    assert "-1" in form.wrong(page, "o.lm.steps")
    page.fill("#title", "kept")
    form.send(page)
    assert "-1" in form.wrong(page, "o.lm.steps")
    expect(page.locator("[id='o.lm.steps']")).to_be_focused()
    kept = [page.input_value(field) for field in ("[id='o.lm.steps']", "#title", "#data_text")]
    assert kept == ["-1", "kept", form.line_data()]
    assert form.jobs(fits) == 0


def test_an_unknown_function_is_refused_at_the_function(page: Page) -> None:
    form.paste(page, form.line_data())
    page.evaluate("document.querySelector('#function').selectedOptions[0].value = 'guassian'")
    page.fill("#title", "typing makes the form look again")
    form.settle(page)
    assert "gaussian" in form.wrong(page, "function")


@pytest.mark.parametrize(
    "expression",
    ["__import__('os').system('id')", "a*x + b.__class__", "open(x)", "a*x +", "(" * 900],
)
def test_a_hostile_or_broken_expression_is_refused_while_it_is_typed(
    page: Page, fits: Fits, expression: str
) -> None:
    form.paste(page, form.line_data())
    page.check("#formula-expression")
    page.fill("#expression", expression)
    form.settle(page)
    said = form.wrong(page, "expression")
    form.send(page)
    assert form.wrong(page, "expression") == said
    expect(page.locator("#expression")).to_be_focused()
    assert page.input_value("#expression") == expression
    assert form.jobs(fits) == 0


def test_a_syntax_error_is_named_with_its_line(page: Page) -> None:
    page.check("#tab-script")
    page.set_input_files("#files", [form.file("model.py", "import numpy\nproblem = (\n")])
    assert "model.py, line 2" in form.wrong(page, "entry")
    expect(page.locator("#wrong")).to_have_count(0)


def test_a_double_click_makes_one_job(page: Page, fits: Fits) -> None:
    form.paste(page, form.line_data())
    with page.expect_event("load"):
        page.locator("#run").dblclick()
    page.wait_for_url("**/jobs/*")
    assert form.jobs(fits) == 1


def test_going_back_and_sending_again_is_the_same_job_and_an_edit_is_another(
    page: Page, fits: Fits
) -> None:
    form.paste(page, form.line_data())
    form.send(page)
    first = form.job_of(page)
    page.go_back()
    page.wait_for_url(f"**{form.PATH}")
    form.settle(page)
    form.send(page)
    assert (form.job_of(page), form.jobs(fits)) == (first, 1)
    page.go_back()
    form.settle(page)
    page.fill("[id='r.time']", "0:30:00")
    form.settle(page)
    form.send(page)
    assert form.job_of(page) != first
    assert form.jobs(fits) == 2


def test_the_script_follows_what_is_typed_and_says_so(page: Page, fits: Fits) -> None:
    form.paste(page, form.line_data())
    expect(page.locator("#script-text")).to_contain_text("--time=0-01:00:00")
    page.fill("[id='r.time']", "0:07:00")
    expect(page.locator("#script-text")).to_contain_text("--time=0-00:07:00")
    expect(page.locator("#form-state")).to_contain_text("made anew")
    # An edit of the last moment is looked at before the form is sent.
    page.fill("[id='r.time']", "0:09:00")
    form.send(page)
    script = fits.api.http.get(f"/jobs/{form.job_of(page)}/script").json()["script"]
    assert "--time=0-00:09:00" in script


def test_what_is_added_to_the_script_is_shown_as_it_is_typed(page: Page, fits: Fits) -> None:
    with fits.api.live.services() as services:
        allowed = f'[expert.users.{fits.api.name}]\ndirectives = ["exclude"]\nlines = true\n'
        services.policies.put(Path("own.toml"), allowed, "root")
    page.reload()
    form.paste(page, form.line_data())
    page.get_by_text("Expert mode: add to the script").click()
    page.fill("[id='x.exclude']", "node[1-3]")
    page.fill("#lines", "echo 'open")
    form.settle(page)
    assert "cannot read line 1" in form.wrong(page, "lines")
    hostile = "echo '<img src=x onerror=alert(1)>'"
    page.fill("#lines", f"{hostile}\nexport A=1")
    added = page.locator("#script-difference ins")
    expect(added.nth(0)).to_have_text("+#SBATCH --exclude=node[1-3]")
    expect(page.locator("#script-difference")).to_contain_text(f"+{hostile}\n+export A=1\n")
    form.settle(page)
    assert serious(page) == []
    digest = page.locator("#script-digest").inner_text()
    form.send(page)
    job = form.job_of(page)
    ended = fits.api.wait(job)
    assert (ended["state"], ended["script_sha256"]) == ("COMPLETED", digest)
    assert "<img src=x" in fits.api.http.get(f"/jobs/{job}/log").json()["text"]


def test_points_are_left_out_by_dragging_over_them(page: Page) -> None:
    form.paste(page, form.line_data())
    page.get_by_role("button", name="Leave out points").click()
    over = page.locator("#plot-place .u-over").bounding_box()
    assert over is not None
    page.mouse.move(over["x"] + over["width"] * 0.78, over["y"] + 40)
    page.mouse.down()
    page.mouse.move(over["x"] + over["width"] * 0.99, over["y"] + 80, steps=5)
    page.mouse.up()
    form.settle(page)
    assert re.fullmatch(r"1[5-7]-(19|20)", page.input_value("#mask"))
    expect(page.locator("#curve-said")).not_to_contain_text("20 of 20")


def test_start_values_are_found_again_and_a_bound_that_excludes_one_is_said(page: Page) -> None:
    form.paste(page, form.line_data())
    start = page.get_by_label("Start value of slope")
    start.fill("-70")
    page.get_by_label("Low of slope").fill("-1")
    form.settle(page)
    assert "below the lower bound -1: change" in form.wrong(page, "p.1.low")
    page.get_by_role("button", name="Guess start values").click()
    expect(page.get_by_label("Start value of slope")).not_to_have_value("-70")
    form.settle(page)
    assert float(page.get_by_label("Start value of slope").input_value()) == pytest.approx(
        2.5, abs=0.1
    )


def test_a_slider_moves_a_start_value_over_its_bounds_and_the_curve_follows(page: Page) -> None:
    page.get_by_role("link", name="Fill in an example").click()
    slider = page.get_by_label("b1 between its bounds")
    expect(slider).to_have_attribute("aria-valuetext", "250")
    form.settle(page)
    before = page.locator("#curve-said").inner_text()
    slider.focus()
    slider.press("ArrowRight")
    expect(page.get_by_label("Start value of b1")).to_have_value("251")
    form.settle(page)
    assert page.locator("#curve-said").inner_text() != before
    slider.press("End")
    expect(page.get_by_label("Start value of b1")).to_have_value("1000")
    form.settle(page)
    assert not form.marked(page, "p.0.low")
    # Over many decades each has its share; what is open, or no number, has no slider.
    page.get_by_label("Low of b1").fill("0.001")
    expect(slider).to_have_value("1000")
    page.get_by_label("Start value of b1").fill("1")
    page.get_by_label("Start value of b1").blur()
    expect(slider).to_have_value("500")
    for wrong in ("", "abc", "2000"):
        page.get_by_label("Low of b1").fill(wrong)
        expect(slider).to_be_hidden()


def test_the_curve_and_the_script_stay_beside_what_is_typed(page: Page) -> None:
    page.get_by_role("link", name="Fill in an example").click()
    form.settle(page)
    page.get_by_label("High of b2").scroll_into_view_if_needed()
    for beside in ("#plot-place canvas", "#script-text"):
        expect(page.locator(beside).first).to_be_in_viewport()
    page.set_viewport_size({"width": 700, "height": 720})
    low, high = (page.locator(one).bounding_box() for one in ("#plot-place", "#script-text"))
    assert low is not None
    assert high is not None
    assert low["y"] + low["height"] < high["y"]


def test_the_library_is_searched_and_shows_its_formulas(page: Page) -> None:
    form.paste(page, form.line_data())
    page.fill("#find-function", "guinier")
    expect(page.locator("#formula-text")).to_contain_text("Rg")
    form.settle(page)
    expect(page.get_by_label("Start value of Rg")).to_be_visible()


def test_a_job_is_run_again_with_changes(window: Window, page: Page, fits: Fits) -> None:
    form.ask_for_misra1a(page)
    page.fill("#title", "first")
    page.fill("#seed", "7") if page.locator("#seed").is_visible() else None
    form.settle(page)
    form.send(page)
    first = fits.api.wait(form.job_of(page))
    again = window.open(f"{form.PATH}?from={first['id']}")
    expect(again.locator("#expression")).to_have_value("b1*(1-exp[-b2*x])")
    expect(again.locator("#title")).to_have_value("first")
    expect(again.locator("#fit-lm")).to_be_checked()
    expect(again.locator("[id='p.0.value']")).to_have_value("500")
    again.fill("[id='o.lm.steps']", "150")
    form.settle(again)
    form.send(again)
    second = fits.api.wait(form.job_of(again))
    assert second["options"]["steps"] == 150
    assert (second["parent"], second["problem"]) == (first["id"], first["problem"])
    assert second["seed"] == first["seed"]


def test_a_problem_is_kept_shown_edited_and_fitted(window: Window, page: Page, fits: Fits) -> None:
    form.paste(page, form.line_data())
    page.fill("#title", "A straight line")
    form.settle(page)
    form.send(page, "Keep the problem only")
    expect(page.locator("h1")).to_have_text("A straight line")
    expect(page.locator("#model-text")).to_contain_text("problem = FitProblem")
    page.get_by_role("link", name="Edit").click()
    page.get_by_label("Start value of slope").fill("2")
    form.settle(page)
    form.send(page, "Save")
    expect(page.locator("p.under")).to_contain_text("version 2")
    page.get_by_role("link", name="Fit it").click()
    form.settle(page)
    form.send(page)
    assert fits.api.wait(form.job_of(page))["problem"]["version"] == 2
    window.open("/problems")
    expect(page.locator(".problems .title")).to_have_text(["A straight line"])


def test_a_fit_runs_after_another_and_both_pages_say_so(page: Page, fits: Fits) -> None:
    first = fits.waiting()
    page.reload()
    form.paste(page, form.line_data())
    page.check("#fit-lm")
    page.get_by_text("jobs to run after").focus()
    page.keyboard.press("Enter")
    expect(page.locator(f"#after-jobs option[value='{first}']")).to_have_count(1)
    page.get_by_label("Run after other jobs").fill(f"{first}, 1234")
    form.settle(page)
    assert "'1234' is not an id" in form.wrong(page, "after")
    page.get_by_label("Run after other jobs").fill(first)
    page.get_by_label("And begin when").select_option("afterany")
    form.settle(page)
    form.send(page)
    job = form.job_of(page)
    before = page.locator("#runs-after")
    expect(before).to_contain_text("Runs when each of these ends: waits (")
    before.get_by_role("link").click()
    page.wait_for_url(f"**/jobs/{first}")
    expect(page.locator("#waiting-for-it").get_by_role("link")).to_have_attribute(
        "href", f"/jobs/{job}"
    )
    assert fits.api.http.post(f"/jobs/{first}/cancel").status_code == 202
    assert fits.api.wait(job)["state"] == "COMPLETED"
    expect(page.locator("#waiting-for-it")).to_have_count(0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_the_form_fits_every_width_and_is_accessible(
    browser: Browser, fits: Fits, tmp_path: Path, width: int, scheme: str
) -> None:
    window = Window(browser, fits, viewport={"width": width, "height": 800}, color_scheme=scheme)
    page = window.open(form.PATH)
    form.paste(page, form.line_data())
    page.check("#fit-dream")
    page.fill("[id='o.dream.samples']", "-1")
    form.settle(page)
    assert window.overflow() <= 0
    assert serious(page) == []
    picture(page, tmp_path / f"form-{width}-{scheme}.png")
    for tab in ("json", "script"):
        page.check(f"#tab-{tab}")
        form.settle(page)
        assert serious(page) == []
    page.check("#tab-curve")
    page.fill("[id='o.dream.samples']", "1000")
    form.settle(page)
    form.send(page, "Keep the problem only")
    expect(page.locator("#model-text")).to_be_visible()
    assert window.overflow() <= 0
    assert serious(page) == []
    picture(page, tmp_path / f"problem-{width}-{scheme}.png")
    window.open("/problems")
    assert (window.overflow(), serious(page)) == (0, [])
    window.context.close()
    assert form.faults(window) == []


def test_everything_is_reached_and_chosen_by_keyboard(page: Page, fits: Fits) -> None:
    page.focus("#data_text")
    page.keyboard.insert_text(form.line_data())
    form.settle(page)
    page.focus("#tab-curve")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#json_file")).to_be_visible()
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#data_text")).to_be_visible()
    page.focus("#fit-auto")
    page.keyboard.press("ArrowUp")
    expect(page.locator("#fit-lm")).to_be_checked()
    page.focus("#title")
    page.keyboard.press("Enter")
    form.settle(page)
    assert form.jobs(fits) == 0
    page.focus("#run")
    with page.expect_event("load"):
        page.keyboard.press("Enter")
    assert fits.api.wait(form.job_of(page))["options"]["fit"] == "lm"


def test_a_newcomer_gets_from_the_sign_in_page_to_a_result_without_reading(
    browser: Browser, fits: Fits
) -> None:
    page = browser.new_context().new_page()
    page.goto(f"{fits.api.live.url}/sign-in")
    page.get_by_role("link", name="Help").click()
    expect(page.locator("#command-login")).to_contain_text("bumps-remote login http")
    page.get_by_role("link", name="Open a form that is filled in").click()
    page.get_by_label("Name").fill(fits.api.name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator("#plot-place canvas").first).to_be_visible(timeout=30_000)
    form.send(page)
    fits.api.wait(form.job_of(page))
    result = page.get_by_role("table").get_by_text("b1", exact=True).first
    expect(result).to_be_visible(timeout=30_000)
    page.context.close()


def test_first_steps_are_accessible_and_print_in_light_colours(
    browser: Browser, fits: Fits, tmp_path: Path
) -> None:
    viewport = {"width": 360, "height": 800}
    window = Window(browser, fits, viewport=viewport, color_scheme="dark")
    page = window.open("/help")
    assert (window.overflow(), serious(page)) == (0, [])
    picture(page, tmp_path / "help.png")
    page.emulate_media(media="print", color_scheme="dark")
    expect(page.locator(".top")).to_be_hidden()
    expect(page.get_by_role("button", name="Copy").first).to_be_hidden()
    colours = "getComputedStyle(document.documentElement).getPropertyValue('--ink')"
    assert page.evaluate(colours).strip() in ("#000", "#000000")
    window.context.close()


def test_the_basic_path_needs_no_script(browser: Browser, fits: Fits) -> None:
    window = Window(browser, fits, java_script_enabled=False)
    page = window.open(form.PATH)
    page.fill("#data_text", form.line_data())
    page.get_by_role("button", name="Read the data and draw").click()
    expect(page.get_by_label("Start value of slope")).not_to_have_value("")
    page.check("#fit-lm")
    page.fill("[id='o.lm.steps']", "-1")
    page.get_by_role("button", name="Show the script").click()
    assert "-1" in form.wrong(page, "o.lm.steps")
    page.fill("[id='o.lm.steps']", "50")
    page.get_by_role("button", name="Show the script").click()
    shown = page.locator("#script-text").inner_text()
    page.get_by_role("button", name="Run it").click()
    job = fits.api.wait(form.job_of(page))
    assert fits.api.http.get(f"/jobs/{job['id']}/script").json()["script"] == shown
    assert job["options"]["steps"] == 50
    window.context.close()
    assert form.faults(window) == []
