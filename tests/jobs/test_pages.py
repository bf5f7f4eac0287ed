"""The pages of jobs as a browser without scripts sees them."""

from __future__ import annotations

import csv
import html
import io
import re
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from markupsafe import escape

from tests.jobs.making_pages import BROKEN, HOSTILE, LINE, Fits, data, model
from tests.live import PASSWORD, Api, LiveGateway


class Plain:
    """A browser without scripts: cookies, forms, links."""

    def __init__(self, fits: Fits) -> None:
        self.http = httpx.Client(base_url=fits.api.live.url, headers={"Accept": "text/html"})
        # The client keeps Secure cookies to itself on plain http, as browsers do not on loopback.
        page = self.http.get("/sign-in")
        self._keep(page)
        token = page.text.partition('name="csrf_token" value="')[2].partition('"')[0]
        form = {"csrf_token": token, "name": fits.api.name, "password": PASSWORD}
        self._keep(self.http.post("/sign-in", data=form, headers=self._headers()))

    def _headers(self) -> dict[str, str]:
        return {"Origin": str(self.http.base_url).rstrip("/")}

    def _keep(self, answer: httpx.Response) -> None:
        for line in answer.headers.get_list("set-cookie"):
            name, _, value = line.partition(";")[0].partition("=")
            self.cookies = {**getattr(self, "cookies", {}), name: value}
        text = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        self.http.headers["Cookie"] = text

    def get(self, path: str, **headers: str) -> httpx.Response:
        return self.http.get(path, headers=headers)

    def press(self, page: str, action: str, **fields: str) -> httpx.Response:
        """Send the form of a page with this action."""
        text = self.get(page).text
        form = text.partition(f'action="{action}"')[2].partition("</form>")[0]
        assert form, f"no form {action} on {page}"
        hidden = {}
        for part in form.split('type="hidden" name="')[1:]:
            name, _, rest = part.partition('" value="')
            hidden[name] = rest.partition('"')[0]
        return self.http.post(action, data={**hidden, **fields}, headers=self._headers())


@pytest.fixture(scope="module")
def plain(fits: Fits) -> Iterator[Plain]:
    browser = Plain(fits)
    yield browser
    browser.http.close()


@pytest.fixture(scope="module")
def fitted(fits: Fits) -> str:
    """A fit that has ended; tests only look at it."""
    return fits.fitted(notes="first line\nsecond line", tags=["a&b"])


@pytest.fixture
def newcomer(api: Api) -> Iterator[Plain]:
    """The browser of a user without jobs."""
    browser = Plain(Fits(api))
    yield browser
    browser.http.close()


def test_who_has_no_jobs_is_told_what_to_do_first(newcomer: Plain) -> None:
    text = newcomer.get("/jobs").text
    assert "No jobs yet" in text
    assert 'href="/fits/new"' in text


def test_the_start_is_the_list_of_jobs(plain: Plain) -> None:
    answer = plain.get("/")
    assert (answer.status_code, answer.headers["location"]) == (303, "/jobs")


def test_a_stranger_is_asked_to_sign_in(live: LiveGateway) -> None:
    answer = httpx.get(f"{live.url}/jobs/{'0' * 26}")
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/sign-in?next=/jobs/")


def test_a_job_of_somebody_else_is_not_there(live: LiveGateway, fits: Fits, plain: Plain) -> None:
    other = Fits(live.user())
    job = other.api.submit(kind="dummy", options={"seconds": 0.1})
    for path in ("", "/log.txt", "/parameters.csv"):
        assert plain.get(f"/jobs/{job['id']}{path}").status_code == 404
    own = str(fits.api.submit(kind="dummy")["id"])
    missing = own[:-1] + ("0" if own.endswith("Z") else "Z")
    assert plain.get(f"/jobs/{missing}").status_code == 404


