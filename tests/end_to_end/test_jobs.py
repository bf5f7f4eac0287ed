"""Lists, live events, logs and ends of jobs, through the front door."""

from __future__ import annotations

import json
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx

from tests.helpers import eventually
from tests.live import Api


def _alive(api: Api) -> bool:
    states = ("PENDING", "RUNNING")
    return any(
        api.http.get("/jobs", params={"state": state, "limit": 1}).json()["items"]
        for state in states
    )


def read_events(api: Api, job: str, *, last_id: str = "") -> list[dict[str, Any]]:
    """Follow the events of a job to their end."""
    headers = {"Last-Event-ID": last_id} if last_id else {}
    events: list[dict[str, Any]] = []
    with api.http.stream("GET", f"/jobs/{job}/events", headers=headers) as answer:
        assert answer.status_code == 200
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        event: dict[str, Any] = {}
        for line in answer.iter_lines():
            name, _, value = line.partition(": ")
            if name in ("id", "event"):
                event[name] = value
            elif name == "data":
                event["data"] = json.loads(value)
            elif not line and "data" in event:
                events.append(event)
                event = {}
    return events


def test_events_tell_each_step_and_the_end(api: Api) -> None:
    job = api.submit(kind="dummy", options={"seconds": 2, "steps": 4})

    events = read_events(api, job["id"])

    steps = [event["data"]["step"] for event in events if event["event"] == "step"]
    assert steps == sorted(set(steps))
    assert steps[-1] == 4
    assert events[-1]["event"] == "job"
    assert events[-1]["data"]["state"] == "COMPLETED"


def test_events_go_on_after_the_last_one_seen(api: Api) -> None:
    job = api.submit(kind="dummy", options={"seconds": 0.5, "steps": 5})
    api.wait(job["id"])
    events = read_events(api, job["id"])
    steps = [event for event in events if event["event"] == "step"]

    rest = read_events(api, job["id"], last_id=steps[2]["id"])

    assert [e["data"]["step"] for e in rest if e["event"] == "step"] == [4, 5]


def test_all_events_of_an_ended_job_come_before_its_end(api: Api) -> None:
    job = api.submit(kind="dummy", options={"seconds": 0.5, "steps": 120})
    api.wait(job["id"])
    events = read_events(api, job["id"])
    steps = [event["data"]["step"] for event in events if event["event"] == "step"]
    assert steps[-1] == 120
    assert len(steps) > 100
    assert [event["event"] for event in events].index("job") == len(events) - 1


def test_a_list_is_paged_filtered_and_searched(api: Api) -> None:
    for number in range(7):
        api.submit(
            kind="dummy", options={"seconds": 0}, title=f"run {number}", tags=[f"t{number % 2}"]
        )

    first = api.http.get("/jobs", params={"limit": 3}).json()
    second = api.http.get("/jobs", params={"limit": 3, "cursor": first["next_cursor"]}).json()

    titles = [item["title"] for item in first["items"] + second["items"]]
    assert titles == [f"run {number}" for number in (6, 5, 4, 3, 2, 1)]
    tagged = api.http.get("/jobs", params={"tag": "t1"}).json()["items"]
    assert {item["title"] for item in tagged} == {"run 1", "run 3", "run 5"}
    found = api.http.get("/jobs", params={"q": "RUN 4"}).json()["items"]
    assert [item["title"] for item in found] == ["run 4"]
    eventually(
        lambda: len(api.http.get("/jobs", params={"state": "COMPLETED"}).json()["items"]) == 7,
        what="all to end",
    )
    wrong = api.http.get("/jobs", params={"state": "DONE"})
    assert wrong.status_code == 422
    assert "COMPLETED" in wrong.json()["errors"][0]["detail"]


def test_fifty_parallel_submissions_with_one_key_make_one_job(api: Api) -> None:
    key = uuid.uuid4().hex
    request = {"kind": "dummy", "options": {"seconds": 0}}

    def post(_: int) -> str:
        answer = api.http.post("/jobs", json=request, headers={"Idempotency-Key": key})
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    with ThreadPoolExecutor(16) as pool:
        ids = set(pool.map(post, range(50)))

    assert len(ids) == 1
    assert api.http.get("/jobs").json()["total"] == 1


def _ask_for(api: Api, jobs: list[Any], key: str | None) -> httpx.Response:
    headers = {} if key is None else {"Idempotency-Key": key}
    return api.http.post("/jobs/many", json={"jobs": jobs}, headers=headers)


