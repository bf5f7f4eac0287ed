"""A cluster that cannot be reached: page and API say who saw a job last, and make no state up."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from scheduler.local import stop_executor
from tests.helpers import eventually
from tests.jobs.making_pages import Fits, Window, serious
from tests.live import Api, LiveGateway, live_gateway

pytestmark = pytest.mark.browser
SOON = 15_000


@contextmanager
def unreachable(live: LiveGateway) -> Iterator[None]:
    """End the executor of local execution and keep it from starting; what runs goes on."""
    spool = next(live.state.rglob("executor.lock")).parent
    log = spool / "executor.log"
    log.rename(spool / "executor.log.1")
    log.mkdir()
    stop_executor(spool)
    try:
        yield
    finally:
        log.rmdir()


def tracking(fits: Fits, job: str, word: str) -> dict[str, Any]:
    return eventually(
        lambda: found if (found := fits.api.job(job))["tracking"] == word else {},
        what=f"{job} to be {word}",
    )


@pytest.fixture
def running(fits: Fits) -> Iterator[str]:
    job = fits.waiting(300)
    yield job
    fits.api.http.post(f"/jobs/{job}/cancel")
    assert fits.api.wait(job)["state"] == "CANCELLED"


@pytest.mark.parametrize(("width", "scheme"), [(360, "dark"), (1280, "light")])
def test_a_running_job_says_who_saw_it_last_and_since_when_nobody_can(
    browser: Browser, live: LiveGateway, fits: Fits, running: str, width: int, scheme: Any
) -> None:
    window = Window(browser, fits, viewport={"width": width, "height": 800}, color_scheme=scheme)
    page = window.open(f"/jobs/{running}")
    state = page.locator("[data-live=status] .state")
    expect(state.first).to_have_text("Running")
    expect(page.locator("#doubt")).to_have_count(0)
    seen = fits.api.job(running)["observed"]
    with unreachable(live):
        silent = tracking(fits, running, "stale")
        assert (silent["state"], silent["source"]) == ("RUNNING", "local")
        assert silent["observed"] >= seen
        assert silent["tracking_text"].startswith(f"last seen at {silent['observed']} by local; ")
        since = f"the cluster local cannot be reached since {silent['tracking_since']}: "
        assert f"{since}{silent['error']}" in silent["tracking_text"]
        assert silent["error"]
        expect(state.nth(1)).to_have_text("not reached", timeout=SOON)
        expect(state.first).to_have_text("Running")
        doubt = page.locator("#doubt")
        expect(doubt).to_contain_text("ago by local. The cluster local cannot be reached since ")
        expect(doubt).to_contain_text(silent["error"])
        age = doubt.locator("time").first
        earlier = age.inner_text()
        expect(age).not_to_have_text(earlier, timeout=SOON)
        assert serious(page) == []
        assert window.overflow() <= 0
        rows = window.open("/jobs").locator(f"[data-job='{running}']")
        expect(rows.locator(".state", has_text="not reached")).to_be_visible()
        later = fits.api.job(running)
        assert later["observed"] == silent["observed"]
        assert later["age_s"] > silent["age_s"]
        window.open(f"/jobs/{running}")
    assert tracking(fits, running, "fresh")["tracking_text"] == ""
    expect(page.locator("#doubt")).to_have_count(0, timeout=SOON)
    assert fits.api.job(running)["error"] == ""
    window.context.close()
    assert window.faults == []


def test_a_job_that_is_handed_over_meanwhile_ends_when_its_cluster_is_back(
    browser: Browser, live: LiveGateway, fits: Fits, running: str
) -> None:
    window = Window(browser, fits)
    with unreachable(live):
        tracking(fits, running, "stale")
        job = str(fits.api.submit(kind="dummy", options={"seconds": 0.1, "steps": 1})["id"])
        assert tracking(fits, job, "stale")["state"] == "PENDING"
        page = window.open(f"/jobs/{job}")
        expect(page.locator("[data-live=status] .state").nth(1)).to_have_text("not reached")
    assert fits.api.wait(job)["state"] == "COMPLETED"
    expect(page.locator("[data-live=status] .state").first).to_have_text("Completed", timeout=SOON)
    expect(page.locator("#doubt")).to_have_count(0)
    window.context.close()


def test_jobs_of_a_cluster_that_was_taken_out_of_the_settings_keep_their_last_state() -> None:
    away = {
        "GATEWAY_CLUSTERS__AWAY__SCHEDULER": "local",
        "GATEWAY_CLUSTERS__AWAY__TRUSTED_USERS": "true",
        "GATEWAY_CLUSTERS__AWAY__LOOK_S": "0.2",
    }
    with live_gateway(**away) as live:
        fits = Fits(live.user())
        job = fits.waiting(300, cluster="away")
        live.stop()
        live.environment = {k: v for k, v in live.environment.items() if k not in away}
        live.start()
        fits = Fits(Api(live, fits.api.name))
        silent = tracking(fits, job, "stale")
        assert silent["state"] == "RUNNING"
        assert silent["error"] == "the cluster 'away' is no longer configured"
        assert silent["tracking_text"].startswith(f"last seen at {silent['observed']} by local; ")


def test_a_gateway_that_does_not_answer_is_said_on_the_page(
    browser: Browser, fits: Fits, running: str
) -> None:
    window = Window(browser, fits)
    page = window.open(f"/jobs/{running}")
    window.context.set_offline(True)
    note = page.locator("#silent")
    expect(note).to_contain_text("The gateway does not answer. What you see is from ", timeout=SOON)
    expect(page.locator("[data-live=status] .state").first).to_have_text("Running")
    window.context.set_offline(False)
    expect(note).to_have_count(0, timeout=30_000)
    window.context.close()
