"""API tokens, users and the audit trail: S22, S23, S44, S1-12."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis as redis_client

from gateway.accounts.tokens import has_checksum
from tests.helpers import eventually
from tests.web.fixtures import SiteMaker
from tests.web.site import PASSWORD, Browser, Site, bearer


def new_token(browser: Browser, **wanted: Any) -> Any:
    answer = browser.send("POST", "/api/v1/tokens", json={"label": "my laptop", **wanted})
    assert answer.status_code == 201, answer.text
    return answer.json


def signed_in(site: Site, name: str = "ada") -> Browser:
    browser = site.browser()
    assert browser.sign_in(name).status_code == 200
    return browser


def test_a_token_has_prefix_checksum_and_178_random_bits(site: Site) -> None:
    made = {new_token(signed_in(site), label=f"t{n}")["token"] for n in range(3)}
    assert len(made) == 3
    for secret in made:
        assert re.fullmatch(r"bgw_[0-9A-Za-z]{36}", secret)
        assert has_checksum(secret, "bgw")


def test_a_program_signs_in_for_a_token_and_uses_it(site: Site) -> None:
    program = site.browser()
    wanted = {"name": "ada", "password": PASSWORD, "label": "cli", "scopes": ["read"]}
    answer = program.post_json("/api/v1/auth/tokens", wanted)
    assert answer.status_code == 201
    assert answer.headers.getlist("Set-Cookie") == []
    me = site.browser().get("/api/v1/me", headers=bearer(answer.json["token"]))
    assert me.json == {"name": "ada", "admin": False, "scopes": ["read"], "groups": []}


def test_a_site_lets_no_token_live_longer_than_it_says(make: SiteMaker) -> None:
    most = {"GATEWAY_ACCOUNTS__TOKEN_DAYS": "30"}
    site = make(**most)
    site.accounts.add_user("ada", PASSWORD)
    browser, program = signed_in(site), site.browser()
    credentials = {"name": "ada", "password": PASSWORD, "label": "cli"}
    for days in (31, 365, None):
        asked = {"label": "x", "expires_days": days}
        device = {"client_id": "bumps-remote", **asked}
        for refused in (
            browser.send("POST", "/api/v1/tokens", json=asked),
            program.post_json("/api/v1/auth/tokens", {**credentials, "expires_days": days}),
            program.post_json("/api/v1/auth/device", device),
        ):
            assert refused.status_code == 422, refused.text
            (error,) = refused.json["errors"]
            assert error["pointer"] == "/expires_days"
            assert "lives 30 days at most" in error["detail"]
    assert browser.get("/api/v1/tokens").json["items"] == []
    for wanted in ({}, {"expires_days": 30}, {"expires_days": 1}):
        made = new_token(browser, **wanted)
        lives = datetime.fromisoformat(made["expires"]) - datetime.fromisoformat(made["created"])
        assert round(lives / timedelta(days=1)) == wanted.get("expires_days", 30)
    assert program.post_json("/api/v1/auth/tokens", credentials).status_code == 201
    form = browser.get("/tokens").text
    assert '<option value="30" selected>30 days</option>' in form
    assert 'value="never"' not in form
    assert 'value="90"' not in form
    page = browser.post_form("/tokens", "/tokens", label="x", expires_days="never")
    assert (page.status_code, "lives 30 days at most" in page.text) == (422, True)
    query = (
        "response_type=code&client_id=bumps-remote&redirect_uri=http://127.0.0.1:8912/callback"
        f"&code_challenge={'a' * 43}&code_challenge_method=S256&state={'s' * 22}&expires_days=90"
    )
    page = browser.get(f"/authorize?{query}")
    assert (page.status_code, "lives 30 days at most" in page.text) == (422, True)
    assert browser.get(f"/authorize?{query.removesuffix('&expires_days=90')}").status_code == 200


def test_the_secret_is_shown_once(site: Site) -> None:
    browser = signed_in(site)
    made = new_token(browser)
    listed = browser.get("/api/v1/tokens")
    assert made["token"] not in listed.text
    assert listed.json["items"][0]["id"] == made["id"]
    assert made["token"] not in browser.get("/tokens").text


def test_a_typing_error_is_refused_without_asking_the_store(
    site: Site, redis: redis_client.Redis
) -> None:
    secret = new_token(signed_in(site))["token"]
    other = "A" if secret[10] != "A" else "B"
    wrong = secret[:10] + other + secret[11:]
    browser = site.browser()
    before = int(redis.info("stats")["total_commands_processed"])
    assert browser.get("/api/v1/me", headers=bearer(wrong)).status_code == 401
    after = int(redis.info("stats")["total_commands_processed"])
    assert after - before == 1  # the INFO of this test itself
    assert browser.get("/api/v1/me", headers=bearer(secret)).status_code == 200


def test_a_read_token_may_not_write(site: Site) -> None:
    secret = new_token(signed_in(site), scopes=["read"])["token"]
    answer = site.browser().post_json("/api/v1/probe/echo", {"title": "x"}, bearer(secret))
    assert answer.status_code == 403
    assert answer.headers["WWW-Authenticate"] == (
        'Bearer realm="bumps-gateway", error="insufficient_scope", scope="submit"'
    )
    assert answer.json["type"] == "/errors/scope"


def test_a_token_needs_no_csrf_token(site: Site) -> None:
    secret = new_token(signed_in(site))["token"]
    answer = site.browser().post_json("/api/v1/probe/echo", {"title": "x"}, bearer(secret))
    assert answer.json["user"] == "ada"


def test_a_token_is_never_mightier_than_who_made_it(site: Site) -> None:
    browser = signed_in(site)
    wanted = {"label": "x", "scopes": ["admin"]}
    assert browser.send("POST", "/api/v1/tokens", json=wanted).status_code == 403
    wanted |= {"name": "ada", "password": PASSWORD}
    assert site.browser().post_json("/api/v1/auth/tokens", wanted).status_code == 403
    assert browser.get("/api/v1/tokens").json["items"] == []


def test_an_admin_token_of_somebody_who_is_admin_no_more_is_narrower(
    site: Site, redis: redis_client.Redis
) -> None:
    secret = new_token(signed_in(site, "root"), scopes=["admin"])["token"]
    assert site.browser().get("/api/v1/users", headers=bearer(secret)).status_code == 200
    redis.hset("user:root", "admin", "false")
    assert site.browser().get("/api/v1/users", headers=bearer(secret)).status_code == 403


def test_an_expired_token_is_refused(site: Site, redis: redis_client.Redis) -> None:
    made = new_token(signed_in(site), expires_days=1)
    [key] = redis.keys("token:*")
    redis.hset(key, "expires", '"2020-01-01T00:00:00.000000Z"')
    answer = site.browser().get("/api/v1/me", headers=bearer(made["token"]))
    assert answer.status_code == 401
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]


def test_a_token_may_live_for_ever_when_asked_so(site: Site) -> None:
    assert new_token(signed_in(site), expires_days=None)["expires"] is None


def test_a_revoked_token_is_refused_at_once(site: Site) -> None:
    browser = signed_in(site)
    made = new_token(browser)
    program = site.browser()
    assert program.get("/api/v1/me", headers=bearer(made["token"])).status_code == 200
    assert browser.send("DELETE", f"/api/v1/tokens/{made['id']}").status_code == 204
    assert program.get("/api/v1/me", headers=bearer(made["token"])).status_code == 401
    assert browser.send("DELETE", f"/api/v1/tokens/{made['id']}").status_code == 404


def test_a_read_token_may_revoke_itself_and_nothing_else(site: Site) -> None:
    browser = signed_in(site)
    own, other = new_token(browser, scopes=["read"]), new_token(browser, label="other")
    program = site.browser().client
    headers = bearer(own["token"])
    assert program.delete(f"/api/v1/tokens/{other['id']}", headers=headers).status_code == 403
    assert program.post("/api/v1/auth/logout", headers=headers).status_code == 204
    assert program.get("/api/v1/me", headers=headers).status_code == 401


def test_a_strangers_token_is_not_there(site: Site) -> None:
    made = new_token(signed_in(site))
    bob = signed_in(site, "bob")
    foreign = bob.send("DELETE", f"/api/v1/tokens/{made['id']}")
    missing = bob.send("DELETE", "/api/v1/tokens/01JZZZZZZZZZZZZZZZZZZZZZZZ")
    assert foreign.status_code == missing.status_code == 404
    assert site.browser().get("/api/v1/me", headers=bearer(made["token"])).status_code == 200


def test_the_last_use_of_a_token_is_listed(site: Site) -> None:
    browser = signed_in(site)
    made = new_token(browser)
    assert made["last_used"] is None
    site.browser().get("/api/v1/me", headers=bearer(made["token"]))
    used = browser.get("/api/v1/tokens").json["items"][0]["last_used"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", used)


def test_there_is_an_end_to_tokens(make: SiteMaker) -> None:
    site = make(GATEWAY_ACCOUNTS__TOKENS="2")
    site.accounts.add_user("ada", PASSWORD)
    browser = signed_in(site)
    for n in range(2):
        new_token(browser, label=str(n))
    assert browser.send("POST", "/api/v1/tokens", json={"label": "3"}).status_code == 409


def test_a_reset_password_ends_tokens_and_a_switched_off_user_has_none(site: Site) -> None:
    root = signed_in(site, "root")
    first = new_token(signed_in(site))["token"]
    reset = {"password": "six slow storks stand"}
    assert root.send("PUT", "/api/v1/users/ada/password", json=reset).status_code == 204
    assert site.browser().get("/api/v1/me", headers=bearer(first)).status_code == 401
    bobs = new_token(signed_in(site, "bob"))["token"]
    assert root.send("POST", "/api/v1/users/bob/deactivate").json["active"] is False
    assert site.browser().get("/api/v1/me", headers=bearer(bobs)).status_code == 401
    root.send("POST", "/api/v1/users/bob/activate")
    assert site.browser().get("/api/v1/me", headers=bearer(bobs)).status_code == 401


def test_only_an_administrator_sees_and_makes_accounts(site: Site) -> None:
    ada, root = signed_in(site), signed_in(site, "root")
    wanted = {"name": "eve", "password": PASSWORD}
    for method, path, body in (
        ("GET", "/api/v1/users", None),
        ("GET", "/api/v1/users/bob", None),
        ("POST", "/api/v1/users", wanted),
        ("POST", "/api/v1/users/bob/deactivate", None),
        ("POST", "/api/v1/users/bob/activate", None),
        ("PUT", "/api/v1/users/bob/password", {"password": PASSWORD}),
    ):
        assert ada.send(method, path, json=body).status_code == 403, path
        assert site.browser().send(method, path, json=body).status_code == 401, path
        assert root.send(method, path, json=body).status_code < 300, path
    assert root.send("POST", "/api/v1/users", json=wanted).status_code == 409


def test_nobody_makes_himself_an_administrator(site: Site) -> None:
    ada = signed_in(site)
    answer = ada.send(
        "PUT", "/api/v1/me/password", json={"old": PASSWORD, "new": "x", "admin": True}
    )
    assert answer.status_code == 422
    assert {"pointer": "/admin", "detail": "Unknown field."} in answer.json["errors"]
    assert ada.get("/api/v1/me").json["admin"] is False


def test_accounts_page_by_name_and_nothing_is_lost_by_an_insert(site: Site) -> None:
    for n in range(7):
        site.accounts.add_user(f"user{n}", PASSWORD)
    root, seen, path = signed_in(site, "root"), [], "/api/v1/users?limit=3"
    while path:
        answer = root.get(path)
        seen += [user["name"] for user in answer.json["items"]]
        found = re.search(r'<([^>]*)>; rel="next"', answer.headers["Link"])
        assert bool(found) == (answer.json["next_cursor"] is not None)
        path = found[1] if found else ""
        if len(seen) == 3:
            site.accounts.add_user("aaa", PASSWORD)
    assert seen == sorted({"ada", "bob", "root"} | {f"user{n}" for n in range(7)})


def test_a_stranger_gets_a_uid_where_the_site_allows_it(
    make: SiteMaker, redis: redis_client.Redis
) -> None:
    site = make(GATEWAY_ACCOUNTS__REGISTRATION="true")
    made = site.browser().send("POST", "/api/v1/auth/register")
    assert made.status_code == 201
    uid = made.json["uid"]
    assert has_checksum(uid, "bgu")
    assert not any(uid in str(redis.dump(key)) or uid in key for key in redis.keys("*"))
    browser = site.browser()
    answer = browser.send("POST", "/api/v1/auth/login", json={"uid": uid})
    assert answer.status_code == 200
    assert browser.get("/api/v1/me").json["name"] == made.json["name"]
    wanted = {"uid": uid, "label": "cli"}
    token = site.browser().post_json("/api/v1/auth/tokens", wanted).json["token"]
    assert site.browser().get("/api/v1/me", headers=bearer(token)).status_code == 200
    wrong = uid[:-1] + ("0" if uid[-1] != "0" else "1")
    assert site.browser().send("POST", "/api/v1/auth/login", json={"uid": wrong}).status_code == 401
    nobody = {"name": made.json["name"], "password": ""}
    assert site.browser().send("POST", "/api/v1/auth/login", json=nobody).status_code == 422


def test_registration_is_closed_by_default_and_bounded_where_open(
    site: Site, make: SiteMaker
) -> None:
    assert site.browser().send("POST", "/api/v1/auth/register").status_code == 403
    opened = make(GATEWAY_ACCOUNTS__REGISTRATION="true")
    statuses = [
        opened.browser().send("POST", "/api/v1/auth/register").status_code for _ in range(7)
    ]
    assert statuses == [201] * 5 + [429] * 2


def test_the_audit_trail_has_each_action_and_users_see_their_own(site: Site) -> None:
    ada, root = signed_in(site), signed_in(site, "root")
    made = new_token(ada)
    ada.send("DELETE", f"/api/v1/tokens/{made['id']}", headers={"X-Request-ID": "trail-0001"})
    root.send("POST", "/api/v1/users/bob/deactivate")
    own = ada.get("/api/v1/me/audit").json["items"]
    assert [record["action"] for record in own] == ["token.revoke", "token.make", "session.begin"]
    assert own[0]["subject"] == made["id"]
    assert own[0]["request_id"] == "trail-0001"
    assert own[0]["address"] == "192.0.2.1"
    assert {record["user"] for record in own} == {"ada"}
    assert ada.get("/api/v1/me/audit?everybody=true").status_code == 403
    first = root.get("/api/v1/me/audit?everybody=true&limit=2").json
    assert first["items"][0]["action"] == "user.deactivate"
    rest = root.get(f"/api/v1/me/audit?everybody=true&cursor={first['next_cursor']}").json
    assert len(first["items"]) + len(rest["items"]) == 5


def test_a_failed_sign_in_is_in_the_trail(site: Site) -> None:
    site.browser().sign_in("ada", "wrong wrong wrong")
    assert [record.action for _, record in site.accounts.audit.read("ada")] == ["session.refused"]
    site.browser().sign_in("nobody", "wrong wrong wrong")
    assert site.accounts.audit.read("nobody") == []  # strangers cannot fill the store with names


def test_no_secret_that_was_given_out_lies_in_the_store_or_the_log(
    site: Site, redis: redis_client.Redis, redis_server: Path
) -> None:
    browser = signed_in(site)
    browser.send("POST", "/api/v1/auth/refresh")
    made = new_token(browser)
    site.browser().get("/api/v1/me", headers=bearer(made["token"]))
    browser.get("/tokens")
    secrets = [
        PASSWORD, made["token"], browser.cookie("access"), browser.cookie("refresh"),
        browser.cookie("device"), browser.csrf,
    ]  # fmt: skip
    redis.bgrewriteaof()
    eventually(lambda: redis.info("persistence")["aof_rewrite_in_progress"] == 0)
    stored = b"".join(
        path.read_bytes() for path in redis_server.parent.rglob("*") if path.is_file()
    )
    assert b"user:ada" in stored
    for secret in secrets:
        assert secret
        assert secret not in site.log.getvalue()
        assert secret.encode() not in stored


@pytest.mark.parametrize("text", ["0-0", "x", "1", "-", "1-", "9" * 20 + "-1", "1-1\n", "", "+"])
def test_a_cursor_that_is_no_entry_of_the_trail_is_refused(site: Site, text: str) -> None:
    for cursor in (text.encode().hex(), text):
        answer = signed_in(site).get("/api/v1/me/audit", query_string={"cursor": cursor})
        assert answer.status_code == 422, answer.text
        assert answer.json["errors"][0]["pointer"] == "/query/cursor"
    entry = b"1767323045000-12".hex()
    assert signed_in(site).get(f"/api/v1/me/audit?cursor={entry}").status_code == 200
