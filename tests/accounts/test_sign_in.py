"""Sign in, refresh, sign out: S25, S26, S27, S1-11."""

from __future__ import annotations

import math
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.web.fixtures import SiteMaker
from tests.web.site import PASSWORD, Site


def test_the_right_password_signs_in_and_a_wrong_one_does_not(site: Site) -> None:
    browser = site.browser()
    assert browser.sign_in("ada", "wrong wrong wrong").status_code == 401
    assert browser.get("/api/v1/me").status_code == 401
    signed_in = browser.sign_in("ada")
    assert signed_in.status_code == 200
    assert signed_in.json["user"]["name"] == "ada"
    assert browser.get("/api/v1/me").json["name"] == "ada"


def test_session_cookies_are_host_only_secure_http_only_and_lax(site: Site) -> None:
    answer = site.browser().sign_in("ada")
    cookies = answer.headers.getlist("Set-Cookie")
    assert len(cookies) == 3
    for cookie in cookies:
        parts = {part.strip() for part in cookie.split(";")[1:]}
        assert cookie.startswith("__Host-bgw-")
        assert {"Secure", "HttpOnly", "SameSite=Lax", "Path=/"} <= parts
        assert not any(part.startswith("Domain") for part in parts)


def test_no_token_stands_in_the_body_of_a_login(site: Site) -> None:
    browser = site.browser()
    text = browser.sign_in("ada").text
    assert browser.cookie("access") not in text
    assert browser.cookie("refresh") not in text


def test_a_sign_in_starts_a_new_session_and_ends_the_one_before(site: Site) -> None:
    browser = site.browser()
    browser.sign_in("ada")
    first = browser.cookie("access")
    browser.sign_in("ada")
    assert browser.cookie("access") != first
    old = site.browser()
    old.set_cookie("access", first or "")
    assert old.get("/api/v1/me").status_code == 401


def test_a_sign_out_ends_the_session_on_the_server(site: Site) -> None:
    browser, thief = site.browser(), site.browser()
    browser.sign_in("ada")
    for name in ("access", "refresh"):
        thief.set_cookie(name, browser.cookie(name) or "")
    assert thief.get("/api/v1/me").status_code == 200
    assert browser.send("POST", "/api/v1/auth/logout").status_code == 204
    assert browser.cookie("access") is None
    assert browser.cookie("refresh") is None
    assert thief.get("/api/v1/me").status_code == 401
    assert thief.send("POST", "/api/v1/auth/refresh").status_code == 401


def test_a_refresh_replaces_the_refresh_token(site: Site) -> None:
    browser = site.browser()
    browser.sign_in("ada")
    before = browser.cookie("refresh")
    answer = browser.send("POST", "/api/v1/auth/refresh")
    assert answer.status_code == 200
    assert answer.json["user"]["name"] == "ada"
    assert browser.cookie("refresh") != before


def test_a_page_renews_a_session_whose_access_token_has_run_out(site: Site) -> None:
    browser = site.browser()
    browser.sign_in("ada")
    before = browser.cookie("refresh")
    browser.drop_cookie("access")  # the browser drops it itself when its time is over
    assert browser.get("/tokens").status_code == 200
    assert browser.cookie("access")
    assert browser.cookie("refresh") != before


def test_parallel_requests_with_the_same_refresh_token_get_the_same_successor(site: Site) -> None:
    browser = site.browser()
    browser.sign_in("ada")
    refresh = browser.cookie("refresh") or ""

    def renew(_: int) -> tuple[int, str | None]:
        tab = site.browser()
        tab.set_cookie("refresh", refresh)
        status = tab.get("/tokens").status_code
        return status, tab.cookie("refresh")

    with ThreadPoolExecutor(8) as pool:
        answers = set(pool.map(renew, range(16)))
    assert len(answers) == 1
    status, successor = answers.pop()
    assert status == 200
    assert successor != refresh


