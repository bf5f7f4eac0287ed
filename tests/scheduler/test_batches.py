"""Many submissions in one call: each keeps its promise, whatever becomes of the others."""

from __future__ import annotations

import errno
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from scheduler.base import VOID, Launch, Refused, Submission, Submitted, Uncertain
from scheduler.faults import SLURM_POINTS
from scheduler.submitter import Commands, Submitter, read_outcome
from tests.helpers import eventually
from tests.scheduler.site import Site, slurm_config, slurm_here, trace
from tests.slurm.cluster import Cluster

_WAITS = {"partition": "wide", "mem": "3900M"}
"""Fills a node of two: what is shown is who was submitted, not what ran."""


@pytest.fixture
def site(slurm_site: Site) -> Site:
    return slurm_site


def waiting(site: Site, number: int) -> list[Launch]:
    """Stage jobs that hold one another up."""
    return [site.stage("pass", resources=_WAITS) for _ in range(number)]


def all_there(site: Site, launches: list[Launch]) -> dict[str, set[str]]:
    """List the jobs that Slurm has under the names of launches."""
    found = site.scheduler.find([launch.marker for launch in launches])
    return {marker: {row.native_id for row in rows} for marker, rows in found.items()}


def test_what_is_wrong_with_a_few_of_fifty_is_theirs_alone(site: Site) -> None:
    launches = waiting(site, 50)
    refused, hostile, unmade, begun, void, gone = 7, 20, 30, 40, 45, 47
    launches[refused] = site.stage("pass", resources={"cpus_per_task": 999})
    launches[hostile] = replace(launches[hostile], marker="gw-J1-1\n--wrap=id")
    (Path(launches[unmade].directory) / "job.sh").unlink()
    launches[gone] = replace(launches[gone], directory=PurePosixPath(site.base) / "ada/no/1")
    (Path(launches[begun].directory) / "submit.1").mkdir()
    site.scheduler.claim(launches[void].directory, 1, VOID)

    outcomes = site.scheduler.submit(launches)
    ids = [one.native_id for one in outcomes if isinstance(one, Submitted)]
    try:
        assert [k for k, one in enumerate(outcomes) if isinstance(one, Refused)] == [
            refused,
            hostile,
            unmade,
        ]
        unsure = {k: one.begun for k, one in enumerate(outcomes) if isinstance(one, Uncertain)}
        assert unsure == {begun: True, void: True, gone: False}
        assert site.refusal in said(outcomes[refused])
        assert "cannot be the name of a job" in said(outcomes[hostile])
        assert "no such plain file" in said(outcomes[unmade])
        assert "was begun before" in said(outcomes[begun])
        assert "the claim is void" in said(outcomes[void])
        for launch, one in zip(launches, outcomes, strict=True):
            if isinstance(one, Submitted):
                assert trace(site.scheduler, launch.directory).claim == one.native_id
        assert "is not there now" in said(outcomes[gone])
        assert len(set(ids)) == 44
        there = all_there(site, launches)
        made = {k: {one.native_id} for k, one in enumerate(outcomes) if isinstance(one, Submitted)}
        assert {k: there[launches[k].marker] for k in made} == made
        for number in (begun, refused, gone):
            assert not there[launches[number].marker]
    finally:
        site.scheduler.cancel(ids)


def said(outcome: Submission) -> str:
    """Read what was said of a submission that did not succeed."""
    assert isinstance(outcome, Refused | Uncertain)
    return outcome.text


def test_a_call_for_many_that_is_killed_in_the_middle_makes_one_job_of_each(
    site: Site, slurm_cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    launches = waiting(site, 24)
    monkeypatch.setenv("GATEWAY_CRASH_AT", ",".join(f"{point}:0.15" for point in SLURM_POINTS))
    with slurm_here(slurm_config(slurm_cluster)) as dying:
        outcomes = dying.submit(launches)
    ids: list[str] = []
    try:
        there = all_there(site, launches)
        for launch, outcome in zip(launches, outcomes, strict=True):
            # What was answered before the end is true, of all others nothing is said.
            if isinstance(outcome, Submitted):
                assert there[launch.marker] == {outcome.native_id}
            else:
                assert isinstance(outcome, Uncertain)
        assert any(isinstance(outcome, Uncertain) for outcome in outcomes)
        ids = [site.settle(launch) for launch in launches]
        wanted = {launch.marker: {one} for launch, one in zip(launches, ids, strict=True)}
        eventually(lambda: all_there(site, launches) == wanted)
    finally:
        site.scheduler.cancel(ids)


def test_a_directory_that_cannot_even_be_looked_at_is_away_for_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stale(_: Path) -> bool:
        raise OSError(errno.ESTALE, "Stale file handle")

    told: list[dict[str, Any]] = []
    commands = Commands(paths={}, environment={}, timeout_s=1.0)
    launch = {"directory": str(tmp_path / "J1/1"), "marker": "gw-J1-1", "try_number": 1}
    monkeypatch.setattr(Path, "is_dir", stale)
    Submitter(commands, told.append, lambda: True).submit([launch], 1)
    (outcome,) = map(read_outcome, told)
    assert isinstance(outcome, Uncertain)
    assert (outcome.begun, "is not there now" in outcome.text) == (False, True)
