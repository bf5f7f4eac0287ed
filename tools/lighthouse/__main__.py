"""Let Lighthouse look at our pages, in the system's Chromium, on a gateway of its own.

``make lighthouse`` installs it by npm and runs this; what falls short is named (status 1). First
paint is computed for a network of 10 Mbit/s and 40 ms, from what a page waits for, and only told: a
busy computer still makes it longer, though far less than the clock would have it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from gateway.example import PROBLEM
from tests.live import PASSWORD, Api, LiveGateway, live_gateway

PROGRAM = Path(".lighthouse/node_modules/.bin/lighthouse")
CHROMIUM = "/usr/bin/chromium"
LEAST_SCORE = 95
FIRST_PAINT_MS = 1_000
MOST_SHIFT = 0.1
"""Above it people call a page jumpy (https://web.dev/articles/cls)."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What Lighthouse says of one page."""

    name: str
    score: int
    """Of accessibility, 0 to 100."""

    first_paint_ms: float
    shift: float
    wrong: tuple[str, ...]
    """Titles of the audits of accessibility that are not passed."""

    @property
    def is_good(self) -> bool:
        """Whether it meets all goals."""
        return self.score >= LEAST_SCORE and self.shift < MOST_SHIFT

    def __str__(self) -> str:
        mark = "ok   " if self.is_good else "SHORT"
        said = f"{mark} {self.name:10} accessibility {self.score:3}, "
        said += f"first paint {self.first_paint_ms:4.0f} ms, shift {self.shift:.3f}"
        if self.first_paint_ms > FIRST_PAINT_MS:
            said += f" (goal of the paint: {FIRST_PAINT_MS} ms)"
        return said + "".join(f"\n      {title}" for title in self.wrong)


def read(name: str, report: Mapping[str, Any]) -> Seen:
    """Read what Lighthouse wrote of a page."""
    audits, category = report["audits"], report["categories"]["accessibility"]
    failed = [audits[one["id"]] for one in category["auditRefs"] if one["weight"]]
    return Seen(
        name=name,
        score=round(100 * category["score"]),
        first_paint_ms=audits["first-contentful-paint"]["numericValue"],
        shift=audits["cumulative-layout-shift"]["numericValue"],
        wrong=tuple(one["title"] for one in failed if one["score"] == 0),
    )


def look(url: str, name: str, cookie: str) -> Seen:
    """Let Lighthouse look at one page."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        subprocess.run(
            [
                *(str(PROGRAM), url, "--quiet", "--preset=desktop"),
                *("--output=json", f"--output-path={report}", "--throttling-method=simulate"),
                *("--only-categories=accessibility,performance", "--disable-full-page-screenshot"),
                *("--chrome-flags=--headless=new --no-sandbox", "--extra-headers"),
                json.dumps({"Cookie": cookie} if cookie else {}),
            ],
            env={**os.environ, "CHROME_PATH": CHROMIUM},
            check=True,
            timeout=180,
        )
        found = json.loads(report.read_text(encoding="utf-8"))
        if found["finalDisplayedUrl"] != url:
            raise SystemExit(f"{name}: {url} led to {found['finalDisplayedUrl']}")
        return read(name, found)


def pages_of(user: Api) -> Iterator[tuple[str, str]]:
    """Name the pages, after a fit whose result one of them shows."""
    problem = user.problem(PROBLEM)
    job = user.submit(kind="fit", problem={"id": problem["id"]}, options={"fit": "lm"})
    user.wait(job["id"])
    yield from {
        "sign-in": "/sign-in",
        "jobs": "/jobs",
        "result": f"/jobs/{job['id']}",
        "new fit": "/fits/new?example=adsorption",
        "problem": f"/problems/{problem['id']}",
        "tokens": "/tokens",
    }.items()


def cookie_of(live: LiveGateway, name: str) -> str:
    """Sign in as a browser does; answer its cookies."""
    with httpx.Client(base_url=live.url) as browser:
        page = browser.get("/sign-in").text
        token = page.partition('name="csrf_token" value="')[2].partition('"')[0]
        first = "; ".join(f"{one.name}={one.value}" for one in browser.cookies.jar)
        answer = browser.post(
            "/sign-in",
            data={"csrf_token": token, "name": name, "password": PASSWORD},
            headers={"Cookie": first},
        )
        return "; ".join(f"{one.name}={one.value}" for one in answer.cookies.jar)


def main() -> int:
    """Look at all pages; answer the exit status."""
    with live_gateway() as live:
        user = live.user()
        cookie = cookie_of(live, user.name)
        seen = []
        for name, path in pages_of(user):
            seen.append(look(live.url + path, name, "" if name == "sign-in" else cookie))
            sys.stdout.write(f"{seen[-1]}\n")
    return 0 if all(one.is_good for one in seen) else 1


if __name__ == "__main__":
    sys.exit(main())
