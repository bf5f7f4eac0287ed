"""Each option that we render has a field of pyslurm, with the value sbatch would make of it."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from gateway.jobs.resource_schema import ResourcesSchema
from gateway.jobs.script import OPTIONS, render_script
from scheduler.directives import parse_options
from scheduler.slurm_fields import TABLE, to_fields

EVERYTHING = {
    "partition": "small,wide",
    "account": "lab",
    "qos": "long",
    "time": "90:30",
    "nodes": 2,
    "ntasks": 8,
    "ntasks_per_node": 4,
    "cpus_per_task": 4,
    "cpus_per_gpu": 2,
    "mem": "2048M",
    "mem_per_cpu": "1G",
    "mem_per_gpu": "4G",
    "gres": "gpu:a100:2,fpga",
    "gpus": "a100:2",
    "gpus_per_node": "a100:2",
    "gpus_per_task": "a100:1",
    "constraint": "[rack1|rack2]",
    "reservation": "course",
    "wckey": "beamtime",
    "licenses": "matlab,comsol",
    "mail_type": "END,FAIL",
    "mail_user": "ada@example.org",
    "nice": 100,
    "exclusive": True,
}
"""A value for each option that a user may set."""


def fields(**resources: Any) -> dict[str, Any]:
    """Render a script, read it again, and say its options as fields."""
    script = render_script(
        resources,
        marker="gw-J1-1",
        comment="gw:ada:test",
        workdir="/jobs/ada/J1/1",
        python="/usr/bin/python3",
        environment={},
        tasks=4,
        throttle=2,
        signal_lead_s=180,
    )
    return to_fields(parse_options(script))


def test_every_option_that_a_user_may_set_has_a_field() -> None:
    # Whether ranks are started is the launcher's line in the script, and no option of sbatch.
    assert set(EVERYTHING) == set(OPTIONS) == set(ResourcesSchema().fields) - {"mpi"}
    assert {name.replace("_", "-") for name in OPTIONS} <= set(TABLE)


@pytest.mark.parametrize("option", [name for name in EVERYTHING if name != "mem_per_gpu"])
def test_an_option_that_a_user_sets_changes_a_field(option: str) -> None:
    assert fields(**{option: EVERYTHING[option]}) != fields()


@pytest.mark.parametrize("resumable", [True, False])
def test_every_directive_of_our_own_has_a_field(resumable: bool) -> None:
    script = render_script(
        {},
        marker="gw-J1-1",
        comment="gw:ada:test",
        workdir="/jobs/ada/J1/1",
        python="/usr/bin/python3",
        environment={},
        tasks=4,
        throttle=2,
        signal_lead_s=180,
        resumable=resumable,
    )
    assert to_fields(parse_options(script)) == {
        "name": "gw-J1-1",
        "comment": "gw:ada:test",
        "working_directory": "/jobs/ada/J1/1",
        "standard_output": "stdout.%a.txt",
        "standard_error": "stderr.%a.txt",
        "log_files_open_mode": "append",
        "environment": "NONE",
        "array": "0-3%2",
        "signal": {"signal": signal.SIGUSR1, "time": 180, "batch_only": True},
        "is_requeueable": resumable,
        "nodes": {"min": 1, "max": 1},
    }


@pytest.mark.parametrize(
    ("resources", "wanted"),
    [
        ({"time": "90:30"}, {"time_limit": 91}),
        ({"time": "1-00:00:00"}, {"time_limit": 1440}),
        ({"time": 10}, {"time_limit": 10}),
        ({"mem": "2G"}, {"memory_per_node": "2048M"}),
        ({"mem_per_cpu": "1K"}, {"memory_per_cpu": "1M"}),
        ({"partition": "a,b"}, {"partitions": ["a", "b"]}),
        ({"gres": "gpu:a100:2,fpga"}, {"gres_per_node": {"gpu:a100": 2, "fpga": 1}}),
        ({"gpus_per_node": "a100:2"}, {"gres_per_node": {"gpu:a100": 2}}),
        ({"gpus_per_node": "2"}, {"gres_per_node": {"gpu": 2}}),
        ({"exclusive": True}, {"resource_sharing": "exclusive"}),
        ({"mail_type": "END,FAIL"}, {"mail_types": ["END", "FAIL"]}),
        # As sbatch fills in: one task a node, and as many nodes as tasks need.
        ({"nodes": 3}, {"nodes": {"min": 3, "max": 3}, "ntasks": 3}),
        ({"ntasks": 20}, {"nodes": {"min": 1, "max": 20}, "ntasks": 20}),
        ({"nodes": 2, "ntasks": 8}, {"nodes": {"min": 2, "max": 2}, "ntasks": 8}),
        ({"nodes": 2, "ntasks_per_node": 4}, {"ntasks_per_node": 4, "ntasks": 8}),
        ({"gpus_per_task": "a100:1"}, {"gpus_per_task": "a100:1"}),
        ({"cpus_per_gpu": 2}, {"cpus_per_gpu": 2}),
    ],
)
def test_a_value_is_said_as_sbatch_takes_it(
    resources: dict[str, Any], wanted: dict[str, Any]
) -> None:
    assert fields(**resources).items() >= wanted.items()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"dependency": "afterok:1"}, "--dependency cannot be said to pyslurm"),
        ({"time": "soon"}, "--time=soon"),
        ({"time": "0"}, "--time=0"),
        ({"cpus-per-task": "999999"}, "--cpus-per-task=999999"),
        ({"cpus-per-task": "-1"}, "--cpus-per-task=-1"),
        ({"mem-per-gpu": "4096M"}, "pyslurm fails on it: ask for 4096M times the GPUs as mem"),
        ({"mail-type": "END,INVALID_DEPEND"}, "leave it out"),
        ({"signal": "USR9@60"}, "--signal=USR9@60"),
        ({"signal": "R:USR1@60"}, "--signal=R:USR1@60"),
        ({"signal": "B:USR1@soon"}, "seconds"),
        ({"gres": "gpu:1,gpu:2"}, "asked for twice"),
        ({"gres": "gpu:1", "gpus-per-node": "1"}, "both set gres_per_node"),
    ],
)
def test_what_cannot_be_said_is_refused_by_name(options: dict[str, str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        to_fields(options)