def test_an_old_refresh_token_shown_again_ends_the_whole_session(site: Site) -> None:
    browser, thief = site.browser(), site.browser()
    browser.sign_in("ada")
    stolen = browser.cookie("refresh") or ""
    for _ in range(2):  # two generations on, the grace no longer covers it
        assert browser.send("POST", "/api/v1/auth/refresh").status_code == 200
    thief.set_cookie("refresh", stolen)
    assert thief.get("/tokens").status_code == 303
    assert browser.get("/api/v1/me").status_code == 401
    assert browser.send("POST", "/api/v1/auth/refresh").status_code == 401
    actions = [record.action for _, record in site.accounts.audit.read("ada")]
    assert "session.reused" in actions


def test_a_made_up_refresh_token_ends_nobodys_session(site: Site) -> None:
    browser, stranger = site.browser(), site.browser()
    browser.sign_in("ada")
    session = (browser.cookie("refresh") or "").split("_")[1]
    stranger.set_cookie("refresh", f"bgr_{session}_0_{'0' * 64}")
    assert stranger.send("POST", "/api/v1/auth/refresh").status_code == 401
    assert browser.get("/api/v1/me").status_code == 200


def test_a_new_password_ends_other_sessions_but_not_the_one_that_asked(site: Site) -> None:
    browser, other = site.browser(), site.browser()
    browser.sign_in("ada")
    other.sign_in("ada")
    change = {"old": PASSWORD, "new": "five loud herons sing"}
    assert browser.send("PUT", "/api/v1/me/password", json=change).status_code == 200
    assert browser.get("/api/v1/me").status_code == 200
    assert other.get("/api/v1/me").status_code == 401
    assert site.browser().sign_in("ada").status_code == 401
    assert site.browser().sign_in("ada", "five loud herons sing").status_code == 200


def test_a_new_password_needs_the_present_one(site: Site) -> None:
    browser = site.browser()
    browser.sign_in("ada")
    change = {"old": "not this one", "new": "five loud herons sing"}
    answer = browser.send("PUT", "/api/v1/me/password", json=change)
    assert answer.status_code == 422
    assert answer.json["errors"][0]["pointer"] == "/old"


def test_a_user_who_is_switched_off_is_out_at_once(site: Site) -> None:
    browser = site.browser()
    browser.sign_in("ada")
    site.accounts.deactivate("ada")
    assert browser.get("/api/v1/me").status_code == 401
    assert browser.send("POST", "/api/v1/auth/refresh").status_code == 401
    assert site.browser().sign_in("ada").status_code == 401
    site.accounts.activate("ada")
    assert browser.get("/api/v1/me").status_code == 401
    assert site.browser().sign_in("ada").status_code == 200


def test_guessing_is_stopped_with_a_time_to_come_back(site: Site) -> None:
    browser = site.browser()
    statuses = [browser.sign_in("ada", f"guess number {n}").status_code for n in range(12)]
    assert statuses[:5] == [401] * 5
    assert set(statuses[5:]) == {429}
    answer = browser.sign_in("ada")
    assert answer.status_code == 429  # also with the right password: the guesser learns nothing
    assert 0 < int(answer.headers["Retry-After"]) <= 900


def test_parallel_guesses_are_counted_one_by_one(site: Site) -> None:
    def guess(n: int) -> int:
        return int(site.browser().sign_in("ada", f"guess number {n}").status_code)

    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(guess, range(24)))
    assert statuses.count(401) == 5
    assert statuses.count(429) == 19


def test_a_strangers_guesses_do_not_lock_out_the_true_user(site: Site) -> None:
    browser = site.browser()
    browser.sign_in("ada")
    browser.send("POST", "/api/v1/auth/logout")
    browser.csrf = None
    for n in range(50):
        site.browser(address=f"198.51.100.{n}").sign_in("ada", "wrong wrong wrong")
        site.browser().sign_in("ada", "wrong wrong wrong")  # even from the same address
    assert site.browser(address="203.0.113.7").sign_in("ada").status_code == 429
    assert browser.sign_in("ada").status_code == 200


def test_a_device_cookie_is_good_for_its_own_name_only(site: Site) -> None:
    browser = site.browser()
    browser.sign_in("bob")
    browser.send("POST", "/api/v1/auth/logout")
    browser.csrf = None
    statuses = [browser.sign_in("ada", f"guess number {n}").status_code for n in range(7)]
    assert statuses == [401] * 5 + [429] * 2


