"""Names that would hurt, files of every kind, and the oddities of sites."""

from __future__ import annotations

import hashlib
import shlex
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath

import pytest

from scheduler.base import (
    JobState,
    Launch,
    Refused,
    SchedulerError,
    SchedulerUnavailableError,
    StagedFile,
    StagedJob,
    Submitted,
    Uncertain,
)
from scheduler.shell import LocalShell
from scheduler.slurm import Slurm
from tests.helpers import eventually
from tests.scheduler.site import (
    Site,
    by_hand,
    named,
    sleeper,
    slurm_config,
    slurm_here,
    staged,
    wrapped_commands,
)
from tests.slurm.cluster import Cluster


@pytest.fixture
def site(slurm_site: Site) -> Site:
    return slurm_site


# Names


def test_a_job_of_another_name_is_never_taken_for_ours(site: Site, slurm_cluster: Cluster) -> None:
    launch = site.stage(sleeper())
    foreign = by_hand(slurm_cluster, replace(launch, marker="somebody-elses"), "--hold")
    (row,) = site.scheduler.states([foreign])[foreign]
    assert row.marker == "somebody-elses"
    assert named(site.scheduler, launch.marker) == []
    lock = Path(launch.directory) / "submit.1"
    lock.mkdir()
    (lock / "native_id").write_text(f"{foreign}\n")
    (outcome,) = site.scheduler.submit([launch])
    assert not isinstance(outcome, Submitted)


def test_a_job_name_cannot_look_like_the_row_of_another_job(
    site: Site, slurm_cluster: Cluster
) -> None:
    launch = site.stage(sleeper(60))
    native_id = site.submit(launch)
    fields = [native_id, "COMPLETED", "None", "0", "1", "2", "0", launch.marker]
    for separator in ("\x1f", "|", ":"):
        forged = f"x\n{separator.join(fields)}{separator}\n{separator.join(fields)}\n"
        by_hand(slurm_cluster, replace(launch, marker=forged), "--hold")
    assert {row.state.final for row in site.reports(native_id)} == {False}
    (row,) = named(site.scheduler, launch.marker)
    assert not row.state.final


@pytest.mark.parametrize("marker", ["--wrap=id", "a b", "a,b", "", "../x", "$(id)", "a\nb"])
def test_a_name_that_is_none_of_ours_is_refused_before_sbatch_sees_it(
    site: Site, marker: str
) -> None:
    launch = replace(site.stage(sleeper()), marker=marker)
    (outcome,) = site.scheduler.submit([launch])
    assert isinstance(outcome, Refused)
    assert not (Path(launch.directory) / "submit.1").exists()
    assert named(site.scheduler, marker) == []


HOSTILE = ["two words", "it's", '"q"', "$(touch x)", "`id`", ";id&", "-n", "--wrap=id", "ü€", "%j"]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_directory_of_any_name_stays_one_word(site: Site, name: str) -> None:
    directory = PurePosixPath(site.base) / "ada" / name / "1"
    text = f'#!/bin/bash\n#SBATCH --output=/dev/null\nprintf \'%s \' "$PWD" "$@" > {"{}"}\n'
    text = text.format(shlex.quote(f"{directory}/wrote"))
    site.scheduler.stage([StagedJob(directory=directory, files=(staged("job.sh", text),))])
    marker = f"gw-H{HOSTILE.index(name)}-1"
    native_id = site.submit(Launch(directory=directory, marker=marker, try_number=1))
    site.end_of(native_id)
    assert site.lines(Launch(directory=directory, marker=marker, try_number=1), "wrote") == [
        f"{directory} 1 "
    ]
    site.scheduler.remove(directory)
    assert not Path(directory).exists()


@pytest.mark.parametrize("path", ["/etc", "/", "..", "{base}", "{base}/../x", "relative"])
def test_nothing_outside_the_base_directory_is_touched(site: Site, path: str) -> None:
    place = PurePosixPath(path.format(base=site.base))
    with pytest.raises(SchedulerError, match="beneath"):
        site.scheduler.remove(place)
    with pytest.raises(SchedulerError, match="beneath"):
        site.scheduler.read(place, "passwd", 0, 10)
    with pytest.raises(SchedulerError, match="beneath"):
        site.scheduler.stage([StagedJob(directory=place, files=(staged("x", "x"),))])
    # The line is in step after all that.
    assert named(site.scheduler, "gw-J1-1") == []


# Files