def test_of_many_jobs_in_one_request_each_is_accepted_or_refused_by_itself(api: Api) -> None:
    key, quick = uuid.uuid4().hex, {"kind": "dummy", "options": {"seconds": 0.1}}
    wanted = [quick, {"kind": "dummy", "options": {"seconds": -3}}, {"kind": "dance"}, quick]

    answer = _ask_for(api, wanted, key)
    again = _ask_for(api, wanted, key)

    assert (answer.status_code, answer.json()["accepted"]) == (202, 2)
    items = answer.json()["items"]
    assert [item["status"] for item in items] == [202, 422, 422, 202]
    assert len({items[0]["id"], items[3]["id"]}) == 2
    assert [(one["pointer"]) for one in items[1]["problem"]["errors"]] == ["/options/seconds"]
    assert "-3" in items[1]["problem"]["errors"][0]["detail"]
    assert "dance" in json.dumps(items[2]["problem"])
    assert [item["id"] for item in again.json()["items"]] == [item["id"] for item in items]
    assert [item["replayed"] for item in again.json()["items"]] == [True, False, False, True]
    for item in (items[0], items[3]):
        assert api.http.get(item["href"].removeprefix("/api/v1")).json()["id"] == item["id"]
        assert api.wait(item["id"])["state"] == "COMPLETED"


def test_a_request_for_many_jobs_is_refused_whole_before_it_makes_any(api: Api) -> None:
    before, quick = api.http.get("/jobs").json()["total"], {"kind": "dummy"}
    unnamed = _ask_for(api, [quick], None)
    malformed = _ask_for(api, [quick, {"kind": "dummy", "seed": "seven"}], "k" * 8)
    crowd = _ask_for(api, [quick] * 101, "k" * 8)
    nothing = _ask_for(api, [], "k" * 8)

    assert unnamed.status_code == 400
    assert "send Idempotency-Key" in unnamed.json()["detail"]
    assert [one["pointer"] for one in malformed.json()["errors"]] == ["/jobs/1/seed"]
    assert [one["pointer"] for one in crowd.json()["errors"]] == ["/jobs"]
    assert nothing.status_code == 422
    assert api.http.get("/jobs").json()["total"] == before


def test_a_key_of_many_jobs_stands_for_what_was_asked_first(api: Api) -> None:
    key = uuid.uuid4().hex
    first = _ask_for(api, [{"kind": "dummy", "options": {"seconds": 0.1}}], key).json()["items"]
    other = _ask_for(api, [{"kind": "dummy", "options": {"seconds": 0.2}}], key).json()["items"]
    assert other[0]["status"] == 422
    assert "was used before" in json.dumps(other[0]["problem"])
    api.wait(first[0]["id"])


def test_a_log_is_read_by_offset(api: Api) -> None:
    problem = api.script_problem(
        "import sys\nfor k in range(100):\n    print('line', k)\nsys.stdout.flush()\nproblem = 1\n"
    )
    job = api.submit(problem={"id": problem["id"]})
    api.wait(job["id"])

    whole = api.http.get(f"/jobs/{job['id']}/log", params={"offset": 0}).json()
    part = api.http.get(f"/jobs/{job['id']}/log", params={"offset": 7, "limit": 6}).json()
    tail = api.http.get(f"/jobs/{job['id']}/log", params={"offset": -8}).json()

    assert "line 0\nline 1\n" in whole["text"]
    assert part["text"] == whole["text"][7:13]
    assert part["next_offset"] == 13
    assert tail["text"] == whole["text"][-8:]


def test_a_deleted_job_is_gone_and_its_id_is_not_given_again(api: Api) -> None:
    request: dict[str, Any] = {"kind": "dummy", "options": {"seconds": 30}}
    preview = api.http.post("/jobs/preview", json=request).json()
    job = api.submit(**request, draft=preview["draft"])
    running = api.http.delete(f"/jobs/{job['id']}")
    assert running.status_code == 409
    api.http.post(f"/jobs/{job['id']}/cancel")
    api.wait(job["id"])

    assert api.http.delete(f"/jobs/{job['id']}").status_code == 204
    assert api.http.get(f"/jobs/{job['id']}").status_code == 404
    assert api.http.get("/jobs").json()["total"] == 0
    # A draft names the id that its job will have.
    again = api.http.post(
        "/jobs", json={**request, "draft": preview["draft"]}, headers={"Idempotency-Key": "new"}
    )
    assert again.status_code == 409, again.text
    assert job["id"] in again.json()["detail"]
    assert api.http.get("/jobs").json()["total"] == 0


