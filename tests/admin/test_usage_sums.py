"""What came to nothing and why, by kind and by group; and more jobs than are read at once."""

from __future__ import annotations

import csv
import io
from datetime import timedelta

import pytest

from gateway.jobs import usage as reader
from gateway.jobs.models import Stage
from scheduler.base import JobState
from tests.admin.test_usage import DAY, URL, ended
from tests.jobs.making import make_job
from tests.web.site import Browser, Site

POLICY = """
[groups.optics]
members = ["ada", "bob"]

[groups.beam]
members = ["bob"]
"""


@pytest.fixture
def root(site: Site) -> Browser:
    browser = site.browser()
    browser.sign_in("root")
    return browser


@pytest.fixture
def filled(site: Site) -> Site:
    never = ended(JobState.CANCELLED, 0.0, owner="bob")
    jobs = [
        ended(JobState.COMPLETED, 3.0),
        ended(JobState.FAILED, 0.5, kind="survey"),
        ended(JobState.OUT_OF_MEMORY, 1.5),
        ended(JobState.CANCELLED, 1.0, owner="bob"),
        never.with_attempt(started=None, ended=None),
        ended(JobState.COMPLETED, 2.0, owner="carl"),
        make_job(created=DAY, stage=Stage.SUBMITTED),
    ]
    for job in jobs:
        site.services.job_store.add(job)
    return site


def test_waste_is_told_by_reason_kind_and_group_with_the_rate_of_success(
    filled: Site, root: Browser, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("policy") / "policy.toml"
    filled.services.policies.put(path, POLICY, "root")
    found = root.get(URL).json
    assert found["total"]["wasted"] == {"FAILED": 0.5, "OUT_OF_MEMORY": 1.5, "CANCELLED": 1.0}
    assert found["total"]["wasted_core_hours"] == 3.0
    assert found["total"]["success_rate"] == 0.4, "who was cancelled before it began is no end"
    assert (found["left_out"], found["counted_from"]) == (0, None)
    kinds = {row["name"]: row for row in found["kinds"]}
    assert (kinds["survey"]["wasted"], kinds["survey"]["success_rate"]) == ({"FAILED": 0.5}, 0)
    groups = [(row["name"], row["core_hours"], row["wasted_core_hours"]) for row in found["groups"]]
    assert groups == [("optics", 6.0, 3.0), ("", 2.0, 0.0), ("beam", 1.0, 1.0)]

    page = root.get(URL.replace("/api/v1", "")).text
    for text in ("out of memory 1.50", "<td>optics</td>", "in no group", "<td>survey</td>", "40 %"):
        assert text in page, text
    for by, count in (("user", 3), ("kind", 2), ("group", 3)):
        table = root.get(URL.replace("/api/v1/admin/usage", "/admin/usage.csv") + f"&by={by}")
        rows = list(csv.DictReader(io.StringIO(table.text)))
        assert len({row[by] for row in rows}) == len(rows) == count, by
    assert rows[0]["wasted"] == "CANCELLED=1.0000 FAILED=0.5000 OUT_OF_MEMORY=1.5000"
    assert root.get("/admin/usage.csv?by=moon").status_code == 422


def test_of_too_many_jobs_the_newest_are_counted_and_the_rest_is_told(
    site: Site, root: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    for hour in range(5):
        made = DAY + timedelta(hours=hour)
        job = ended(JobState.COMPLETED, 2.0**hour, made=made)
        site.services.job_store.add(job)
        if hour % 2:
            site.services.job_store.delete(job)
    monkeypatch.setattr(reader, "MOST_JOBS", 3)
    found = root.get(URL).json
    assert (found["total"]["core_hours"], found["left_out"]) == (4 + 8 + 16, 2)
    assert found["counted_from"].startswith("2026-03-10T14:00")
    page = root.get(URL.replace("/api/v1", "")).text
    assert "only the jobs since 2026-03-10 14:00 UTC: 2 older ones" in page
    table = root.get(URL.replace("/api/v1/admin/usage", "/admin/usage.csv")).text
    assert table.splitlines()[-1] == "(not counted: 2 older jobs)"


def test_a_report_is_the_same_from_lines_and_follows_what_changes(
    site: Site, root: Browser
) -> None:
    jobs = [
        ended(JobState.COMPLETED, 1.0),
        ended(JobState.FAILED, 2.0),
        ended(JobState.TIMEOUT, 4.0),
    ]
    for job in jobs:
        site.services.job_store.add(job)
    first = root.get(URL).json
    assert site.services.redis.exists(f"used:{jobs[0].id[:4]}")
    assert root.get(URL).json == first
    store = site.services.job_store
    store.change(jobs[0].id, lambda job: job.with_attempt(proposal="hp-1", cpus_given=8))
    store.delete(store.get(jobs[1].id))
    rows = {row["proposal"]: row for row in root.get(URL).json["items"]}
    assert rows["hp-1"]["core_hours"] == 8.0, "a line of an older record is not believed"
    assert rows[""]["ended"] == {"FAILED": 1, "TIMEOUT": 1}, "what was deleted has run all the same"
    assert rows[""]["core_hours"] == 6.0
