"""Errors, ids and log lines: S42, S43, S0-8, S0-9, S0-11, S15."""

from __future__ import annotations

import json
import time

import pytest

from tests.web.site import PASSWORD, Browser, Site, bearer

ECHO = "/api/v1/probe/echo"
JSON = "application/json"


@pytest.fixture
def ada(site: Site) -> Browser:
    browser = site.browser()
    browser.sign_in("ada")
    return browser


def test_every_error_of_the_api_is_a_problem_document(site: Site, ada: Browser) -> None:
    for answer in (
        ada.get("/api/v1/nothing"),
        ada.get("/api/v2/jobs"),
        ada.send("DELETE", "/api/v1/me"),
        ada.send("POST", ECHO, json={}),
        ada.send("POST", ECHO, data="{", content_type=JSON),
        ada.get("/api/v1/probe/admin"),
        ada.get("/api/v1/probe/fail"),
        site.browser().get("/api/v1/me"),
    ):
        assert answer.mimetype == "application/problem+json"
        problem = answer.json
        assert problem["status"] == answer.status_code
        assert {"type", "title", "detail", "instance", "request_id"} <= set(problem)
        page = site.browser().get(problem["type"], headers={"Accept": "text/html"})
        assert page.status_code == 200, problem["type"]


def test_a_browser_gets_a_page_instead(ada: Browser) -> None:
    answer = ada.get("/nothing", headers={"Accept": "text/html,*/*;q=0.8"})
    assert answer.status_code == 404
    assert answer.mimetype == "text/html"
    assert answer.headers["X-Request-ID"] in answer.text


def test_each_wrong_field_is_named_by_its_pointer(ada: Browser) -> None:
    body = {
        "parts": [{"steps": 5}, {"steps": -1}, {"steps": "x", "owner": "root"}],
        "is_admin": True,
    }
    errors = {
        error["pointer"]: error["detail"]
        for error in ada.send("POST", ECHO, json=body).json["errors"]
    }
    assert set(errors) == {
        "/title",
        "/parts/1/steps",
        "/parts/2/steps",
        "/parts/2/owner",
        "/is_admin",
    }
    assert "greater than or equal to 1" in errors["/parts/1/steps"]


def test_a_wrong_query_is_named_too(ada: Browser) -> None:
    answer = ada.get("/api/v1/me/audit?limit=0")
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json["errors"]] == ["/query/limit"]
    assert ada.get("/api/v1/me/audit?cursor=%ff").status_code == 422


def test_a_mistake_of_ours_tells_nothing_but_its_id(site: Site) -> None:
    answer = site.browser().get("/api/v1/probe/fail")
    assert answer.status_code == 500
    for word in ("secret", "passwd", "Traceback", "RuntimeError", "/work", ".py"):
        assert word not in answer.text
    logged = [line for line in site.lines() if line.get("exception")]
    assert [line["request_id"] for line in logged] == [answer.json["request_id"]]
    assert "a secret at /etc/passwd" in logged[0]["exception"]


def test_the_callers_id_follows_the_request(site: Site, ada: Browser) -> None:
    for header in ("X-Correlation-ID", "X-Request-ID"):
        answer = ada.get("/api/v1/nothing", headers={header: "fit-2026.11_22"})
        assert answer.headers["X-Correlation-ID"] == "fit-2026.11_22"
        assert answer.json["request_id"] == "fit-2026.11_22"
        assert site.access_lines()[-1]["request_id"] == "fit-2026.11_22"


@pytest.mark.parametrize(
    "given", ["short", "x" * 65, "with space", "a;b;c;d;e", "<script>alert", "ünïcödé-id"]
)
def test_a_malformed_id_is_replaced(site: Site, given: str) -> None:
    answer = site.browser().get("/sign-in", headers={"X-Correlation-ID": given})
    assert answer.headers["X-Correlation-ID"] != given
    assert len(answer.headers["X-Correlation-ID"]) == 26


def test_two_requests_without_an_id_get_two(site: Site) -> None:
    ids = {site.browser().get("/sign-in").headers["X-Request-ID"] for _ in range(3)}
    assert len(ids) == 3


