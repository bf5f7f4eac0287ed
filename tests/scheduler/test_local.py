"""Local execution: whoever is killed, a task runs at most once and comes to a true end."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from scheduler.base import JobState, Launch, SchedulerUnavailableError, Submitted
from scheduler.connect import connect
from scheduler.faults import CRASH_POINTS, EXECUTOR_POINTS, SHEPHERD_POINTS, SUBMIT_POINTS
from scheduler.processes import birth, holders, lives
from scheduler.spool import Entry
from tests.helpers import eventually
from tests.scheduler.site import LocalSite, named, sleeper, trace

MakeLocal = Callable[..., LocalSite]
HITS = 20
TINY = 'echo "${SLURM_ARRAY_TASK_ID:-0}" >> starts\n'


@pytest.fixture
def local(make_local: MakeLocal) -> LocalSite:
    return make_local()


# Twins


def test_of_two_submissions_of_one_try_one_runs_and_the_other_leaves_no_trace(
    local: LocalSite,
) -> None:
    launch = local.stage(sleeper(0.5))
    directory = Path(launch.directory)
    twins = [local.spool.next_id() for _ in range(2)]
    for native_id in twins:
        local.spool.mark(launch.marker, native_id, (directory / "job.sh").read_bytes())
        local.spool.enter(
            Entry(native_id=native_id, marker=launch.marker, directory=str(directory),
                  try_number=1, submitted=time.time())
        )  # fmt: skip
    for native_id in twins:
        assert local.end_of(native_id).state is JobState.COMPLETED
    assert len(named(local.scheduler, launch.marker)) == 2
    assert len(local.lines(launch, "starts")) == 1
    written = json.loads((directory / "exit.0.json").read_text())
    assert written["owner"] == trace(local.scheduler, launch.directory).claim


def test_a_native_id_is_never_given_twice(local: LocalSite, tmp_path: Path) -> None:
    given = [local.spool.next_id() for _ in range(20)]
    again = connect("local", {"state_directory": tmp_path / "state", "cpus": 2})
    assert again.probe().cpus == 2
    assert int(local.spool.next_id()) > max(map(int, given))
    assert len(set(given)) == 20


# The executor is killed


def test_a_running_task_is_found_again_after_the_executor_was_killed(local: LocalSite) -> None:
    launch = local.stage(sleeper(60))
    native_id = local.submit(launch)
    local.runs(launch, native_id)
    for _ in range(3):
        local.kill_executor()
        assert local.reports(native_id)[0].state is JobState.RUNNING
        local.executor()
    local.wake(launch)
    end = local.end_of(native_id)
    assert (end.state, end.exit_code) == (JobState.COMPLETED, 0)
    assert len(local.lines(launch, "starts")) == 1


def test_a_task_that_ended_without_an_executor_has_its_true_end(local: LocalSite) -> None:
    launch = local.stage(sleeper(60) + "sys.exit(7)")
    native_id = local.submit(launch)
    local.runs(launch, native_id)
    local.kill_executor()
    local.wake(launch)
    eventually(lambda: local.spool.task_record(native_id, 0, "end"))
    end = local.end_of(native_id)
    assert (end.state, end.exit_code) == (JobState.FAILED, 7)


def test_the_time_limit_is_kept_without_an_executor(local: LocalSite) -> None:
    launch = local.stage(sleeper(60), resources={"time": "0:02"})
    native_id = local.submit(launch)
    local.runs(launch, native_id)
    local.kill_executor()
    assert eventually(lambda: local.spool.task_record(native_id, 0, "end")) is not None
    assert local.end_of(native_id).state in {JobState.TIMEOUT, JobState.COMPLETED}
    assert local.lines(launch, "signal.0")


def test_a_job_can_be_cancelled_after_the_executor_was_killed(local: LocalSite) -> None:
    launch = local.stage(sleeper(60))
    native_id = local.submit(launch)
    local.runs(launch, native_id)
    local.kill_executor()
    local.scheduler.cancel([native_id])
    assert local.end_of(native_id).state is JobState.CANCELLED


def test_waiting_jobs_start_in_their_order_after_the_executor_was_killed(
    local: LocalSite,
) -> None:
    launches = [local.stage(sleeper(60), resources={"cpus_per_task": 2}) for _ in range(3)]
    ids = [local.submit(launch) for launch in launches]
    local.runs(launches[0], ids[0])
    local.kill_executor()
    for launch in launches:
        local.wake(launch)
    assert [local.end_of(native_id).state for native_id in ids] == [JobState.COMPLETED] * 3
    starts = [float(local.lines(launch, "starts")[0].split()[1]) for launch in launches]
    assert starts == sorted(starts)


def test_another_gateway_finds_the_jobs_of_the_first(local: LocalSite, tmp_path: Path) -> None:
    launch = local.stage(sleeper(60))
    native_id = local.submit(launch)
    local.runs(launch, native_id)
    other = connect("local", {"state_directory": tmp_path / "state", "cpus": 2})
    assert other.states([native_id])[native_id][0].state is JobState.RUNNING
    assert other.submit([launch]) == [Submitted(native_id=native_id)]
    other.cancel([native_id])
    assert local.end_of(native_id).state is JobState.CANCELLED


def test_an_idle_executor_leaves_and_comes_back(make_local: MakeLocal) -> None:
    local = make_local(idle_s=0.05)
    for _ in range(10):
        assert local.end_of(local.submit(local.stage(sleeper()))).state is JobState.COMPLETED
    eventually(lambda: local.spool.executor() is None)


# The shepherd is killed


def test_a_task_whose_shepherd_was_killed_ends_as_node_fail(local: LocalSite) -> None:
    launch = local.stage("import os; os.setsid() if os.fork() == 0 else None\n" + sleeper(60))
    native_id = local.submit(launch)
    eventually(lambda: len(local.lines(launch, "starts")) == 2)
    lock = local.spool.job(native_id) / "lock.0"
    os.kill(local.shepherd(native_id), signal.SIGKILL)
    end = local.end_of(native_id)
    assert end.state is JobState.NODE_FAIL
    assert "killed" in end.reason
    assert holders(lock) == []
    assert len(local.lines(launch, "starts")) == 2


def test_a_task_is_not_taken_for_another_process_with_its_number(local: LocalSite) -> None:
    launch = local.stage(sleeper(60))
    native_id = local.submit(launch)
    local.runs(launch, native_id)
    local.kill_executor()
    os.kill(local.shepherd(native_id), signal.SIGKILL)
    begun = local.spool.job(native_id) / "begun.0"
    # The number of this very process, which lives: but it was not born when the shepherd was.
    begun.write_text(json.dumps({**json.loads(begun.read_text()), "pid": os.getpid()}))
    assert local.end_of(native_id).state is JobState.NODE_FAIL
    assert len(local.lines(launch, "starts")) == 1


# Every crash point


def tiny(local: LocalSite) -> Launch:
    """Stage a job that notes its start and ends: with a shell, because there are so many."""
    local.python = "/bin/sh"
    return local.stage(TINY)


def submit_and_die(local: LocalSite, launch: Launch, point: str) -> None:
    pid = os.fork()
    if pid == 0:
        os.environ["GATEWAY_CRASH_AT"] = point
        local.scheduler.submit([launch])
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 137


@pytest.mark.slow
@pytest.mark.parametrize("point", SUBMIT_POINTS)
def test_a_submission_killed_at_any_point_becomes_one_run(local: LocalSite, point: str) -> None:
    launches = [tiny(local) for _ in range(HITS)]
    for launch in launches:
        submit_and_die(local, launch, point)
    for launch in launches:
        assert local.end_of(local.settle(launch)).state is JobState.COMPLETED
        assert len(local.lines(launch, "starts")) == 1


@pytest.mark.slow
@pytest.mark.parametrize("point", EXECUTOR_POINTS[1:])
def test_an_executor_killed_at_any_point_runs_every_task_once(
    local: LocalSite, point: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEWAY_CRASH_AT", point)
    launches = [tiny(local) for _ in range(HITS)]
    ids = [local.submit(launch) for launch in launches]
    for launch, native_id in zip(launches, ids, strict=True):
        assert local.end_of(native_id).state is JobState.COMPLETED
        assert len(local.lines(launch, "starts")) == 1
    eventually(lambda: len(list(local.spool.directory.glob(f"crashed.{point}.*"))) == HITS)


@pytest.mark.slow
def test_an_executor_killed_as_it_starts_is_started_again(
    local: LocalSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEWAY_CRASH_AT", EXECUTOR_POINTS[0])
    for _ in range(HITS):
        launch = tiny(local)
        assert local.end_of(local.submit(launch)).state is JobState.COMPLETED
        assert len(local.lines(launch, "starts")) == 1
        eventually(lambda: not local.spool.live())
        local.kill_executor()
    assert len(list(local.spool.directory.glob(f"crashed.{EXECUTOR_POINTS[0]}.*"))) == HITS


@pytest.mark.slow
@pytest.mark.parametrize("point", SHEPHERD_POINTS)
def test_a_shepherd_killed_at_any_point_runs_no_task_twice(
    local: LocalSite, point: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEWAY_CRASH_AT", point)
    launches = [tiny(local) for _ in range(HITS)]
    ids = [local.submit(launch) for launch in launches]
    begun = {"local-shepherd-after-marker", "local-shepherd-after-start"}
    for launch, native_id in zip(launches, ids, strict=True):
        state, starts = local.end_of(native_id).state, len(local.lines(launch, "starts"))
        assert starts <= 1
        if point not in begun:
            assert (state, starts) == (JobState.COMPLETED, 1)
        else:
            assert state in {JobState.NODE_FAIL, JobState.COMPLETED}
    eventually(lambda: len(list(local.spool.directory.glob(f"crashed.{point}.*"))) == HITS)


def test_every_crash_point_has_its_test() -> None:
    assert {*SUBMIT_POINTS, *EXECUTOR_POINTS, *SHEPHERD_POINTS} == set(CRASH_POINTS)


def test_records_of_jobs_that_ended_long_ago_are_dropped(local: LocalSite) -> None:
    old, live = local.stage(sleeper()), local.stage(sleeper(60))
    ended, _ = local.submit(old), local.submit(live)
    local.end_of(ended)
    eventually(lambda: [path.name for path in local.spool.job(ended).iterdir()] == ["state.json"])
    local.spool.purge(time.time() - 3600)
    assert local.end_of(ended).state is JobState.COMPLETED
    local.spool.purge(time.time() + 3600)
    assert local.scheduler.states([ended]) == {}
    assert named(local.scheduler, old.marker) == []
    assert named(local.scheduler, live.marker) != []
    local.wake(live)


def test_a_host_that_cannot_start_the_executor_keeps_the_submission(
    local: LocalSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    launch = local.stage(sleeper())
    with monkeypatch.context() as broken:
        broken.setattr("sys.executable", "/no/such/python")
        native_id = local.submit(launch)
        with pytest.raises(SchedulerUnavailableError, match=r"executor\.log"):
            local.scheduler.states([native_id])
    assert local.end_of(native_id).state is JobState.COMPLETED


def test_what_left_its_group_and_closed_its_files_does_not_outlive_the_task(
    local: LocalSite,
) -> None:
    runaway = """
