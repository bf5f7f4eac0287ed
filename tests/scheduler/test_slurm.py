"""What only Slurm does: twins, folded arrays, held jobs, names of strangers, odd sites."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, tzinfo
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Self

import pytest

from scheduler.base import (
    JobState,
    Launch,
    SchedulerUnavailableError,
    StagedJob,
    Uncertain,
)
from scheduler.faults import SLURM_POINTS
from scheduler.slurm import Slurm
from tests.helpers import eventually, processes
from tests.scheduler.site import (
    AGENT_PYTHON,
    Site,
    by_hand,
    named,
    open_slurm,
    sleeper,
    slurm_config,
    slurm_here,
    staged,
    trace,
    wrapped_commands,
)
from tests.slurm.cluster import Cluster

HITS = 5


def written_id(slurm: Slurm, launch: Launch) -> str | None:
    """Read what was written beside the lock."""
    return trace(slurm, launch.directory).native_id


@pytest.fixture
def site(slurm_site: Site) -> Site:
    return slurm_site


# How a job may end; the longest first, so that the other tests pass meanwhile


@dataclass(frozen=True, kw_only=True)
class Limited:
    """Two jobs with the shortest time limit there is: one that heeds the signal, one that not."""

    site: Site
    obedient: Launch
    stubborn: Launch
    ids: tuple[str, str]


@pytest.fixture(scope="module", autouse=True)
def limited(slurm_cluster: Cluster, slurm: Slurm) -> Iterator[Limited]:
    """Begin them before all tests of this file: Slurm looks at limits every half a minute.

    A controller that is started again does so half a minute later, so here it stays up.
    """
    with open_slurm(slurm_cluster, slurm, slurm_cluster.folder / "jobs") as site:
        deaf = sleeper(600).replace("        sys.exit(0)\n", "        pass\n")
        obedient, stubborn = (
            site.stage(text, resources={"time": "1", "partition": "wide"}, lead_s=30)
            for text in (sleeper(600), deaf)
        )
        ids = (site.submit(obedient), site.submit(stubborn))
        slurm_cluster.spared |= {*ids}
        yield Limited(site=site, obedient=obedient, stubborn=stubborn, ids=ids)
        slurm_cluster.spared -= {*ids}


def test_a_twin_made_by_hand_exits_at_once_and_without_a_trace(
    site: Site, slurm_cluster: Cluster
) -> None:
    launch = site.stage(sleeper(60), resources={"partition": "wide"})
    native_id = site.submit(launch)
    site.runs(launch, native_id)
    twin = by_hand(slurm_cluster, launch)
    assert {row.native_id for row in named(site.scheduler, launch.marker)} == {native_id, twin}
    assert site.end_of(twin).state is JobState.COMPLETED
    assert site.scheduler.read(launch.directory, "exit.0.json", 0, 1) is None
    site.wake(launch)
    site.end_of(native_id)
    assert len(site.lines(launch, "starts")) == 1


def test_a_waiting_array_is_one_row_with_all_its_indices(
    site: Site, slurm_cluster: Cluster
) -> None:
    launch = site.stage(sleeper(), tasks=100, throttle=1)
    native_id = by_hand(slurm_cluster, launch, "--hold")
    (row,) = site.reports(native_id)
    assert (row.state, row.task, row.tasks_waiting) == (JobState.PENDING, None, tuple(range(100)))
    assert row.reason == "JobHeldUser"
    odd = ",".join(str(index) for index in range(1, 100, 2))
    slurm_cluster.run("scancel", f"{native_id}_[{odd}]")
    rows = site.reports(native_id)
    waiting = [row for row in rows if row.state is JobState.PENDING]
    assert [row.tasks_waiting for row in waiting] == [tuple(range(0, 100, 2))]
    slurm_cluster.run("scontrol", "release", native_id)
    running = eventually(
        lambda: [row for row in site.reports(native_id) if row.state is JobState.RUNNING]
    )
    assert running[0].task == 0
    site.scheduler.cancel([native_id])


def test_a_held_job_is_found_and_waits_for_what_it_says(site: Site, slurm_cluster: Cluster) -> None:
    launch = site.stage(sleeper())
    native_id = by_hand(slurm_cluster, launch, "--hold")
    (row,) = named(site.scheduler, launch.marker)
    assert (row.native_id, row.state, row.reason) == (native_id, JobState.PENDING, "JobHeldUser")
    assert row.started is None
    assert site.reports(native_id) == [row]


def test_a_job_that_begins_again_is_one_job_and_counts_its_restarts(
    site: Site, slurm_cluster: Cluster
) -> None:
    launch = site.stage(sleeper(60), resources={"partition": "wide"})
    native_id = site.submit(launch)
    site.runs(launch, native_id)
    slurm_cluster.run("scontrol", "update", f"JobId={native_id}", "Requeue=1")
    slurm_cluster.run("scontrol", "requeue", native_id)
    (row,) = eventually(lambda: [row for row in site.reports(native_id) if row.restarts])
    assert (row.restarts, row.state.final) == (1, False)
    # Slurm waits two minutes before it starts a requeued job again.
    site.scheduler.cancel([native_id])
    assert site.end_of(native_id).state is JobState.CANCELLED


def test_a_clock_of_ours_that_is_ahead_kills_no_script_that_only_begins(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Ahead(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return super().now(tz) + timedelta(minutes=10)

    monkeypatch.setattr("scheduler.slurm.datetime", Ahead, raising=False)
    directory = PurePosixPath(site.base) / "ada" / "ahead" / "1"
    deaf = "#!/bin/bash\n#SBATCH --output=/dev/null\n: > starts; sleep 1\n"
    text = f"{deaf}trap 'echo told > told' USR1; sleep 60 & wait; kill $!\n"
    site.scheduler.stage([StagedJob(directory=directory, files=(staged("job.sh", text),))])
    launch = Launch(directory=directory, marker="gw-JAHEAD-1", try_number=1)
    native_id = site.submit(launch)
    eventually(lambda: (Path(directory) / "starts").exists())
    site.scheduler.signal([native_id], "USR1")
    assert site.end_of(native_id).state is JobState.COMPLETED
    assert site.lines(launch, "told") == ["told"]


# Calls that are lost


@pytest.mark.parametrize(("restarts", "runs"), [("", 1), ("0", 1), ("1", 2)])
def test_what_has_ended_is_not_run_again_by_a_controller_that_forgot_it(
    site: Site, restarts: str, runs: int
) -> None:
    """Killed with SIGKILL, a controller can go back to a state in which the job had not run."""
    code = "print('x', file=open('starts', 'a')); import os; os._exit(3)"
    launch = site.stage(code)
    known = {"PATH": os.environ["PATH"], "SLURM_JOB_ID": "4711"}
    for more in ({}, {"SLURM_RESTART_COUNT": restarts} if restarts else {}):
        argv = ["/bin/bash", f"{launch.directory}/job.sh", "1"]
        done = subprocess.run(argv, env={**known, **more}, check=False, timeout=60)
        assert done.returncode == 3
    assert len(site.lines(launch, "starts")) == runs


def test_a_controller_that_stood_still_while_a_job_was_submitted_has_it_once(
    site: Site, slurm_cluster: Cluster
) -> None:
    launches = [tiny(site) for _ in range(8)]
    slurm_cluster.freeze()
    try:
        outcomes = site.scheduler.submit(launches)
        with pytest.raises(SchedulerUnavailableError):
            named(site.scheduler, launches[0].marker)
    finally:
        slurm_cluster.thaw()
    assert all(isinstance(outcome, Uncertain) for outcome in outcomes)
    begun = [o.begun for o in outcomes if isinstance(o, Uncertain)]
    locked = [(Path(launch.directory) / "submit.1").exists() for launch in launches]
    assert begun == locked
    # Those that were not begun when the first was lost would have been lost, too.
    assert 0 < sum(begun) <= 4
    for launch, is_begun in zip(launches, begun, strict=True):
        if is_begun:
            (row,) = eventually(partial(named, site.scheduler, launch.marker))
            assert site.settle(launch) == row.native_id
        else:
            assert named(site.scheduler, launch.marker) == []
            site.submit(launch)
    for launch in launches:
        (row,) = named(site.scheduler, launch.marker)
        assert site.end_of(row.native_id).state is JobState.COMPLETED
        assert len(site.lines(launch, "starts")) == 1


def test_a_line_that_is_cut_during_sbatch_ends_neither_it_nor_what_follows_it(
    site: Site, slurm_cluster: Cluster, tmp_path: Path
) -> None:
    launches = [tiny(site) for _ in range(8)]
    text = f'while [ ! -e {tmp_path}/go ]; do sleep 0.05; done; exec /usr/bin/sbatch "$@"'
    programs = wrapped_commands(tmp_path / "bin", "sbatch", text)
    config = replace(slurm_config(slurm_cluster), programs=programs)
    with slurm_here(config) as slurm, ThreadPoolExecutor() as pool:
        answer = pool.submit(slurm.submit, launches)
        eventually(lambda: len(processes(f"{tmp_path}/bin/sbatch")) == config.parallel)
        for pid in agents():
            os.kill(pid, signal.SIGKILL)
        outcomes = answer.result(timeout=30)
        assert all(isinstance(outcome, Uncertain) for outcome in outcomes)
        (tmp_path / "go").touch()
        locked = [one for one in launches if (Path(one.directory) / "submit.1").exists()]
        assert len(locked) == config.parallel
        for launch in locked:
            native_id = eventually(partial(written_id, slurm, launch))
            assert [row.native_id for row in named(slurm, launch.marker)] == [native_id]
            assert site.end_of(native_id or "").state is JobState.COMPLETED
            assert len(site.lines(launch, "starts")) == 1
        # What had not begun is not begun any more.
        assert not any(
            (Path(o.directory) / "submit.1").exists() for o in launches if o not in locked
        )


def test_an_agent_that_was_killed_is_started_again_by_the_next_question(
    site: Site, slurm: Slurm
) -> None:
    launch = tiny(site)
    native_id = site.submit(launch)
    for pid in agents():
        os.kill(pid, signal.SIGKILL)
    assert site.end_of(native_id).marker == launch.marker
    slurm.close()
    assert site.settle(launch) == native_id


@pytest.mark.parametrize("point", SLURM_POINTS)
def test_a_submission_killed_on_the_login_node_becomes_one_run(
    site: Site, slurm_cluster: Cluster, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    monkeypatch.setenv("GATEWAY_CRASH_AT", point)
    launches = [tiny(site) for _ in range(HITS)]
    with slurm_here(slurm_config(slurm_cluster)) as dying:
        for launch in launches:
            (outcome,) = dying.submit([launch])
            assert isinstance(outcome, Uncertain)
            assert outcome.begun
    for launch in launches:
        assert site.end_of(site.settle(launch)).state is JobState.COMPLETED
        assert len(site.lines(launch, "starts")) == 1
        assert len(named(site.scheduler, launch.marker)) == 1


def tiny(site: Site) -> Launch:
    """Stage a job that ends at once, where there is room for all of a test."""
    return site.stage(sleeper(), resources={"partition": "wide"})


def agents() -> list[int]:
    """Find the agents that this test run has started; what they have started is not of them."""
    ours = f"PPid:\t{os.getpid()}\n"
    found = [process.pid for process in processes(AGENT_PYTHON, "zlib.decompress")]
    return [pid for pid in found if ours in Path(f"/proc/{pid}/status").read_text()]


def test_a_driver_that_stops_when_told_completes_before_its_time_limit(limited: Limited) -> None:
    site, native_id = limited.site, limited.ids[0]
    end = eventually(lambda: [r for r in site.reports(native_id) if r.state.final], within_s=110)[0]
    assert (end.state, end.exit_code) == (JobState.COMPLETED, 0)
    assert site.lines(limited.obedient, "signal.0") == ["2"]


def test_a_job_out_of_time_is_told_first_and_ends_as_timeout(limited: Limited) -> None:
    site, native_id = limited.site, limited.ids[1]
    end = eventually(lambda: [r for r in site.reports(native_id) if r.state.final], within_s=110)[0]
    assert end.state is JobState.TIMEOUT
    signals = site.lines(limited.stubborn, "signal.0")
    assert signals[0] == "2"
    assert "15" in signals
    assert site.scheduler.read(limited.stubborn.directory, "exit.0.json", 0, 9) == b'{"rc": 14'
