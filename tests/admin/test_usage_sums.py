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
        ended(JobState.COMPLETED, 1.0, owner="carl", cpu_s=900.0, cpu_over_s=3600.0),
        ended(JobState.COMPLETED, 1.0, owner="carl", cpu_s=1900.0, cpu_over_s=3600.0),
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
    assert found["total"]["wasted"] == {
        "FAILED": 0.5,
        "OUT_OF_MEMORY": 1.5,
        "CANCELLED": 1.0,
        "IDLE": 0.75,  # of the one that used less than half of its processor, and of no other
    }
    assert found["total"]["wasted_core_hours"] == 3.75
    rate = found["total"]["success_rate"]
    assert rate == pytest.approx(4 / 7), "who was cancelled before it began is no end"
    assert (found["left_out"], found["counted_from"]) == (0, None)
    kinds = {row["name"]: row for row in found["kinds"]}
    assert (kinds["survey"]["wasted"], kinds["survey"]["success_rate"]) == ({"FAILED": 0.5}, 0)
    groups = [(row["name"], row["core_hours"], row["wasted_core_hours"]) for row in found["groups"]]
    assert groups == [("optics", 6.0, 3.0), ("", 4.0, 0.75), ("beam", 1.0, 1.0)]

    page = root.get(URL.replace("/api/v1", "")).text
    for text in ("out of memory 1.50", "idle 0.75", "<td>optics</td>", "in no group", "57 %"):
        assert text in page, text
    assert "<td>survey</td>" in page
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