def test_a_thousand_parallel_submissions_have_a_thousand_ids(api: Api) -> None:
    def post(number: int) -> str:
        job = api.submit(kind="dummy", options={"seconds": 600}, title=str(number))
        api.http.post(f"/jobs/{job['id']}/cancel")
        if number % 10 == 0:
            api.wait(job["id"])
            assert api.http.delete(f"/jobs/{job['id']}").status_code == 204
        return str(job["id"])

    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(post, range(1000)))

    assert len(set(ids)) == 1000
    eventually(lambda: not _alive(api), within_s=90, what="all to be cancelled")
    assert api.http.get("/jobs").json()["total"] == 900


def test_title_notes_and_tags_can_change_at_any_time(api: Api) -> None:
    job = api.submit(kind="dummy", options={"seconds": 0})

    answer = api.http.patch(
        f"/jobs/{job['id']}", json={"title": "A new name", "tags": ["beamtime"], "notes": "x\ny"}
    )

    assert answer.status_code == 200, answer.text
    ended = api.wait(job["id"])
    assert (ended["title"], ended["tags"], ended["notes"]) == ("A new name", ["beamtime"], "x\ny")


def test_an_unchanged_job_is_304_by_its_etag(api: Api) -> None:
    job = api.submit(kind="dummy", options={"seconds": 0})
    api.wait(job["id"])
    etag = api.http.get(f"/jobs/{job['id']}").headers["ETag"]

    again = api.http.get(f"/jobs/{job['id']}", headers={"If-None-Match": etag})

    assert again.status_code == 304


def test_a_rerun_is_a_second_attempt(api: Api) -> None:
    job = api.submit(kind="dummy", options={"seconds": 0})
    api.wait(job["id"])
    key = {"Idempotency-Key": uuid.uuid4().hex}

    answers = [api.http.post(f"/jobs/{job['id']}/rerun", json={}, headers=key) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [202, 202]
    ended = api.wait(job["id"])
    assert ended["attempt"] == 2
    assert ended["state"] == "COMPLETED"


def test_a_rerun_that_asks_in_another_way_takes_the_first_way_back(api: Api) -> None:
    per_cpu = {"mem_per_cpu": "64M"}
    job = api.submit(kind="dummy", options={"seconds": 0}, resources=per_cpu)["id"]
    api.wait(job)
    again = {"resources": {"mem": "128M"}}
    assert api.http.post(f"/jobs/{job}/rerun", json=again).status_code == 202
    api.wait(job)
    asked = [attempt["resources"] for attempt in api.job(job)["attempts"]]
    assert [(one.get("mem"), one.get("mem_per_cpu")) for one in asked] == [
        (None, "64M"),
        ("128M", None),
    ]
    assert api.http.get("/jobs").status_code == 200
    both = {"resources": {"mem": "128M", "mem_per_cpu": "64M"}}
    refused = api.http.post(f"/jobs/{job}/rerun", json=both)
    assert [one["pointer"] for one in refused.json()["errors"]] == ["/resources/mem_per_cpu"]


def test_a_late_retry_of_a_deleted_job_does_not_make_it_again(api: Api) -> None:
    key = uuid.uuid4().hex
    request: dict[str, Any] = {"kind": "dummy", "options": {"seconds": 0}}
    job = api.submit(key=key, **request)
    api.wait(job["id"])
    assert api.http.delete(f"/jobs/{job['id']}").status_code == 204

    late = api.http.post("/jobs", json=request, headers={"Idempotency-Key": key})

    assert late.status_code == 409
    assert "deleted" in late.json()["detail"]
    assert api.http.get("/jobs").json()["total"] == 0


def test_parallel_reruns_with_one_key_are_one_attempt_and_all_succeed(api: Api) -> None:
    job = api.submit(kind="dummy", options={"seconds": 0, "steps": 3})
    api.wait(job["id"])
    key = {"Idempotency-Key": uuid.uuid4().hex}

    def rerun(_: int) -> tuple[int, int, object]:
        answer = api.http.post(f"/jobs/{job['id']}/rerun", json={}, headers=key)
        return answer.status_code, answer.json().get("attempt", 0), answer.json().get("final")

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(rerun, range(6)))

    assert {(status, attempt) for status, attempt, _ in answers} == {(202, 2)}
    assert api.wait(job["id"])["attempt"] == 2


def test_an_ended_script_without_a_result_is_a_failure(api: Api) -> None:
    problem = api.script_problem("import os\nos._exit(0)\n")
    job = api.submit(problem={"id": problem["id"]}, options={"fit": "lm"})

    ended = api.wait(job["id"])

    assert (ended["state"], ended["raw_state"], ended["reason"]) == (
        "FAILED",
        "COMPLETED",
        "NoResult",
    )
