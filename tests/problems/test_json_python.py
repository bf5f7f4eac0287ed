"""Pickled functions run in the Python that pickled them, and so do those of an array's elements."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.errors import InvalidError
from gateway.problems.form_reading import problem_document
from gateway.problems.models import content_json, digest_of
from gateway.problems.schemas import load_document
from tests.jobs.making_pages import Fits
from tests.jobs.test_pages import Plain
from tests.live import Api
from tests.problems.making_form import PATH
from tests.problems.test_examine import RECORDED, Blobs, looked_at, posted
from tests.problems.test_pages import hidden


def content(blobs: Blobs, name: str, **more: Any) -> dict[str, Any]:
    raw = (RECORDED / f"{name}.json").read_bytes()
    return {"file": {"digest": blobs.put(raw), "name": f"{name}.json"}, **more}


@pytest.mark.parametrize(("name", "kept"), [("curve", "3.12"), ("refl1d-nickel", None)])
def test_the_python_of_pickled_functions_goes_with_the_job(name: str, kept: str | None) -> None:
    blobs = Blobs()
    seen = looked_at(posted("json", content(blobs, name, python="3.12")), blobs)
    assert seen.bundle.python == kept
    assert looked_at(posted("json", content(blobs, name)), blobs).bundle.python is None


@pytest.mark.parametrize("python", ["3", "python3.11", "2.7", "3.11.7", "3.11\n", 3.11])
def test_what_is_no_minor_version_is_refused(python: object) -> None:
    with pytest.raises(InvalidError) as caught:
        load_document(posted("json", content(Blobs(), "curve", python=python)))
    (error,) = caught.value.errors
    assert error.pointer == "/json/python"


def test_it_is_written_and_read_and_part_of_the_digest() -> None:
    plain, said = (
        load_document(posted("json", content(Blobs(), "curve", **more)))
        for more in ({}, {"python": "3.11"})
    )
    again = load_document({"name": "Another", **content_json(said)})
    assert again.content == said.content
    assert "python" not in content_json(plain)["json"]
    assert digest_of(content_json(plain)) != digest_of(content_json(said))


def test_a_problem_of_another_python_fails_with_what_to_do(api: Api) -> None:
    raw = (RECORDED / "curve.json").read_bytes()
    file = {"digest": api.upload("p.json", raw), "name": "p.json"}
    problem = {"name": "p", "type": "json", "json": {"file": file, "python": "3.99"}}
    job = api.submit(problem={"id": api.problem(problem)["id"]}, options={"fit": "lm"})
    ended = api.wait(job["id"])
    assert ended["verdict"]["code"] == "load_error"
    assert "saved by Python 3.99" in ended["verdict"]["text"]


def test_the_json_of_an_element_is_checked_like_the_problem(api: Api) -> None:
    raw = (RECORDED / "curve.json").read_bytes()
    file = {"digest": api.upload("p.json", raw), "name": "p.json"}
    problem = api.problem({"name": "p", "type": "json", "json": {"file": file}})["id"]
    evil = raw.replace(b"bumps.curve.Curve", b"os.system")
    digests = [api.upload("e.json", content) for content in (raw, evil)]
    elements = [{"files": {"problem.json": digest}} for digest in digests]
    body = {"problem": {"id": problem}, "options": {"fit": "lm"}, "elements": elements}

    answer = api.http.post("/jobs", json=body)

    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert error["pointer"] == "/elements/1/files/problem.json"
    assert "'os.system' is not among the classes" in error["detail"]


def test_the_form_of_a_problem_keeps_the_python_of_its_file(api: Api) -> None:
    raw = (RECORDED / "curve.json").read_bytes()
    file = {"digest": api.upload("p.json", raw), "name": "p.json"}
    document = {"name": "p", "type": "json", "json": {"file": file, "python": "3.11"}}
    problem = api.problem(document)["id"]
    browser = Plain(Fits(api))
    try:
        form = hidden(browser.get(f"{PATH}?problem={problem}").text)
    finally:
        browser.http.close()
    read = problem_document({**form, "tab": "json"})["json"]
    assert (read["file"]["digest"], read["python"]) == (file["digest"], "3.11")
