"""The pages of accounts in Chromium: cookies on loopback, widths, no script from strangers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.parse import urlencode

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Dialog, Page

from tests.accounts.test_grants import ASKED
from tests.web.chromium import picture, served, violations
from tests.web.site import PASSWORD, Site

pytestmark = pytest.mark.browser
HOSTILE = "<img src=x onerror=alert(1)><script>alert(2)</script>"


@pytest.fixture
def origin(site: Site) -> Iterator[str]:
    with served(site.app) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    opened = browser.new_context()
    yield opened
    opened.close()


def sign_in(page: Page, origin: str, path: str = "/tokens", name: str = "ada") -> None:
    page.goto(origin + path)
    page.fill("#name", name)
    page.fill("#password", PASSWORD)
    page.press("#password", "Enter")
    page.wait_for_url(origin + path)


def cookie_names(context: BrowserContext) -> set[str]:
    return {str(cookie.get("name")) for cookie in context.cookies()}


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_host_cookies_are_kept_on_plain_http_of_the_loopback(
    context: BrowserContext, origin: str, host: str
) -> None:
    page = context.new_page()
    sign_in(page, origin.replace("127.0.0.1", host))
    assert cookie_names(context) == {
        "__Host-bgw-access", "__Host-bgw-refresh", "__Host-bgw-device", "__Host-bgw-csrf",
    }  # fmt: skip
    assert page.evaluate("document.cookie") == ""


def test_a_session_is_renewed_without_a_word_and_ends_at_the_button(
    context: BrowserContext, origin: str
) -> None:
    page = context.new_page()
    sign_in(page, origin)
    context.clear_cookies(name="__Host-bgw-access")
    page.reload()
    assert page.locator("h1").inner_text() == "API tokens"
    assert "__Host-bgw-access" in cookie_names(context)
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url(origin + "/sign-in")
    assert not cookie_names(context) & {"__Host-bgw-access", "__Host-bgw-refresh"}
    page.goto(origin + "/tokens")
    assert "/sign-in?next=" in page.url


def test_many_tabs_renew_one_session_at_once(context: BrowserContext, origin: str) -> None:
    page = context.new_page()
    sign_in(page, origin)
    context.clear_cookies(name="__Host-bgw-access")
    statuses = page.evaluate(
        "Promise.all([...Array(8)].map(() => fetch('/api/v1/me').then(answer => answer.status)))"
    )
    assert statuses == [200] * 8
    page.reload()
    assert page.locator("h1").inner_text() == "API tokens"


def test_a_token_is_made_by_hand_and_hostile_words_stay_words(
    context: BrowserContext, origin: str
) -> None:
    page = context.new_page()
    said: list[str] = []

    def note(dialog: Dialog) -> None:
        said.append(dialog.message)
        dialog.dismiss()

    page.on("dialog", note)
    sign_in(page, origin)
    page.fill("#label", HOSTILE)
    page.get_by_role("button", name="Make the token").click()
    secret = page.locator("#secret").inner_text()
    assert secret.startswith("bgw_")
    assert page.get_by_role("cell", name=HOSTILE, exact=True).is_visible()
    page.goto(origin + "/tokens")
    assert secret not in page.content()
    page.get_by_role("button", name="Revoke").click()
    page.get_by_text("No tokens yet.").wait_for()
    assert said == []


def test_a_script_in_a_page_would_not_run(context: BrowserContext, origin: str) -> None:
    page = context.new_page()
    sign_in(page, origin)
    hostile = '<img src=/nothing onerror="window.evil=1">'
    with (
        page.expect_console_message(lambda said: "Content Security Policy" in said.text),
        page.expect_response("**/nothing"),
    ):
        page.evaluate("text => document.body.insertAdjacentHTML('beforeend', text)", hostile)
    assert page.evaluate("window.evil") is None


def test_the_api_page_reads_the_document_without_any_other_host(
    context: BrowserContext, origin: str
) -> None:
    page = context.new_page()
    hosts: set[str] = set()
    page.on("request", lambda request: hosts.add("/".join(request.url.split("/")[:3])))
    sign_in(page, origin, "/tokens")
    page.goto(origin + "/api/spec.html")
    page.get_by_text("/api/v1/auth/login").wait_for()
    page.fill("#filter", "post /auth/tokens")
    assert page.locator("#spec details:visible").count() == 1
    page.locator("#spec summary:visible").first.click()
    assert page.locator("#spec h3:visible", has_text="Body: application/json").count() == 1
    assert hosts == {origin}


class _Heard(BaseHTTPRequestHandler):
    """A program that waits for the browser to come back."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<title>back</title>you are back")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_a_yes_leads_the_browser_back_to_the_program_and_nowhere_else(
    context: BrowserContext, origin: str
) -> None:
    program = HTTPServer(("127.0.0.1", 0), _Heard)
    threading.Thread(target=program.serve_forever, args=(0.05,), daemon=True).start()
    back = f"http://127.0.0.1:{program.server_port}/callback"
    asked = {**ASKED, "redirect_uri": back, "label": HOSTILE}
    page = context.new_page()

    page.goto(f"{origin}/authorize?{urlencode(asked)}")
    page.fill("#name", "ada")
    page.fill("#password", PASSWORD)
    page.press("#password", "Enter")
    assert HOSTILE in page.get_by_text("asks to act in your name").inner_text()
    page.get_by_role("button", name="Yes, sign it in").click()
    page.wait_for_url(f"{back}?*")
    program.shutdown()
    program.server_close()

    assert page.title() == "back"
    assert "code=bgc_" in page.url
    assert f"state={ASKED['state']}" in page.url


def sign_a_program_in(page: Page, origin: str) -> None:
    """Type the letters of a program whose name is as long as may be, and say yes."""
    label = "bumps-remote on a node whose name goes on" + "x" * 40
    wanted = {"client_id": "bumps-remote", "label": label}
    asked = httpx.post(f"{origin}/api/v1/auth/device", json=wanted).json()
    page.goto(f"{origin}/device")
    page.fill("#user_code", asked["user_code"])
    page.press("#user_code", "Enter")
    page.get_by_role("button", name="Yes, sign it in").click()
    page.get_by_role("heading", name=f"{label} is signed in").wait_for()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_pages_fit_every_width_and_are_accessible(
    browser: Browser, origin: str, tmp_path: Path, width: int, scheme: str
) -> None:
    context = browser.new_context(
        viewport={"width": width, "height": 800},
        color_scheme="dark" if scheme == "dark" else "light",
        bypass_csp=True,  # only so that axe can be put into the page
    )
    page = context.new_page()
    consent = f"/authorize?{urlencode({**ASKED, 'label': 'bumps-remote on node' + 'x' * 40})}"
    pages = ("/sign-in", "/tokens", "/account", "/users", "/api/spec.html", "/nothing")
    for path in (*pages, consent, "/device", "/device done"):
        if path == "/device done":
            sign_a_program_in(page, origin)
        elif path == "/tokens":
            sign_in(page, origin, name="root")
            for label in ("bumps-remote on my laptop", "a label that goes on and on " * 3):
                page.fill("#label", label)
                page.get_by_role("button", name="Make the token").click()
                page.locator("#secret").wait_for()
        else:
            page.goto(origin + path)
        name = path.partition("?")[0].strip("/").replace("/", "-")
        picture(page, tmp_path / f"{name}.png")
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width, (path, wide)
        found = violations(page)
        assert [(item["id"], item["nodes"][0]["html"]) for item in found] == [], path
    context.close()
