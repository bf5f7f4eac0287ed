"""Every reason of Slurm has words; those that waiting does not end raise an alarm."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.clusters.settings import ClusterSettings
from gateway.jobs.alarm import alarm_of, instead_of
from gateway.jobs.in_its_place import changed
from gateway.jobs.models import Job, Stage, Wish
from gateway.jobs.pending import Ends, waiting_for
from gateway.jobs.resource_schema import ResourcesSchema
from gateway.jobs.words import reason_text
from scheduler.base import JobReport, JobState
from tests.api.wrong import CURVE
from tests.jobs.making import make_job
from tests.web.fixtures import SiteMaker
from tests.web.site import PASSWORD

REASONS = (Path(__file__).parents[1] / "recorded/reasons/slurm.txt").read_text().split()
"""All that Slurm 22.05 to 25.11 can say."""

CLUSTER = ClusterSettings(
    scheduler="slurm", base="/jobs", python="/p", default_time="1:00:00", max_time="2-00:00:00"
)
NEVER = [
    "PartitionTimeLimit",
    "PartitionNodeLimit",
    "PartitionConfig",
    "BadConstraints",
    "AccountNotAllowed",
    "InvalidAccount",
    "InvalidQOS",
    "DependencyNeverSatisfied",
    "DeadLine",
    "JobHoldMaxRequeue",
    "MaxMemPerLimit",
    "AssocMaxCpuPerJobLimit",
    "AssocMaxMemPerJob",
    "AssocMaxWallDurationPerJobLimit",
    "QOSMaxNodePerJobLimit",
    "QOSMaxWallDurationPerJobLimit",
    "AssocGrpCPUMinutesLimit",
    "QOSGrpMemoryMinutes",
    "QOSMinCpuNotSatisfied",
    "ReservationDeleted",
    "Constraints",
    "QOSNotAllowed",
]
ADMIN = [
    "PartitionDown",
    "PartitionInactive",
    "NodeDown",
    "ReqNodeNotAvail",
    "JobHeldAdmin",
    "JobLaunchFailure",
]
WAITS = [
    "Priority",
    "Resources",
    "QOSMaxJobsPerUserLimit",
    "AssocMaxJobsLimit",
    "QOSGrpSubmitJobsLimit",
    "JobArrayTaskLimit",
    "Licenses",
    "BeginTime",
    "Dependency",
    "Reservation",
    "Cleaning",
    "Prolog",
    "None",
    "QOSGrpCpuLimit",
    "AssocGrpCPURunMinutesLimit",
    "QOSMaxMemoryPerUser",
]


def waiting(reason: str, **changes: Any) -> Job:
    """Make a job that its scheduler has and does not start."""
    resources = {"time": "0-08:00:00", "cpus_per_task": 8, **changes.pop("resources", {})}
    attempt = {"state": JobState.PENDING, "stage": Stage.SUBMITTED, "time_limit_s": 8 * 3600.0}
    return make_job(reason=reason, resources=resources, **{**attempt, **changes})


@pytest.mark.parametrize("reason", REASONS)
def test_every_reason_of_slurm_has_words(reason: str) -> None:
    found = waiting_for(reason)
    assert found is not None
    assert found.text.endswith(".")
    assert reason == "None" or reason not in found.text
    assert bool(found.advice) is (found.ends is not Ends.BY_ITSELF)
    assert found.text.startswith("It can never start") is (found.ends is Ends.BY_CHANGE)
    report = JobReport(
        native_id="7", task=None, marker="gw-1-1", state=JobState.PENDING, raw_state="PENDING",
        reason=reason,
    )  # fmt: skip
    assert reason == "None" or reason_text(report) == found.text


def test_a_word_that_nobody_listed_is_shown_as_it_is_and_raises_no_alarm() -> None:
    assert waiting_for("AReasonOfSlurm30") is None
    assert alarm_of(waiting("AReasonOfSlurm30")) is None
    report = JobReport(
        native_id="7", task=None, marker="gw-1-1", state=JobState.PENDING, raw_state="PENDING",
        reason="AReasonOfSlurm30",
    )  # fmt: skip
    assert reason_text(report) == "Waiting for a free place. (AReasonOfSlurm30)"


def test_what_a_job_waited_for_is_not_said_of_its_end() -> None:
    report = JobReport(
        native_id="7", task=None, marker="gw-1-1", state=JobState.CANCELLED, raw_state="CANCELLED",
        reason="PartitionTimeLimit",
    )  # fmt: skip
    assert reason_text(report) == "Cancelled."
    failed = replace(report, state=JobState.FAILED, reason="NonZeroExitCode")
    assert reason_text(failed) == "The script ended with an error."


@pytest.mark.parametrize(
    ("reasons", "ends"),
    [(NEVER, Ends.BY_CHANGE), (ADMIN, Ends.BY_ADMIN), (WAITS, Ends.BY_ITSELF)],
)
def test_what_waiting_does_not_end_raises_an_alarm(reasons: list[str], ends: Ends) -> None:
    assert set(reasons) <= set(REASONS)
    for reason in reasons:
        alarm = alarm_of(waiting(reason))
        assert (alarm.ends if alarm else Ends.BY_ITSELF) is ends, reason


def test_what_slurm_adds_to_a_reason_does_not_hide_it() -> None:
    names = "ReqNodeNotAvail,_UnavailableNodes:n[1-3]", "ReqNodeNotAvail, UnavailableNodes:n1"
    told = "Nodes_required_for_job_are_DOWN,_DRAINED_or_reserved_for_jobs_in_higher_priority"
    for reason in (*names, told, "launch_failed_requeued_held"):
        alarm = alarm_of(waiting(reason))
        assert alarm is not None, reason
        assert alarm.ends is Ends.BY_ADMIN


@pytest.mark.parametrize(
    "changes",
    [{"state": JobState.RUNNING}, {"stage": Stage.NONE}, {"wish": Wish.CANCEL},
     {"state": JobState.FAILED, "collected": True}],
)  # fmt: skip
def test_only_a_job_that_waits_at_its_scheduler_raises_an_alarm(changes: dict[str, Any]) -> None:
    assert alarm_of(waiting("PartitionTimeLimit")) is not None
    assert alarm_of(waiting("PartitionTimeLimit", **changes)) is None


@pytest.mark.parametrize(
    ("reason", "resources", "asked"),
    [
        ("PartitionTimeLimit", {}, {"time": "0-01:00:00"}),
        ("QOSMaxWallDurationPerJobLimit", {}, {"time": "0-01:00:00"}),
        ("QOSMaxCpuPerJobLimit", {}, {"cpus_per_task": 4}),
        ("BadConstraints", {"constraint": "gold"}, {"constraint": None}),
        ("InvalidQOS", {"qos": "fast"}, {"qos": None}),
        ("AccountNotAllowed", {"account": "x"}, {"account": None}),
        ("MaxMemPerLimit", {"mem": "999G"}, {"mem": None}),
        ("PartitionNodeLimit", {"nodes": 9}, {"nodes": None}),
        ("JobHoldMaxRequeue", {}, {}),
    ],
)
def test_what_would_start_is_asked_for_instead(
    reason: str, resources: dict[str, Any], asked: dict[str, Any]
) -> None:
    job = waiting(reason, resources=resources)
    found = instead_of(job, CLUSTER)
    assert found is not None
    assert found.changes == asked
    before = ResourcesSchema().load(dict(job.attempt.resources))
    after = changed(before, found).to_directives()
    for name, value in asked.items():
        assert after.get(name) == value
    rest = {name: value for name, value in job.attempt.resources.items() if name not in asked}
    assert {name: after[name] for name in rest} == rest  # nothing else is touched


@pytest.mark.parametrize(
    ("reason", "changes"),
    [
        ("BadConstraints", {}),  # nothing was asked that could be left out
        ("PartitionDown", {"resources": {"partition": "x"}}),  # no change of a request opens it
        ("PartitionTimeLimit", {"time_limit_s": 3600.0}),  # less than usual is anybody's guess
        ("QOSMaxCpuPerJobLimit", {"resources": {"cpus_per_task": 1}}),
        # Another job would have nothing of what this one goes on with.
        ("PartitionTimeLimit", {"resumed_from": 1, "number": 2}),
        ("PartitionTimeLimit", {"kept_from": 1, "number": 2}),
        # Its proposal gives the same again.
        ("InvalidQOS", {"resources": {"qos": "beam"}, "proposal": "hp117"}),
        ("Priority", {}),
    ],
)
def test_what_nobody_can_compute_is_not_proposed(reason: str, changes: dict[str, Any]) -> None:
    assert instead_of(waiting(reason, **changes), CLUSTER) is None


def test_nothing_is_proposed_for_a_cluster_that_is_no_more() -> None:
    assert instead_of(waiting("PartitionTimeLimit"), None) is None


def test_what_is_asked_for_instead_of_a_fit_with_mpi_starts_its_ranks_too(make: SiteMaker) -> None:
    site = make(GATEWAY_CLUSTERS__LOCAL__MPI="/opt/mpi/mpirun", GATEWAY_CLUSTERS__LOCAL__CPUS="4")
    site.accounts.add_user("ada", PASSWORD)
    ada = site.browser()
    ada.sign_in("ada")
    problem = {"id": ada.send("POST", "/api/v1/problems", json=CURVE).json["id"]}

    def stuck(resources: dict[str, Any]) -> Job:
        request = {"problem": problem, "options": {"fit": "dream"}, "resources": resources}
        return site.services.job_store.change(
            ada.send("POST", "/api/v1/jobs", json=request).json["id"],
            lambda one: one.with_attempt(
                state=JobState.PENDING, stage=Stage.SUBMITTED, reason="JobHoldMaxRequeue"
            ),
        )

    for resources in ({"ntasks": 2, "mpi": True}, {"ntasks": 2, "nodes": 1}):
        kept = stuck(resources)
        assert kept.attempt.ranks == (2 if "mpi" in resources else 1)
        answer = ada.send("POST", f"/api/v1/jobs/{kept.id}/instead")
        assert answer.status_code == 202, answer.text
        new = answer.json
        script = ada.get(f"/api/v1/jobs/{new['id']}/script").json["script"]
        assert ("/opt/mpi/mpirun -n 2" in script) is ("mpi" in resources)
        again = new["request"]["resources"]  # what it is when it runs again
        assert (again.get("mpi", False), again["ntasks"]) == ("mpi" in resources, 2)

    job = stuck({"ntasks": 2, "mpi": True})
    unable = make(GATEWAY_CLUSTERS__LOCAL__CPUS="4").browser()  # its launcher was taken out
    unable.sign_in("ada")
    refused = unable.send("POST", f"/api/v1/jobs/{job.id}/instead")
    assert refused.status_code == 422
    assert [error["pointer"] for error in refused.json["errors"]] == ["/resources/mpi"]
    assert site.services.job_store.get(job.id).wish is Wish.RUN, "what is not replaced stays"
