"""Slurm through its library: what only this way can get wrong, beside test_contract."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from scheduler.base import (
    VOID,
    JobState,
    Launch,
    Refused,
    SchedulerUnavailableError,
    Submitted,
    Uncertain,
)
from scheduler.faults import SLURM_POINTS
from scheduler.slurm_api import SlurmApi
from scheduler.slurm_api_agent import task_of
from tests.helpers import eventually, processes
from tests.scheduler.api_site import Double, open_api, release_of, slurm_by_api
from tests.scheduler.oddities import ODDITIES, run_oddity
from tests.scheduler.site import Site, by_hand, named, sleeper, slurm_config, trace
from tests.slurm.cluster import Cluster

HURRY_S = 3.0
"""A time limit for calls that a test waits for, and a busy machine keeps all the same."""


@pytest.fixture
def hasty(slurm_cluster: Cluster, double: Double) -> Iterator[Site]:
    """A site whose library is given little time."""
    with (
        slurm_by_api(slurm_cluster, double.python, HURRY_S) as api,
        open_api(slurm_cluster, api) as site,
    ):
        yield site


def edit(launch: Launch, old: str, new: str) -> None:
    """Change the script of a staged job."""
    path = Path(launch.directory) / "job.sh"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def begun(launch: Launch) -> bool:
    """Say whether a try was locked."""
    return (Path(launch.directory) / f"submit.{launch.try_number}").exists()


@pytest.mark.parametrize("name", ODDITIES)
def test_the_double_is_as_odd_as_pyslurm(slurm_cluster: Cluster, double: Double, name: str) -> None:
    said: list[str] = []
    printed = run_oddity(ODDITIES[name], slurm_cluster, double.python, said.append)
    assert printed == ODDITIES[name].printed, said


# Submission


def test_a_lost_answer_is_uncertain_and_the_job_is_found_by_its_name(
    api_site: Site, double: Double
) -> None:
    launch = api_site.stage(sleeper())
    double.spoil("submit lost")
    (outcome,) = api_site.scheduler.submit([launch])
    assert isinstance(outcome, Uncertain)
    assert outcome.begun
    assert "Socket timed out" in outcome.text
    (again,) = api_site.scheduler.submit([launch])
    assert isinstance(again, Uncertain)
    (found,) = named(api_site.scheduler, launch.marker)
    assert api_site.end_of(found.native_id).state is JobState.COMPLETED
    assert len(api_site.lines(launch, "starts")) == 1
    assert trace(api_site.scheduler, launch.directory).claim == found.native_id


def test_an_unreachable_controller_is_uncertain_and_what_waits_behind_is_not_begun(
    api_site: Site, double: Double
) -> None:
    launches = [api_site.stage(sleeper()) for _ in range(2)]
    double.spoil("submit away")
    outcomes = api_site.scheduler.submit(launches)
    assert all(isinstance(outcome, Uncertain) for outcome in outcomes)
    tried, left = sorted(launches, key=begun, reverse=True)
    assert [begun(tried), begun(left)] == [True, False]
    first, second = (outcomes[launches.index(launch)] for launch in (tried, left))
    assert isinstance(first, Uncertain)
    assert isinstance(second, Uncertain)
    assert [first.begun, second.begun] == [True, False]
    assert named(api_site.scheduler, tried.marker) == []
    assert isinstance(api_site.scheduler.submit([left])[0], Submitted)


@pytest.mark.parametrize("number", [0, 1001, 5004, 6000])
def test_an_error_of_the_way_is_no_refusal(api_site: Site, double: Double, number: int) -> None:
    launch = api_site.stage(sleeper())
    double.spoil(f"submit {number}")
    assert isinstance(api_site.scheduler.submit([launch])[0], Uncertain)
    assert trace(api_site.scheduler, launch.directory).claim is None


def test_a_refusal_is_kept_with_slurms_text_and_its_claim_is_void(api_site: Site) -> None:
    launch = api_site.stage(sleeper(), resources={"partition": "none"})
    for _ in range(2):
        (outcome,) = api_site.scheduler.submit([launch])
        assert isinstance(outcome, Refused)
        assert "Invalid partition name specified" in outcome.text
    assert trace(api_site.scheduler, launch.directory).claim == VOID


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("#!/bin/bash", "# no bash", "does not begin with #!"),
        ("--export=NONE", "--switches=2", "--switches cannot be said to pyslurm"),
        ("--export=NONE", "--mail-type=INVALID_DEPEND", "INVALID_DEPEND"),
    ],
)
def test_a_script_that_pyslurm_cannot_take_is_refused_before_and_when_it_is_submitted(
    api_site: Site, old: str, new: str, words: str
) -> None:
    launch = api_site.stage(sleeper())
    edit(launch, old, new)
    (outcome,) = api_site.scheduler.submit([launch])
    assert isinstance(outcome, Refused)
    assert words in outcome.text
    check = api_site.scheduler.check(launch.directory)
    assert not check.accepted
    assert words in check.text
    assert named(api_site.scheduler, launch.marker) == []


def test_directives_reach_slurm_though_the_library_does_not_read_them(
    api_site: Site, slurm_cluster: Cluster
) -> None:
    size: dict[str, str | int] = {"nodes": 2, "ntasks": 4, "cpus_per_task": 2, "mem": "300M"}
    resources = {**size, "partition": "wide", "time": "90:30", "nice": 7}
    launch = api_site.stage(sleeper(60), resources=resources)
    native_id = api_site.submit(launch)
    shown = slurm_cluster.run("scontrol", "show", "job", native_id)
    for words in (
        f"JobName={launch.marker}",
        "Partition=wide",
        "TimeLimit=01:31:00",
        "MinMemoryNode=300M",
        "NumNodes=2",
        "NumTasks=4",
        "CPUs/Task=2",
        "Nice=7",
        "Requeue=0",
        "Comment=gw:ada:test",
        f"WorkDir={launch.directory}",
        f"StdOut={launch.directory}/stdout.0.txt",
    ):
        assert words in shown, shown


@pytest.mark.parametrize("point", SLURM_POINTS)
def test_a_submission_killed_at_any_point_runs_at_most_once(
    slurm_cluster: Cluster, double: Double, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    monkeypatch.setenv("GATEWAY_CRASH_AT", point)
    with (
        slurm_by_api(slurm_cluster, double.python) as api,
        open_api(slurm_cluster, api) as site,
    ):
        launch = site.stage(sleeper())
        for _ in range(2):
            (outcome,) = api.submit([launch])
        assert isinstance(outcome, Submitted if point == "slurm-submit-named" else Uncertain)
        found = named(api, launch.marker)
        assert len(found) == (0 if point == "slurm-submit-locked" else 1)
        for row in found:
            site.end_of(row.native_id)
        assert len(site.lines(launch, "starts")) == len(found)


# A library that hangs


def test_a_hanging_submission_is_ended_and_hangs_nothing_else(hasty: Site, double: Double) -> None:
    launches = [hasty.stage(sleeper()) for _ in range(2)]
    double.spoil("submit lost-hang")
    outcomes: list[object] = []
    start = time.monotonic()
    submitting = threading.Thread(
        target=lambda: outcomes.extend(hasty.scheduler.submit(launches)), daemon=True
    )
    submitting.start()
    eventually(lambda: double.spoilt)
    assert hasty.lines(launches[0], "job.sh")[0] == "#!/bin/bash"
    assert trace(hasty.scheduler, launches[1].directory).native_id is None
    assert submitting.is_alive()
    submitting.join(timeout=30)
    assert time.monotonic() - start < HURRY_S + 10
    tried, left = sorted(launches, key=begun, reverse=True)
    first, second = (outcomes[launches.index(launch)] for launch in (tried, left))
    assert isinstance(first, Uncertain)
    assert f"did not answer within {HURRY_S:g} s" in first.text
    assert first.begun
    assert isinstance(second, Uncertain)
    assert not second.begun
    (found,) = named(hasty.scheduler, tried.marker)
    assert hasty.end_of(found.native_id).state is JobState.COMPLETED
    assert isinstance(hasty.scheduler.submit([left])[0], Submitted)


def test_a_hanging_question_ends_in_time_and_says_where_it_stood(
    hasty: Site, double: Double
) -> None:
    launch = hasty.stage(sleeper(60))
    native_id = hasty.submit(launch)
    double.spoil("load hang", "load hang")  # it is asked again once, over a new line
    with pytest.raises(SchedulerUnavailableError, match=r"Timeout|line \d+ in"):
        hasty.scheduler.states([native_id])
    assert double.spoilt
    assert hasty.reports(native_id)[0].marker == launch.marker


def agents(double: Double) -> set[int]:
    """Find the processes that have the library."""
    found = processes("scheduler.slurm_api_agent", environment=f"PYSLURM_DOUBLE={double.folder}")
    return {process.pid for process in found}


def test_a_submission_that_hangs_ends_also_when_the_gateway_is_gone(
    slurm_cluster: Cluster, double: Double
) -> None:
    others = agents(double)
    with (
        slurm_by_api(slurm_cluster, double.python, HURRY_S) as api,
        open_api(slurm_cluster, api) as site,
    ):
        launch = site.stage(sleeper())
        api.probe()
        (agent,) = agents(double) - others
        double.spoil("submit hang")
        threading.Thread(target=lambda: api.submit([launch]), daemon=True).start()
        eventually(lambda: begun(launch) and double.spoilt)
        os.kill(agent, signal.SIGKILL)
        assert agents(double) - others - {agent}
        eventually(lambda: agents(double) <= others)


# What the controller has


def test_element_0_is_an_element(api_site: Site) -> None:
    launch = api_site.stage(sleeper(60), tasks=3, throttle=1)
    native_id = api_site.submit(launch)
    api_site.runs(launch, native_id)
    rows = {row.task: row for row in api_site.reports(native_id)}
    assert rows[0].state is JobState.RUNNING
    assert rows[None].tasks_waiting == (1, 2)


@pytest.mark.parametrize(
    ("record", "written"),
    [
        # id, id of the array, index, those that wait, host: as pyslurm gave them
        ((4, None, None, None, None), "4"),
        ((129, 129, None, "2-4", None), "129_[2-4]"),
        ((131, 129, 1, None, "n0"), "129_1"),
        ((130, 129, None, None, "n0"), "129_0"),
        ((130, 129, None, None, None), "129_0"),  # put back into the queue
        ((129, 129, None, None, "n0"), "129_0"),  # the last to begin has the array's id
        ((129, 129, None, None, None), "129"),  # 2, 3 and 4 were cancelled
    ],
)
def test_a_record_is_told_from_others_of_its_array(
    record: tuple[object, ...], written: str
) -> None:
    names = ("id", "array_id", "array_task_id", "array_tasks_waiting", "batch_host")
    assert task_of(SimpleNamespace(**dict(zip(names, record, strict=True)))) == written


def test_a_held_job_waits_and_says_for_whom(api_site: Site, slurm_cluster: Cluster) -> None:
    launch = api_site.stage(sleeper())
    native_id = by_hand(slurm_cluster, launch, "--hold")
    (row,) = named(api_site.scheduler, launch.marker)
    assert (row.native_id, row.state, row.reason) == (native_id, JobState.PENDING, "JobHeldUser")
    assert row.started is None


def test_a_job_of_another_account_is_not_ours_whatever_its_name(
    api_site: Site, slurm_cluster: Cluster
) -> None:
    launch = api_site.stage(sleeper())
    by_hand(slurm_cluster, launch, "--uid=nobody", "--hold", "--chdir=/tmp")
    assert launch.marker in slurm_cluster.run("squeue", "-h", "-o", "%j")
    assert named(api_site.scheduler, launch.marker) == []


def test_an_error_of_a_question_is_no_answer(api_site: Site, double: Double) -> None:
    launch = api_site.stage(sleeper(60))
    native_id = api_site.submit(launch)
    double.spoil("load away")
    with pytest.raises(SchedulerUnavailableError, match="Socket timed out"):
        api_site.scheduler.states([native_id])
    double.spoil("ping away", "ping away")
    with pytest.raises(SchedulerUnavailableError, match="Socket timed out"):
        named(api_site.scheduler, "gw-J999-1")


def test_a_cancel_that_did_not_arrive_is_an_error(api_site: Site, double: Double) -> None:
    launch = api_site.stage(sleeper(60))
    native_id = api_site.submit(launch)
    double.spoil("signal away")
    with pytest.raises(SchedulerUnavailableError, match="Socket timed out"):
        api_site.scheduler.cancel([native_id])
    api_site.scheduler.cancel([native_id])
    assert api_site.end_of(native_id).state is JobState.CANCELLED


# The library itself


def open_with(cluster: Cluster, python: str, **others: str) -> SlurmApi:
    config = replace(slurm_config(cluster), python=python, **others)  # type: ignore[arg-type]  # texts
    return SlurmApi("hpc", config)


def test_without_pyslurm_one_line_says_what_to_install(slurm_cluster: Cluster) -> None:
    api = open_with(slurm_cluster, sys.executable)
    release = release_of(slurm_cluster).rpartition(".")[0]
    with pytest.raises(SchedulerUnavailableError) as caught:
        api.probe()
    text = str(caught.value)
    assert text.startswith("hpc: Slurm's library cannot be used: ")
    assert "No module named 'pyslurm'" in text
    assert "'bumps-gateway[pyslurm]'" in text
    assert f"pyslurm=={release}.*" in text
    assert "\n" not in text


def test_a_pyslurm_of_another_release_is_not_used(slurm_cluster: Cluster, double: Double) -> None:
    right = release_of(slurm_cluster)
    double.become("25.11.2")
    try:
        api = open_with(slurm_cluster, double.python)
        with pytest.raises(SchedulerUnavailableError, match=r"it is pyslurm 25\.11\.2"):
            api.states(["1"])
    finally:
        double.become(right)


def test_a_library_that_ends_its_process_ends_no_other(
    slurm_cluster: Cluster, double: Double, tmp_path: Path
) -> None:
    (tmp_path / "slurm.conf").write_text("# nothing\n")
    api = open_with(slurm_cluster, double.python, slurm_conf=str(tmp_path / "slurm.conf"))
    with pytest.raises(SchedulerUnavailableError, match="fatal: Unable to process"):
        api.states(["1"])


def test_a_configuration_that_is_not_there_is_named(slurm_cluster: Cluster, double: Double) -> None:
    api = open_with(slurm_cluster, double.python, slurm_conf="/nonexistent/slurm.conf")
    with pytest.raises(SchedulerUnavailableError, match=r"slurm_conf = '/nonexistent/slurm.conf'"):
        api.states(["1"])


def test_the_probe_names_slurm_and_pyslurm(api_site: Site, slurm_cluster: Cluster) -> None:
    assert f"pyslurm {release_of(slurm_cluster)}" in api_site.scheduler.probe().version
