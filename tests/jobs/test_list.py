"""A list of more jobs than are looked through at once."""

from __future__ import annotations

import pytest

from gateway.jobs import listing
from tests.jobs.making import make_job
from tests.web.fixtures import site
from tests.web.site import Site

__all__ = ["site"]


def test_a_search_that_has_not_seen_all_says_so_and_goes_on(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "_SCANNED", 3)
    for number in range(5):
        site.services.job_store.add(make_job(title=f"run {number}"))
    browser = site.browser()
    browser.sign_in("ada")
    first = browser.get("/jobs?q=run+0").text
    assert "there are older ones" in first
    assert "None of your" not in first
    older = first.partition('rel="next"')[0].rpartition('href="')[2].partition('"')[0]
    page = browser.get(older.replace("&amp;", "&")).text
    assert page.count("data-job=") == 1
    assert "None of your 5 jobs" in browser.get("/jobs?q=nothing&state=FAILED").text
