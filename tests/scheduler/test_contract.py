"""The promises of the verbs, on every scheduler."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from scheduler.base import (
    READ_MANY_BYTES,
    VOID,
    JobState,
    Launch,
    Reading,
    Refused,
    SchedulerError,
    StagedJob,
    Submitted,
    Uncertain,
)
from tests.helpers import eventually
from tests.scheduler.site import Site, by_task, named, sleeper, staged, trace


def exit_file(site: Site, launch: Launch, task: int = 0) -> dict[str, Any]:
    content = site.scheduler.read(launch.directory, f"exit.{task}.json", 0, 4096)
    assert content is not None
    document: dict[str, Any] = json.loads(content)
    return document


# Submission


def test_a_submitted_script_runs_once_and_completes(site: Site) -> None:
    launch = site.stage(sleeper() + "print('hello')")
    native_id = site.submit(launch)
    end = site.end_of(native_id)
    assert (end.state, end.exit_code, end.marker) == (JobState.COMPLETED, 0, launch.marker)
    assert end.started is not None
    assert end.ended is not None
    assert end.started <= end.ended
    assert len(site.lines(launch, "starts")) == 1
    assert site.lines(launch, "stdout.0.txt") == ["hello"]
    wrote = exit_file(site, launch)
    assert (wrote["rc"], wrote["owner"]) == (0, native_id)
    assert wrote["start"] <= wrote["end"]


def test_a_second_submission_of_a_try_answers_the_first_and_submits_nothing(site: Site) -> None:
    launch = site.stage(sleeper())
    native_id = site.submit(launch)
    assert site.submit(launch) == native_id
    site.end_of(native_id)
    assert site.submit(launch) == native_id
    assert len(named(site.scheduler, launch.marker)) == 1
    assert len(site.lines(launch, "starts")) == 1


def test_a_submission_of_which_only_the_lock_is_there_is_uncertain(site: Site) -> None:
    launch = site.stage(sleeper())
    (Path(launch.directory) / "submit.1").mkdir()
    (outcome,) = site.scheduler.submit([launch])
    assert isinstance(outcome, Uncertain)
    assert named(site.scheduler, launch.marker) == []
    assert trace(site.scheduler, launch.directory).native_id is None


def test_a_native_id_that_the_job_forged_is_not_believed(site: Site) -> None:
    other = site.stage(sleeper())
    native_id = site.submit(other)
    launch = site.stage(sleeper())
    lock = Path(launch.directory) / "submit.1"
    lock.mkdir()
    (lock / "native_id").write_text(f"{native_id}\n")
    (outcome,) = site.scheduler.submit([launch])
    assert isinstance(outcome, Uncertain)


def test_a_submitted_try_has_its_claim_and_its_native_id(site: Site) -> None:
    launch = site.stage(sleeper())
    native_id = site.submit(launch)
    assert trace(site.scheduler, launch.directory).claim == native_id
    assert trace(site.scheduler, launch.directory).native_id == native_id
    assert site.scheduler.claim(launch.directory, 1, VOID) == native_id


def test_a_job_whose_try_was_given_up_is_uncertain_and_leaves_no_trace(site: Site) -> None:
    launch = site.stage(sleeper())
    assert site.scheduler.claim(launch.directory, 1, VOID) == VOID
    (outcome,) = site.scheduler.submit([launch])
    assert isinstance(outcome, Uncertain)
    (twin,) = named(site.scheduler, launch.marker)
    assert site.end_of(twin.native_id).state is JobState.COMPLETED
    assert trace(site.scheduler, launch.directory).native_id is None
    assert site.lines(launch, "starts") == []
    assert site.scheduler.read(launch.directory, "exit.0.json", 0, 10) is None
    assert site.scheduler.read(launch.directory, "stdout.0.txt", 0, 10) == b""


def test_a_try_is_given_up_also_where_its_directory_is_not_there(site: Site) -> None:
    gone = PurePosixPath(site.base) / "ada" / "GONE" / "1"
    assert site.scheduler.claim(gone, 1, VOID) == VOID
    assert site.scheduler.claim(gone, 1, "7") == VOID
    assert trace(site.scheduler, gone).claim == VOID


def test_more_processors_than_there_are_is_refused_and_stays_refused(site: Site) -> None:
    launch = site.stage(sleeper(), resources={"cpus_per_task": 999_999})
    for _ in range(2):
        (outcome,) = site.scheduler.submit([launch])
        assert isinstance(outcome, Refused)
        assert site.refusal in outcome.text
    assert named(site.scheduler, launch.marker) == []


def test_check_says_beforehand_what_submit_would_refuse(site: Site) -> None:
    good, bad = site.stage(sleeper()), site.stage(sleeper(), resources={"cpus_per_task": 999_999})
    assert site.scheduler.check(good.directory).accepted
    answer = site.scheduler.check(bad.directory)
    assert not answer.accepted
    assert site.refusal in answer.text
    assert named(site.scheduler, good.marker) == []


def test_several_submissions_in_one_call_are_answered_in_their_order(site: Site) -> None:
    launches = [site.stage(sleeper()) for _ in range(3)]
    outcomes = site.scheduler.submit(launches)
    ids = [outcome.native_id for outcome in outcomes if isinstance(outcome, Submitted)]
    assert len(set(ids)) == 3
    for launch, native_id in zip(launches, ids, strict=True):
        assert site.end_of(native_id).marker == launch.marker


# States


def test_a_job_is_found_by_its_marker_and_by_no_other(site: Site) -> None:
    launch = site.stage(sleeper(60))
    native_id = site.submit(launch)
    (found,) = named(site.scheduler, launch.marker)
    assert found.native_id == native_id
    assert named(site.scheduler, "gw-J999-1") == []
    assert named(site.scheduler, "../" + launch.marker) == []
    site.wake(launch)


def test_an_unknown_id_is_missing_from_the_answer(site: Site) -> None:
    assert site.scheduler.states(["987654", "../../etc"]) == {}


@pytest.mark.parametrize("code", [1, 3, 77])
def test_a_failing_driver_fails_with_its_exit_code(site: Site, code: int) -> None:
    launch = site.stage(f"import sys; print('oh', file=sys.stderr); sys.exit({code})")
    end = site.end_of(site.submit(launch))
    assert (end.state, end.exit_code) == (JobState.FAILED, code)
    assert exit_file(site, launch)["rc"] == code
    assert site.lines(launch, "stderr.0.txt") == ["oh"]


def test_jobs_that_do_not_fit_wait_and_say_for_what(site: Site) -> None:
    first, second = (site.stage(sleeper(60), resources={"cpus_per_task": 2}) for _ in range(2))
    running = site.submit(first)
    site.runs(first, running)
    waiting = site.submit(second)
    (row,) = eventually(lambda: [r for r in site.reports(waiting) if r.reason])
    assert (row.state, row.reason) == (JobState.PENDING, "Resources")
    assert site.lines(second, "starts") == []
    site.wake(first)
    site.wake(second)
    assert site.end_of(waiting).state is JobState.COMPLETED
    ended = float(site.lines(first, "ends")[0].split()[1])
    assert ended <= float(site.lines(second, "starts")[0].split()[1])


def test_jobs_run_side_by_side_while_there_are_processors(site: Site) -> None:
    launches = [site.stage(sleeper(60)) for _ in range(2)]
    for launch in launches:
        site.submit(launch)
    for launch in launches:
        eventually(partial(site.lines, launch, "starts"))
        assert site.lines(launch, "ends") == []
    for launch in launches:
        site.wake(launch)


# Ends


def test_a_cancelled_running_job_ends_as_cancelled_and_leaves_143(site: Site) -> None:
    launch = site.stage(sleeper(60))
    native_id = site.submit(launch)
    site.runs(launch, native_id)
    site.scheduler.cancel([native_id])
    assert site.end_of(native_id).state is JobState.CANCELLED
    assert exit_file(site, launch)["rc"] == 143
    assert "15" in site.lines(launch, "signal.0")
    site.scheduler.cancel([native_id, "987654"])
    assert site.end_of(native_id).state is JobState.CANCELLED


def test_a_cancelled_waiting_job_never_starts(site: Site) -> None:
    first, second = (site.stage(sleeper(60), resources={"cpus_per_task": 2}) for _ in range(2))
    running = site.submit(first)
    site.runs(first, running)
    waiting = site.submit(second)
    site.scheduler.cancel([waiting])
    assert site.end_of(waiting).state is JobState.CANCELLED
    site.wake(first)
    site.end_of(running)
    assert site.lines(second, "starts") == []


def test_a_driver_that_ignores_term_is_killed_with_its_children(local_site: Site) -> None:
    site = local_site
    stubborn = """
