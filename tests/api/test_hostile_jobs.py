"""Wrong on purpose: jobs that mean harm, through the front door, run by local execution."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.jobs import words
from tests.api import hostile
from tests.helpers import eventually, processes
from tests.live import Api, LiveGateway, live_gateway

_QUICK_S = 5.0
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def gateway() -> Iterator[LiveGateway]:
    with live_gateway() as live:
        yield live


@pytest.fixture(scope="module")
def user(gateway: LiveGateway) -> Api:
    return gateway.user()


def run(user: Api, script: str, within_s: float = 90.0, **request: Any) -> dict[str, Any]:
    """Run a script to its end, and hold that others are answered meanwhile."""
    problem = user.script_problem(script)
    request.setdefault("options", {"fit": "lm"})
    job = user.submit(problem={"id": problem["id"]}, **request)
    deadline = time.monotonic() + within_s
    while not (seen := user.http.get(f"/jobs/{job['id']}")).json()["final"]:
        assert seen.elapsed.total_seconds() < _QUICK_S
        assert time.monotonic() < deadline, seen.json()
        time.sleep(0.05)
    return user.job(job["id"])


def everything(user: Api, job: str) -> str:
    """Read all that may be read of a job: no answer is a failure of ours, none leaks."""
    texts = []
    for path in ("", "/results", "/log", "/log?stream=stderr", "/log?offset=0", "/script"):
        answer = user.http.get(f"/jobs/{job}{path}")
        assert answer.status_code in (200, 404), answer.text
        assert answer.elapsed.total_seconds() < _QUICK_S
        json.loads(answer.text, parse_constant=lambda name: pytest.fail(name))
        texts.append(answer.text)
    results = user.http.get(f"/jobs/{job}/results")
    files = results.json()["files"] if results.status_code == 200 else []
    names = [file["path"] for file in files[:40]] + ["out/passwd.txt", "out/etc/passwd", "../x"]
    for name in names:
        answer = user.http.get(f"/jobs/{job}/files/{name}")
        assert answer.status_code in (200, 404), answer.text
        texts.append(answer.text)
    bundle = user.http.get(f"/jobs/{job}/bundle.zip")
    assert bundle.status_code in (200, 409)
    headers = {"Authorization": user.http.headers["Authorization"], "Accept": "text/html"}
    for page in (f"/jobs/{job}", "/jobs"):
        shown = httpx.get(user.live.url + page, headers=headers)
        assert shown.status_code == 200, page
        assert "<script>alert(1)" not in shown.text
        assert "<img src=x" not in shown.text
        texts.append(shown.text)
    text = "".join(texts)
    assert "root:" not in text
    return text


def test_a_gigabyte_of_output_is_cut_with_a_line_that_says_so(user: Api) -> None:
    ended = run(user, hostile.PRINTS, within_s=240)
    assert ended["state"] == "COMPLETED", ended
    log = user.http.get(f"/jobs/{ended['id']}/log").json()
    assert log["cut"]
    assert "[cut here: " in log["text"][-200:]
    errors = user.http.get(f"/jobs/{ended['id']}/log", params={"stream": "stderr"}).json()
    assert not errors["cut"]
    state = user.live.state
    kept = [path for path in state.rglob("*") if path.is_file() and path.stat().st_size > 100 << 20]
    assert kept == []


def test_children_do_not_outlive_their_job(user: Api, tmp_path: Path) -> None:
    mark = f"mark-{tmp_path.name}-{time.time_ns()}"
    ended = run(user, hostile.FORKS.replace("{mark}", mark))
    assert ended["state"] == "COMPLETED", ended
    eventually(lambda: not processes(mark), what="the end of all children")


def test_links_pipes_and_ten_thousand_files_are_left_behind(user: Api) -> None:
    ended = run(user, hostile.WRITES)
    assert ended["final"]
    assert "is not a plain file" in ended["error"]
    everything(user, ended["id"])
    listed = [file["path"] for file in user.results(ended["id"])["files"]]
    assert not {"out/passwd.txt", "out/pipe", "out/hard.py"} & set(listed)


@pytest.mark.parametrize(
    ("script", "text"),
    [
        (hostile.KILLED, words.KILLED),
        (hostile.SILENT, words.NO_RESULT),
        (hostile.RAISES, ""),
        (hostile.EVENTS_LINK, words.NO_RESULT),
    ],
    ids=["killed", "silent", "raises", "links"],
)
def test_a_job_that_ends_badly_says_so_in_plain_words(user: Api, script: str, text: str) -> None:
    ended = run(user, script)
    assert ended["state"] == "FAILED"
    assert ended["reason_text"] == text or (not text and ended["reason_text"])
    assert ended["chisq"] is None
    assert "49" not in ended["reason_text"]
    everything(user, ended["id"])


DEEP = b'{"a":' * 900 + b"1" + b"}" * 900
HUGE = b"9" * 4000
RESULTS = {
    "words": b"not json",
    "list": b"[1, 2]",
    "types": json.dumps(
        {"status": 7, "verdict": "x", "chisq": "y", "parameters": {"a": 1}, "elements": 3,
         "convergence": [], "error": "e", "check": 1, "resumable": "z", "covariance": None}
    ).encode(),
    "numbers": b'{"status": "done", "chisq": 1e999, "dof": ' + HUGE + b', "parameters": '
    b'[{"label": "a", "value": ' + HUGE + b', "uncertainty": NaN, "bounds": [1, -1, 2]}]}',
    "html": json.dumps(
        {"status": "done", "verdict": {"code": "<b>", "text": "<img src=x onerror=alert(1)>"},
         "chisq": 1.0, "parameters": [{"label": "<script>alert(1)</script>", "value": 1.0}]}
    ).encode(),
    "surrogates": b'{"status": "done", "verdict": {"code": "\\ud800", "text": "\\udfff"}, '
    b'"chisq": 1, "parameters": [{"label": "\\ud83d", "value": 1}]}',
    "deep": DEEP,
    "elements": json.dumps(
        {"status": "done", "elements": [1, None, {"index": -1}, {"index": "0"}, {"index": 10**30}]}
    ).encode(),
    "binary": b"\x80\x04\x95\x00cos\nsystem\n",
}  # fmt: skip
MANIFESTS = {
    "words": b"no",
    "list": b"[]",
    "types": b'{"files": [1, {"path": 3}, {"path": "/etc/passwd"}, {"path": "../x", "size": "a"}]}',
    "numbers": b'{"files": [{"path": "result.0.json", "size": ' + HUGE + b"}]}",
}
EVENTS = b"\n".join(
    [
        b"no json",
        b'{"event": "step", "t": ' + HUGE + b', "step": 1}',
        b'{"event": "step", "t": 1, "step": ' + HUGE + b', "chisq": 1e999, "best": "x"}',
        b'{"event": "step", "t": 1, "step": 1e308, "best": [1e999, "<script>"], "quantiles": {}}',
        b'{"event": "start", "t": 1, "labels": 5, "method": "\\ud800"}',
        b'{"event": "curve", "t": 1, "x": [1e999], "y": "</script>"}',
        b'{"event": "message", "t": 1, "text": "\\ud800\\n\\u001b]0;x"}',
        DEEP,
        b'{"event": "end", "t": 1}',
        b"x" * 300_000,
        b"",
    ]
)


@pytest.mark.parametrize("name", RESULTS)
def test_a_forged_result_is_never_a_failure_of_ours(user: Api, name: str) -> None:
    ended = run(user, hostile.forger(RESULTS[name], b"{}", EVENTS))
    assert ended["state"] in ("COMPLETED", "FAILED")
    text = everything(user, ended["id"])
    assert "Traceback" not in text
    assert user.http.get(f"/jobs/{ended['id']}/events").status_code == 200


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_forged_manifest_makes_nothing_complete(user: Api, name: str) -> None:
    ended = run(user, hostile.forger(b'{"status": "done", "chisq": 1}', MANIFESTS[name]))
    assert not user.results(ended["id"])["complete"]
    assert (ended["state"], ended["reason"]) == ("FAILED", "NoResult")
    assert "ended without a complete result" in ended["reason_text"]
    assert (ended["chisq"], ended["verdict"]) == (None, None)
    everything(user, ended["id"])


def test_what_is_no_plain_file_is_never_opened_though_a_manifest_names_it(user: Api) -> None:
    ended = run(user, hostile.ODD)
    assert ended["final"]
    assert not user.results(ended["id"])["complete"]
    listed = {file["path"] for file in user.results(ended["id"])["files"]}
    odd = ("pipe", "zero", "full", "link", "folder/passwd", "hard", "directory", "socket")
    assert not {f"out/{name}" for name in odd} & listed
    assert "out/plain" in listed
    for name in odd:
        answer = user.http.get(f"/jobs/{ended['id']}/files/out/{name}")
        assert answer.status_code == 404, name
        assert answer.elapsed.total_seconds() < _QUICK_S
    everything(user, ended["id"])


def test_nothing_of_it_was_an_unexpected_error(gateway: LiveGateway) -> None:
    wrong = [
        line
        for line in gateway.log.splitlines()
        if '"event": "unexpected"' in line or "Traceback" in line
    ]
    assert wrong == []


SLOW = hostile.GOOD.replace("from bumps", "import time\nfrom bumps").replace(
    "lambda x, m=1.0, b=0.0: m * x + b",
    "lambda x, m=1.0, b=0.0: (time.sleep(0.002), m * x + b)[1]",
)


def test_a_job_beyond_its_time_keeps_what_it_has_and_can_be_continued(user: Api) -> None:
    ended = run(
        user,
        SLOW,
        within_s=200,
        options={"fit": "dream", "samples": 1_000_000, "burn": 10},
        resources={"time": "0:00:30"},
    )
    assert ended["state"] in ("TIMEOUT", "COMPLETED"), ended
    verdict = ended["verdict"] or {}
    assert ended["state"] == "TIMEOUT" or verdict.get("code") == "time_limit"
    assert ended["resumable"], ended
