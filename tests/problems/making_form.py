"""Fill the new-fit form as a person does, in Chromium."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.sync_api import FilePayload, Page, expect

from tests.jobs.making_pages import Fits, Window
from tests.problems.nist import FOLDER

RECORDED = Path(__file__).parents[1] / "recorded" / "problems"
PATH = "/fits/new"

SCRIPT = """
import numpy as np
from bumps.names import Curve, FitProblem
from shape import line

x, y, dy = np.loadtxt("data.dat").T
model = Curve(line, x, y, dy, m=1, b=0)
model.m.range(0, 10)
model.b.range(-5, 5)
problem = FitProblem(model)
"""
HELPER = "def line(x, m, b):\n    return m * x + b\n"


def misra1a() -> str:
    """Give the data of Misra1a as they stand in NIST's file: y, then x."""
    text = (FOLDER / "Misra1a.dat").read_text(encoding="ascii")
    return "# y x\n" + text.rpartition("Data:   y               x\n")[2]


def line_data(slope: float = 2.5, rows: int = 20) -> str:
    """Write points of a line with some spread: x, y, dy."""
    return "\n".join(f"{x} {slope * x + 1 + 0.2 * (-1) ** x} 0.2" for x in range(rows))


def file(name: str, content: str | bytes) -> FilePayload:
    """Make a file that is chosen in the form."""
    data = content.encode() if isinstance(content, str) else content
    return {"name": name, "mimeType": "application/octet-stream", "buffer": data}


def settle(page: Page) -> None:
    """Wait until the server has looked at what was typed last."""
    expect(page.locator("#fit-form")).to_have_attribute("data-looked", "yes", timeout=20_000)


def paste(page: Page, text: str) -> None:
    """Paste data, and wait until they are read."""
    page.fill("#data_text", text)
    settle(page)


def ask_for_misra1a(page: Page) -> None:
    """Fill the form with Misra1a by its formula, from NIST's start 1, for lm."""
    paste(page, misra1a())
    page.select_option("#x", "1")
    page.select_option("#y", "0")
    page.select_option("#dy_from", "constant")
    page.fill("#dy_value", "0.1")
    page.check("#formula-expression")
    page.fill("#expression", "b1*(1-exp[-b2*x])")
    settle(page)
    page.get_by_label("Start value of b1").fill("500")
    page.get_by_label("Start value of b2").fill("0.0001")
    page.check("#fit-lm")
    settle(page)


def wrong(page: Page, field: str) -> str:
    """Give what is said to be wrong at a field, which says so to everybody."""
    said = page.locator(f"[id='wrong-{field}']")
    expect(said).to_be_visible()
    control = page.locator(f"[id='{field}']")
    if control.count():
        assert f"wrong-{field}" in (control.get_attribute("aria-describedby") or "")
    return said.inner_text()


def marked(page: Page, field: str) -> bool:
    """Whether a field is marked as wrong."""
    return page.locator(f"[id='{field}']").get_attribute("aria-invalid") == "true"


def send(page: Page, button: str = "Run it") -> None:
    """Press the button, and wait for the page that it leads to."""
    with page.expect_event("load"):
        page.get_by_role("button", name=button).click()


def faults(window: Window) -> list[str]:
    """Give what should not happen; Chromium notes a form that was refused (422), which should."""
    refused = "the server responded with a status of 422"
    return [line for line in window.faults if refused not in line]


def job_of(page: Page) -> str:
    """Give the id of the job whose page this is."""
    found = re.fullmatch(r".*/jobs/([0-9A-Z]{26})", page.url)
    assert found, page.url
    return found[1]


def jobs(fits: Fits) -> int:
    """Count the jobs of a user."""
    return int(fits.api.http.get("/jobs").json()["total"])
