"""Jobs that asked for too little, in Chromium: one click asks for what was computed."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.helpers import eventually, processes
from tests.jobs.making_pages import Fits, Window, serious

pytestmark = pytest.mark.browser
LONG = 60_000
GREEDY = """
import time
from pathlib import Path
import numpy as np
from bumps.names import Curve, FitProblem

first = Path(__file__).resolve().parents[1].name == "1"
NEEDS
x, y, dy = np.loadtxt("data.dat").T
model = Curve(lambda x, m, b: m * x + b, x, y, dy, m=1, b=0)
model.m.range(0, 10)
model.b.range(-5, 5)
problem = FitProblem(model)
"""
"""What it needs is done while it loads: it knows the first attempt by the name of its directory."""

SLEEPS = GREEDY.replace("NEEDS", "time.sleep(60 if first else 0)")
GROWS = GREEDY.replace("NEEDS", "kept = np.ones(20_000_000)\ntime.sleep(30 if first else 0)")


@pytest.fixture
def window(browser: Browser, fits: Fits) -> Iterator[Window]:
    opened = Window(browser, fits, viewport={"width": 360, "height": 800})
    yield opened
    opened.context.close()
    assert opened.faults == []


def click_next(page: Page, fits: Fits, job: str, name: str) -> dict[str, Any]:
    """Ask for what is proposed; answer the job when its second attempt has ended."""
    button = page.locator("form.next").get_by_role("button", name=name, exact=True)
    expect(button).to_be_visible(timeout=LONG)
    assert serious(page) == []
    button.focus()
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/jobs/{job}")
    eventually(lambda: len(fits.api.job(job)["attempts"]) == 2, what="a second attempt")
    return fits.api.wait(job)


@pytest.mark.slow
def test_a_job_that_ran_out_of_time_gets_more_by_one_click(window: Window, fits: Fits) -> None:
    # Fourteen seconds: a script has ten to save what it has, and this model does not listen.
    job = fits.fitted(
        fits.problem(SLEEPS), options={"fit": "lm"}, resources={"time": "0:02"}, title="sleeps"
    )
    ended = fits.api.job(job)
    assert ended["state"] == "TIMEOUT"
    wanted = ended["next_request"]
    assert (wanted["verb"], wanted["resources"]) == ("rerun", {"time": "0-00:01:00"})
    page = window.open(f"/jobs/{job}")
    expect(page.locator("form.next")).to_contain_text("2 s were not enough")
    assert window.overflow() <= 0
    done = click_next(page, fits, job, "Run again with 1 min")
    assert done["state"] == "COMPLETED"
    assert done["next_request"] is None
    times = [attempt["resources"]["time"] for attempt in done["attempts"]]
    assert times == ["0-00:00:02", "0-00:01:00"]
    expect(page.locator("form.next")).to_have_count(0, timeout=LONG)
    attempts = page.get_by_role("region", name="Attempts")
    expect(attempts.locator("tbody tr")).to_have_count(2, timeout=LONG)
    expect(attempts.locator("tbody tr").first).to_contain_text("1 min")


def test_a_job_that_ran_out_of_memory_gets_more_by_one_click(window: Window, fits: Fits) -> None:
    job = fits.fitted(
        fits.problem(GROWS), options={"fit": "lm"}, resources={"mem": "128M"}, title="grows"
    )
    ended = fits.api.job(job)
    assert ended["state"] == "OUT_OF_MEMORY"
    assert ended["max_rss_bytes"] > 128 << 20
    wanted = int(ended["next_request"]["resources"]["mem"].removesuffix("M"))
    assert wanted << 20 >= max(1.3 * ended["max_rss_bytes"], 256 << 20)
    assert "128M were not enough: it had taken " in ended["next_request"]["why"]
    page = window.open(f"/jobs/{job}")
    used = ended["efficiency"]
    assert used["mem"] == 1, "it took all that it had asked for"
    expect(page.locator("#efficiency")).to_contain_text(used["text"])
    assert window.overflow() <= 0
    done = click_next(page, fits, job, f"Run again with {wanted}M of memory")
    assert done["attempts"][1]["resources"]["mem"] == f"{wanted}M"
    script = fits.api.http.get(f"/jobs/{job}/script").json()["script"]
    assert f"#SBATCH --mem={wanted}M\n" in script


def test_a_job_whose_machine_failed_is_asked_for_once_more(window: Window, fits: Fits) -> None:
    job = fits.waiting(2.0, resources={"mem": "1G"})
    native_id = fits.api.job(job)["native_id"]
    script = eventually(
        lambda: processes("job.sh", environment=f"SLURM_JOB_ID={native_id}"), what="the script"
    )[0]
    status = Path(f"/proc/{script.pid}/status").read_text()
    shepherd = int(status.partition("PPid:")[2].split()[0])
    os.kill(shepherd, signal.SIGKILL)  # and with it the script: nobody is left to say how it ended
    ended = fits.api.wait(job)
    assert ended["state"] == "NODE_FAIL"
    assert ended["next_request"]["resources"] == {}
    page = window.open(f"/jobs/{job}")
    expect(page.locator("form.next")).to_contain_text("The machine failed, not the fit")
    done = click_next(page, fits, job, "Run again")
    assert done["state"] == "COMPLETED"
    assert done["attempts"][1]["resources"] == done["attempts"][0]["resources"]


def test_what_is_proposed_can_be_sent_by_a_program_as_it_is(fits: Fits) -> None:
    job = fits.fitted(fits.problem(GROWS), options={"fit": "lm"}, resources={"mem": "128M"})
    wanted = fits.api.job(job)["next_request"]
    answer = fits.api.http.post(
        f"/jobs/{job}/{wanted['verb']}", json={"resources": wanted["resources"]}
    )
    assert answer.status_code == 202
    assert fits.api.wait(job)["attempts"][1]["resources"]["mem"] == wanted["resources"]["mem"]
    refused = fits.api.http.post(f"/jobs/{job}/resume", json={"resources": {"mem": "0"}})
    assert refused.status_code == 422
