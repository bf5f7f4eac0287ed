"""A submission that died half-way becomes one job, not none and not two."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from bumps_remote.errors import UsageError
from bumps_remote.faults import POINTS
from bumps_remote.journal import Draft, Journal, LocalFile

from tests.client.site import Misbehaving, Reply, Shell, serve_submissions

DRAFT = Draft(
    url="https://a.example",
    user="kim",
    entry="model.py",
    files=(LocalFile(name="model.py", path="/x/model.py", digest="d", size=1),),
    problem={"name": "model"},
    job={"options": {"fit": "lm"}},
)
KILLED = -9


def keys(site: Misbehaving) -> set[str]:
    return {seen.key for seen in site.asked("POST", "/jobs")}


def entries(shell: Shell) -> list[Path]:
    return list(shell.journal.glob("*.json")) if shell.journal.exists() else []


def test_the_same_content_finds_its_entry_and_key(tmp_path: Path) -> None:
    first = Journal(tmp_path / "j").begin(DRAFT)
    moved = replace(DRAFT, files=(replace(DRAFT.files[0], path="/y/model.py"),))

    again = Journal(tmp_path / "j").begin(moved)

    assert (first.is_new, again.is_new) == (True, False)
    assert again.key == first.key


@pytest.mark.parametrize(
    "other",
    [
        replace(DRAFT, user="lee"),
        replace(DRAFT, url="https://b.example"),
        replace(DRAFT, job={"options": {"fit": "de"}}),
        replace(DRAFT, files=(replace(DRAFT.files[0], digest="e"),)),
    ],
)
def test_other_content_has_another_key(tmp_path: Path, other: Draft) -> None:
    journal = Journal(tmp_path)

    assert journal.begin(DRAFT).key != journal.begin(other).key


def test_a_finished_entry_is_gone_and_the_next_has_a_new_key(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    first = journal.begin(DRAFT)
    journal.keep_problem(first, "01P")

    journal.finish(first)

    assert list((tmp_path / "j").iterdir()) == []
    assert journal.begin(DRAFT).key != first.key


def test_the_first_problem_of_an_entry_stays(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    entry = journal.begin(DRAFT)

    assert journal.keep_problem(entry, "one") == "one"
    assert journal.keep_problem(entry, "two") == "one"
    assert entry.problem_id == "one"


def test_the_journal_is_private(tmp_path: Path) -> None:
    entry = Journal(tmp_path / "state" / "j").begin(DRAFT)

    assert entry.path.stat().st_mode & 0o777 == 0o600
    assert entry.path.parent.stat().st_mode & 0o777 == 0o700


def test_a_damaged_entry_is_named_and_not_thrown_away(tmp_path: Path) -> None:
    entry = Journal(tmp_path).begin(DRAFT)
    entry.path.write_text("{", encoding="utf-8")

    with pytest.raises(UsageError, match="cannot be read"):
        Journal(tmp_path).begin(DRAFT)

    assert entry.path.exists()


def test_two_at_once_agree_on_one_key(tmp_path: Path) -> None:
    found: list[str] = []
    gate = threading.Barrier(8)

    def begin() -> None:
        gate.wait()
        found.append(Journal(tmp_path).begin(DRAFT).key)

    threads = [threading.Thread(target=begin) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(found) == 8
    assert len(set(found)) == 1


@pytest.mark.parametrize("point", POINTS)
def test_a_client_killed_anywhere_ends_as_one_job_when_repeated(
    site: Misbehaving, shell: Shell, point: str
) -> None:
    serve_submissions(site)
    shell.write("model.py", "load('a.dat')")
    shell.write("a.dat", "1 2")

    shell.run("submit", "model.py", "--fit=lm", code=KILLED, BUMPS_REMOTE_CRASH_AT=point)
    assert len(entries(shell)) == 1
    again = shell.run("submit", "model.py", "--fit=lm", "--json")

    assert again.json["id"] == f"01J{0:023d}"
    assert len(keys(site)) == 1
    assert len({seen.body for seen in site.asked("POST", "/jobs")}) == 1
    assert entries(shell) == []


def test_the_journal_goes_on_without_the_files(site: Misbehaving, shell: Shell) -> None:
    serve_submissions(site)
    model = shell.write("model.py", "")
    shell.run("submit", "model.py", "--fit=lm", code=KILLED, BUMPS_REMOTE_CRASH_AT="sent")
    model.unlink()

    listed = shell.run("journal", "--json").json
    done = shell.run("journal", "--continue", "--json").json

    assert listed["entries"][0]["problem"] == "01P"
    assert [job["id"] for job in done["jobs"]] == [f"01J{0:023d}"]
    assert len(keys(site)) == 1
    assert entries(shell) == []


def test_an_answer_that_got_lost_is_asked_for_with_the_same_key(
    site: Misbehaving, shell: Shell
) -> None:
    serve_submissions(site)
    whole = site.routes["POST", "/jobs"]
    site.on("POST", "/jobs", lambda seen: replace(whole(seen), cut_after=-1), whole)
    shell.write("model.py", "")

    shell.run("submit", "model.py")

    assert len(site.asked("POST", "/jobs")) == 2
    assert len(keys(site)) == 1


def test_a_server_that_is_away_leaves_the_submission_in_the_journal(
    site: Misbehaving, shell: Shell
) -> None:
    serve_submissions(site)
    site.on("POST", "/jobs", Reply(status=503))
    shell.write("model.py", "")

    shell.run("submit", "model.py", code=4, BUMPS_REMOTE_PATIENCE="0.2")

    assert len(entries(shell)) == 1
    assert len(keys(site)) == 1


def test_a_refused_submission_leaves_nothing(site: Misbehaving, shell: Shell) -> None:
    serve_submissions(site)
    wrong = {"detail": "no", "errors": [{"pointer": "/options/steps", "detail": "is -1"}]}
    site.on("POST", "/jobs", Reply(status=422, body=wrong))
    shell.write("model.py", "")

    done = shell.run("submit", "model.py", "--steps=-1", code=6)

    assert "steps: is -1" in done.err
    assert entries(shell) == []


def test_an_expired_token_keeps_the_submission(site: Misbehaving, shell: Shell) -> None:
    serve_submissions(site)
    site.on("POST", "/jobs", Reply(status=401, body={"detail": "expired"}))
    shell.write("model.py", "")

    shell.run("submit", "model.py", code=3)

    assert len(entries(shell)) == 1


def test_new_makes_a_job_of_its_own(site: Misbehaving, shell: Shell) -> None:
    serve_submissions(site)
    shell.write("model.py", "")
    shell.run("submit", "model.py", code=KILLED, BUMPS_REMOTE_CRASH_AT="sent")

    shell.run("submit", "model.py", "--new")

    assert len(keys(site)) == 2


def test_the_same_submitted_twice_on_purpose_is_two_jobs(site: Misbehaving, shell: Shell) -> None:
    serve_submissions(site)
    shell.write("model.py", "")

    ids = {shell.run("submit", "model.py", "--json").json["id"] for _ in range(2)}

    assert len(ids) == 2


def test_an_unfinished_submission_with_other_options_is_mentioned(
    site: Misbehaving, shell: Shell
) -> None:
    serve_submissions(site)
    shell.write("model.py", "")
    shell.run("submit", "model.py", code=KILLED, BUMPS_REMOTE_CRASH_AT="sent")

    done = shell.run("submit", "model.py", "--fit=de")

    assert "another submission of model.py is unfinished" in done.err


def test_a_file_that_changes_while_it_is_sent_is_not_submitted(
    site: Misbehaving, shell: Shell
) -> None:
    serve_submissions(site)
    site.on("POST", "/files", Reply(status=201, body={"digest": "0" * 64, "size": 1}))
    shell.write("model.py", "")

    done = shell.run("submit", "model.py", code=2)

    assert "has changed while it was being submitted" in done.err
    assert not site.asked("POST", "/jobs")
    assert entries(shell) == []


def test_what_is_sent_is_what_was_asked(site: Misbehaving, shell: Shell) -> None:
    serve_submissions(site)
    shell.write("model.py", "import sys")
    shell.write("start.par", "a 1.5\nb 2\n")
    options = ["--fit=dream", "--samples=1e5", "--no-trim", "--init=lhs", "--pop=-20", "--seed=7"]
    slurm = ["--cpus=4", "--wall=2:00:00", "--mem=4G", "--partition=p", "--account=a", "--qos=q"]
    more = ["--title=T", "--tag=x", "--tag=y", "--pars=start.par", "--simulate", "--noise=3"]

    shell.run("submit", "model.py", *options, *slurm, *more, "--shake", "--args", "r.dat", "-1")

    body = json.loads(site.asked("POST", "/jobs")[0].body)
    assert body == {
        "kind": "fit",
        "mode": "fit",
        "problem": {"id": "01P"},
        "options": {"fit": "dream", "samples": 100_000, "trim": False, "init": "lhs", "pop": -20.0},
        "seed": 7,
        "shake": True,
        "simulate": {"noise_percent": 3.0},
        "start": [1.5, 2.0],
        "title": "T",
        "tags": ["x", "y"],
        "resources": {
            "cpus_per_task": 4,
            "time": "2:00:00",
            "mem": "4G",
            "partition": "p",
            "account": "a",
            "qos": "q",
        },
    }
    assert site.asked("POST", "/problems")[0].json["script"]["args"] == ["r.dat", "-1"]


def test_hours_for_the_fit_ask_for_as_much_wall_time(site: Misbehaving, shell: Shell) -> None:
    serve_submissions(site)
    shell.write("model.py", "")

    shell.run("submit", "model.py", "--fit=de", "--time=5")

    body = site.asked("POST", "/jobs")[0].json
    assert body["options"]["time"] == 5.0
    assert body["resources"]["time"] == "5:40:00"
