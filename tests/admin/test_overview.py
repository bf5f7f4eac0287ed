"""How clusters fare and whose jobs live, for administrators alone."""

from __future__ import annotations

import pytest

from gateway.doctor import examine
from gateway.jobs.models import Stage, Tracking, Wish
from gateway.records import now
from scheduler.base import JobState
from tests.helpers import eventually
from tests.jobs.making import make_job
from tests.live import Api, LiveGateway
from tests.web.site import PASSWORD, Browser, Site

SECRET = "what the owner wrote"  # noqa: S105 - no password, but private


@pytest.fixture
def root(site: Site) -> Browser:
    browser = site.browser()
    browser.sign_in("root")
    return browser


def fill(site: Site) -> list[str]:
    jobs = [
        make_job(owner="ada", title=SECRET, notes=SECRET, tags=(SECRET,), asked=now()),
        make_job(owner="bob", stage=Stage.UNCERTAIN, asked=now()),
        make_job(owner="bob", stage=Stage.SUBMITTED, native_id="77", reason="JobHeldAdmin"),
        make_job(owner="ada", cluster="gone", state=JobState.RUNNING, stage=Stage.SUBMITTED,
                 tracking=Tracking.STALE),
        make_job(owner="ada", state=JobState.COMPLETED, stage=Stage.SUBMITTED, collected=True),
    ]  # fmt: skip
    for job in jobs:
        site.services.job_store.add(job)
    return [job.id for job in jobs]


def test_clusters_are_told_with_what_hangs_there(site: Site, root: Browser) -> None:
    fill(site)
    site.services.contacts.failed("local", "its disk is full")
    local, gone = root.get("/api/v1/admin/clusters").json["items"]
    assert (local["states"], local["uncertain"], local["held"]) == ({"PENDING": 3}, 1, 1)
    assert (local["error"], local["answered"], local["drained"]) == ("its disk is full", None, None)
    assert local["commands_last_minute"] is None, "no worker tells"
    assert (gone["configured"], gone["stale"], gone["states"]) == (False, 1, {"RUNNING": 1})


def test_the_queue_tells_nothing_private_and_is_narrowed_and_paged(
    site: Site, root: Browser
) -> None:
    ids = fill(site)[:4]
    answer = root.get("/api/v1/admin/jobs?limit=3")
    assert [row["id"] for row in answer.json["items"]] == sorted(ids)[:3]
    rest = root.get(f"/api/v1/admin/jobs?cursor={answer.json['next_cursor']}")
    assert [row["id"] for row in rest.json["items"]] == sorted(ids)[3:]
    assert rest.json["next_cursor"] is None
    page = root.get("/admin")
    for text in (answer.text, rest.text, page.text):
        assert SECRET not in text
    for query, count in (("user=ada", 2), ("user=ada&cluster=gone", 1), ("state=RUNNING", 1),
                         ("user=nobody", 0)):  # fmt: skip
        assert len(root.get(f"/api/v1/admin/jobs?{query}").json["items"]) == count
        assert root.get(f"/admin?{query}").text.count('<td class="why">') == count
    for path in ("/api/v1/admin/jobs", "/admin"):
        assert root.get(f"{path}?state=COMPLETED").status_code == 422


def test_a_job_whose_record_is_damaged_is_told_and_hides_no_other(
    site: Site, root: Browser
) -> None:
    ids = fill(site)
    assert root.get("/api/v1/admin/clusters").json["unreadable"] == {}
    # What has another mark is read again.
    site.services.redis.hset(f"job:{ids[0]}", mapping={"record": "{", "mark": "damaged"})
    told = root.get("/api/v1/admin/clusters").json
    assert list(told["unreadable"]) == [ids[0]]
    assert told["items"][0]["states"] == {"PENDING": 2}
    page = root.get("/admin").text
    assert f"<code>{ids[0]}</code> is set apart" in page
    assert root.get("/admin/audit").status_code == root.get("/admin/usage").status_code == 200
    finding = {one.what: one for one in examine(site.services.settings)}["jobs"]
    assert (finding.good, "rebuild" in finding.text, ids[0] in finding.text) == (False, True, True)
    ada = site.browser()
    ada.sign_in("ada", PASSWORD)
    listed = [row["id"] for row in ada.get("/api/v1/jobs").json["items"]]
    assert sorted(listed) == sorted([ids[3], ids[4]])
    answer = ada.get(f"/api/v1/jobs/{ids[0]}")
    assert (answer.status_code, "cannot be read" in answer.json["detail"]) == (503, True)
    assert "bumps_gateway_jobs_unreadable 1" in root.get("/metrics").text


def test_strangers_do_not_get_there(site: Site) -> None:
    ada = site.browser()
    assert ada.get("/admin").status_code == 303
    ada.sign_in("ada", PASSWORD)
    for path in ("/admin", "/api/v1/admin/clusters", "/api/v1/admin/jobs"):
        assert ada.get(path).status_code == 403
    assert 'href="/admin"' not in ada.get("/jobs").text
    assert ada.post_form("/admin/drain", "/jobs", reason="x").status_code == 403
    assert site.services.drains.all() == {}


def test_the_page_drains_and_resumes(site: Site, root: Browser) -> None:
    assert 'href="/admin"' in root.get("/jobs").text
    wrong = root.post_form("/admin/clusters/local/drain", "/admin", reason="")
    assert (wrong.status_code, site.services.drains.all()) == (422, {})
    assert 'id="wrong-reason"' in wrong.text
    reason = "<b>cooling</b>"
    answer = root.post_form("/admin/clusters/local/drain", "/admin", reason=reason)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/admin#local")
    page = root.get("/admin").text
    assert "&lt;b&gt;cooling&lt;/b&gt;" in page
    assert reason not in page
    assert reason not in root.get("/fits/new").text
    assert "&lt;b&gt;cooling" in root.get("/fits/new").text, "the form tells before"
    root.post_form("/admin/clusters/local/resume", "/admin")
    assert site.services.drains.all() == {}
    root.post_form("/admin/drain", "/admin", reason="all")
    assert list(site.services.drains.all()) == ["local"]
    root.post_form("/admin/resume", "/admin")
    assert site.services.drains.all() == {}


def test_a_running_worker_tells_that_a_cluster_answers(live: LiveGateway, api: Api) -> None:
    boss = Api(live, "boss")
    job = api.submit(kind="dummy", options={"seconds": 60})
    api.wait_for_state(job["id"], "RUNNING")
    local = eventually(
        lambda: [row for row in boss.http.get("/admin/clusters").json()["items"] if row["answered"]]
    )[0]
    assert (local["states"]["RUNNING"], local["error"]) == (1, "")
    assert local["commands_last_minute"] == 0, "local execution has no commands"
    with live.services() as services:
        held = services.job_store.get(job["id"])
    assert held.wish is Wish.RUN