def test_a_large_file_and_an_empty_one_arrive_whole(site: Site, tmp_path: Path) -> None:
    content = bytes(range(256)) * 20_000
    (tmp_path / "large").write_bytes(content)
    known = staged("x", "")
    large = StagedFile(
        path=PurePosixPath("data/large"),
        source=PurePosixPath(tmp_path / "large"),
        sha256=hashlib.sha256(content).hexdigest(),
    )
    files = (large, replace(large, path=PurePosixPath("again")), known)
    directory = PurePosixPath(site.base) / "ada" / "large" / "1"
    site.scheduler.stage([StagedJob(directory=directory, files=files)])
    assert site.scheduler.read(directory, "data/large", 0, 1 << 30) == content
    assert site.scheduler.read(directory, "again", -300, 300) == content[-300:]
    assert site.scheduler.read(directory, "x", 0, 10) == b""
    assert list((site.base / ".incoming").iterdir()) == []
    site.scheduler.remove(directory)


def test_a_source_that_has_gone_leaves_nothing_and_the_line_in_step(
    site: Site, tmp_path: Path
) -> None:
    gone = StagedFile(
        path=PurePosixPath("x"), source=PurePosixPath(tmp_path / "none"), sha256="0" * 64
    )
    directory = PurePosixPath(site.base) / "ada" / "gone" / "1"
    with pytest.raises(SchedulerError, match="none"):
        site.scheduler.stage([StagedJob(directory=directory, files=(gone,))])
    assert site.scheduler.listing(directory) == []


# Costs


def test_any_number_of_jobs_is_asked_for_with_one_command(slurm: Slurm, site: Site) -> None:
    launches = [site.stage(sleeper()) for _ in range(5)]
    ids = [o.native_id for o in slurm.submit(launches) if isinstance(o, Submitted)]
    before = slurm.calls
    assert set(slurm.states(ids)) == set(ids)
    assert slurm.calls == before + 1
    assert slurm.count.last_minute >= 6
    slurm.cancel(ids)
    assert slurm.calls == before + 2


# Sites


def test_the_probe_says_what_the_site_has(slurm: Slurm) -> None:
    probe = slurm.probe()
    assert (probe.name, probe.cpus, probe.max_array) == ("test", 32, 1001)
    assert probe.version.startswith("Slurm 2")
    assert probe.max_time is not None
    assert (probe.max_time.days, probe.memory_bytes) == (7, 4000 << 20)
    assert "Python 3." in probe.notes[0]
    manners = probe.manners
    assert (manners.min_job_age_s, manners.accounting, manners.offers_json) == (300, True, True)
    assert manners.message_timeout_s == 3
    assert (manners.enforced, manners.part_limits, manners.max_jobs) == ((), "ANY", 10_000)
    wide = {partition.name: partition for partition in probe.partitions}["wide"]
    assert (wide.max_time, wide.nodes, wide.node_cpus, wide.cpus) == ("7-00:00:00", 2, 16, 32)
    assert [qos.name for qos in probe.qos or ()] == ["normal"]
    assert ("lab", "normal") in [(one.account, one.qos) for one in probe.associations]


def test_a_site_whose_accounting_cannot_be_asked_is_probed_all_the_same(
    slurm_cluster: Cluster, tmp_path: Path
) -> None:
    programs = wrapped_commands(tmp_path / "bin", "sacctmgr", "echo nobody there >&2; exit 1")
    with slurm_here(replace(slurm_config(slurm_cluster), programs=programs)) as slurm:
        probe = slurm.probe()
    assert (probe.qos, probe.cpus, probe.manners.accounting) == (None, 32, True)
    assert probe.associations == ()


def test_what_the_account_has_set_for_slurm_changes_nothing(
    slurm_cluster: Cluster, site: Site
) -> None:
    shell = LocalShell(
        environment={
            "SBATCH_PARTITION": "none",
            "SQUEUE_FORMAT": "%i",
            "SQUEUE_STATES": "PD",
            "SLURM_TIME_FORMAT": "relative",
            "TZ": "America/St_Johns",
            "SACCT_FORMAT": "User",
            "LC_ALL": "C",
        }
    )
    slurm = Slurm(shell, slurm_config(slurm_cluster))
    launch = site.stage(sleeper())
    (outcome,) = slurm.submit([launch])
    assert isinstance(outcome, Submitted)
    row = eventually(
        lambda: [one for one in slurm.states([outcome.native_id])[outcome.native_id] if one.ended]
    )[0]
    assert row.marker == launch.marker
    assert row.ended is not None
    assert abs(row.ended - datetime.now(UTC)) < timedelta(minutes=5), "whatever its time zone"
    shell.close()


def test_a_wrapper_of_sbatch_may_greet_people(
    slurm_cluster: Cluster, site: Site, tmp_path: Path
) -> None:
    text = 'echo "Welcome, job 99!"; echo "no partition specified" >&2; exec /usr/bin/sbatch "$@"'
    programs = wrapped_commands(tmp_path / "bin", "sbatch", text)
    with slurm_here(replace(slurm_config(slurm_cluster), programs=programs)) as slurm:
        launch = site.stage(sleeper())
        (outcome,) = slurm.submit([launch])
        assert isinstance(outcome, Submitted)
        assert [row.native_id for row in named(slurm, launch.marker)] == [outcome.native_id]


