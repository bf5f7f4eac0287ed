"""Versions, pages, keys, events and the API's own document: S3-10, S0-11."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from flask import Flask

from gateway.errors import TooManyRequestsError
from gateway.web.idempotency import parse_key, request_hash
from gateway.web.paging import make_cursor, read_cursor
from gateway.web.sse import PER_USER, Streams, last_event_id
from tests.web.site import Browser, Site, path_of

THING = "/api/v1/probe/thing"


@pytest.fixture
def ada(site: Site) -> Browser:
    browser = site.browser()
    browser.sign_in("ada")
    return browser


def test_who_has_the_version_gets_304_without_a_body(ada: Browser) -> None:
    first = ada.get(THING)
    etag = first.headers["ETag"]
    assert first.status_code == 200
    assert not etag.startswith("W/")
    again = ada.get(THING, headers={"If-None-Match": etag})
    assert again.status_code == 304
    assert again.data == b""
    assert again.headers["ETag"] == etag
    assert ada.get(THING, headers={"If-None-Match": '"older"'}).status_code == 200


def test_a_change_says_which_version_it_changes(ada: Browser) -> None:
    etag = ada.get(THING).headers["ETag"]
    assert ada.send("PUT", THING).status_code == 428
    assert ada.send("PUT", THING, headers={"If-Match": '"older"'}).status_code == 412
    assert ada.send("PUT", THING, headers={"If-Match": etag}).status_code == 200
    assert ada.send("PUT", THING, headers={"If-Match": "*"}).status_code == 200


def test_a_key_is_read_bare_or_as_a_structured_string(ada: Browser) -> None:
    for text in ('"8e03978e-40d5"', "8e03978e-40d5"):
        headers = {"If-Match": "*", "Idempotency-Key": text}
        assert ada.send("PUT", THING, headers=headers).json == {"key": "8e03978e-40d5"}


@pytest.mark.parametrize(
    "text", ["", '""', '"', '"a', "a b", "ä", "x" * 256, '"a"b"', "\x7f", '"\t"']
)
def test_a_malformed_key_is_none(ada: Browser, text: str) -> None:
    assert parse_key(text) is None
    if text.isprintable():
        headers = {"If-Match": "*", "Idempotency-Key": text}
        assert ada.send("PUT", THING, headers=headers).status_code == 400


def test_the_same_request_has_the_same_hash_in_any_order() -> None:
    one = request_hash({"a": 1, "b": [1, 2]})
    assert one == request_hash({"b": [1, 2], "a": 1})
    assert one != request_hash({"a": 1, "b": [2, 1]})
    assert request_hash({"a": "1"}) != request_hash({"a": 1})


@pytest.mark.parametrize("text", ["01J", "1767323045000-12", "a.b-c_d", "a" * 250])
def test_a_cursor_comes_back_as_it_went(text: str) -> None:
    assert read_cursor(make_cursor(text)) == text


def test_a_stream_goes_on_after_the_last_event_that_was_read(ada: Browser) -> None:
    whole = ada.get("/api/v1/probe/events")
    assert whole.mimetype == "text/event-stream"
    assert whole.headers["Cache-Control"] == "no-store"
    assert whole.text.startswith("retry: 3000\n\n")
    assert [line for line in whole.text.splitlines() if line.startswith("id:")] == [
        "id: 1",
        "id: 2",
        "id: 3",
    ]
    rest = ada.get("/api/v1/probe/events", headers={"Last-Event-ID": "2"})
    assert 'id: 3\nevent: step\ndata: {"n": 3}\n\n' in rest.text
    assert "id: 2" not in rest.text


@pytest.mark.parametrize(
    "text", ["x", "$", "-", "1-", "-1", "1-2-3", "1 2", "²", "٣", "9" * 20, "1-x", "*", "1\u2028"]
)
def test_an_event_id_that_is_none_of_ours_is_ignored(text: str) -> None:
    with Flask("probe").test_request_context(query_string={"last_event_id": text}):
        assert last_event_id() is None


@pytest.mark.parametrize("text", ["0", "2", "0-0", "1767323045000-12"])
def test_an_event_id_of_ours_is_taken_from_header_or_query(text: str) -> None:
    with Flask("probe").test_request_context(query_string={"last_event_id": text}):
        assert last_event_id() == text
    with Flask("probe").test_request_context(headers={"Last-Event-ID": text}):
        assert last_event_id() == text


def test_streams_are_bounded_for_each_reader_and_for_the_process() -> None:
    streams = Streams(PER_USER + 2)
    for _ in range(PER_USER):
        streams.open("ada")
    with pytest.raises(TooManyRequestsError):
        streams.open("ada")
    streams.open("bob")
    streams.open("bob")
    with pytest.raises(TooManyRequestsError):
        streams.open("eve")
    streams.close("ada")
    streams.open("eve")


def test_a_finished_stream_makes_room(ada: Browser) -> None:
    for _ in range(PER_USER * 3):
        assert ada.get("/api/v1/probe/events").status_code == 200


def test_every_view_is_closed_unless_it_says_otherwise(site: Site) -> None:
    open_to_all = set()
    for rule in site.app.url_map.iter_rules():
        path = path_of(rule.rule)
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            answer = site.browser().send(method, path)
            to_sign_in = answer.headers.get("Location", "").startswith("/sign-in")
            if answer.status_code != 401 and not to_sign_in:
                open_to_all.add(f"{method} {rule.rule}")
    assert open_to_all == {
        "GET /api/spec.html", "GET /api/v1/openapi.json", "GET /api/v1/probe/fail",
        "GET /client/<name>", "GET /errors/<name>", "GET /healthz", "GET /help", "GET /readyz",
        "GET /register",
        "GET /metrics",  # for whom it is closed, it is not there: 404
        "GET /sign-in", "GET /static/<path:filename>",
        "POST /api/v1/auth/code", "POST /api/v1/auth/device", "POST /api/v1/auth/device/token",
        "POST /api/v1/auth/login", "POST /api/v1/auth/register", "POST /api/v1/auth/tokens",
        "POST /register", "POST /sign-in",
    }  # fmt: skip


def test_many_threads_are_told_apart(site: Site) -> None:
    def ask(name: str) -> set[str]:
        browser = site.browser(address=f"192.0.2.{len(name)}")
        browser.sign_in(name)
        return {browser.get("/api/v1/me").json["name"] for _ in range(20)}

    names = ["ada", "bob", "root"]
    with ThreadPoolExecutor(len(names)) as pool:
        assert list(pool.map(ask, names)) == [{name} for name in names]


def test_documents_keep_the_order_of_their_schema(ada: Browser) -> None:
    assert list(json.loads(ada.get("/api/v1/me").text)) == ["name", "admin", "scopes", "groups"]