import os, signal, time
for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        while True:
            with open("alive", "a") as stream:
                stream.write("x")
            time.sleep(0.01)
    os._exit(0)
with open("starts", "a") as stream:
    stream.write("0\\n")
time.sleep(60)
"""
    launch = site.stage(stubborn)
    native_id = site.submit(launch)
    site.runs(launch, native_id)
    eventually(lambda: site.lines(launch, "alive"))
    site.scheduler.cancel([native_id])
    assert site.end_of(native_id).state is JobState.CANCELLED
    alive = Path(launch.directory) / "alive"
    size = alive.stat().st_size
    with pytest.raises(AssertionError, match="not within"):
        eventually(lambda: alive.stat().st_size > size, within_s=0.3)


def test_the_time_limit_is_announced_and_then_kept(local_site: Site) -> None:
    site = local_site
    stubborn = sleeper(60).replace("    if number == signal.SIGINT:\n        sys.exit(0)\n", "")
    launch = site.stage(stubborn, resources={"time": "0:03"}, lead_s=2)
    native_id = site.submit(launch)
    end = site.end_of(native_id)
    assert end.state is JobState.TIMEOUT
    assert site.lines(launch, "signal.0")[:2] == ["2", "15"]
    assert exit_file(site, launch)["rc"] == 143
    assert end.started is not None
    assert end.ended is not None
    assert 2.5 < (end.ended - end.started).total_seconds() < 6.0


def test_a_driver_that_stops_when_told_completes_before_its_time_limit(local_site: Site) -> None:
    site = local_site
    launch = site.stage(sleeper(60), resources={"time": "0:30"}, lead_s=29)
    end = site.end_of(site.submit(launch))
    assert (end.state, end.exit_code) == (JobState.COMPLETED, 0)
    assert site.lines(launch, "signal.0") == ["2"]


def test_a_stop_signal_reaches_the_driver_as_one_interrupt(site: Site) -> None:
    launch = site.stage(sleeper(60))
    native_id = site.submit(launch)
    site.runs(launch, native_id)
    for _ in range(3):
        site.scheduler.signal([native_id], "USR1")
    assert site.end_of(native_id).state is JobState.COMPLETED
    assert site.lines(launch, "signal.0") == ["2"]


def test_a_stop_signal_is_not_lost_on_a_driver_that_still_loads(site: Site) -> None:
    slow = "import time; open('loading', 'w').close(); time.sleep(0.7)" + sleeper(60)
    launch = site.stage(slow)
    native_id = site.submit(launch)
    eventually(lambda: (Path(launch.directory) / "loading").exists())
    site.scheduler.signal([native_id], "USR1")
    assert site.end_of(native_id).state is JobState.COMPLETED
    assert site.lines(launch, "signal.0") == ["2"]


def test_a_signal_that_is_none_is_refused(site: Site) -> None:
    with pytest.raises(SchedulerError, match="KILL"):
        site.scheduler.signal(["1"], "KILL")


# Arrays


@pytest.mark.parametrize("indices", [(), (3,), (0, 2, 3, 6)], ids=["all", "one", "holes"])
def test_an_array_runs_every_task_once_with_a_log_for_each(
    site: Site, indices: tuple[int, ...]
) -> None:
    driver = sleeper() + "print(os.environ['SLURM_ARRAY_TASK_ID'])"
    launch = site.stage(driver, tasks=7 if indices else 4, indices=indices)
    rows, wanted = site.ended(site.submit(launch)), list(indices or range(4))
    assert sorted(row.task for row in rows if row.task is not None) == wanted
    assert {row.state for row in rows} == {JobState.COMPLETED}
    started = sorted(int(line.split()[0]) for line in site.lines(launch, "starts"))
    assert started == wanted
    for task in wanted:
        assert site.lines(launch, f"stdout.{task}.txt") == [str(task)]
        assert exit_file(site, launch, task)["rc"] == 0


def test_the_throttle_of_an_array_is_kept(site: Site) -> None:
    launch = site.stage(sleeper(60), tasks=9, indices=(0, 3, 8), throttle=1)
    native_id = site.submit(launch)
    eventually(lambda: site.lines(launch, "starts"))
    (waiting,) = eventually(
        lambda: [r for r in site.reports(native_id) if r.tasks_waiting == (3, 8)]
    )
    assert (waiting.state, waiting.reason) == (JobState.PENDING, "JobArrayTaskLimit")
    other = site.stage(sleeper())
    assert site.end_of(site.submit(other)).state is JobState.COMPLETED
    site.wake(launch)
    site.ended(native_id)
    starts, ends = site.lines(launch, "starts"), site.lines(launch, "ends")
    for before, after in zip(ends, starts[1:], strict=False):
        assert float(before.split()[1]) <= float(after.split()[1])


def test_one_failing_task_leaves_the_others_alone(site: Site) -> None:
    launch = site.stage("import os, sys; sys.exit(os.environ['SLURM_ARRAY_TASK_ID'] == '1')",
                        tasks=3)  # fmt: skip
    rows = {row.task: row.state for row in site.ended(site.submit(launch))}
    assert rows == {0: JobState.COMPLETED, 1: JobState.FAILED, 2: JobState.COMPLETED}


def test_a_cancelled_array_ends_in_all_its_tasks(site: Site) -> None:
    launch = site.stage(sleeper(60), tasks=4)
    native_id = site.submit(launch)
    site.runs(launch, native_id)
    site.scheduler.cancel([native_id])
    states = by_task(site.ended(native_id), 4)
    assert states == dict.fromkeys(range(4), JobState.CANCELLED)
    assert len(site.lines(launch, "starts")) <= 2


def test_a_stopped_array_stops_what_runs_and_starts_nothing_more(site: Site) -> None:
    launch = site.stage(sleeper(60), tasks=5)
    native_id = site.submit(launch)
    eventually(lambda: len(site.lines(launch, "starts")) == 2)
    site.scheduler.signal([native_id], "USR1")
    states = by_task(site.ended(native_id), 5)
    assert states == {
        **dict.fromkeys((0, 1), JobState.COMPLETED),
        **dict.fromkeys((2, 3, 4), JobState.CANCELLED),
    }
    assert [site.lines(launch, f"signal.{task}") for task in (0, 1)] == [["2"], ["2"]]
    assert sorted(line.split()[0] for line in site.lines(launch, "starts")) == ["0", "1"]


def test_a_stopped_job_that_waits_never_starts(site: Site) -> None:
    first, second = (site.stage(sleeper(60), resources={"cpus_per_task": 2}) for _ in range(2))
    running = site.submit(first)
    site.runs(first, running)
    waiting = site.submit(second)
    site.scheduler.signal([waiting], "USR1")
    assert site.end_of(waiting).state is JobState.CANCELLED
    site.wake(first)
    site.end_of(running)
    assert site.lines(second, "starts") == []


# Files


def test_staging_twice_finds_it_done(site: Site) -> None:
    launch = site.stage(sleeper())
    job = StagedJob(directory=launch.directory, files=(staged("job.sh", "#!/bin/sh\nother"),))
    site.scheduler.stage([job])
    assert site.lines(launch, "job.sh")[0] == "#!/bin/bash"


def test_a_directory_with_a_wrong_digest_does_not_come_into_being(site: Site) -> None:
    directory = site.stage(sleeper()).directory.parent / "2"
    good, bad = staged("data/a.dat", "1 2\n"), staged("job.sh", "#!/bin/bash")
    false = type(bad)(path=bad.path, content=b"#!/bin/sh", sha256=bad.sha256)
    with pytest.raises(SchedulerError, match=r"job\.sh"):
        site.scheduler.stage([StagedJob(directory=directory, files=(good, false))])
    assert site.scheduler.listing(directory) == []
    site.scheduler.stage([StagedJob(directory=directory, files=(good, bad))])
    assert [entry.path for entry in site.scheduler.listing(directory)] == ["data/a.dat", "job.sh"]


def test_a_listing_counts_only_what_it_is_to_keep(site: Site) -> None:
    directory = site.stage(sleeper()).directory.parent / "2"
    names = [*(f"data/{number}" for number in range(20)), "out/a", "out/data/b", "result.0.json"]
    files = tuple(staged(name, "x") for name in (*names, "zzz", "result.0.json.bak"))
    site.scheduler.stage([StagedJob(directory=directory, files=files)])
    kept = site.scheduler.listing(directory, 3, r"out|result\.\d+\.json")
    assert [entry.path for entry in kept] == ["out/a", "out/data/b", "result.0.json"]
    first = site.scheduler.listing(directory, 2, r"out|result\.\d+\.json")
    assert len(first) == 2
    assert "result.0.json" in [entry.path for entry in first]


@pytest.mark.parametrize("path", ["../escaped", "/escaped", "a/../../escaped"])
def test_a_staged_path_that_leaves_its_directory_is_refused(site: Site, path: str) -> None:
    directory = site.stage(sleeper()).directory.parent / "2"
    with pytest.raises(SchedulerError, match="beneath"):
        site.scheduler.stage([StagedJob(directory=directory, files=(staged(path, "x"),))])
    assert site.scheduler.listing(directory) == []


def test_bytes_are_read_from_an_offset_or_from_the_end(site: Site) -> None:
    directory = site.stage(sleeper()).directory.parent / "2"
    site.scheduler.stage([StagedJob(directory=directory, files=(staged("log", "0123456789"),))])
    assert site.scheduler.read(directory, "log", 3, 4) == b"3456"
    assert site.scheduler.read(directory, "log", -4, 100) == b"6789"
    assert site.scheduler.read(directory, "log", -400, 2) == b"01"
    assert site.scheduler.read(directory, "log", 99, 2) == b""
    assert site.scheduler.read(directory, "none", 0, 2) is None


def test_many_are_looked_for_with_as_few_questions_as_one(site: Site) -> None:
    launches = [site.stage(sleeper()) for _ in range(3)]
    ids = [site.submit(launch) for launch in launches[:2]]
    for native_id in ids:
        site.end_of(native_id)
    before = site.scheduler.calls
    markers = [*(launch.marker for launch in launches), "gw-J999-1", "../x"]
    found = site.scheduler.find(markers)
    assert site.scheduler.calls - before <= 3  # the queue, the controller, the accounting
    assert {marker: [row.native_id for row in rows] for marker, rows in found.items()} == dict(
        zip(markers, [[ids[0]], [ids[1]], [], [], []], strict=True)
    )
    assert site.scheduler.find([]) == {}
    gone = replace(launches[0], directory=launches[0].directory.parent / "9")
    traces = site.scheduler.traces([*launches, gone, replace(launches[0], try_number=2)])
    owners = [*ids, None, None, None]
    assert [(one.claim, one.native_id) for one in traces] == list(zip(owners, owners, strict=True))
    assert site.scheduler.traces([]) == []


def test_parts_of_many_files_are_read_at_once_up_to_a_limit(site: Site, tmp_path: Path) -> None:
    directory = site.stage(sleeper()).directory.parent / "2"
    large = "x" * READ_MANY_BYTES
    site.scheduler.stage(
        [StagedJob(directory=directory, files=(staged("log", "0123456789"), staged("big", large)))]
    )
    outside = tmp_path / "outside"
    outside.write_text("secret")
    (Path(directory) / "link").symlink_to(outside)
    os.mkfifo(Path(directory) / "pipe")

    def part(
        path: str, offset: int = 0, limit: int = 4, where: PurePosixPath = directory
    ) -> Reading:
        return Reading(directory=where, path=path, offset=offset, limit_bytes=limit)

    wanted = {
        part("log", 3): b"3456",
        part("log", 9): b"9",
        part("log", 99): b"",
        part("none"): None,
        part("link"): None,
        part("pipe"): None,
        part("../2/log"): None,
        part("log", where=directory.parent / "9"): None,
    }
    assert site.scheduler.read_many(list(wanted)) == wanted
    assert site.scheduler.read_many([]) == {}
    whole, after = part("big", 0, len(large)), part("log")
    assert site.scheduler.read_many([whole, after]) == {whole: large.encode()}
    # What is too much is left out, not cut without a word.
    assert site.scheduler.read_many([after, whole]) == {after: b"0123"}


def test_a_removed_directory_is_gone_and_removing_it_again_is_no_error(site: Site) -> None:
    launch = site.stage(sleeper())
    deep = Path(launch.directory)
    account = deep.stat().st_uid
    for _ in range(3):
        deep = deep / ("d" * 200)
        deep.mkdir()
        os.chown(deep, account, -1)
    shutil.copy(Path(launch.directory) / "job.sh", deep / "x")
    os.symlink("/etc", deep / "link")  # noqa: PTH211 - as a job would
    deep.chmod(0o000)
    for _ in range(2):
        site.scheduler.remove(launch.directory)
        assert not Path(launch.directory).exists()
    assert Path("/etc/passwd").exists()


def test_the_probe_says_how_many_processors_there_are(site: Site) -> None:
    assert site.scheduler.probe().cpus >= 1