def test_the_list_is_narrowed_by_state_tag_and_words_and_goes_on(newcomer: Plain, api: Api) -> None:
    for number in range(5):
        job = api.submit(
            kind="dummy",
            options={"seconds": 0.05, "steps": 1},
            title=f"run {number}",
            tags=["odd"] if number % 2 else [],
        )
        api.wait(job["id"])
    assert newcomer.get("/jobs?tag=odd").text.count("data-job=") == 2
    assert newcomer.get("/jobs?q=run+3").text.count("data-job=") == 1
    assert newcomer.get("/jobs?state=COMPLETED&kind=dummy").text.count("data-job=") == 5
    assert "None of your 5 jobs" in newcomer.get("/jobs?state=FAILED").text
    assert newcomer.get("/jobs?state=NO_WORD").status_code == 422
    first = newcomer.get("/jobs?limit=3").text
    older = first.partition('rel="next"')[0].rpartition('href="')[2].partition('"')[0]
    rest = newcomer.get(older.replace("&amp;", "&")).text
    assert (first.count("data-job="), rest.count("data-job=")) == (3, 2)


def test_the_part_that_changes_is_sent_once(plain: Plain, fitted: str) -> None:
    for path in (f"/jobs/{fitted}?part=live", "/jobs?q=second&part=live"):
        first = plain.get(path)
        assert first.status_code == 200
        assert "<html" not in first.text
        again = plain.get(path, **{"If-None-Match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")


def test_a_finished_fit_shows_its_numbers_without_scripts(
    plain: Plain, fits: Fits, fitted: str
) -> None:
    page = plain.get(f"/jobs/{fitted}")
    result = fits.api.results(fitted)["results"][0]
    rows = {row["label"]: row for row in result["parameters"]}
    assert HOSTILE not in page.text
    assert "&lt;img src=x onerror=alert(1)&gt;" in page.text
    assert repr(rows["b"]["value"]) in page.text
    assert repr(rows["b"]["uncertainty"]) in page.text
    assert result["verdict"]["text"] in page.text
    for ref in fits.api.results(fitted)["files"]:
        assert ref["digest"] in page.text
    assert "28 degrees of freedom, 30 points" in page.text
    told = fits.api.http.get(f"/jobs/{fitted}/history").json()["items"]
    assert [one["source"] for one in told][-1] == fits.api.name, "who asked for it"
    assert told[0]["text"] == "What it left was fetched and checked."
    assert all(str(escape(one["text"])) in page.text for one in told)


def test_parameters_are_written_for_other_programs(plain: Plain, fits: Fits, fitted: str) -> None:
    rows = fits.api.results(fitted)["results"][0]["parameters"]
    answer = plain.get(f"/jobs/{fitted}/parameters.csv")
    assert answer.headers["content-disposition"].startswith("attachment")
    read = {row["parameter"]: row for row in csv.DictReader(io.StringIO(answer.text))}
    for row in rows:
        assert float(read[row["label"]]["value"]) == row["value"]
    assert plain.get(f"/jobs/{fitted}/parameters.json").json()[0]["parameter"] in read
    assert "\\begin{tabular}" in plain.get(f"/jobs/{fitted}/parameters.tex").text
    lines = plain.get(f"/jobs/{fitted}/parameters.txt").text.splitlines()
    assert lines[0].split() == ["parameter", "value", "bounds"]
    assert all(line.startswith(name) for line, name in zip(lines[1:], read, strict=True))
    assert plain.get(f"/jobs/{fitted}/parameters.exe").status_code == 404


def test_a_mistake_in_a_model_is_shown_with_file_line_and_traceback(
    plain: Plain, fits: Fits
) -> None:
    job = fits.fitted(fits.problem(model(BROKEN)))
    text = plain.get(f"/jobs/{job}").text
    assert "<code>model.py</code>, line 12" in text
    assert "name &#39;z&#39; is not defined" in text
    assert "Traceback (most recent call last)" in text
    assert "Correct the line that is shown" in text


def test_a_log_shows_control_signs_and_downloads_as_it_is(plain: Plain, fitted: str) -> None:
    text = plain.get(f"/jobs/{fitted}").text
    red = '<span class="ansi-red">read</span>'
    assert f"{red} &lt;img src=x onerror=alert(1)&gt;^[]0;title^G" in text
    assert "\x1b" not in text
    log = plain.get(f"/jobs/{fitted}/log.txt")
    assert "\x1b[31mread\x1b[0m" in log.text
    assert log.headers["content-disposition"].startswith("attachment")
    assert plain.get(f"/jobs/{fitted}/log.txt?task=7").text == ""


def test_elements_have_a_grid_a_table_and_a_page_each(plain: Plain, fits: Fits) -> None:
    digests = [fits.api.upload(f"{slope}.dat", data(slope)) for slope in (2, 3)]
    elements = [
        {"label": f"s{index}", "files": {"data.dat": digest}}
        for index, digest in enumerate(digests)
    ]
    job = fits.fitted(elements=elements, pack=1, options={"fit": "lm"})
    text = plain.get(f"/jobs/{job}").text
    assert "2 elements" in text
    assert text.count('><a href="?element=') == 4  # in the grid and in the table
    assert "appear here" not in text, "it has made all its steps"
    one = plain.get(f"/jobs/{job}?element=1").text
    assert "Element 1" in one
    assert "/files/out/1/curves.json" in one
    assert plain.get(f"/jobs/{job}?element=9").status_code == 404
    rows = list(csv.DictReader(io.StringIO(plain.get(f"/jobs/{job}/parameters.csv").text)))
    slopes = {row["label"]: float(row["value"]) for row in rows if row["parameter"] != "b"}
    assert slopes == pytest.approx({"s0": 2, "s1": 3}, abs=0.05)


def test_title_notes_and_tags_are_edited_and_mistakes_are_said(plain: Plain, fits: Fits) -> None:
    job = str(fits.api.submit(kind="dummy", options={"seconds": 0.1})["id"])
    page, action = f"/jobs/{job}", f"/jobs/{job}/edit"
    saved = plain.press(page, action, title=HOSTILE, notes="a\r\nb", tags="x, y,")
    assert saved.status_code == 303
    record = fits.api.job(job)
    assert (record["title"], record["notes"], record["tags"]) == (HOSTILE, "a\nb", ["x", "y"])
    wrong = plain.press(page, action, title="t", notes="", tags="z" * 50)
    assert wrong.status_code == 422
    assert "<code>tags/0</code>" in wrong.text
    assert fits.api.job(job)["tags"] == ["x", "y"]


def test_a_form_without_its_token_does_nothing(plain: Plain, fits: Fits) -> None:
    job = fits.waiting()
    answer = plain.http.post(f"/jobs/{job}/cancel", headers={"Origin": fits.api.live.url})
    assert answer.status_code == 403
    assert fits.api.job(job)["wish"] == "run"
    plain.press(f"/jobs/{job}", f"/jobs/{job}/cancel")
    assert fits.api.wait(job)["state"] == "CANCELLED"


def test_a_job_that_has_ended_cannot_be_cancelled_and_the_page_says_so(
    plain: Plain, fits: Fits
) -> None:
    job = fits.waiting()
    page = plain.get(f"/jobs/{job}").text
    token = page.partition('name="csrf_token" value="')[2].partition('"')[0]
    fits.api.http.post(f"/jobs/{job}/cancel")
    fits.api.wait(job)
    headers = {"Origin": fits.api.live.url}
    answer = plain.http.post(f"/jobs/{job}/cancel", data={"csrf_token": token}, headers=headers)
    assert answer.status_code == 409
    assert "has ended (CANCELLED): nothing is left to cancel" in answer.text


def test_the_page_of_a_job_that_never_ran_promises_nothing(plain: Plain, fits: Fits) -> None:
    first = fits.api.submit(kind="dummy", options={"seconds": 0})["id"]
    after = {"kind": "afternotok", "jobs": [first]}
    job = fits.api.wait(fits.api.submit(kind="dummy", options={"seconds": 0}, after=after)["id"])
    assert job["submission"] == "none"
    text = plain.get(f"/jobs/{job['id']}").text
    assert "<h2>The script, never submitted</h2>" in text
    assert "It never ran, so there is no result: " in text
    for untrue in (", as submitted", "Its log may say why", "appear here"):
        assert untrue not in text, untrue
    assert "<h2>The script, as submitted</h2>" in plain.get(f"/jobs/{first}").text


def test_a_double_click_on_run_again_makes_one_attempt(plain: Plain, fits: Fits) -> None:
    job = str(fits.api.submit(kind="dummy", options={"seconds": 0.1, "steps": 1})["id"])
    fits.api.wait(job)
    key = uuid.uuid4().hex
    for _ in range(2):
        answer = plain.press(f"/jobs/{job}", f"/jobs/{job}/rerun", key=key)
        assert answer.status_code == 303
        fits.api.wait(job)
    assert len(fits.api.job(job)["attempts"]) == 2


def test_continuing_takes_more_samples_and_shows_both_attempts(plain: Plain, fits: Fits) -> None:
    job = fits.fitted(options={"fit": "dream", "samples": 500, "burn": 10, "pop": 5})
    page, action = f"/jobs/{job}", f"/jobs/{job}/resume"
    wrong = plain.press(page, action, **{"option.samples": "many"})
    assert wrong.status_code == 422
    assert "samples" in wrong.text
    done = plain.press(page, action, **{"option.samples": "1000", "resource.time": "0:20:00"})
    assert done.status_code == 303
    ended = fits.api.wait(job)
    assert ended["options"]["samples"] == 1000
    assert ended["attempts"][1]["resumed_from"] == 1
    text = plain.get(f"{page}?attempt=1").text
    assert "Result of attempt 1" in text
    assert "curves.json?attempt=1" in text
    curves = plain.get(f"/api/v1/jobs/{job}/files/out/curves.json?attempt=1")
    assert curves.status_code == 200
    assert plain.get(f"{page}?attempt=7").status_code == 404


def test_a_check_flags_the_start_that_is_out_of_bounds(plain: Plain, fits: Fits) -> None:
    problem = fits.problem(model().replace("m=1, b=0", "m=1, b=999"))
    job = fits.fitted(problem, mode="check")
    text = plain.get(f"/jobs/{job}").text
    assert text.count("outside its bounds</span>") == 1
    assert "b starts at 999, outside its bounds -5 to 5" in text


def test_a_deleted_job_is_gone(plain: Plain, fits: Fits) -> None:
    job = str(fits.api.submit(kind="dummy", options={"seconds": 0.1, "steps": 1})["id"])
    fits.api.wait(job)
    answer = plain.press(f"/jobs/{job}", f"/jobs/{job}/delete")
    assert (answer.status_code, answer.headers["location"]) == (303, "/jobs")
    assert plain.get(f"/jobs/{job}").status_code == 404


def chosen(page: str, *jobs: str, **fields: str) -> dict[str, str | list[str]]:
    """Fill the form for many jobs as the page gives it."""
    form = page.partition('action="/jobs/bulk"')[2].partition("</form>")[0]
    hidden = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form))
    return {**hidden, "job": list(jobs), **fields}


