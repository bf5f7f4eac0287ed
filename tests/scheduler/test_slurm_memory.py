"""Sites that forget: ended jobs leave the queue after seconds, and the accounting may be away."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from scheduler.base import JobReport, JobState, Launch, Uncertain
from scheduler.slurm import Slurm
from scheduler.slurm_calls import settled
from tests.helpers import eventually
from tests.scheduler.site import (
    Site,
    named,
    open_slurm,
    sleeper,
    slurm_config,
    slurm_here,
    wrapped_commands,
)
from tests.slurm.cluster import Cluster, private_cluster
from tests.slurm.config import ClusterConfig

FAIL_BUT_2 = sleeper(600).replace(
    "until =", "if os.environ['SLURM_ARRAY_TASK_ID'] != '2': sys.exit(5)\nuntil ="
)


@dataclass(frozen=True, kw_only=True)
class Past:
    """A site, a job of it that has left the queue, and an array of which only element 2 has not."""

    cluster: Cluster
    site: Site
    job: Launch
    job_id: str
    array: Launch
    array_id: str


@contextlib.contextmanager
def forgetful(*, accounting: bool) -> Iterator[Past]:
    """Run a cluster that forgets, and give it something to forget."""
    config = ClusterConfig(min_job_age_s=2, accounting=accounting)
    with (
        private_cluster(config) as cluster,
        slurm_here(slurm_config(cluster)) as slurm,
        open_slurm(cluster, slurm, cluster.folder / "jobs") as site,
    ):
        job = site.stage("import sys; sys.exit(3)")
        array = site.stage(FAIL_BUT_2, tasks=3, resources={"partition": "wide"})
        yield Past(
            cluster=cluster,
            site=site,
            job=job,
            job_id=site.submit(job),
            array=array,
            array_id=site.submit(array),
        )


def is_forgotten(past: Past) -> bool:
    return queued(past.cluster) == [f"{past.array_id}_2"]


@pytest.fixture(scope="module")
def pasts() -> Iterator[tuple[Past, Past]]:
    """Wait for both kinds of sites at once: Slurm takes ten seconds to forget."""
    with forgetful(accounting=True) as one, forgetful(accounting=False) as other:
        for past in (one, other):
            eventually(partial(is_forgotten, past))
        yield one, other


@pytest.fixture
def past(pasts: tuple[Past, Past]) -> Past:
    return pasts[0]


@pytest.fixture
def slurm(past: Past) -> Iterator[Slurm]:
    """A gateway that was started now, and has seen nothing of the past."""
    with slurm_here(slurm_config(past.cluster)) as slurm:
        yield slurm


def queued(cluster: Cluster) -> list[str]:
    """List what squeue still has."""
    return cluster.run("squeue", "-h", "-t", "all", "-o", "%i").split()


def states(slurm: Slurm, past: Past) -> dict[int | None, JobState]:
    return {row.task: row.state for row in slurm.states([past.array_id])[past.array_id]}


def test_a_job_that_left_the_queue_has_its_end_from_the_accounting(
    slurm: Slurm, past: Past
) -> None:
    rows = eventually(
        lambda: [r for r in slurm.states([past.job_id]).get(past.job_id, []) if r.state.final]
    )
    assert [(row.state, row.exit_code, row.source) for row in rows] == [
        (JobState.FAILED, 3, "sacct")
    ]
    assert rows[0].marker == past.job.marker
    assert [row.native_id for row in named(slurm, past.job.marker)] == [past.job_id]
    assert past.site.settle(past.job) == past.job_id


def test_elements_that_left_the_queue_stay_known_while_others_run(slurm: Slurm, past: Past) -> None:
    known = {0: JobState.FAILED, 1: JobState.FAILED, 2: JobState.RUNNING}
    eventually(lambda: states(slurm, past) == known)
    # The accounting is not asked each time for what has ended.
    before = slurm.count.total["sacct"]
    assert states(slurm, past) == known
    assert slurm.count.total["sacct"] == before


def test_what_the_accounting_cannot_be_asked_for_is_not_called_unknown(
    slurm: Slurm, past: Past
) -> None:
    past.cluster.end("slurmdbd")
    try:
        answer = slurm.states([past.job_id, past.array_id, "987654"])
        assert (answer[past.job_id], answer["987654"]) == ([], [])
        assert {row.task for row in answer[past.array_id] if not row.state.final} == {2}
        assert [row.native_id for row in named(slurm, past.array.marker)] == [past.array_id]
        assert named(slurm, past.job.marker) == []
        # What ran and is forgotten has left its claim: nobody takes that try for void.
        assert slurm.claim(past.job.directory, 1, "void") == past.job_id
    finally:
        past.cluster.start_slurmdbd()
    eventually(lambda: slurm.states([past.job_id]).get(past.job_id))
    assert slurm.states(["987654"]) == {}


def test_a_site_without_accounting_knows_what_is_in_the_queue_and_nothing_else(
    pasts: tuple[Past, Past],
) -> None:
    past = pasts[1]
    slurm, job = past.site.scheduler, past.job
    assert any("no accounting" in note for note in slurm.probe().notes)
    assert slurm.states([past.job_id]) == {}
    assert named(slurm, job.marker) == []
    (outcome,) = slurm.submit([job])
    assert isinstance(outcome, Uncertain)
    assert slurm.claim(job.directory, 1, "void") == past.job_id
    assert slurm.read(job.directory, "exit.0.json", 0, 8) == b'{"rc": 3'


@pytest.mark.parametrize("word", ["PREEMPTED", "A_WORD_OF_SLURM_30"])
def test_what_may_yet_run_again_or_has_no_meaning_here_is_no_end(
    past: Past, tmp_path: Path, word: str
) -> None:
    text = f'/usr/bin/sacct "$@" | sed s/FAILED/{word}/'
    programs = wrapped_commands(tmp_path / "bin", "sacct", text)
    with slurm_here(replace(slurm_config(past.cluster), programs=programs)) as slurm:
        (row,) = slurm.states([past.job_id])[past.job_id]
        assert (row.state, row.raw_state, row.source) == (JobState.UNKNOWN, word, "sacct")


def test_what_another_cluster_of_a_federation_took_is_no_end(past: Past, tmp_path: Path) -> None:
    programs = wrapped_commands(
        tmp_path / "bin", "sacct", '/usr/bin/sacct "$@" | sed s/FAILED/REVOKED/'
    )
    with slurm_here(replace(slurm_config(past.cluster), programs=programs)) as slurm:
        assert slurm.states([past.job_id]) == {}, "its own files tell its end"


def test_a_preempted_job_has_five_minutes_to_be_requeued() -> None:
    end = datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
    row = JobReport(
        native_id="7", task=None, marker="gw-7-1", state=JobState.PREEMPTED, raw_state="", ended=end
    )
    for minutes, final in ((-10, False), (4, False), (6, True)):
        assert settled(row, end + timedelta(minutes=minutes)).state.final is final


def test_a_login_node_without_sacct_holds_up_no_job(past: Past, tmp_path: Path) -> None:
    programs = Path(wrapped_commands(tmp_path / "bin", "sacct", "exit 1"))
    (programs / "sacct").unlink()
    config = replace(slurm_config(past.cluster), programs=str(programs))
    with slurm_here(config) as slurm:
        answer = slurm.states([past.job_id, past.array_id])
        assert [row.task for row in answer[past.array_id]] == [2]
        assert past.job_id not in answer
        assert named(slurm, past.job.marker) == []


def test_an_array_that_ends_is_whole_whichever_source_knows_what(slurm: Slurm, past: Past) -> None:
    past.site.wake(past.array)
    known = {0: JobState.FAILED, 1: JobState.FAILED, 2: JobState.COMPLETED}
    eventually(lambda: states(slurm, past) == known)