import os, time
if os.fork() == 0:
    os.setsid()
    os.closerange(3, 100)
    if os.fork():
        os._exit(0)
    while True:
        with open("alive", "a") as stream:
            stream.write(f"{os.getpid()}\\n")
        time.sleep(0.01)
"""
    for killed in (False, True):
        launch = local.stage(runaway + sleeper(60))
        native_id = local.submit(launch)
        local.runs(launch, native_id)
        pid = int(eventually(partial(local.lines, launch, "alive"))[0])
        if killed:
            os.kill(local.shepherd(native_id), signal.SIGKILL)
        local.wake(launch)
        local.end_of(native_id)
        eventually(partial(_is_gone, pid))


def _is_gone(pid: int) -> bool:
    return not lives(pid, birth(pid))


def test_a_damaged_script_fails_its_own_job_and_no_other(local: LocalSite) -> None:
    first, damaged, last = (local.stage(sleeper(60), resources={"cpus_per_task": 2})
                            for _ in range(3))  # fmt: skip
    ids = [local.submit(launch) for launch in (first, damaged, last)]
    local.runs(first, ids[0])
    local.kill_executor()
    (local.spool.job(ids[1]) / "job.sh").unlink()
    end = local.end_of(ids[1])
    assert end.state is JobState.FAILED
    assert "script" in end.reason
    for launch, native_id in ((first, ids[0]), (last, ids[2])):
        local.wake(launch)
        assert local.end_of(native_id).state is JobState.COMPLETED


@pytest.mark.parametrize(
    "text",
    [
        '{"rc": 1e999, "end": 5, "owner": "ID"}',
        '{"rc": 0, "end": 1e300, "owner": "ID"}',
        "[" * 4000,
    ],
)
def test_a_planted_exit_file_stops_nobody(local: LocalSite, text: str) -> None:
    launch, other = local.stage(sleeper(60)), local.stage(sleeper(0))
    native_id = local.submit(launch)
    local.runs(launch, native_id)
    planted = Path(launch.directory) / "exit.0.json"
    planted.write_text(text.replace("ID", native_id))
    os.kill(local.shepherd(native_id), signal.SIGKILL)
    assert local.end_of(native_id).state is JobState.NODE_FAIL
    assert local.end_of(local.submit(other)).state is JobState.COMPLETED


def test_a_record_of_a_moment_that_no_clock_shows_is_read(local: LocalSite) -> None:
    launch = local.stage(sleeper(0))
    native_id = local.submit(launch)
    local.end_of(native_id)
    path = local.spool.job(native_id) / "state.json"
    document = json.loads(path.read_text())
    document["tasks"]["0"]["ended"] = 1e300
    path.write_text(json.dumps(document))
    (report,) = local.scheduler.states([native_id])[native_id]
    assert (report.state, report.ended) == (JobState.COMPLETED, None)