def test_each_request_is_one_line_with_one_verification(site: Site, ada: Browser) -> None:
    secret = ada.send("POST", "/api/v1/tokens", json={"label": "x"}).json["token"]
    ada.drop_cookie("access")
    before = len(site.access_lines())
    ada.get("/tokens")  # renews the session on the way
    ada.get("/api/v1/me")
    ada.send("POST", ECHO, json={"title": "x"})
    site.browser().get("/api/v1/me", headers=bearer(secret))
    site.browser().get("/api/v1/me", headers=bearer("nonsense"))
    for _ in range(3):
        site.browser().client.post("/api/v1/probe/bytes", data=b"chunk", headers=bearer(secret))
    lines = site.access_lines()[before:]
    assert len(lines) == 8
    assert [line["verifications"] for line in lines] == [1] * 8
    assert [line["status"] for line in lines] == [200, 200, 200, 200, 401, 200, 200, 200]
    assert lines[0]["user"] == "ada"
    assert lines[3]["token"]
    assert lines[4]["user"] is None


def test_hostile_text_makes_no_second_line(site: Site) -> None:
    site.browser().get('/x\n{"event":"admin"}\r\n')
    site.browser().get("/%0a%7b%22event%22:%22admin%22%7d")
    site.browser().sign_in('ada\n{"event": "admin"}')
    assert all(line["event"] != "admin" for line in site.lines())
    assert len(site.lines()) == 3


def test_a_query_is_not_logged(site: Site) -> None:
    site.browser().get("/sign-in?token=bgw_secret")
    assert "bgw_secret" not in site.log.getvalue()


@pytest.mark.parametrize(
    "body",
    [b"{", b"[1,]", b'{"title": NaN}', b'{"title": Infinity}', b"\xff\xfe", b'{"title": "\\ud800"}',
     b"[" * 100_000, b'{"a":' * 100_000, b'{"title": ' + b"9" * 5000 + b"}",
     b'{"x": ' + b"[" * 65 + b"]" * 65 + b"}"],
)  # fmt: skip
def test_what_is_not_json_is_refused_as_unreadable(ada: Browser, body: bytes) -> None:
    began = time.perf_counter()
    answer = ada.send("POST", ECHO, data=body, content_type=JSON)
    assert answer.status_code == 400
    assert time.perf_counter() - began < 1


def test_brackets_in_strings_are_no_depth(ada: Browser) -> None:
    title = '["{' * 1000
    assert ada.send("POST", ECHO, json={"title": title}).json["document"]["title"] == title


def test_a_string_without_an_end_is_read_once(ada: Browser) -> None:
    body = b'{"a": [' + b"[" * 70 + b'"\\' * 450_000
    began = time.perf_counter()
    assert ada.send("POST", ECHO, data=body, content_type=JSON).status_code == 400
    assert time.perf_counter() - began < 2


def test_a_body_over_the_limit_is_refused(ada: Browser) -> None:
    body = json.dumps({"title": "x" * 1_000_001})
    assert ada.send("POST", ECHO, data=body, content_type=JSON).status_code == 413


def test_a_route_for_files_takes_more_and_any_type(ada: Browser) -> None:
    answer = ada.send("POST", "/api/v1/probe/bytes", data=b"x" * 3_000_000, content_type="text/csv")
    assert answer.json == {"size": 3_000_000}


def test_a_packed_body_is_refused(ada: Browser) -> None:
    for packing in ("gzip", "br", "deflate", "gzip, identity"):
        answer = ada.send(
            "POST", ECHO, data=b"{}", content_type=JSON, headers={"Content-Encoding": packing}
        )
        assert answer.status_code == 415, packing


def test_a_form_of_a_million_parts_is_refused(site: Site) -> None:
    data = {f"f{n}": "x" for n in range(200)}
    assert site.browser().client.post(
        "/sign-in", data=data, content_type="multipart/form-data"
    ).status_code in {403, 413}
    hostile = b"--b\r\n" + b"\r" * 900_000
    began = time.perf_counter()
    answer = site.browser().client.post(
        "/sign-in", data=hostile, content_type="multipart/form-data; boundary=b"
    )
    assert 400 <= answer.status_code < 500
    assert time.perf_counter() - began < 2


def test_a_user_without_the_right_learns_which_scope_is_missing(ada: Browser) -> None:
    answer = ada.get("/api/v1/probe/admin")
    assert answer.status_code == 403
    assert "administrator" in answer.json["detail"]
    assert PASSWORD not in answer.text
