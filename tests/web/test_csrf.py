"""Writes by cookie: S33, S1-13."""

from __future__ import annotations

import pytest
import redis as redis_client

from tests.web.site import ORIGIN, PASSWORD, Browser, Site, path_of

ECHO = "/api/v1/probe/echo"


def signed_in(site: Site, name: str = "ada") -> Browser:
    browser = site.browser()
    browser.sign_in(name)
    return browser


def test_a_write_by_cookie_needs_the_sessions_own_token(site: Site) -> None:
    ada, bob = signed_in(site), signed_in(site, "bob")
    body = {"title": "x"}
    assert ada.send("POST", ECHO, json=body).status_code == 200
    for token in ("", "x", bob.csrf or "", "ä"):
        answer = ada.send("POST", ECHO, json=body, headers={"X-CSRF-Token": token})
        assert answer.status_code == 403
        assert "X-CSRF-Token" in answer.json["detail"]
    assert ada.client.post(ECHO, json=body, headers={"Origin": ORIGIN}).status_code == 403


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "https://evil.example"}, {"Origin": "null"}, {"Origin": "http://localhost:81"},
     {"Origin": "https://localhost"}, {"Origin": "http://localhost.evil.example"},
     {"Origin": "nonsense"}],
)  # fmt: skip
def test_a_write_from_another_site_is_refused_even_with_the_token(
    site: Site, headers: dict[str, str]
) -> None:
    ada = signed_in(site)
    assert ada.send("POST", ECHO, json={"title": "x"}, headers=headers).status_code == 403


def test_without_an_origin_the_browsers_own_word_counts(site: Site) -> None:
    ada = signed_in(site)
    token = {"X-CSRF-Token": ada.csrf or ""}
    for word, status in (("cross-site", 403), ("same-site", 403), ("same-origin", 200)):
        answer = ada.client.post(
            ECHO, json={"title": "x"}, headers={**token, "Sec-Fetch-Site": word}
        )
        assert answer.status_code == status, word


def test_json_in_disguise_is_no_json(site: Site) -> None:
    ada = signed_in(site)
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""):
        answer = ada.send("POST", ECHO, data=b'{"title": "x"}', content_type=kind)
        assert answer.status_code == 415, kind


def test_a_form_needs_its_token_and_the_token_of_nobody_else(site: Site) -> None:
    browser, other = site.browser(), site.browser()
    foreign = other.form_token()
    own = browser.form_token()
    fields = {"name": "ada", "password": PASSWORD}
    for token in ("", foreign, "x"):
        answer = browser.client.post(
            "/sign-in", data={**fields, "csrf_token": token}, headers={"Origin": ORIGIN}
        )
        assert answer.status_code == 403
        assert browser.cookie("access") is None
    answer = browser.client.post(
        "/sign-in", data={**fields, "csrf_token": own}, headers={"Origin": ORIGIN}
    )
    assert answer.status_code == 303
    assert browser.cookie("access")


def test_a_stranger_may_not_be_signed_in_from_another_site(site: Site) -> None:
    answer = site.browser().send(
        "POST",
        "/api/v1/auth/login",
        json={"name": "ada", "password": PASSWORD},
        headers={"Origin": "https://evil.example"},
    )
    assert answer.status_code == 403
    assert "Set-Cookie" not in answer.headers


def test_a_write_by_get_does_not_exist(site: Site) -> None:
    ada = signed_in(site)
    for path in ("/sign-out", "/tokens/x/revoke", "/api/v1/auth/logout", "/api/v1/auth/login"):
        assert ada.get(path).status_code == 405, path
    assert ada.get("/api/v1/me").status_code == 200


def test_no_get_changes_the_store(site: Site, redis: redis_client.Redis) -> None:
    root = signed_in(site, "root")
    root.send("POST", "/api/v1/tokens", json={"label": "x"})
    before = {key: redis.dump(key) for key in redis.keys("*")}
    for rule in site.app.url_map.iter_rules():
        root.get(path_of(rule.rule))
    assert {key: redis.dump(key) for key in redis.keys("*")} == before
