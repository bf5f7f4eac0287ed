"""Jobs for the tests of the pages, some of them by a hostile user."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Page

from tests.live import PASSWORD, Api
from tests.web.chromium import violations

HOSTILE = "<img src=x onerror=alert(1)>"

LINE = """
import os
import time
import numpy as np
from bumps.names import Curve, FitProblem

x, y, dy = np.loadtxt("data.dat").T


def line(x, m, b):
    time.sleep(DELAY)
    return m * x + b


print("\\x1b[31mread\\x1b[0m " + HOSTILE + "\\x1b]0;title\\x07")
model = Curve(line, x, y, dy, m=1, b=0)
model.m.range(0, 10)
model.b.range(-5, 5)
model.m.name = HOSTILE
problem = FitProblem(model)
os.makedirs("../out", exist_ok=True)
open("../out/" + HOSTILE.replace("/", "") + ".txt", "w").write("mine")
"""
BROKEN = LINE.replace("m * x + b\n", "m * z + b\n")


def model(text: str = LINE, delay_s: float = 0.0) -> str:
    """Write the script of a line whose first parameter has a hostile name."""
    return text.replace("DELAY", str(delay_s)).replace("HOSTILE", repr(HOSTILE))


def data(slope: float = 2.5) -> bytes:
    """Write points of a line with some spread."""
    rows = [f"{x} {slope * x + 1 + 0.3 * (-1) ** x} 0.3" for x in range(30)]
    return "\n".join(rows).encode()


@dataclass
class Fits:
    """Makes jobs of one user."""

    api: Api

    def problem(self, text: str = "", **files: bytes) -> str:
        """Make a problem; answer its id."""
        files = files or {"data_dat": data()}
        return str(self.api.script_problem(text or model(), **files)["id"])

    def fit(self, problem: str = "", **request: Any) -> str:
        """Queue a fit; answer its id."""
        wanted = {"options": {"fit": "amoeba"}, "title": HOSTILE, **request}
        job = self.api.submit(kind="fit", problem={"id": problem or self.problem()}, **wanted)
        return str(job["id"])

    def fitted(self, problem: str = "", **request: Any) -> str:
        """Run a fit to its end; answer its id."""
        return str(self.api.wait(self.fit(problem, **request))["id"])

    def waiting(self, seconds: float = 60.0, **request: Any) -> str:
        """Start a job that only waits; answer its id."""
        options = {"seconds": seconds, "steps": int(seconds * 10)}
        job = self.api.submit(kind="dummy", options=options, title="waits", **request)
        return str(self.api.wait_for_state(job["id"], "RUNNING")["id"])


class Window:
    """A signed-in browser window that remembers everything that should not happen."""

    def __init__(self, browser: Browser, fits: Fits, **options: Any) -> None:
        self.origin = fits.api.live.url
        self.context: BrowserContext = browser.new_context(**options)
        self.page: Page = self.context.new_page()
        self.faults: list[str] = []
        self.page.on("console", lambda line: self._hear(line.type, line.text))
        self.page.on("pageerror", lambda error: self.faults.append(f"error: {error}"))
        self.page.on("dialog", lambda dialog: self._alarm(dialog))
        self.open("/sign-in")
        self.page.fill("#name", fits.api.name)
        self.page.fill("#password", PASSWORD)
        self.page.press("#password", "Enter")
        self.page.wait_for_url(f"{self.origin}/jobs")

    def _hear(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.faults.append(f"{kind}: {text}")

    def _alarm(self, dialog: Any) -> None:
        self.faults.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def open(self, path: str) -> Page:
        """Go to a page of the gateway."""
        self.page.goto(self.origin + path)
        return self.page

    def scroll_through(self) -> None:
        """Bring every plot near the window once, and wait until all are drawn."""
        for figure in self.page.locator("figure[data-plot]").all():
            figure.scroll_into_view_if_needed()
            self.page.wait_for_function(
                "node => node.dataset.drawn === 'yes'", arg=figure.element_handle()
            )

    def overflow(self) -> int:
        """By how many pixels the page is wider than its window."""
        return int(self.page.evaluate("document.documentElement.scrollWidth - innerWidth"))


def serious(page: Page) -> list[str]:
    """Say what is wrong with a page by axe's rules, of any weight; targets below 24 px, too."""
    found = violations(page, None, "target-size")
    return [f"{item['id']}: {item['nodes'][0]['html'][:200]}" for item in found]


def pixels(page: Page, selector: str) -> int:
    """Count the pixels of a canvas that are drawn."""
    return int(
        page.locator(selector).first.evaluate(
            """canvas => canvas.getContext("2d")
               .getImageData(0, 0, canvas.width, canvas.height).data
               .filter((value, index) => index % 4 === 3 && value > 0).length"""
        )
    )