@pytest.mark.alone
def test_an_unknown_name_takes_as_long_as_a_known_one(make: SiteMaker) -> None:
    limits = ("PER_PAIR", "PER_NAME", "PER_ADDRESS")
    site = make(**{f"GATEWAY_ACCOUNTS__GUESSES_{limit}": "1000" for limit in limits})
    site.accounts.add_user("ada", PASSWORD)
    browser = site.browser()
    quickest = {"ada": math.inf, "eve": math.inf}
    # What else runs on the machine only ever adds to a duration, so the shortest comes down to the
    # work itself; a difference in the work stays however often one asks.
    for attempts in range(200):
        for name in quickest:
            began = time.perf_counter()
            assert browser.sign_in(name, "wrong wrong wrong").status_code == 401
            quickest[name] = min(quickest[name], time.perf_counter() - began)
        apart = abs(quickest["ada"] - quickest["eve"]) / quickest["ada"]
        if attempts >= 20 and apart < 0.1:
            return
    pytest.fail(f"The shortest sign-ins differ by {apart:.0%}: {quickest}")


def test_unknown_name_wrong_password_and_switched_off_get_the_same_answer(site: Site) -> None:
    site.accounts.deactivate("bob")
    answers = [
        site.browser(address=f"192.0.2.{n}").send(
            "POST", "/api/v1/auth/login", json={"name": name, "password": password},
            headers={"X-Request-ID": "the-same-id"},
        )
        for n, (name, password) in enumerate(
            [("eve", PASSWORD), ("ada", "wrong wrong wrong"), ("bob", PASSWORD)]
        )
    ]  # fmt: skip
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.text for answer in answers}) == 1


@pytest.mark.parametrize(
    "name", ["a\nb", "a" * 33, "../../etc", "ADA", " ", "ada\x00", "ädä", "x" * 900_000]
)
def test_what_cannot_be_a_name_is_refused_with_one_short_log_line(site: Site, name: str) -> None:
    answer = site.browser().sign_in(name)
    assert answer.status_code == 400
    lines = site.log.getvalue().splitlines()
    assert len(lines) == 1
    assert len(lines[0]) < 1000


def test_a_password_of_a_megabyte_is_refused(site: Site) -> None:
    assert site.browser().sign_in("ada", "x" * 900_000).status_code == 400
    assert site.browser().sign_in("ada", "x" * 1_100_000).status_code == 413


@pytest.mark.parametrize(
    "password",
    ["short", "password1", "Passw0rd!", "12345678", "qwertyuiop", "abcabcabc1", "aaaaaaaaaa",
     "iloveyou2", "football", "P@ssword123", "87654321", "neutron1", "Newuser99", "x" * 1025],
)  # fmt: skip
def test_a_password_that_anybody_would_try_is_refused(site: Site, password: str) -> None:
    browser = site.browser()
    browser.sign_in("root")
    wanted = {"name": "newuser", "password": password}
    answer = browser.send("POST", "/api/v1/users", json=wanted)
    assert answer.status_code == 422
    assert answer.json["errors"][0]["pointer"] == "/password"
    assert password not in answer.text or len(password) < 6
    assert browser.get("/api/v1/users/newuser").status_code == 404


@pytest.mark.parametrize(
    "password",
    ["correct horse battery staple", "x7" * 64, "Größe über Maß", "密码是很长的一句话",
     "🦦🦦🦢🦢🐦🐦🌊🌊", "tr0ub4dor&3", "            spaces too", "mitte8kalt"],
)  # fmt: skip
def test_a_long_or_odd_password_is_taken_and_signs_in(site: Site, password: str) -> None:
    site.accounts.add_user("newuser", password)
    assert site.browser().sign_in("newuser", password).status_code == 200
    assert site.browser().sign_in("newuser", password + "x").status_code == 401


def test_the_same_word_in_other_code_points_is_the_same_password(site: Site) -> None:
    site.accounts.add_user("newuser", "caf\u00e9 au lait noir")
    assert site.browser().sign_in("newuser", "cafe\u0301 au lait noir").status_code == 200
