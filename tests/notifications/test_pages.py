"""What people and programs see of notifications, on a real site."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser as Chromium

from gateway.ids import new_id
from gateway.jobs.alarm import alarm_of
from gateway.jobs.models import Stage
from gateway.notifications.models import Notification, end_of, stuck
from scheduler.base import JobState
from tests.jobs.making import make_job
from tests.web.chromium import picture, served, violations
from tests.web.site import PASSWORD, Browser, Site

HOSTILE = "<img src=x onerror=alert(1)>"


def tell(site: Site, count: int = 1, **changes: object) -> list[str]:
    """Tell ada of ends; answer the ids, oldest first."""
    made = []
    for _ in range(count):
        job = make_job(state=JobState.FAILED, title=HOSTILE, **changes)
        told = end_of(job, job.attempt)
        assert site.services.notification_store.tell(f"{job.id}:1", told)
        made.append(told.id)
    return made


@pytest.fixture
def ada(site: Site) -> Browser:
    browser = site.browser()
    browser.sign_in("ada")
    return browser


def test_a_program_pages_through_them_and_marks_them_read(site: Site, ada: Browser) -> None:
    ids = tell(site, 3)
    first = ada.get("/api/v1/notifications?limit=2").json
    assert [item["id"] for item in first["items"]] == [ids[2], ids[1]]
    assert first["unread"] == 3
    second = ada.get(f"/api/v1/notifications?limit=2&cursor={first['next_cursor']}").json
    assert [item["id"] for item in second["items"]] == [ids[0]]
    assert second["next_cursor"] is None
    for _ in range(2):
        assert ada.send("POST", f"/api/v1/notifications/{ids[1]}/read").status_code == 204
    listed = ada.get("/api/v1/notifications").json
    assert [item["read"] for item in listed["items"]] == [False, True, False]
    assert listed["unread"] == 2
    assert ada.send("POST", "/api/v1/notifications/read").status_code == 204
    assert ada.get("/api/v1/notifications").json["unread"] == 0
    assert ada.send("POST", f"/api/v1/notifications/{new_id()}/read").status_code == 404


def test_nobody_reads_or_marks_those_of_others(site: Site, ada: Browser) -> None:
    [told] = tell(site)
    bob = site.browser()
    bob.sign_in("bob")
    assert bob.get("/api/v1/notifications").json == {"items": [], "unread": 0, "next_cursor": None}
    assert bob.send("POST", f"/api/v1/notifications/{told}/read").status_code == 404
    assert bob.send("POST", "/api/v1/notifications/read").status_code == 204
    assert ada.get("/api/v1/notifications").json["unread"] == 1


def closed(count: int) -> Notification:
    """Make what is told of jobs in a closed partition."""
    jobs = [make_job(stage=Stage.SUBMITTED, reason="PartitionDown") for _ in range(count)]
    alarm = alarm_of(jobs[0])
    assert alarm
    return stuck(jobs, alarm)


def test_jobs_that_wait_for_the_same_are_one_entry_with_the_first_of_them(
    site: Site, ada: Browser
) -> None:
    told = closed(12)
    assert site.services.notification_store.tell("x:1", told)
    [item] = ada.get("/api/v1/notifications").json["items"]
    assert (item["others"], item["also"]) == (11, list(told.also))
    assert len(told.also) == 9
    page = " ".join(ada.get("/notifications").text.split())
    for job in (told.job, *told.also):
        assert f'href="/jobs/{job}"' in page
    assert "and 11 more:" in page
    assert f"{told.also[-1]}</a> …" in page


def test_one_job_that_waits_alone_is_an_entry_as_any(site: Site, ada: Browser) -> None:
    assert site.services.notification_store.tell("x:1", closed(1))
    [item] = ada.get("/api/v1/notifications").json["items"]
    assert (item["others"], item["also"]) == (0, [])
    assert "0 more" not in ada.get("/notifications").text


def test_the_bell_counts_and_the_page_works_without_script(site: Site, ada: Browser) -> None:
    assert 'aria-label="Notifications"' in ada.get("/notifications").text
    first, _ = tell(site, 2)
    page = ada.get("/tokens").text
    assert 'aria-label="Notifications: 2 unread"' in page
    answer = ada.post_form(f"/notifications/{first}/read", "/notifications")
    assert answer.status_code == 303
    assert 'aria-label="Notifications: 1 unread"' in ada.get("/notifications").text
    assert ada.post_form("/notifications/read", "/notifications").status_code == 303
    assert 'aria-label="Notifications"' in ada.get("/notifications").text
    assert ada.client.post("/notifications/read").status_code == 403  # no token of the form


@pytest.mark.browser
@pytest.mark.parametrize(("width", "scheme"), [(360, "light"), (1280, "dark")])
def test_the_page_fits_and_runs_no_strangers_script(
    site: Site, browser: Chromium, tmp_path: Path, width: int, scheme: str
) -> None:
    tell(site, 2)
    assert site.services.notification_store.tell("x:1", closed(12))
    dialogs: list[str] = []
    with served(site.app) as port:
        context = browser.new_context(
            viewport={"width": width, "height": 800},
            color_scheme=scheme,  # type: ignore[arg-type]
        )
        page = context.new_page()
        page.on("dialog", lambda dialog: dialogs.append(dialog.message))
        page.goto(f"http://127.0.0.1:{port}/sign-in?next=/notifications")
        page.fill("#name", "ada")
        page.fill("#password", PASSWORD)
        page.press("#password", "Enter")
        page.wait_for_url("**/notifications")
        assert page.locator(".told li").count() == 3
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert HOSTILE in page.inner_text(".told")
        assert violations(page) == []
        picture(page, tmp_path / f"{width}.png")
        context.close()
    assert dialogs == []