def come(answer: httpx.Response) -> dict[str, bool]:
    """Read what came of it for each job."""
    return {
        job: word == "done"
        for job, word in re.findall(
            r'<li data-job="(\w+)"><span class="state \w+">(done|not done)</span>', answer.text
        )
    }


def test_many_jobs_are_tagged_run_again_and_deleted_without_a_script(
    newcomer: Plain, api: Api
) -> None:
    def send(fields: dict[str, str | list[str]]) -> httpx.Response:
        return newcomer.http.post("/jobs/bulk", data=fields, headers=newcomer._headers())

    first, second = (
        str(api.submit(kind="dummy", options={"seconds": 0.05, "steps": 1})["id"]) for _ in "ab"
    )
    for job in (first, second):
        api.wait(job)
    page = newcomer.get("/jobs").text
    answer = send(chosen(page, first, second, verb="tag", label="beam <b>"))
    assert come(answer) == {first: True, second: True}
    assert "beam &lt;b&gt;" in answer.text
    assert newcomer.get("/jobs?tag=beam+<b>").text.count("data-job=") == 2

    again = chosen(page, first, second, verb="rerun")
    for _ in range(2):  # a double click
        assert come(send(again)) == {first: True, second: True}
    assert [len(api.job(job)["attempts"]) for job in (first, second)] == [2, 2]
    for job in (first, second):
        api.wait(job)

    assert come(send(chosen(page, second, verb="keep"))) == {second: True}
    asked = send(chosen(page, first, second, verb="delete"))
    assert "Delete 2 jobs?" in asked.text
    assert api.job(first)["final"], "it asks first"
    gone = send(chosen(asked.text, first, second, verb="delete"))
    assert come(gone) == {first: True, second: False}
    assert "marked to be kept" in gone.text
    assert api.http.get(f"/jobs/{first}").status_code == 404
    again_gone = send(chosen(asked.text, first, verb="delete"))
    assert "There is no such job, or no more." in again_gone.text


