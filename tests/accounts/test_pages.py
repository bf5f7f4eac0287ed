"""The pages of accounts by hand-made requests: S28, S1-11."""

from __future__ import annotations

import pytest

from gateway.accounts.pages import safe_next
from tests.web.fixtures import SiteMaker
from tests.web.site import ORIGIN, PASSWORD, Site

HOSTILE_NEXT = [
    "//evil.example", "///evil.example", "/\\evil.example", "\\\\evil.example", "\t//evil.example",
    " //evil.example", "https:evil.example", "https://evil.example", "http:///evil.example",
    "/%09/evil.example", "/%2f%2fevil.example", "/%5cevil.example", "%2f%2fevil.example",
    "https://localhost@evil.example", "http://localhost.evil.example", "javascript:alert(1)",
    "data:text/html,x", "/\r\nLocation: https://evil.example", "/%0d%0aSet-Cookie:x=y", "/\x00",
    "//localhost@evil.example/", "/\u2028/evil.example", "evil.example", ".evil.example",
    "/sign-in", "/sign-in?next=/sign-in", "/" + "a" * 3000, "",
]  # fmt: skip


@pytest.mark.parametrize("target", HOSTILE_NEXT)
def test_a_sign_in_never_leads_away(site: Site, target: str) -> None:
    assert safe_next(target) == "/"
    browser = site.browser()
    answer = browser.post_form("/sign-in", name="ada", password=PASSWORD, next=target)
    assert answer.status_code == 303
    assert answer.headers["Location"] == "/"


@pytest.mark.parametrize(
    "target", ["/jobs", "/jobs?state=RUNNING&tag=a%20b", "/jobs/01J?x=1", "/tokens?next=//evil"]
)
def test_a_sign_in_leads_back_to_where_one_was(site: Site, target: str) -> None:
    browser = site.browser()
    answer = browser.post_form("/sign-in", name="ada", password=PASSWORD, next=target)
    assert answer.headers["Location"] == target


def test_a_closed_page_asks_to_sign_in_and_comes_back(site: Site) -> None:
    answer = site.browser().get("/tokens?x=1")
    assert answer.status_code == 303
    assert answer.headers["Location"] == "/sign-in?next=/tokens?x%3D1"
    browser = site.browser()
    page = browser.get(answer.headers["Location"]).text
    assert 'name="next" value="/tokens?x=1"' in page


def test_a_wrong_password_shows_the_form_again_with_the_name(site: Site) -> None:
    answer = site.browser().post_form("/sign-in", name="ada", password="wrong wrong wrong")  # noqa: S106
    assert answer.status_code == 401
    assert 'value="ada"' in answer.text
    assert 'role="alert"' in answer.text
    assert "wrong wrong" not in answer.text


def test_an_empty_form_names_its_fields(site: Site) -> None:
    answer = site.browser().post_form("/sign-in")
    assert answer.status_code == 422
    assert answer.text.count("is needed to sign in") == 2


def test_too_many_wrong_passwords_say_when_to_come_back(site: Site) -> None:
    for n in range(6):
        answer = site.browser().post_form("/sign-in", name="ada", password=f"wrong password {n}")
    assert answer.status_code == 429
    assert int(answer.headers["Retry-After"]) > 0
    assert "try again in" in answer.text


def test_a_field_that_no_form_has_is_refused(site: Site) -> None:
    answer = site.browser().post_form("/sign-in", name="ada", password=PASSWORD, admin="1")
    assert answer.status_code == 422


def test_a_sign_out_by_its_button_ends_the_session(site: Site) -> None:
    browser = site.browser()
    browser.sign_in("ada")
    access = browser.cookie("access") or ""
    answer = browser.post_form("/sign-out", page="/tokens")
    assert answer.headers["Location"] == "/sign-in"
    thief = site.browser()
    thief.set_cookie("access", access)
    assert thief.get("/api/v1/me").status_code == 401


