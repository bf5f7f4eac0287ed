"""Who had what run, and by which script: for administrators, bounded, and with nothing private."""

from __future__ import annotations

import csv
import hashlib
import io
from dataclasses import replace
from typing import Any

import pytest

from gateway.jobs import handed as reader
from gateway.jobs.script import template_version
from tests.jobs.making import make_job
from tests.live import Api, LiveGateway
from tests.web.site import Browser, Site

PATH = "/api/v1/admin/audit"
SECRET = "what the owner wrote"  # noqa: S105 - no password, but private


@pytest.fixture
def root(site: Site) -> Browser:
    browser = site.browser()
    browser.sign_in("root")
    return browser


def test_a_job_that_ran_is_told_with_script_options_and_id(live: LiveGateway, api: Api) -> None:
    boss = Api(live, "boss")
    wanted: dict[str, Any] = {
        "kind": "dummy",
        "options": {"seconds": 0},
        "resources": {"time": "0:07:00"},
    }
    preview = api.http.post("/jobs/preview", json=wanted).json()
    job = api.wait(api.submit(**wanted, draft=preview["draft"])["id"])
    [row] = boss.http.get("/admin/audit", params={"job": job["id"]}).json()["items"]
    digest = hashlib.sha256(preview["script"].encode()).hexdigest()
    assert (row["script_sha256"], row["template"]) == (digest, template_version())
    assert (row["user"], row["cluster"], row["attempt"]) == (api.name, "local", 1)
    assert (row["native_id"], row["state"]) == (job["native_id"], "COMPLETED")
    assert row["native_id"]
    assert "0:07:00" in str(row["resources"]["time"])
    assert row["options"]["seconds"] == 0
    assert boss.http.get("/admin/audit", params={"job": "none"}).json()["items"] == []


def test_it_is_narrowed_and_paged_and_tells_nothing_private(site: Site, root: Browser) -> None:
    jobs = [
        make_job(owner=owner, cluster=cluster, title=SECRET, notes=SECRET, tags=(SECRET,))
        for owner, cluster in (("ada", "local"), ("bob", "local"), ("ada", "gone"))
    ]
    for job in jobs:
        site.services.job_store.add(job)
    second = replace(jobs[0], attempts=(*jobs[0].attempts, replace(jobs[0].attempt, number=2)))
    site.services.job_store.replace(second)
    ids = sorted((job.id for job in jobs), reverse=True)
    answer = root.get(f"{PATH}?limit=2")
    rest = root.get(f"{PATH}?cursor={answer.json['next_cursor']}")
    seen = [row["job"] for page in (answer, rest) for row in page.json["items"]]
    assert list(dict.fromkeys(seen)) == ids
    assert len(seen) == 4, "each attempt"
    assert rest.json["next_cursor"] is None
    page, table = root.get("/admin/audit"), root.get("/admin/audit.csv")
    for text in (answer.text, rest.text, page.text, table.text):
        assert SECRET not in text
    for query, count in (("user=ada", 3), ("user=ada&cluster=gone", 1), ("user=nobody", 0),
                         (f"job={jobs[1].id}", 1), (f"job={jobs[1].id}&user=ada", 0)):  # fmt: skip
        assert len(root.get(f"{PATH}?{query}").json["items"]) == count, query
        assert len(root.get(f"/admin/audit.csv?{query}").text.splitlines()) == count + 1, query
        assert root.get(f"/admin/audit?{query}").text.count(">attempt ") == count, query
    for wrong in ("cursor=xyz", f"user={'x' * 33}", "limit=0"):
        assert root.get(f"{PATH}?{wrong}").status_code == 422
        assert root.get(f"/admin/audit?{wrong}").status_code == 422


def test_a_page_looks_at_a_bounded_number_of_jobs(
    site: Site, root: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "MOST_LOOKED_AT", 3)
    wanted = make_job(cluster="rare")
    site.services.job_store.add(wanted)
    for _ in range(7):
        site.services.job_store.add(make_job())
    pages, cursor = 0, ""
    found = []
    while pages < 9:
        answer = root.get(f"{PATH}?cluster=rare{cursor}").json
        found += answer["items"]
        pages += 1
        if answer["next_cursor"] is None:
            break
        cursor = f"&cursor={answer['next_cursor']}"
    assert ([row["job"] for row in found], pages) == ([wanted.id], 3)
    assert len(root.get("/admin/audit.csv?cluster=rare").text.splitlines()) == 2


def test_what_was_deleted_leaves_its_line_in_the_trail(live: LiveGateway, api: Api) -> None:
    boss = Api(live, "boss")
    job = api.wait(api.submit(kind="dummy", options={"seconds": 0}, title=SECRET)["id"])
    path = f"/admin/audit?job={job['id']}"
    [before] = boss.http.get(path).json()["items"]
    used = boss.http.get("/admin/usage").json()["items"]
    assert api.http.delete(f"/jobs/{job['id']}").status_code == 204
    answer = boss.http.get(path)
    [after] = answer.json()["items"]
    assert after.pop("deleted") > after["asked"]
    assert after == {name: value for name, value in before.items() if name != "deleted"}
    assert after["native_id"] == job["native_id"]
    assert SECRET not in answer.text
    assert boss.http.get("/admin/usage").json()["items"] == used
    trail = boss.http.get("/me/audit?everybody=true").json()["items"]
    [line] = [row for row in trail if row["subject"] == job["id"]]
    assert (line["user"], line["action"]) == (api.name, "job.delete")


def test_deleted_jobs_stand_among_the_others_in_their_order(site: Site, root: Browser) -> None:
    jobs = [make_job(owner=owner, title=SECRET) for owner in ("ada", "bob", "ada", "ada")]
    for job in jobs:
        site.services.job_store.add(job)
    for job in (jobs[0], jobs[2]):
        site.services.job_store.delete(job)
    ids = [job.id for job in reversed(jobs)]
    first = root.get(f"{PATH}?limit=2").json
    rest = root.get(f"{PATH}?cursor={first['next_cursor']}").json
    assert [row["job"] for row in first["items"] + rest["items"]] == ids
    mine = root.get(f"{PATH}?user=ada").json["items"]
    assert [bool(row["deleted"]) for row in mine] == [False, True, True]
    page = root.get("/admin/audit").text
    assert f'href="/jobs/{jobs[1].id}"' in page
    assert f'href="/jobs/{jobs[0].id}"' not in page, "it is not there any more"
    assert page.count(">deleted ") == 2


def test_the_table_runs_no_formula(site: Site, root: Browser) -> None:
    site.services.job_store.add(make_job(kind="=1+1", correlation_id="@x"))
    [row] = csv.DictReader(io.StringIO(root.get("/admin/audit.csv").text))
    assert (row["kind"], row["correlation_id"]) == ("'=1+1", "'@x")


def test_strangers_do_not_get_there(site: Site) -> None:
    ada = site.browser()
    ada.sign_in("ada")
    for path in (PATH, "/admin/audit", "/admin/audit.csv"):
        assert ada.get(path).status_code == 403