def test_a_job_of_an_sbatch_that_refuses_and_submits_all_the_same_runs_nothing(
    slurm_cluster: Cluster, site: Site, tmp_path: Path
) -> None:
    refuse = 'echo "Batch job submission failed: no budget" >&2; exit 1'
    text = f'/usr/bin/sbatch --hold "$@" >/dev/null; {refuse}'
    programs = wrapped_commands(tmp_path / "bin", "sbatch", text)
    launch = site.stage(sleeper())
    with slurm_here(replace(slurm_config(slurm_cluster), programs=programs)) as slurm:
        (outcome,) = slurm.submit([launch])
        assert isinstance(outcome, Refused)
        (row,) = named(slurm, launch.marker)
    slurm_cluster.run("scontrol", "release", row.native_id)
    assert site.end_of(row.native_id).state is JobState.COMPLETED
    assert (site.lines(launch, "claim.1"), site.lines(launch, "starts")) == (["void"], [])


def test_a_command_that_hangs_is_ended_and_nothing_is_concluded(
    slurm_cluster: Cluster, tmp_path: Path
) -> None:
    programs = wrapped_commands(tmp_path / "bin", "squeue", "exec sleep 60")
    config = replace(slurm_config(slurm_cluster), programs=programs, command_timeout_s=0.5)
    with slurm_here(config) as slurm:
        with pytest.raises(SchedulerUnavailableError, match=r"squeue did not end within 0\.5 s"):
            slurm.states(["1"])
        assert slurm.probe().cpus == 32


def test_a_site_without_the_commands_is_told_what_to_say(
    slurm_cluster: Cluster, tmp_path: Path
) -> None:
    config = replace(slurm_config(slurm_cluster), programs=str(tmp_path))
    with slurm_here(config) as slurm, pytest.raises(SchedulerError, match="squeue is not on this"):
        slurm.states(["1"])


def test_an_empty_queue_says_nothing_while_no_controller_is_up(
    site: Site, slurm_cluster: Cluster, tmp_path: Path
) -> None:
    """Some sites answer squeue from a copy, which goes on without a controller."""
    launch, never = site.stage(sleeper(600)), site.stage(sleeper())
    native_id = site.submit(launch)
    site.runs(launch, native_id)
    programs = Path(wrapped_commands(tmp_path / "bin", "squeue", "exit 0"))
    with slurm_here(replace(slurm_config(slurm_cluster), programs=str(programs))) as slurm:
        # Nor is the accounting believed, which calls alive for ever what a controller has lost.
        eventually(lambda: named(slurm, launch.marker))
        (row,) = named(slurm, launch.marker)
        assert (row.state, row.raw_state) == (JobState.UNKNOWN, "RUNNING")
        (row,) = slurm.states([native_id])[native_id]
        assert (row.state, row.raw_state) == (JobState.UNKNOWN, "RUNNING")
        assert named(slurm, never.marker) == []
        (programs / "scontrol").unlink()
        (programs / "scontrol").write_text("#!/bin/sh\necho 'Slurmctld(primary) at up is DOWN'\n")
        (programs / "scontrol").chmod(0o755)
        with pytest.raises(SchedulerUnavailableError, match="no controller is up"):
            named(slurm, never.marker)


def test_nothing_is_concluded_while_no_controller_is_there(
    site: Site, slurm_cluster: Cluster
) -> None:
    launch = site.stage(sleeper(60), resources={"partition": "wide"})
    other = site.stage(sleeper(), resources={"partition": "wide"})
    native_id = site.submit(launch)
    site.runs(launch, native_id)
    slurm_cluster.end("slurmctld")
    try:
        for ask in (
            lambda: site.scheduler.states([native_id]),
            lambda: named(site.scheduler, "gw-J999-1"),
            lambda: site.scheduler.cancel([native_id]),
            lambda: site.scheduler.check(other.directory),
        ):
            with pytest.raises(SchedulerUnavailableError):
                ask()
        (outcome,) = site.scheduler.submit([other])
        assert isinstance(outcome, Uncertain)
    finally:
        slurm_cluster.restart_slurmctld()
    assert eventually(lambda: site.reports(native_id)[0].state) is JobState.RUNNING
    site.wake(launch)
    assert site.end_of(native_id).state is JobState.COMPLETED
    assert named(site.scheduler, other.marker) == []
    assert site.end_of(site.settle(other)).state is JobState.COMPLETED
    assert len(site.lines(other, "starts")) == 1