def test_many_wrong_choices_are_said_and_nothing_is_done(
    newcomer: Plain, api: Api, fits: Fits
) -> None:
    def send(**fields: object) -> httpx.Response:
        form = {**chosen(page), **fields}
        return newcomer.http.post("/jobs/bulk", data=form, headers=newcomer._headers())

    mine = str(api.submit(kind="dummy", options={"seconds": 0.05, "steps": 1})["id"])
    api.wait(mine)
    other = str(fits.api.submit(kind="dummy", options={"seconds": 0.05})["id"])
    page = newcomer.get("/jobs").text
    for fields, text in (
        ({"verb": "cancel"}, "Choose jobs first"),
        ({"job": mine}, "use one of the buttons"),
        ({"job": mine, "verb": "explode"}, "is no verb"),
        ({"job": mine, "verb": "tag"}, "Which tag?"),
        ({"job": mine, "verb": "tag", "label": "a, b"}, "without a comma"),
        ({"job": "../etc", "verb": "keep"}, "is not an id"),
    ):
        answer = send(**fields)
        assert (answer.status_code, text in answer.text) == (422, True), (fields, answer.text)
    done = send(job=[mine, other], verb="cancel", sure="yes")
    assert come(done) == {mine: False, other: False}
    assert "nothing is left to cancel" in done.text
    assert fits.api.job(other)["wish"] == "run"
    unsigned = newcomer.http.post("/jobs/bulk", data={"verb": "delete", "job": mine, "sure": "yes"})
    assert unsigned.status_code == 403


