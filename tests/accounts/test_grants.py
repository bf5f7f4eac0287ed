"""API tokens by consent: RFC 8252 with PKCE, and RFC 8628, with what a thief would try."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import redis as redis_client

from gateway.accounts.grants import INTERVAL_S, challenge_of, is_loopback
from tests.helpers import eventually
from tests.web.site import ORIGIN, Browser, Site, bearer

VERIFIER = "v" * 43
BACK = "http://127.0.0.1:8912/callback"
ASKED = {
    "response_type": "code",
    "client_id": "bumps-remote",
    "redirect_uri": BACK,
    "code_challenge": challenge_of(VERIFIER),
    "code_challenge_method": "S256",
    "state": "a-state-of-the-client",
    "label": "bumps-remote on laptop",
}


def ada(site: Site) -> Browser:
    browser = site.browser()
    assert browser.sign_in("ada").status_code == 200
    return browser


def consent(browser: Browser, decision: str = "allow", **changes: str) -> dict[str, str]:
    """Click through the page; answer what the program hears."""
    asked = {**ASKED, **changes}
    page = f"/authorize?{urlencode(asked)}"
    answer = browser.post_form("/authorize", page=page, decision=decision, **asked)
    assert answer.status_code == 303, answer.text
    target = urlsplit(answer.headers["Location"])
    assert f"{target.scheme}://{target.netloc}{target.path}" == asked["redirect_uri"]
    return {name: values[0] for name, values in parse_qs(target.query).items()}


def redeem(site: Site, code: str, **changes: str) -> Any:
    shown = {"code": code, "code_verifier": VERIFIER, "redirect_uri": BACK, **changes}
    return site.browser().post_json("/api/v1/auth/code", shown)


def begin(site: Site, **changes: Any) -> Any:
    wanted = {"client_id": "bumps-remote", "label": "a node", **changes}
    return site.browser().post_json("/api/v1/auth/device", wanted)


def poll(site: Site, device_code: str) -> Any:
    """Ask as a program does, which waits as long as it is told to."""
    shown = {"device_code": device_code}

    def ask() -> Any:
        answer = site.browser().post_json("/api/v1/auth/device/token", shown)
        return None if answer.json.get("type") == "/errors/slow-down" else answer

    return eventually(ask)


def kind(answer: Any) -> str:
    assert answer.status_code == 400, answer.text
    return str(answer.json["type"]).removeprefix("/errors/")


def test_a_code_of_the_browser_becomes_a_token_that_its_user_sees_and_revokes(site: Site) -> None:
    browser = ada(site)
    page = browser.get(f"/authorize?{urlencode(ASKED)}")
    assert "bumps-remote on laptop" in page.text
    assert "submit, stop, change and delete" in page.text
    assert "form-action 'self' http://127.0.0.1:8912" in page.headers["Content-Security-Policy"]

    heard = consent(browser)
    made = redeem(site, heard["code"])

    assert heard["state"] == ASKED["state"]
    assert made.status_code == 201
    assert (made.json["label"], made.json["scopes"]) == ("bumps-remote on laptop", ["submit"])
    own = bearer(made.json["token"])
    assert site.browser().get("/api/v1/me", headers=own).json["name"] == "ada"
    assert "bumps-remote on laptop" in browser.get("/tokens").text
    browser.post_form(f"/tokens/{made.json['id']}/revoke", page="/tokens")
    assert site.browser().get("/api/v1/me", headers=own).status_code == 401
    actions = [row["action"] for row in browser.get("/api/v1/me/audit").json["items"]]
    assert {"grant.allow", "token.make", "token.revoke"} <= set(actions)


def test_a_code_shown_twice_takes_its_token_away(site: Site) -> None:
    code = consent(ada(site))["code"]
    made = redeem(site, code)

    assert kind(redeem(site, code)) == "expired-grant"

    answer = site.browser().get("/api/v1/me", headers=bearer(made.json["token"]))
    assert answer.status_code == 401


def test_who_has_the_code_alone_gets_nothing_and_uses_it_up(site: Site) -> None:
    browser = ada(site)
    for changes in (
        {"code_verifier": "w" * 43},
        {"code_verifier": challenge_of(VERIFIER)},
        {"redirect_uri": "http://127.0.0.1:8913/callback"},
    ):
        code = consent(browser)["code"]

        assert kind(redeem(site, code, **changes)) == "expired-grant"
        assert kind(redeem(site, code)) == "expired-grant"

    assert browser.get("/api/v1/tokens").json["items"] == []


def test_a_code_is_of_no_use_after_its_minute_or_after_a_new_password(
    site: Site, redis: redis_client.Redis
) -> None:
    browser = ada(site)
    late, void = consent(browser)["code"], consent(browser)["code"]
    lives = [int(redis.pttl(key)) for key in redis.keys("grant:*")]
    assert len(lives) == 2
    assert max(lives) <= 60_000
    site.accounts.set_password("ada", "five loud herons sing")
    assert kind(redeem(site, void)) == "expired-grant"
    for key in redis.keys("grant:*"):
        redis.pexpire(key, 1)
    eventually(lambda: not redis.keys("grant:*"))
    assert kind(redeem(site, late)) == "expired-grant"


WRONG = [
    ("redirect_uri", "https://evil.example/callback"),
    ("redirect_uri", "http://127.0.0.1:8912@evil.example/callback"),
    ("redirect_uri", "http://127.0.0.1.evil.example:8912/callback"),
    ("redirect_uri", "http://127.0.0.1:8912/callback/../x"),
    ("redirect_uri", "http://127.0.0.1:8912/callback?x=1"),
    ("redirect_uri", "http://127.0.0.1:8912/callback#x"),
    ("redirect_uri", "http://127.0.0.1:8912/callback\r\nX: y"),
    ("redirect_uri", "http://127.0.0.1:99999/callback"),
    ("redirect_uri", "http://127.0.0.1/callback"),
    ("redirect_uri", "https://127.0.0.1:8912/callback"),
    ("redirect_uri", "http://localhost:8912/callback"),
    ("redirect_uri", "javascript:alert(1)"),
    ("client_id", "somebody"),
    ("response_type", "token"),
    ("code_challenge_method", "plain"),
    ("code_challenge", "short"),
    ("state", ""),
    ("state", "a b\r\n" * 3),
    ("label", "a\u202eb"),
    ("label", ""),
    ("scope", "everything"),
    ("expires_days", "0"),
    ("expires_days", "soon"),
]


def test_a_wrong_wish_leads_nowhere_and_is_named(site: Site) -> None:
    browser = ada(site)
    for field, value in WRONG:
        asked = {**ASKED, field: value}

        shown = browser.get(f"/authorize?{urlencode(asked)}")
        sent = browser.post_form("/authorize", page="/tokens", decision="allow", **asked)

        for answer in (shown, sent):
            assert answer.status_code == 422, (field, value)
            assert "Location" not in answer.headers
            assert field in answer.text
        assert not is_loopback(value)
    for missing in ("state", "code_challenge", "redirect_uri", "client_id"):
        asked = {name: value for name, value in ASKED.items() if name != missing}
        assert browser.get(f"/authorize?{urlencode(asked)}").status_code == 422, missing


def test_a_no_goes_back_without_a_code(site: Site) -> None:
    heard = consent(ada(site), decision="deny")
    assert heard["error"] == "access_denied"
    assert "code" not in heard


def test_a_stranger_signs_in_first_and_comes_back_to_the_question(site: Site) -> None:
    page = f"/authorize?{urlencode(ASKED)}"
    browser = site.browser()
    to_sign_in = browser.get(page)
    assert to_sign_in.status_code == 303
    shown = browser.get(to_sign_in.headers["Location"]).text
    following = re.search(r'name="next" value="([^"]*)"', shown)
    assert following is not None
    target = following[1].replace("&amp;", "&")
    assert parse_qs(urlsplit(target).query)["state"] == [ASKED["state"]]
    assert browser.get(target).status_code == 303


def test_nobody_but_a_person_at_the_page_consents(site: Site) -> None:
    browser = ada(site)
    page = f"/authorize?{urlencode(ASKED)}"
    made = browser.send("POST", "/api/v1/tokens", json={"label": "a program"}).json
    own = bearer(made["token"])
    program = site.browser().client
    for answer in (
        program.get(page, headers=own),
        program.post("/authorize", data={**ASKED, "decision": "allow"}, headers=own),
        program.post("/device", data={"user_code": "BBBBBBBB"}, headers=own),
        browser.client.post(
            "/authorize", data={**ASKED, "decision": "allow"}, headers={"Origin": ORIGIN}
        ),
    ):
        assert answer.status_code == 403


def test_a_scope_that_the_user_lacks_is_not_given(site: Site) -> None:
    browser = ada(site)
    asked = {**ASKED, "scope": "admin"}
    page = f"/authorize?{urlencode(asked)}"
    assert "which you may not" in browser.get(page).text
    assert browser.post_form("/authorize", page=page, decision="allow", **asked).status_code == 403
    codes = begin(site, scope="admin").json
    typed = {"user_code": codes["user_code"]}
    assert "which you may not" in browser.post_form("/device", **typed).text
    assert browser.post_form("/device", decision="allow", **typed).status_code == 403
    assert kind(poll(site, codes["device_code"])) == "authorization-pending"
    narrow = redeem(site, consent(browser, scope="read")["code"])
    assert narrow.json["scopes"] == ["read"]


def test_letters_typed_elsewhere_sign_a_program_in(site: Site) -> None:
    codes = begin(site, expires_days=7).json
    assert kind(poll(site, codes["device_code"])) == "authorization-pending"
    browser = ada(site)

    typed = codes["user_code"].lower().replace("-", " ")
    shown = browser.post_form("/device", user_code=typed)
    assert "a node" in shown.text
    assert codes["user_code"] in shown.text
    assert "192.0.2.1" in shown.text
    done = browser.post_form("/device", user_code=typed, decision="allow")
    assert "is signed in" in done.text

    made = poll(site, codes["device_code"])
    assert made.status_code == 201
    answer = site.browser().get("/api/v1/me", headers=bearer(made.json["token"]))
    assert answer.json["name"] == "ada"
    assert browser.post_form("/device", user_code=typed, decision="allow").status_code == 422
    assert kind(poll(site, codes["device_code"])) == "expired-grant"


def test_who_asks_too_often_is_told_to_slow_down(site: Site) -> None:
    code = begin(site).json["device_code"]
    shown = {"device_code": code}
    first, second = (site.browser().post_json("/api/v1/auth/device/token", shown) for _ in range(2))
    assert kind(first) == "authorization-pending"
    assert kind(second) == "slow-down"
    assert begin(site).json["interval"] == INTERVAL_S


def test_a_program_hears_a_no(site: Site) -> None:
    codes = begin(site).json
    browser = ada(site)
    answer = browser.post_form("/device", user_code=codes["user_code"], decision="deny")
    assert "Nothing was signed in" in answer.text
    assert kind(poll(site, codes["device_code"])) == "access-denied"


def test_letters_cannot_be_guessed_and_the_right_ones_cost_nothing(site: Site) -> None:
    codes = begin(site).json
    browser = ada(site)
    for _ in range(25):
        assert browser.post_form("/device", user_code=codes["user_code"]).status_code == 200
    statuses = [
        browser.post_form("/device", user_code=f"BBBBBBB{last}").status_code
        for last in "BCDFGHJKLMNPQRSTVWXZB"
    ]
    assert statuses == [422] * 20 + [429]
    assert browser.post_form("/device", user_code=codes["user_code"]).status_code == 429


def test_device_codes_are_not_made_without_end(site: Site) -> None:
    statuses = [begin(site).status_code for _ in range(21)]
    assert statuses == [201] * 20 + [429]


def test_a_made_up_device_code_is_refused(site: Site) -> None:
    for code in ("bgd_" + "a" * 36, "x", "é" * 9):
        answer = site.browser().post_json("/api/v1/auth/device/token", {"device_code": code})
        assert kind(answer) == "expired-grant"


def test_no_code_lies_in_the_store_or_the_log(site: Site, redis: redis_client.Redis) -> None:
    code = consent(ada(site))["code"]
    device = begin(site).json["device_code"]
    values = [str(redis.dump(key)) for key in redis.keys("*")]
    told = [*map(str, redis.keys("*")), *values, site.log.getvalue()]
    assert not [text for text in told if code in text or device in text]
