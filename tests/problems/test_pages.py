"""The form and the pages of problems as a browser without scripts, or a hostile one, sees them."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from gateway.clusters.settings import ClusterSettings, SSHSettings
from gateway.clusters.shared import SHARED_ACCOUNT, shared_account_note
from gateway.errors import InvalidError
from gateway.problems.expression import evaluate, parse
from gateway.problems.form_errors import field_of
from gateway.problems.form_filling import of_problem
from gateway.problems.form_reading import problem_document, row_ranges
from gateway.problems.guess_expression import guess_expression
from gateway.problems.selection import Curve
from tests.jobs.making_pages import Fits
from tests.jobs.test_pages import Plain
from tests.live import Api, LiveGateway
from tests.problems.making_form import PATH, line_data
from tests.problems.nist import MODELS, read

FORM = {"tab": "curve", "formula": "library", "function": "line", "fit": "lm", "mode": "fit"}


@pytest.fixture
def fits(api: Api) -> Fits:
    return Fits(api)


@pytest.fixture
def plain(fits: Fits) -> Iterator[Plain]:
    browser = Plain(fits)
    yield browser
    browser.http.close()


def hidden(page: str) -> dict[str, str]:
    """Read the fields of a form that nobody types in."""
    found = re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', page)
    return {name: html.unescape(text) for name, text in found}


def post(plain: Plain, fields: Mapping[str, str], path: str = PATH) -> httpx.Response:
    return plain.http.post(path, data=dict(fields), headers=plain._headers(), timeout=30)


def filled(plain: Plain, path: str = PATH, **fields: str) -> dict[str, str]:
    """Fill a fresh form with a line."""
    return {**hidden(plain.get(path).text), **FORM, "data_text": line_data(), **fields}


def line_problem(api: Api, **words: Any) -> dict[str, Any]:
    columns = {"dy": {"from": "column", "column": 2}}
    curve = {"data": {"text": line_data()}, "columns": columns, "function": "line"}
    return api.problem({"name": "a line", "type": "curve", "curve": curve, **words})


def test_the_same_form_sent_many_times_at_once_is_one_job_and_one_problem(
    plain: Plain, api: Api
) -> None:
    form = filled(plain, do="fit")
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: post(plain, form), range(6)))
    assert {answer.status_code for answer in answers} == {303}
    assert len({answer.headers["location"] for answer in answers}) == 1
    assert api.http.get("/jobs").json()["total"] == 1
    assert len(api.http.get("/problems").json()["items"]) == 1


def test_an_edited_form_of_the_same_page_is_another_job(plain: Plain, api: Api) -> None:
    form = filled(plain, do="fit")
    first = post(plain, form)
    second = post(plain, {**form, "title": "other"})
    assert first.headers["location"] != second.headers["location"]
    assert api.http.get("/jobs").json()["total"] == 2


def test_a_changed_problem_of_the_same_base_is_one_new_version_for_all_clicks(
    plain: Plain, api: Api
) -> None:
    problem = line_problem(api)
    form = {**filled(plain, f"{PATH}?problem={problem['id']}"), "do": "fit"}
    form |= {"p.0.name": "intercept", "p.0.value": "3", "p.0.role": "fit"}
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: post(plain, form), range(4)))
    assert {answer.status_code for answer in answers} == {303}
    assert len({answer.headers["location"] for answer in answers}) == 1
    assert api.http.get(f"/problems/{problem['id']}").json()["versions"] == 2


def test_an_unchanged_problem_is_fitted_as_it_is(plain: Plain, api: Api) -> None:
    problem = line_problem(api)
    page = plain.get(f"{PATH}?problem={problem['id']}").text
    form = {**hidden(page), **FORM, "data_text": line_data(), "do": "fit"}
    values = re.findall(r'id="(p\.\d\.\w+)" name="[^"]+"[^>]* value="([^"]*)"', page)
    form |= dict(values) | {"p.0.role": "fit", "p.1.role": "fit"}
    form |= {"x": "0", "y": "1", "dy_from": "column", "dy_column": "2"}
    job = api.job(post(plain, form).headers["location"].rpartition("/")[2])
    assert (job["problem"]["id"], job["problem"]["version"]) == (problem["id"], 1)


def test_a_script_that_was_changed_since_its_preview_is_shown_again_not_run(
    plain: Plain, api: Api
) -> None:
    form = filled(plain)
    shown = post(plain, {**form, "do": "preview"}).text
    draft = hidden(shown)["draft"]
    answer = post(plain, {**form, "draft": draft, "r.time": "0:05:00", "do": "fit"})
    assert answer.status_code == 409
    assert "has changed since its preview" in answer.text
    assert "--time=0-00:05:00" in answer.text
    assert api.http.get("/jobs").json()["total"] == 0
    again = post(plain, {**form, "r.time": "0:05:00", **hidden(answer.text), "do": "fit"})
    assert again.status_code == 303


def test_an_edit_of_a_version_that_is_not_the_newest_any_more_is_refused_and_kept(
    plain: Plain, api: Api
) -> None:
    problem = line_problem(api)
    path = f"/problems/{problem['id']}/edit"
    mine = filled(plain, path, do="save", title="mine")
    theirs = post(plain, {**mine, "title": "theirs"}, path)
    assert theirs.status_code == 303
    answer = post(plain, mine, path)
    assert answer.status_code == 412
    assert "has changed since you opened it" in answer.text
    assert 'value="mine"' in answer.text
    assert api.http.get(f"/problems/{problem['id']}").json()["name"] == "theirs"


def test_problems_are_listed_searched_cloned_and_deleted(plain: Plain, api: Api) -> None:
    for number in range(31):
        line_problem(api, name=f"line {number}", tags=["odd"] if number % 2 else [])
    first = plain.get("/problems").text
    older = html.unescape(
        first.partition('rel="next"')[0].rpartition('href="')[2].partition('"')[0]
    )
    assert first.count("data-problem=") == 30
    assert plain.get(older).text.count("data-problem=") == 1
    assert plain.get("/problems?q=odd+13").text.count("data-problem=") == 1
    assert "No problem is like that" in plain.get("/problems?q=nothing").text
    last = line_problem(api, name="the last")["id"]
    copy = plain.press(f"/problems/{last}", f"/problems/{last}/clone").headers["location"]
    assert "the last (copy)" in plain.get(copy).text
    assert plain.press(f"/problems/{last}", f"/problems/{last}/delete").status_code == 303
    assert plain.get(f"/problems/{last}").status_code == 404


def test_a_problem_or_job_of_somebody_else_is_not_there(
    live: LiveGateway, plain: Plain, api: Api
) -> None:
    other = live.user()
    theirs = line_problem(other)
    job = other.submit(kind="dummy", options={"seconds": 0.1})
    assert api.http.get(f"/problems/{theirs['id']}").status_code == 404
    for path in (
        f"/problems/{theirs['id']}",
        f"/problems/{theirs['id']}/edit",
        f"{PATH}?problem={theirs['id']}",
        f"{PATH}?from={job['id']}",
    ):
        assert plain.get(path).status_code == 404, path
    form = filled(plain, do="fit", tab="mine", problem=theirs["id"])
    assert post(plain, form).status_code == 404
    assert post(plain, {**form, "tab": "curve", "base": theirs["id"]}).status_code == 404


def test_a_job_of_another_kind_has_its_own_settings(plain: Plain, api: Api) -> None:
    page = plain.get(f"{PATH}?kind=dummy")
    assert 'name="o.dummy.seconds"' in page.text
    form = {**hidden(page.text), "o.dummy.seconds": "x", "do": "fit"}
    wrong = post(plain, form)
    assert wrong.status_code == 422
    assert (
        'aria-describedby="help-o.dummy.seconds wrong-o.dummy.seconds" aria-invalid' in wrong.text
    )
    answer = post(plain, {**form, "o.dummy.seconds": "0.1", "o.dummy.steps": "1"})
    assert api.wait(answer.headers["location"].rpartition("/")[2])["state"] == "COMPLETED"


def test_a_fit_runs_after_others_without_any_script(plain: Plain, api: Api) -> None:
    first = api.submit(kind="dummy", options={"seconds": 60, "steps": 600})["id"]
    form = {**filled(plain), "do": "fit", "after": f"{first} {'0' * 26}"}
    wrong = post(plain, form)
    assert wrong.status_code == 422
    said = wrong.text.partition('id="wrong-after"')[2].partition("</small>")[0]
    assert "You have no job" in said
    answer = post(plain, {**form, "after": f" {first},{first} ", "after_kind": "afternotok"})
    job = answer.headers["location"].rpartition("/")[2]
    assert api.job(job)["after"] == {"kind": "afternotok", "jobs": [first]}
    assert api.http.post(f"/jobs/{first}/cancel").status_code == 202
    assert api.wait(job)["state"] == "COMPLETED"


@pytest.mark.alone
def test_typing_beside_many_rows_does_not_read_them_again(plain: Plain, fits: Fits) -> None:
    rows = "".join(f"{x} {2 * x + 1} 0.5\n" for x in range(190_000))
    digest = fits.api.upload("many.dat", rows.encode())
    page = {**hidden(plain.get(PATH).text), **FORM, "data_digest": digest, "do": "look"}
    took = []
    for number in range(8):
        values = {"p.0.name": "slope", "p.0.value": "2", "p.1.name": "intercept", "p.1.value": "1"}
        answer = post(plain, {**page, **values, "title": f"typed {number}"}, f"{PATH}?part=live")
        took.append(answer.elapsed.total_seconds())
        assert "190000 of 190000 rows are fitted" in answer.text
        assert len(answer.content) < 200_000
    # Each of the two web processes reads them once: 1.3 s, and 0.2 s afterwards.
    assert sorted(took)[3] < took[0] / 2, took


def test_form_and_job_say_that_jobs_share_an_account(plain: Plain, fits: Fits) -> None:
    assert SHARED_ACCOUNT in plain.get(PATH).text
    job = fits.api.submit(kind="dummy", options={"seconds": 0.1, "steps": 1})
    assert SHARED_ACCOUNT in plain.get(f"/jobs/{job['id']}").text


SLURM = {"scheduler": "slurm", "base": "/scratch", "python": "/usr/bin/python3"}


@pytest.mark.parametrize(
    ("words", "shared"),
    [
        ({}, True),
        ({"trusted_users": True}, True),
        ({"sandbox": "bwrap"}, False),
        ({"sandbox": "bwrap", "trusted_users": True}, True),
        (SLURM, True),
        ({**SLURM, "sandbox": "bwrap"}, True),
        ({**SLURM, "accounts": "per-user", "ssh": SSHSettings(host="login")}, False),
    ],
)
def test_only_jobs_without_walls_are_said_to_share(words: dict[str, Any], shared: bool) -> None:
    cluster = ClusterSettings(**{"scheduler": "local", **words})
    assert bool(shared_account_note(cluster)) is shared
    assert shared_account_note(None) == ""


def test_texts_of_the_form_come_back_as_texts(plain: Plain) -> None:
    hostile = '"><script>alert(1)</script>'
    names = ("title", "expression", "mask", "notes", "data_text", "r.account", "o.lm.steps")
    answer = post(plain, {**filled(plain), **dict.fromkeys(names, hostile), "do": "fit"})
    assert answer.status_code == 422
    assert "<script>alert" not in answer.text
    assert answer.text.count("&lt;script&gt;alert(1)") >= len(names)


def test_a_form_from_another_page_is_refused(plain: Plain) -> None:
    form = filled(plain, do="fit")
    assert post(plain, {**form, "csrf_token": "none"}).status_code == 403


def test_a_job_whose_problem_is_gone_says_so_in_its_form(plain: Plain, api: Api) -> None:
    problem = line_problem(api)
    job = api.submit(problem={"id": problem["id"]}, options={"fit": "lm", "steps": 77})
    assert api.http.delete(f"/problems/{problem['id']}").status_code == 204
    page = plain.get(f"{PATH}?from={job['id']}")
    assert page.status_code == 200
    assert "has been deleted" in page.text
    assert 'value="77"' in page.text


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("1-3, 40", [[0, 3], [39, 40]]),
        ("2 to 2", [[1, 2]]),
        ("", []),
        ("5\n7;9", [[4, 5], [6, 7], [8, 9]]),
    ],
)
def test_rows_are_read_as_they_are_counted_in_the_table(text: str, rows: list[list[int]]) -> None:
    assert row_ranges(text, 40) == rows


@pytest.mark.parametrize("text", ["0", "3-1", "a", "41", "1,,x"])
def test_rows_that_are_none_are_refused_by_name(text: str) -> None:
    with pytest.raises(InvalidError) as caught:
        row_ranges(text, 40)
    assert field_of(caught.value.errors[0].pointer, {}) == "mask"


def test_a_problem_that_is_filled_in_is_read_as_the_same_problem(api: Api) -> None:
    prior = {"mean": 400.0, "std": 50.5}
    parameters = [
        {"name": "b1", "value": 500.0, "bounds": [0.0, None], "prior": prior},
        {"name": "b2", "value": 1e-4, "fit": False},
        {"name": "b3", "value": 1.0, "tie": "2*b2"},
    ]
    curve = {
        "data": {"text": line_data()},
        "columns": {"x": 0, "y": 1, "dy": {"from": "percent", "value": 2.5}},
        "mask": [[0, 2], [5, 6]],
        "expression": "b1*(1-exp(-b2*x)) + b3",
        "parameters": parameters,
    }
    made = api.problem({"name": "n", "type": "curve", "curve": curve})
    found = _Found(made)
    again = problem_document(of_problem(found), 20)  # type: ignore[arg-type]  # its members suffice
    copy = api.problem(again)
    assert copy["digest"] == made["digest"]


class _Found:
    """A problem as the service finds it, from what the API says."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.problem = _Named(**{name: document[name] for name in ("id", "name")})
        self.kept = self
        self.version = _Named(
            number=document["version"], type=document["type"], document=document["document"]
        )


class _Named:
    def __init__(self, **members: Any) -> None:
        vars(self).update(members)


@pytest.mark.parametrize("name", ["Misra1a", "BoxBOD", "MGH09", "Rat43", "Roszman1", "DanWood"])
def test_start_values_of_a_typed_expression_lead_to_the_data(name: str) -> None:
    certified = read(name)
    expression = parse(MODELS[name])
    points = len(certified.x)
    data = Curve(
        x=tuple(certified.x),
        y=tuple(certified.y),
        dy=(1.0,) * points,
        dx=None,
        others={},
        used=(True,) * points,
    )
    found = guess_expression(expression, data)
    theory = evaluate(expression, certified.x, found)
    assert isinstance(theory, list)
    squares = sum((one - other) ** 2 for one, other in zip(theory, certified.y, strict=True))
    assert squares < 2 * certified.sum_of_squares