def test_what_is_archived_is_out_of_the_list_and_found(newcomer: Plain, api: Api) -> None:
    old, new = (
        str(api.submit(kind="dummy", options={"seconds": 0.05, "steps": 1})["id"]) for _ in "ab"
    )
    for job in (old, new):
        api.wait(job)
    answer = api.http.post("/jobs/bulk", json={"verb": "archive", "jobs": [old, old]})
    assert answer.json()["done"] == 1
    assert answer.json()["items"][0]["text"].startswith("In the archive")
    listed = {archived: newcomer.get(f"/jobs?archived={archived}").text for archived in ("", "yes")}
    assert [f'data-job="{job}"' in listed[""] for job in (old, new)] == [False, True]
    assert [f'data-job="{job}"' in listed["yes"] for job in (old, new)] == [True, False]
    assert {job["id"] for job in api.http.get("/jobs?archived=all").json()["items"]} == {old, new}
    assert api.http.patch(f"/jobs/{old}", json={"archived": False}).json()["archived"] is False
    assert newcomer.get("/jobs?archived=maybe").status_code == 422
    wrong = api.http.post("/jobs/bulk", json={"verb": "tag", "jobs": [old]})
    assert (wrong.status_code, wrong.json()["errors"][0]["pointer"]) == (422, "/tag")


