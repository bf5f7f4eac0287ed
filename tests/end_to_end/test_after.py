"""Jobs that run after others: they wait in the gateway, and start or end with a word why."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from gateway.accounts.models import Identity, Scope, expand
from gateway.ids import new_id
from gateway.jobs.asking import Request
from scheduler.base import JobState
from tests.helpers import eventually
from tests.live import Api, LiveGateway, live_gateway

QUICK: dict[str, Any] = {"kind": "dummy", "options": {"seconds": 0, "steps": 1}}
LONG: dict[str, Any] = {"kind": "dummy", "options": {"seconds": 600, "steps": 600}}
BROKEN = "raise ValueError('no model')\n"


@pytest.fixture(scope="module")
def live() -> Iterator[LiveGateway]:
    with live_gateway() as running:
        yield running


@pytest.fixture
def api(live: LiveGateway) -> Iterator[Api]:
    api = live.user()
    yield api
    api.cancel_all()


def after(*jobs: str, kind: str = "afterok") -> dict[str, Any]:
    return {"after": {"jobs": list(jobs), "kind": kind}}


def refused(api: Api, **request: Any) -> list[tuple[str, str]]:
    """Ask for what cannot be; answer where it is wrong, and what is said."""
    answer = api.http.post(
        "/jobs", json={**QUICK, **request}, headers={"Idempotency-Key": new_id()}
    )
    assert answer.status_code == 422, answer.text
    return [(error["pointer"], error["detail"]) for error in answer.json()["errors"]]


def test_a_job_waits_with_words_until_all_before_it_have_ended_well(api: Api) -> None:
    first = api.submit(**LONG, title="first")["id"]
    other = api.submit(**QUICK)["id"]
    last = api.submit(**QUICK, **after(first, other, first))["id"]
    third = api.submit(**QUICK, **after(last))["id"]

    api.wait(other)
    text = f"Waits in the gateway until 'first' ({first}) ends well."
    eventually(lambda: api.job(last)["reason_text"] == text, what="its words")
    waiting = api.job(last)
    assert (waiting["state"], waiting["reason"]) == ("PENDING", "Dependency")
    assert (waiting["submission"], waiting["native_id"]) == ("none", None)
    assert waiting["after"] == {"kind": "afterok", "jobs": [first, other]}
    api.wait_for_state(first, "RUNNING")
    assert api.job(last)["submission"] == "none"
    assert api.http.post(f"/jobs/{first}/stop").status_code == 202  # what there is, is well

    ended = api.wait(third)
    assert [api.job(job)["state"] for job in (first, last)] == ["COMPLETED", "COMPLETED"]
    assert ended["state"] == "COMPLETED"
    assert api.job(last)["started"] >= api.job(first)["ended"]
    assert ended["started"] >= api.job(last)["ended"]


def test_what_can_never_start_ends_with_the_cause_and_so_does_what_follows(api: Api) -> None:
    first = api.submit(**LONG, title="first")["id"]
    good = api.submit(**QUICK, **after(first))["id"]
    chained = api.submit(**QUICK, **after(good))["id"]
    bad = api.submit(**QUICK, **after(first, kind="afternotok"))["id"]
    any_end = api.submit(**QUICK, **after(first, kind="afterany"))["id"]

    assert api.http.post(f"/jobs/{first}/cancel").status_code == 202
    ended = api.wait(good)

    assert (ended["state"], ended["reason"]) == ("CANCELLED", "DependencyNeverSatisfied")
    cause = f"'first' ({first}) has ended as CANCELLED, and this was to run when it ends well."
    assert ended["reason_text"] == f"Never started: {cause}"
    assert api.wait(chained)["reason"] == "DependencyNeverSatisfied"
    assert [api.wait(job)["state"] for job in (bad, any_end)] == ["COMPLETED", "COMPLETED"]


def test_a_fit_that_failed_is_no_success_whatever_its_script_says(api: Api) -> None:
    problem = api.script_problem(BROKEN)["id"]
    failed = api.submit(problem={"id": problem}, options={"fit": "lm"})["id"]
    good = api.submit(**QUICK, **after(failed))["id"]
    bad = api.submit(**QUICK, **after(failed, kind="afternotok"))["id"]

    assert (api.wait(failed)["state"], api.job(failed)["exit_code"]) == ("FAILED", 0)
    assert api.wait(good)["state"] == "CANCELLED"
    assert api.wait(bad)["state"] == "COMPLETED"


def test_a_job_that_waits_can_be_cancelled_and_a_rerun_waits_for_nothing(api: Api) -> None:
    first = api.submit(**LONG)["id"]
    job = api.submit(**QUICK, **after(first))["id"]

    assert api.http.post(f"/jobs/{job}/cancel").status_code == 202
    assert api.wait(job)["state"] == "CANCELLED"
    assert api.http.post(f"/jobs/{job}/rerun", json={}).status_code == 202
    assert api.wait(job)["state"] == "COMPLETED"
    assert not api.job(first)["final"]


def test_a_job_that_was_deleted_is_waited_for_no_more(api: Api) -> None:
    first = api.submit(**LONG)["id"]
    second = api.submit(**QUICK, **after(first))["id"]
    api.http.post(f"/jobs/{first}/cancel")
    api.wait(second)
    assert api.http.delete(f"/jobs/{first}").status_code == 204

    assert refused(api, **after(first)) == [("/after/jobs/0", f"you have no job {first!r}")]


def test_jobs_that_are_not_ones_own_are_as_unknown(live: LiveGateway, api: Api) -> None:
    stranger = live.user().submit(**QUICK)["id"]
    none = new_id()

    for one in (stranger, none):
        assert refused(api, **after(one)) == [("/after/jobs/0", f"you have no job {one!r}")]
    preview = api.http.post("/jobs/preview", json={**QUICK, **after(stranger)})
    assert preview.status_code == 422


def test_what_can_never_be_is_refused_at_once(api: Api) -> None:
    done = api.submit(**QUICK, title="done")["id"]
    api.wait(done)

    ((pointer, detail),) = refused(api, **after(done, kind="afternotok"))
    assert pointer == "/after/jobs/0"
    assert detail.startswith(f"'done' ({done}) has ended well, and afternotok waits until it")
    assert api.wait(api.submit(**QUICK, **after(done))["id"])["state"] == "COMPLETED"


@pytest.mark.parametrize(
    ("wish", "pointer"),
    [
        ({"jobs": []}, "/after/jobs"),
        ({"jobs": ["4711"]}, "/after/jobs/0"),
        ({"jobs": ["../x"], "kind": "afterok"}, "/after/jobs/0"),
        ({"jobs": [new_id()] * 21}, "/after/jobs"),
        ({"jobs": [new_id()], "kind": "singleton"}, "/after/jobs"),
        ({"jobs": [new_id()], "kind": "aftercorr"}, "/after/kind"),
        ({"jobs": [new_id()], "delay": 3}, "/after/delay"),
        ({"kind": "afterok"}, "/after/jobs"),
        ("4711", "/after"),
    ],
)
def test_a_wrong_wish_names_its_field(api: Api, wish: Any, pointer: str) -> None:
    assert pointer in [where for where, _ in refused(api, after=wish)]


def test_one_begins_when_another_has_begun_and_a_singleton_when_all_of_its_title_ended(
    api: Api,
) -> None:
    first = api.submit(**LONG, title="series")["id"]
    begun = api.submit(**QUICK, title="other", **after(first, kind="after"))["id"]
    single: dict[str, Any] = {"after": {"kind": "singleton"}, "title": "series"}
    second, third = (api.submit(**QUICK, **single)["id"] for _ in range(2))

    ended = api.wait(begun)
    assert ended["started"] >= api.job(first)["started"]
    assert not api.job(first)["final"], "it runs beside what it came after"
    text = f"Waits in the gateway until 'series' ({first}) ends, and 1 more."
    eventually(lambda: api.job(third)["reason_text"] == text, what="its words")
    waiting = api.job(second)
    assert (waiting["reason"], waiting["native_id"]) == ("Dependency", None)
    assert waiting["after"] == {"kind": "singleton", "jobs": []}
    api.http.post(f"/jobs/{first}/cancel")
    assert api.wait(third)["started"] >= api.wait(second)["ended"], "in the order of submission"
    assert {api.job(one)["state"] for one in (second, third)} == {"COMPLETED"}

    queued = api.submit(**LONG, **after(api.submit(**LONG)["id"]))["id"]
    follower = api.submit(**QUICK, **after(queued, kind="after"))["id"]
    api.http.post(f"/jobs/{queued}/cancel")
    assert api.wait(follower)["state"] == "COMPLETED", "who was cancelled never begins"


def test_what_is_asked_for_instead_is_what_the_attempt_asked_for(
    live: LiveGateway, api: Api
) -> None:
    """Its first request ran after a job that is gone, and with other options."""
    first = api.submit(**QUICK)["id"]
    job = api.submit(**QUICK, **after(first))["id"]
    api.wait(job)
    assert api.http.delete(f"/jobs/{first}").status_code == 204
    again = {"options": {"seconds": 60, "steps": 77}, "resources": {"time": "0:20:00"}}
    assert api.http.post(f"/jobs/{job}/rerun", json=again).status_code == 202
    api.wait_for_state(job, "RUNNING")
    who = Identity(user=api.name, admin=False, scopes=expand([Scope.SUBMIT]))
    with live.services() as services:
        # As Slurm would say it of one that it has held.
        services.job_store.change(
            job,
            lambda stuck: stuck.with_attempt(state=JobState.PENDING, reason="JobHoldMaxRequeue"),
        )
        new = services.jobs.ask_instead(Request(identity=who, correlation_id="c" * 8), job).id
    made = api.job(new)
    assert made["options"] == {"seconds": 60.0, "steps": 77}
    assert made["request"]["resources"]["time"] == "0-00:20:00"
    assert made["after"] == {"kind": "afterany", "jobs": [job]}
    assert api.wait(job)["state"] == "CANCELLED"
    api.wait_for_state(new, "RUNNING")

    api.http.post(f"/jobs/{new}/cancel")
    api.wait(new)
    assert api.http.delete(f"/jobs/{new}").status_code == 204
    gone = api.http.post(f"/jobs/{job}/instead")
    assert (gone.status_code, gone.json()["detail"]) == (
        409,
        f"what was asked for in the place of job {job} was deleted: cancel {job}, and ask for a "
        "job with changes",
    )
