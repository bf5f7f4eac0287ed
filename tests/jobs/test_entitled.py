"""A request held against what accounts and QOS give, as Slurm's accounting tells it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from gateway.clusters.models import Found, Survey
from gateway.clusters.settings import ClusterSettings
from gateway.jobs.entitled import entitled
from gateway.jobs.pending import Ends, waiting_for
from gateway.jobs.resources import Resources
from gateway.jobs.surveyed import Compared, compare
from gateway.records import now
from scheduler.base import Association, Manners, Partition, Qos

SEEN = "12 min ago"
LAB = Association(account="lab", max_jobs="4", max_submit="100", max_wall="1-00:00:00",
                  max_tres="cpu=64,gres/gpu=2,mem=8G,node=2", grp_tres="cpu=32")  # fmt: skip
LONG = Qos(name="long", max_wall="7-00:00:00", max_submit_per_user="10",
           max_jobs_per_user="2", max_tres_per_user="cpu=16")  # fmt: skip
SITE = Found(name="hpc", version="Slurm 23.11", cpus=512, max_array=1001, associations=(LAB,),
             manners=Manners(enforced=("associations", "limits")), qos=(LONG,))  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "tasks", "pointer", "words"),
    [
        (Resources(account="lba"), 1, "/resources/account", "no account 'lba' for this gateway"),
        (
            Resources(time=timedelta(days=2)),
            1,
            "/resources/time",
            "account 'lab' gave a job at most 1-00:00:00 12 min ago (MaxWall), and 2-00:00:00",
        ),
        (
            Resources(time=timedelta(days=8), qos="long"),
            1,
            "/resources/time",
            "QOS 'long' gave a job at most 7-00:00:00",
        ),
        (Resources(cpus_per_task=33), 1, "/resources/cpus_per_task", "of account 'lab'"),
        (Resources(cpus_per_task=17, qos="long"), 1, "/resources/cpus_per_task", "MaxTRESPerUser"),
        (Resources(ntasks=40), 1, "/resources/ntasks", "40 processors are more than the 32"),
        (Resources(nodes=3), 1, "/resources/nodes", "3 nodes are more than the 2"),
        (Resources(mem=9 << 30), 1, "/resources/mem", "9216M is more than the 8192M"),
        (Resources(mem_per_cpu=5 << 30, cpus_per_task=2), 1, "/resources/mem_per_cpu", "10240M"),
        (Resources(gpus="a100:3"), 1, "/resources/gpus", "3 GPUs are more than the 2"),
        (Resources(gpus_per_task="1", ntasks=3), 1, "/resources/gpus_per_task", "3 GPUs"),
        (Resources(gres="gpu:3"), 1, "/resources/gres", "3 GPUs"),
        (Resources(gpus="2", cpus_per_gpu=20), 1, "/resources/cpus_per_gpu", "40 processors"),
        (Resources(gpus="2", mem_per_gpu=5 << 30), 1, "/resources/mem_per_gpu", "10240M"),
        (Resources(gpus_per_node="2", nodes=2), 1, "/resources/gpus_per_node", "4 GPUs"),
        (Resources(), 101, "/pack", "101 tasks are more than the 100 jobs that account 'lab' may"),
        (Resources(qos="long"), 11, "/pack", "MaxSubmitJobsPerUser"),
    ],
)
def test_what_is_beyond_a_limit_is_said_at_its_field(
    asked: Resources, tasks: int, pointer: str, words: str
) -> None:
    (error,) = entitled(asked, tasks, SITE, SEEN, shared=True)[0]
    assert error.pointer == pointer
    assert words in error.detail
    assert SEEN in error.detail


def test_what_is_within_the_limits_is_taken_and_turns_are_told() -> None:
    asked = Resources(time=timedelta(days=1), cpus_per_task=32, account="lab", mem=8 << 30)
    assert entitled(asked, 1, SITE, SEEN, shared=True) == ([], [])
    never, slow = entitled(asked, 9, SITE, SEEN, shared=True)
    assert never == []
    assert "at most 4 jobs of account 'lab' run at once" in slow[0].detail
    assert "its 9 tasks take turns" in slow[0].detail


def test_limits_that_nobody_enforces_or_that_are_anothers_refuse_nothing() -> None:
    asked = Resources(time=timedelta(days=300), cpus_per_task=999)
    free = replace(SITE, manners=Manners())
    assert entitled(replace(asked, account="x"), 999, free, SEEN, shared=True) == ([], [])
    assert entitled(asked, 999, SITE, SEEN, shared=False) == ([], [])
    nothing = replace(SITE, associations=(Association(account="lab"),), qos=())
    assert entitled(asked, 999, nothing, SEEN, shared=True) == ([], [])


def test_who_names_no_account_is_held_to_the_most_generous() -> None:
    both = replace(SITE, associations=(LAB, Association(account="beam", max_wall="2-00:00:00")))
    asked = Resources(time=timedelta(days=2), cpus_per_task=64)
    assert entitled(asked, 999, both, SEEN, shared=True)[0] == []
    longer = replace(asked, time=timedelta(days=3))
    (error,) = entitled(longer, 1, both, SEEN, shared=True)[0]
    assert "any account that may be used gave a job at most 2-00:00:00" in error.detail
    assert entitled(replace(asked, account="lab"), 1, both, SEEN, shared=True)[0] != []


def test_a_limit_of_a_partition_is_not_of_another() -> None:
    narrow = replace(
        SITE, associations=(replace(LAB, partition="small"), replace(LAB, max_wall=""))
    )
    asked = Resources(time=timedelta(days=2), partition="wide")
    assert entitled(asked, 1, narrow, SEEN, shared=True)[0] == []


def test_within_the_hour_it_is_refused_and_after_it_is_said() -> None:
    site = replace(SITE, partitions=(Partition(name="wide", default=True),))
    cluster = ClusterSettings(scheduler="slurm", base="/jobs", python="/python")

    def held(minutes: int) -> Compared:
        moment = now()
        survey = Survey(found=site, probed=moment - timedelta(minutes=minutes))
        return compare(Resources(), survey, cluster, moment, 101)

    assert [error.pointer for error in held(12).errors] == ["/pack"]
    late = held(120)
    assert late.errors == ()
    assert [note.pointer for note in late.notes] == ["/pack", "/pack"]


@pytest.mark.parametrize(
    ("reason", "ends"),
    [
        ("AssocMaxSubmitJobLimit", Ends.BY_ITSELF),
        ("AssocGrpSubmitJobsLimit", Ends.BY_ITSELF),
        ("QOSMaxSubmitJobPerUserLimit", Ends.BY_ITSELF),
        ("AssocMaxJobsLimit", Ends.BY_ITSELF),
        ("AssocGrpJobsLimit", Ends.BY_ITSELF),
        ("QOSMaxJobsPerUserLimit", Ends.BY_ITSELF),
        ("AssocGrpCpuLimit", Ends.BY_ITSELF),
        ("AssocGrpMemLimit", Ends.BY_ITSELF),
        ("AssocGrpGRES", Ends.BY_ITSELF),
        ("QOSMaxCpuPerUserLimit", Ends.BY_ITSELF),
        ("AssocGrpCPURunMinutesLimit", Ends.BY_ITSELF),
        ("AssocMaxWallDurationPerJobLimit", Ends.BY_CHANGE),
        ("QOSMaxWallDurationPerJobLimit", Ends.BY_CHANGE),
        ("AssocMaxCpuPerJobLimit", Ends.BY_CHANGE),
        ("QOSMaxMemoryPerJob", Ends.BY_CHANGE),
        ("AssocGrpCPUMinutesLimit", Ends.BY_CHANGE),
        ("AssocGrpWallLimit", Ends.BY_CHANGE),
    ],
)
def test_what_slurm_says_of_each_limit_has_words(reason: str, ends: Ends) -> None:
    found = waiting_for(reason)
    assert found is not None
    assert found.ends is ends
