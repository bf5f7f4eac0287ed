"""The page of administrators in Chromium: widths, schemes, names for who cannot see."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from gateway.clusters.models import Found, Survey
from gateway.clusters.store import SurveyStore
from gateway.jobs.models import Stage
from gateway.records import now
from scheduler.base import JobState, Manners, Partition, Qos
from tests.admin.test_overview import fill
from tests.clusters.making import PER_USER
from tests.jobs.making import make_job
from tests.web.chromium import picture, served, violations
from tests.web.fixtures import SiteMaker
from tests.web.site import PASSWORD, Site

pytestmark = pytest.mark.browser


@pytest.fixture
def make(make: SiteMaker) -> SiteMaker:
    """Give each site a cluster with Slurm beside the local one."""
    return partial(make, **PER_USER)


@pytest.fixture
def origin(site: Site) -> Iterator[str]:
    with served(site.app) as port:
        yield f"http://127.0.0.1:{port}"


def surveyed() -> Survey:
    small = Partition(
        name="small",
        default=True,
        max_time="1-00:00:00",
        nodes=4,
        job_nodes="1-4",
        cpus=256,
        node_cpus=64,
        memory_mb=257_000,
        gres="gpu:a100:4",
    )
    found = Found(
        name="hpc",
        version="Slurm 23.11.4",
        cpus=4096,
        max_array=1001,
        manners=Manners(min_job_age_s=300, accounting=True, part_limits="ANY"),
        partitions=(small,),
        qos=(Qos(name="normal", max_wall="2-00:00:00", max_tres_per_user="cpu=256,gres/gpu=4"),),
        notes=("agent: gateway on login1, Python 3.11.2",),
    )
    return Survey(found=found, probed=now() - timedelta(minutes=7), took_s=0.6)


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (360, "dark")])
def test_a_cluster_is_drained_at_every_width(
    site: Site, browser: Browser, origin: str, tmp_path: Path, width: int, scheme: str
) -> None:
    fill(site)
    for user in ("ada", "bob"):
        made = now() - timedelta(hours=5)
        job = make_job(owner=user, stage=Stage.SUBMITTED, state=JobState.TIMEOUT, collected=True,
                       started=made, ended=now(), created=now())  # fmt: skip
        site.services.job_store.add(job)
    site.services.contacts.failed("local", "connection refused by /run/" + "x" * 90)
    SurveyStore(site.services.redis).put("hpc", surveyed())
    context = browser.new_context(
        viewport={"width": width, "height": 800},
        color_scheme="dark" if scheme == "dark" else "light",
        bypass_csp=True,  # only so that axe can be put into the page
    )
    page = context.new_page()
    page.goto(f"{origin}/admin")
    page.fill("#name", "root")
    page.fill("#password", PASSWORD)
    page.press("#password", "Enter")
    page.wait_for_url(f"{origin}/admin")
    for step in ("open", "drained", "site", "audit", "usage"):
        if step == "drained":
            page.fill("#reason-local", "the cooling is mended")
            page.locator("#local").get_by_role("button", name="Drain").click()
            page.get_by_text("Nothing new is handed over").wait_for()
        if step == "site":
            page.get_by_role("link", name="limits and strategy of The cluster").click()
            page.get_by_role("heading", name="What follows").wait_for()
        if step == "audit":
            page.goto(f"{origin}/admin")
            page.get_by_role("link", name="Audit").click()
            page.get_by_role("heading", name="What was done").wait_for()
        if step == "usage":
            page.goto(f"{origin}/admin")
            page.get_by_role("link", name="Usage").click()
            page.get_by_role("link", name="by kind").wait_for()
        picture(page, tmp_path / f"{step}-{width}-{scheme}.png")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, step
        found = violations(page)
        assert [(item["id"], item["nodes"][0]["html"]) for item in found] == [], step
    context.close()