def test_a_token_is_made_and_revoked_by_the_page(site: Site) -> None:
    browser = site.browser()
    browser.sign_in("ada")
    page = browser.post_form("/tokens", label="my laptop", scopes="read", expires_days="7")
    assert page.status_code == 200
    secret = page.text.partition('id="secret">')[2].partition("<")[0]
    assert secret.startswith("bgw_")
    [token] = browser.get("/api/v1/tokens").json["items"]
    assert token["scopes"] == ["read"]
    answer = browser.post_form(f"/tokens/{token['id']}/revoke", page="/tokens")
    assert answer.status_code == 303
    assert browser.get("/api/v1/tokens").json["items"] == []


def test_a_token_form_with_mistakes_keeps_what_was_typed(site: Site) -> None:
    browser = site.browser()
    browser.sign_in("ada")
    answer = browser.post_form("/tokens", label="x" * 101, scopes="read", expires_days="soon")
    assert answer.status_code == 422
    assert "x" * 101 in answer.text
    assert answer.text.count('class="wrong"') == 2


def test_registration_by_page_shows_the_uid_once(make: SiteMaker, site: Site) -> None:
    assert "administrator" in site.browser().get("/register").text
    assert site.browser().post_form("/register", page="/sign-in").status_code == 403
    opened = make(GATEWAY_ACCOUNTS__REGISTRATION="true")
    browser = opened.browser()
    page = browser.post_form("/register").text
    uid = page.partition('id="uid">')[2].partition("<")[0]
    assert uid.startswith("bgu_")
    assert browser.post_form("/sign-in", uid=uid).status_code == 303
    assert browser.get("/tokens").status_code == 200


def test_a_page_of_another_site_cannot_sign_anybody_out(site: Site) -> None:
    browser = site.browser()
    browser.sign_in("ada")
    answer = browser.client.post("/sign-out", headers={"Origin": "https://evil.example"})
    assert answer.status_code == 403
    assert browser.client.post("/sign-out", headers={"Origin": ORIGIN}).status_code == 403
    assert browser.get("/tokens").status_code == 200


def test_a_password_is_changed_on_the_account_page(site: Site) -> None:
    browser, other = site.browser(), site.browser()
    browser.sign_in("ada")
    other.sign_in("ada")
    new = "five loud herons sing"
    wrong = browser.post_form("/account/password", page="/account", old="not this one", new=new)
    assert wrong.status_code == 422
    assert "is not the present password" in wrong.text
    weak = browser.post_form("/account/password", page="/account", old=PASSWORD, new="password1")
    assert weak.status_code == 422
    assert "first that anybody would try" in weak.text
    done = browser.post_form("/account/password", page="/account", old=PASSWORD, new=new)
    assert done.headers["Location"] == "/account?done=password"
    assert "All other browsers are signed out" in browser.get("/account?done=password").text
    assert other.get("/account").status_code == 303
    assert site.browser().sign_in("ada", new).status_code == 200
    assert "password.change" in browser.get("/account").text


def test_an_administrator_makes_and_switches_users_on_the_page(site: Site) -> None:
    root, eve = site.browser(), site.browser()
    root.sign_in("root")
    bad = root.post_form("/users", name="Eve!", password="password1")  # noqa: S106
    assert bad.status_code == 422
    assert 'value="Eve!"' in bad.text
    assert root.post_form("/users", name="eve", password=PASSWORD).status_code == 303
    assert eve.sign_in("eve").json["user"]["admin"] is False
    assert root.post_form("/users/eve/deactivate", page="/users").status_code == 303
    assert "switched off" in root.get("/users").text
    assert eve.get("/api/v1/me").status_code == 401
    assert root.post_form("/users/eve/activate", page="/users").status_code == 303
    assert site.browser().sign_in("eve").status_code == 200
    assert root.post_form("/users/eve/delete", page="/users").status_code == 404


def test_the_users_page_is_for_administrators(site: Site) -> None:
    ada = site.browser()
    ada.sign_in("ada")
    assert ada.get("/users").status_code == 403
    assert ada.post_form("/users", page="/tokens", name="eve", password=PASSWORD).status_code == 403
    assert "/users" not in ada.get("/tokens").text
    assert site.browser().get("/users").headers["Location"] == "/sign-in?next=/users"