GREEDY = """
import os, time
import numpy as np
from bumps.names import Curve, FitProblem

if "sleep" == WHAT: time.sleep(60)
if "grow" == WHAT: kept = np.ones(20_000_000); time.sleep(30)
if "kill" == WHAT: os.kill(os.getpid(), 9)
x, y, dy = np.loadtxt("data.dat").T
problem = FitProblem(Curve(lambda x, m: m * x, x, y, dy, m=1))
"""


def seeded(text: str, old: str = "", new: str = "", **request: Any) -> dict[str, Any]:
    """Make a job that is to fail in one way."""
    broken = model(text).replace(old, new) if old else model(text)
    assert not old or broken != model(text), f"{old!r} is not in the model"
    return {"model": broken, "request": {"options": {"fit": "amoeba"}, **request}}


def greedy(what: str, **resources: str) -> dict[str, Any]:
    return seeded(GREEDY.replace("WHAT", repr(what)), resources=resources)


FAILURES: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "a name that is none": (
        seeded(LINE, "m * x + b\n", "m * z + b\n"),
        ("<code>model.py</code>, line 12", "Correct the line that is shown"),
    ),
    "a library that is not there": (
        seeded("import no_such_module\n"),
        ("no_such_module", "Correct the file that is named"),
    ),
    "a file that was not sent": (
        seeded(LINE, "data.dat", "gone.dat"),
        ("gone.dat", "Correct the file that is named"),
    ),
    "nothing to fit": (
        seeded(LINE.replace("model.m.range(0, 10)\n", "").replace("model.b.range(-5, 5)\n", "")),
        ("Let at least one parameter be fitted",),
    ),
    "no number": (
        seeded(LINE, "m * x + b\n", "m * x + b + np.log(-m)\n"),
        ("look for a division by zero or the root or logarithm",),
    ),
    "a bound in the way": (
        seeded(LINE, "model.m.range(0, 10)", "model.m.range(0, 2)"),
        ("Ask whether the bounds of", "widen them and run again"),
    ),
    "too few steps": (
        seeded(LINE, options={"fit": "amoeba", "steps": 5}),
        ("more steps", "before you trust the uncertainties"),
    ),
    "too little time": (
        greedy("sleep", time="0:02"),
        ("2 s were not enough", "Run again with 1 min"),
    ),
    "too little memory": (
        greedy("grow", mem="128M"),
        ("128M were not enough: it had taken", "M of memory</button>"),
    ),
    "killed outright": (greedy("kill", mem="512M"), ("killed (signal 9)", "of memory</button>")),
}


@pytest.mark.slow
def test_ten_seeded_failures_get_ten_right_pieces_of_advice(plain: Plain, fits: Fits) -> None:
    assert len(FAILURES) == 10
    jobs = {
        name: fits.fit(fits.problem(wanted["model"]), **wanted["request"])
        for name, (wanted, _) in FAILURES.items()
    }
    wrong = []
    for name, job in jobs.items():
        fits.api.wait(job, within_s=150)
        text = plain.get(f"/jobs/{job}").text
        said = html.unescape(re.sub(r"<[^>]+>", " ", text)).partition("What happened")[0]
        missing = [words for words in FAILURES[name][1] if words not in text]
        wrong += [f"{name}: not {words!r}: {' '.join(said.split())}" for words in missing]
    assert not wrong, "\n".join(wrong)
