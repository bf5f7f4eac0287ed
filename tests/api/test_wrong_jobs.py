"""Wrong on purpose: submissions that are refused with the field, and queue nothing."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.api.wrong import CURVE, nothing_happens, pointers
from tests.live import Api, live_gateway

DUMMY: dict[str, Any] = {"kind": "dummy", "options": {"seconds": 0}}
BAD_WORDS = ("x\nrm -rf /", "x\r\n#SBATCH --uid=0", "\x0b", "a\u2028b", "a\u0085b", "nul\0")
HOSTILE_WORDS = ("$(id)", "`id`", "{{7*7}}", "'; id; '", "-rf", "--wrap=id", "~", "*")


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    return tmp_path / "canary"


@pytest.fixture
def fit(api: Api) -> dict[str, Any]:
    return {"problem": {"id": api.problem(CURVE)["id"]}, "options": {"fit": "lm"}}


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"options": {"fit": "ps"}}, "/options/fit"),
        ({"options": {"fit": "rl"}}, "/options/fit"),
        ({"options": {"fit": "no-such-fitter"}}, "/options/fit"),
        ({"options": {"fit": ["lm"]}}, "/options/fit"),
        ({"options": {"fit": "lm", "steps": -1}}, "/options/steps"),
        ({"options": {"fit": "lm", "steps": "many"}}, "/options/steps"),
        ({"options": {"fit": "dream", "samples": 1e300}}, "/options/samples"),
        ({"options": {"fit": "dream", "no_such": 1}}, "/options/no_such"),
        ({"options": []}, "/options"),
        ({"mode": "delete"}, "/mode"),
        ({"seed": -1}, "/seed"),
        ({"seed": 1.5}, "/seed"),
        ({"kind": "shell"}, "/kind"),
        ({"problem": {"id": "../../etc"}}, "/problem/id"),
        ({"problem": None}, "/problem"),
        ({"cluster": "nowhere"}, "/cluster"),
        ({"start": [1, "x"]}, "/start/1"),
        ({"pack": 0}, "/pack"),
        ({"is_admin": True, "owner": "root", "state": "COMPLETED"}, "/is_admin"),
        ({"draft": "bm90IG91cnM.0000"}, "/draft"),
        ({"parent": "../x"}, "/parent"),
        ({"resources": {"time": "400-00:00:00"}}, "/resources/time"),
        ({"resources": {"time": "8-00:00:00"}}, "/resources/time"),
        ({"resources": {"time": "soon"}}, "/resources/time"),
        ({"resources": {"mem": "much"}}, "/resources/mem"),
        ({"resources": {"mem": "-1G"}}, "/resources/mem"),
        ({"resources": {"mem": 0}}, "/resources/mem"),
        ({"resources": {"nodes": -1}}, "/resources/nodes"),
        ({"resources": {"nodes": 2}}, "/resources/nodes"),
        ({"resources": {"ntasks": 2}}, "/resources/ntasks"),
        ({"resources": {"mpi": True, "ntasks": 2}}, "/resources/mpi"),
        ({"resources": {"mpi": "srun"}}, "/resources/mpi"),
        ({"resources": {"cpus_per_task": 100_000}}, "/resources/cpus_per_task"),
        ({"resources": {"uid": 0}}, "/resources/uid"),
        ({"resources": {"output": "/etc/shadow"}}, "/resources/output"),
        ({"elements": [{"files": {"../x": "0" * 64}}]}, "/elements/0/files"),
        ({"title": "x" * 201}, "/title"),
        ({"tags": [""]}, "/tags/0"),
    ],
)
def test_a_wrong_job_names_its_field(
    api: Api, canary: Path, fit: dict[str, Any], changes: dict[str, Any], pointer: str
) -> None:
    request = {**fit, **changes}
    with nothing_happens(api, canary):
        for path in ("/jobs", "/jobs/preview"):
            found = pointers(api.http.post(path, json=request))
            if path == "/jobs" or "draft" not in changes:
                assert any(place.startswith(pointer) for place in found), found
            if "draft" in changes:
                break  # a preview needs no draft


@pytest.mark.parametrize("word", BAD_WORDS)
def test_a_text_of_more_than_a_line_is_refused(api: Api, canary: Path, word: str) -> None:
    with nothing_happens(api, canary):
        for field, value in (("title", word), ("tags", [word]), ("notes", "\0"), ("cluster", word)):
            found = pointers(api.http.post("/jobs", json={**DUMMY, field: value}))
            assert any(place.startswith(f"/{field}") for place in found), found


@pytest.mark.parametrize(
    "option",
    ["partition", "account", "qos", "constraint", "reservation", "licenses", "gres", "mail_user"],
)
def test_no_option_of_the_scheduler_takes_hostile_words(
    api: Api, canary: Path, option: str
) -> None:
    with nothing_happens(api, canary):
        for word in (*BAD_WORDS, *HOSTILE_WORDS, f"$(touch {canary})", "x" * 10_000):
            request = {**DUMMY, "resources": {option: word}}
            found = pointers(api.http.post("/jobs", json=request))
            assert set(found) == {f"/resources/{option}"}, (word, found)


def test_hostile_words_in_texts_stay_texts(api: Api, canary: Path) -> None:
    for word in (*HOSTILE_WORDS, f"$(touch {canary})", f"'; touch {canary}; '"):
        request = {**DUMMY, "title": word, "tags": [word[:40]], "notes": word}
        job = api.submit(**request)
        script = api.http.get(f"/jobs/{job['id']}/script").json()["script"]
        ended = api.wait(job["id"])
        assert ended["state"] == "COMPLETED"
        assert (ended["title"], ended["notes"]) == (word, word)
        assert word == "*" or word == "~" or word == "-rf" or word not in script
        assert "49" not in ended["title"]
    assert not canary.exists()


def test_a_double_click_is_one_job_and_another_body_with_its_key_is_refused(api: Api) -> None:
    key = {"Idempotency-Key": f'"{uuid.uuid4()}"'}
    first = api.http.post("/jobs", json=DUMMY, headers=key)
    again = api.http.post("/jobs", json=DUMMY, headers=key)
    other = api.http.post("/jobs", json={**DUMMY, "title": "another"}, headers=key)

    assert first.status_code == again.status_code == 202
    assert first.json()["id"] == again.json()["id"]
    assert again.headers["Idempotent-Replayed"] == "true"
    pointers(other)
    assert api.http.get("/jobs").json()["total"] == 1


@pytest.mark.parametrize("key", ['""', "", '"open', "a b", "x" * 256, '"\t"', "\u00fc"])
def test_a_malformed_key_is_refused(api: Api, canary: Path, key: str) -> None:
    headers = [(b"Idempotency-Key", key.encode())]
    with nothing_happens(api, canary):
        pointers(api.http.post("/jobs", json=DUMMY, headers=headers), 400)


def test_a_key_belongs_to_its_user(api: Api) -> None:
    key = uuid.uuid4().hex
    other = api.live.user()
    assert api.submit(key, **DUMMY)["id"] != other.submit(key, **DUMMY)["id"]


def test_a_draft_of_another_user_is_none(api: Api, canary: Path) -> None:
    other = api.live.user()
    draft = other.http.post("/jobs/preview", json=DUMMY).json()["draft"]
    with nothing_happens(api, canary):
        found = pointers(api.http.post("/jobs", json={**DUMMY, "draft": draft}))
    assert set(found) == {"/draft"}


def test_a_draft_is_for_what_was_shown(api: Api, canary: Path) -> None:
    draft = api.http.post("/jobs/preview", json=DUMMY).json()["draft"]
    changed = {**DUMMY, "resources": {"time": "0:11:00"}, "draft": draft}
    with nothing_happens(api, canary):
        pointers(api.http.post("/jobs", json=changed), 409)


def test_what_has_ended_is_not_ended_again_and_what_has_not_is_not_continued(api: Api) -> None:
    running = api.submit(kind="dummy", options={"seconds": 600})
    api.wait_for_state(running["id"], "RUNNING")
    for verb in ("resume", "rerun"):
        pointers(api.http.post(f"/jobs/{running['id']}/{verb}", json={}), 409)
    pointers(api.http.delete(f"/jobs/{running['id']}"), 409)
    pointers(api.http.get(f"/jobs/{running['id']}/bundle.zip"), 409)
    assert api.http.post(f"/jobs/{running['id']}/cancel").status_code == 202
    ended = api.wait(running["id"])
    assert ended["state"] == "CANCELLED"
    for verb in ("cancel", "stop", "resume"):
        pointers(api.http.post(f"/jobs/{running['id']}/{verb}", json={}), 409)
    assert api.job(running["id"])["attempt"] == 1


def test_a_wrong_method_is_told_which_are_right(api: Api) -> None:
    answer = api.http.request("PURGE", "/jobs")
    pointers(answer, 405)
    assert {"GET", "POST"} <= set(answer.headers["Allow"].replace(" ", "").split(","))
    assert api.http.get("/jobs/01ARZ3NDEKTSV4RRFFQ69G5FAV/cancel").status_code == 405


def test_too_many_jobs_at_once_are_refused_with_a_time_to_come_again() -> None:
    limits = {"GATEWAY_LIMITS__QUEUED_PER_USER": "2", "GATEWAY_LIMITS__JOBS_PER_USER": "3"}
    with live_gateway(**limits) as live:
        api = live.user()
        long = {"kind": "dummy", "options": {"seconds": 600}}
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: api.http.post("/jobs", json=long), range(8)))
        ids = [answer.json()["id"] for answer in answers if answer.status_code == 202]
        assert len(ids) == 2 == api.http.get("/jobs").json()["total"]
        for answer in answers:
            if answer.status_code != 202:
                pointers(answer, 429)
                assert int(answer.headers["Retry-After"]) > 0
        for job in ids:
            api.http.post(f"/jobs/{job}/cancel")
            api.wait(job)
        api.wait(api.submit(kind="dummy")["id"])
        answer = api.http.post("/jobs", json={"kind": "dummy"})
        pointers(answer, 429)
        assert "delete some" in answer.text
        again = api.http.post(f"/jobs/{ids[0]}/rerun", json={"options": {"seconds": 0}})
        assert again.status_code == 202, "it is no further job"
        api.wait(ids[0])
