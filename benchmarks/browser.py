"""How long the end of a fit takes to be seen by somebody who has its page open in a browser."""

from __future__ import annotations

import json
import statistics

from playwright.sync_api import Browser

from benchmarks.measure import Row
from benchmarks.requests import LINE
from tests.jobs.making_pages import Fits, Window
from tests.live import LiveGateway
from tests.web.chromium import chromium

_FITS = 9
_LONGEST_MS = 60_000
WATCH = """
addEventListener("DOMContentLoaded", () => {
  const look = () => {
    const shown = document.querySelector('[data-live=status] .state.good');
    const result = document.querySelector('table.parameters');
    if (shown && result) window.endSeen ??= Date.now() / 1000;
  };
  new MutationObserver(look).observe(document, { childList: true, subtree: true });
  look();
});
"""
"""Notes the moment at which the page has both the final state and the result."""


def measure_browser(live: LiveGateway) -> list[Row]:
    """Measure from the driver's last event to the final state and the result on the page."""
    fits = Fits(live.user())
    problem = str(fits.api.problem(LINE)["id"])
    with chromium() as browser:
        delays = [end_delay_s(live, browser, fits, problem) for _ in range(_FITS)]
    note = f"median of {_FITS} fits; at most {max(delays):.2f} s"
    return [Row(name="end of a fit until its page shows it", value=statistics.median(delays),
                unit="s", goal=2, note=note)]  # fmt: skip


def end_delay_s(live: LiveGateway, browser: Browser, fits: Fits, problem: str) -> float:
    """Follow one fit in a window of its own."""
    window = Window(browser, fits)
    window.page.add_init_script(WATCH)
    # Long enough that the page is there before the end, as it is for who waits for a fit.
    job = fits.fit(problem, options={"fit": "dream", "samples": 20_000, "burn": 100})
    page = window.open(f"/jobs/{job}")
    if page.evaluate("window.endSeen"):
        raise RuntimeError(f"job {job} had ended before its page was there")
    page.wait_for_function("() => window.endSeen", timeout=_LONGEST_MS)
    seen = float(page.evaluate("window.endSeen"))
    window.context.close()
    return seen - driver_end(live, job)


def driver_end(live: LiveGateway, job: str) -> float:
    """Read when the driver said that it had ended."""
    path = next(live.state.glob(f"jobs/**/{job}/1/events.0.jsonl"))
    events = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return float(next(event["t"] for event in events if event["event"] == "end"))
