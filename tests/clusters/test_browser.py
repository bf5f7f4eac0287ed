"""The page of one's accounts on clusters in Chromium: widths, schemes, names for who cannot see."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.web.chromium import picture, served, violations
from tests.web.site import PASSWORD, Site

pytestmark = pytest.mark.browser
PAGE = "/account/clusters"


@pytest.fixture
def origin(site: Site) -> Iterator[str]:
    with served(site.app) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_an_account_is_registered_at_every_width(
    browser: Browser, origin: str, tmp_path: Path, width: int, scheme: str
) -> None:
    context = browser.new_context(
        viewport={"width": width, "height": 800},
        color_scheme="dark" if scheme == "dark" else "light",
        bypass_csp=True,  # only so that axe can be put into the page
    )
    page = context.new_page()
    page.goto(origin + PAGE)
    page.fill("#name", "ada")
    page.fill("#password", PASSWORD)
    page.press("#password", "Enter")
    page.wait_for_url(origin + PAGE)
    for step in ("empty", "wrong", "made"):
        if step == "wrong":
            page.get_by_label("Your user name on The cluster").fill("a b")
            page.get_by_role("button", name="Register").click()
            page.get_by_role("alert").wait_for()
        if step == "made":
            page.get_by_label("Your user name on The cluster").fill("alovelace")
            page.get_by_role("button", name="Register").click()
            page.get_by_text("restrict ssh-ed25519").wait_for()
        picture(page, tmp_path / f"{step}-{width}-{scheme}.png")
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width, (step, wide)
        found = violations(page)
        assert [(item["id"], item["nodes"][0]["html"]) for item in found] == [], step
    context.close()
