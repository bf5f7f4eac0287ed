"""The page on which one says where notifications are sent, on a real site."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser as Chromium

from tests.notifications.sink import Sink, mail_sink
from tests.notifications.test_mail import ADA, Desk, code_in
from tests.web.chromium import picture, served, violations
from tests.web.fixtures import SiteMaker
from tests.web.site import PASSWORD

PAGE = "/notifications/sent"
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture
def sink(tmp_path: Path) -> Iterator[Sink]:
    with mail_sink(tmp_path) as running:
        yield running


@pytest.fixture
def desk(make: SiteMaker, sink: Sink) -> Desk:
    return Desk(make(**sink.environment))


def test_an_address_is_given_verified_and_removed(desk: Desk, sink: Sink) -> None:
    ada = desk.ada
    wrong = ada.post_form(f"{PAGE}/mail", PAGE, address="ada")
    assert (wrong.status_code, 'id="wrong-address"' in wrong.text) == (422, True)
    answer = ada.post_form(f"{PAGE}/mail", PAGE, address=ADA, states="FAILED")
    assert answer.status_code == 303
    assert "waits for its code" in ada.get(PAGE).text
    desk.go()
    wrong = ada.post_form(f"{PAGE}/mail/verify", PAGE, code="x")
    assert (wrong.status_code, 'id="wrong-code"' in wrong.text) == (422, True)
    assert ada.post_form(f"{PAGE}/mail/verify", PAGE, code=code_in(sink)).status_code == 303
    page = ada.get(PAGE).text
    assert "verified" in page
    assert re.search(r'value="FAILED"\s+checked', page)
    assert ada.post_form(f"{PAGE}/mail/remove", PAGE).status_code == 303
    assert ADA not in ada.get(PAGE).text.partition('id="sent"')[0]


def test_a_webhook_is_made_tried_and_removed_and_its_secret_shown_once(desk: Desk) -> None:
    ada = desk.ada
    wrong = ada.post_form(f"{PAGE}/webhooks", PAGE, label=HOSTILE, url="http://example.org/")
    assert (wrong.status_code, 'id="wrong-url"' in wrong.text) == (422, True)
    assert HOSTILE not in wrong.text
    made = ada.post_form(f"{PAGE}/webhooks", PAGE, label="mine", url="https://hooks.invalid/")
    assert "whsec_" in made.text
    assert "whsec_" not in ada.get(PAGE).text
    [hook] = desk.site.services.webhooks.all("ada")
    assert ada.post_form(f"{PAGE}/webhooks/{hook.id}/test", PAGE).status_code == 303
    assert desk.go().last == "its name is not known"
    assert "its name is not known" in ada.get(PAGE).text
    assert ada.post_form(f"{PAGE}/webhooks/{hook.id}/remove", PAGE).status_code == 303
    assert desk.site.services.webhooks.all("ada") == []
    assert ada.client.post(f"{PAGE}/webhooks", data={"label": "x"}).status_code == 403


@pytest.mark.browser
@pytest.mark.parametrize(("width", "scheme"), [(360, "dark"), (1280, "light")])
def test_the_page_fits_and_can_be_read_by_all(
    desk: Desk, browser: Chromium, tmp_path: Path, width: int, scheme: str
) -> None:
    hook = desk.site.services.webhooks.add("ada", HOSTILE, "https://hooks.invalid/" + "x" * 90, [])
    desk.site.services.webhooks.ping("ada", hook.webhook.id)
    desk.put()
    with served(desk.site.app) as port:
        context = browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme=scheme,  # type: ignore[arg-type]
        )
        page = context.new_page()
        page.goto(f"http://127.0.0.1:{port}/sign-in?next={PAGE}")
        page.fill("#name", "ada")
        page.fill("#password", PASSWORD)
        page.press("#password", "Enter")
        page.wait_for_url(f"**{PAGE}")
        page.click("text=New webhook")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        picture(page, tmp_path / f"{width}.png")
        assert violations(page) == []
        context.close()
