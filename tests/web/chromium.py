"""A real browser before a real server, for tests of pages."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from flask import Flask
from playwright.sync_api import Browser, Page, sync_playwright
from werkzeug.serving import make_server

_SHELL = Path("/usr/bin/chromium-headless-shell")
"""Debian's Chromium without the window, which nobody sees here: the same pages for less work."""

CHROMIUM = _SHELL if _SHELL.exists() else Path("/usr/bin/chromium")
_QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@contextmanager
def served(app: Flask) -> Iterator[int]:
    """Serve an app on a free port of the loopback; answer the port."""
    server: Any = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield int(server.server_port)
    finally:
        server.shutdown()
        thread.join(timeout=10)
        server.server_close()


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run a headless Chromium."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=list(_QUIET))
        try:
            yield browser
        finally:
            browser.close()


def violations(page: Page, context: str | None = None, *more: str) -> list[Any]:
    """Find what breaks axe's rules, and the further ones that are named.

    Of the rules that a page keeps axe would else describe every node: most of its work.
    """
    rules = {name: {"enabled": True} for name in more}
    options = {"rules": rules, "resultTypes": ["violations"]}
    return list(Axe().run(page, context=context, options=options).response["violations"])


def picture(page: Page, path: Path) -> None:
    """Keep a picture of a whole page to look at; in continuous integration nobody would."""
    if not os.environ.get("CI"):
        page.screenshot(path=path, full_page=True)
