"""Take the screenshots of README.rst, on a gateway of its own with a real fit."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Browser, Page

from gateway.example import PROBLEM
from tests.jobs.making_pages import Fits, Window
from tests.live import Api, live_gateway
from tests.web.chromium import chromium

FOLDER = Path("docs/screenshots")
WIDE = {"width": 1280, "height": 860}
TALL = {"width": 1280, "height": 1500}
NARROW = {"width": 360, "height": 720}
_PATIENCE_MS = 120_000


def take(browser: Browser, fits: Fits) -> Iterator[Path]:
    """Take all of them; answer each as it is there."""
    problem = fits.api.problem({**PROBLEM, "name": "Adsorption (NIST Misra1a)"})["id"]
    options = {"fit": "dream", "samples": 20_000}
    job = fits.fitted(problem, options=options, title="Adsorption of nitrogen", seed=1)
    page = _open(browser, fits, WIDE, "/fits/new?example=adsorption")
    page.locator("#plot-place canvas").first.wait_for()
    page.get_by_label("b1 between its bounds").focus()
    page.get_by_label("High of b2").scroll_into_view_if_needed()
    yield _shoot(page, "new-fit")
    page = _open(browser, fits, TALL, f"/jobs/{job}")
    page.locator("figure canvas").first.wait_for()
    yield _shoot(page, "result")
    page = _open(browser, fits, NARROW, f"/jobs/{job}", "dark")
    yield _shoot(page, "phone")


def _open(
    browser: Browser, fits: Fits, viewport: dict[str, int], path: str, scheme: str = "light"
) -> Page:
    window = Window(browser, fits, viewport=viewport, color_scheme=scheme)
    window.page.set_default_timeout(_PATIENCE_MS)
    return window.open(path)


def _shoot(page: Page, name: str) -> Path:
    page.wait_for_load_state("networkidle")
    path = FOLDER / f"{name}.png"
    page.screenshot(path=path, animations="disabled")
    page.context.close()
    return path


def main() -> int:
    """Take them, and name each."""
    with live_gateway() as live, chromium() as browser:
        live.add_user("ada")
        for path in take(browser, Fits(Api(live, "ada"))):
            sys.stdout.write(f"{path}: {path.stat().st_size // 1000} kB\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
