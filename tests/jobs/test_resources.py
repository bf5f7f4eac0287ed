"""What a job may ask of the machine, and what a site gives."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from marshmallow import ValidationError

from gateway.clusters.settings import ClusterSettings
from gateway.jobs.line import cpus_of_task
from gateway.jobs.plan import with_defaults
from gateway.jobs.ranks import check_ranks
from gateway.jobs.resource_schema import ResourcesSchema
from gateway.jobs.resources import (
    Limits,
    Resources,
    check_limits,
    check_spread,
    parse_memory,
    parse_time,
)
from scheduler.directives import parse_directives

GIB = 1 << 30


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 5400),
        ("1", 60),
        ("90:00", 5400),
        ("0:30", 30),
        ("1:30:00", 5400),
        ("2-03", 51 * 3600),
        ("2-03:04", 51 * 3600 + 240),
        ("2-03:00:00", 51 * 3600),
    ],
)
def test_a_time_is_read_as_slurm_reads_it(text: str, seconds: int) -> None:
    assert parse_time(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        "0:00",
        "UNLIMITED",
        "INFINITE",
        "-1",
        "1.5",
        "1h",
        "1:2:3:4",
        "1-",
        "٣",
        "1\n",
        "9" * 30,
    ],
)
def test_a_time_that_is_none_is_refused_with_its_text(text: str) -> None:
    with pytest.raises(ValueError, match="time"):
        parse_time(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [("2G", 2 * GIB), ("512", 512 << 20), ("1024K", 1 << 20), ("1T", 1 << 40), ("4gb", 4 * GIB)],
)
def test_a_size_is_read_as_slurm_reads_it(text: str, size: int) -> None:
    assert parse_memory(text) == size


@pytest.mark.parametrize("text", ["", "G", "-1G", "1.5G", "1P", "2G\n", "٢G"])
def test_a_size_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="size"):
        parse_memory(text)


def test_what_was_asked_comes_out_as_slurm_writes_it() -> None:
    asked = {"time": "1:30:00", "cpus_per_task": 2, "mem": "2G", "mail_type": "END,FAIL"}
    resources = ResourcesSchema().load(asked)
    assert resources == Resources(
        time=timedelta(minutes=90), cpus_per_task=2, mem=2 * GIB, mail_type=("END", "FAIL")
    )
    assert resources.to_directives() == {
        "time": "0-01:30:00",
        "cpus_per_task": 2,
        "mem": "2048M",
        "mail_type": "END,FAIL",
    }


def test_what_was_read_can_be_written_and_read_again() -> None:
    schema = ResourcesSchema()
    resources = Resources(
        time=timedelta(days=1, seconds=30), mem=3 * GIB, partition="a,b", mail_type=("END",), nice=0
    )
    assert schema.load(schema.dump(resources)) == resources


def test_a_form_may_leave_fields_empty_and_sends_numbers_as_text() -> None:
    asked = {"time": "", "cpus_per_task": " 4 ", "account": "", "exclusive": "false"}
    assert ResourcesSchema().load(asked) == Resources(cpus_per_task=4)


@pytest.mark.parametrize("name", ["gpus", "gpus_per_node", "gpus_per_task"])
def test_gpus_are_a_number_as_well_as_a_text(name: str) -> None:
    asked = ResourcesSchema().load({name: 2})
    assert asked == ResourcesSchema().load({name: "2"})
    assert asked.to_directives() == {name: "2"}
    assert ResourcesSchema().load({"ntasks": 1, name: 2}).gpu_count == 2
    text = ResourcesSchema().load({name: "a100:2"})
    assert text.to_directives() == {name: "a100:2"}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("time", "soon"),
        ("time", 0),
        ("time", True),
        ("time", "4000-00"),
        ("cpus_per_task", 0),
        ("cpus_per_task", 1.5),
        ("cpus_per_task", True),
        ("cpus_per_task", "many"),
        ("nodes", -1),
        ("mem", "0"),
        ("mem", "lots"),
        ("account", "x\n#SBATCH --uid=0"),
        ("partition", "a b"),
        ("partition", "a,"),
        ("qos", "-x"),
        ("wckey", "a b"),
        ("reservation", "a\n"),
        ("licenses", "matlab:1,,"),
        ("gpus", "a100:0"),
        ("gpus", 0),
        ("gpus", True),
        ("gpus_per_task", 1.5),
        ("gpus_per_node", -1),
        ("gpus_per_node", ":2"),
        ("gpus_per_task", "a100:"),
        ("ntasks_per_node", 0),
        ("cpus_per_gpu", "-1"),
        ("mem_per_gpu", "0"),
        ("hold", True),
        ("time_min", 10),
        ("constraint", "a;b"),
        ("gres", "gpu:1\x0b"),
        ("gres", "gres:gpu:8"),  # Slurm takes the first word off
        ("gres", "fpga:1,gres:gpu:8"),
        ("gres", "gres"),
        ("gres", "gpu:1k"),  # 1024 to Slurm
        ("gres", "gpu:2M,fpga"),
        ("gres", "gpu:12345"),
        ("mail_user", "Ada <ada@example.org>"),
        ("mail_type", ["ALL", 1]),
        ("mail_type", {"a": 1}),
        ("nice", -1),
        ("uid", 0),
        ("job_name", "mine"),
    ],
)
def test_a_wrong_value_is_refused_under_its_field(field: str, value: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        ResourcesSchema().load({field: value})
    assert list(caught.value.messages_dict) == [field]
    if field == "gres":
        (said,) = caught.value.messages_dict[field]
        assert said.startswith(f"{value!r} is not a value that --gres takes; write it as gpu:2, ")


@pytest.mark.parametrize(
    ("gres", "gpus"),
    [("gpu:a100", 1), ("gpu:40g:2", 2), ("gpu:1g.5gb:3", 3), ("gres_x:2,gpu:2,gpu", 3)],
)
def test_generic_resources_are_counted_as_slurm_counts_them(gres: str, gpus: int) -> None:
    assert ResourcesSchema().load({"gres": gres}).gpu_count == gpus


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("mem", "mem_per_cpu"),
        ("gres", "gpus_per_node"),
        ("gpus", "gres"),
        ("gpus_per_node", "gpus"),
        ("mem_per_gpu", "mem"),
        ("mem_per_gpu", "mem_per_cpu"),
        ("cpus_per_gpu", "cpus_per_task"),
        ("gpus_per_task", "gres"),
        ("gpus_per_task", "gpus"),
        ("gpus_per_task", "gpus_per_node"),
    ],
)
def test_two_ways_to_ask_for_the_same_are_refused(one: str, other: str) -> None:
    values = {"gres": "gpu:1", **dict.fromkeys(("mem", "mem_per_cpu", "mem_per_gpu"), "1G")}
    values = dict.fromkeys((one, other), "1") | {
        name: value for name, value in values.items() if name in (one, other)
    }
    with pytest.raises(ValidationError, match="not both"):
        ResourcesSchema().load({one: values[one], other: values[other]})


@pytest.mark.parametrize(
    ("asked", "tasks", "pointer"),
    [
        (Resources(time=timedelta(hours=2)), 1, "/resources/time"),
        (Resources(cpus_per_task=5), 1, "/resources/cpus_per_task"),
        (Resources(ntasks=5), 1, "/resources/ntasks"),
        (Resources(ntasks=3, cpus_per_task=2), 1, "/resources/cpus_per_task"),
        (Resources(mem=9 * GIB), 1, "/resources/mem"),
        (Resources(mem_per_cpu=3 * GIB, cpus_per_task=4), 1, "/resources/mem_per_cpu"),
        (Resources(nodes=1, ntasks_per_node=5), 1, "/resources/ntasks_per_node"),
        (Resources(gpus="a100:3", cpus_per_gpu=2), 1, "/resources/cpus_per_gpu"),
        (Resources(gres="fpga:9,gpu:2", cpus_per_gpu=3), 1, "/resources/cpus_per_gpu"),
        (Resources(ntasks=2, gpus_per_task="2", cpus_per_gpu=2), 1, "/resources/cpus_per_gpu"),
        (Resources(gpus_per_node="a100:3", mem_per_gpu=3 * GIB), 1, "/resources/mem_per_gpu"),
        (Resources(gpus="1", cpus_per_gpu=4, mem_per_cpu=3 * GIB), 1, "/resources/mem_per_cpu"),
        (Resources(partition="short,night"), 1, "/resources/partition"),
        (Resources(nodes=2), 1, "/resources/nodes"),
        (Resources(), 101, "/pack"),
        (Resources(exclusive=True, cpus_per_task=4), 1, "/resources/exclusive"),
    ],
)
def test_more_than_a_site_gives_is_named_with_its_limit(
    asked: Resources, tasks: int, pointer: str
) -> None:
    limits = Limits(
        max_time=timedelta(hours=1),
        max_cpus_per_job=4,
        max_memory_bytes=8 * GIB,
        max_array=100,
        max_nodes=1,
        partitions=("short", "long"),
        exclusive=False,
    )
    (error,) = check_limits(asked, limits, tasks)
    assert error.pointer == pointer
    assert any(
        limit in error.detail
        for limit in ("0-01:00:00", "4", "8192M", "100", "1", "short", "a node alone")
    )


def test_what_a_site_gives_may_be_asked() -> None:
    asked = Resources(time=timedelta(hours=1), cpus_per_task=4, mem=GIB, partition="short",
                      exclusive=True)  # fmt: skip
    limits = Limits(max_time=timedelta(hours=1), max_cpus_per_job=4, max_memory_bytes=GIB,
                    partitions=("short",), max_array=1)  # fmt: skip
    assert check_limits(asked, limits) == []
    assert check_limits(asked, Limits(), 10_000) == []


@pytest.mark.parametrize(
    ("asked", "field", "said"),
    [
        (Resources(ntasks_per_node=4), "ntasks_per_node", "Give nodes as well, such as 1"),
        (
            Resources(nodes=2, ntasks_per_node=4, ntasks=9),
            "ntasks_per_node",
            "2 nodes with 4 tasks each make 8, and ntasks says 9: leave ntasks out",
        ),
        (Resources(cpus_per_gpu=4), "cpus_per_gpu", "ask for some, such as gpus = 1"),
        (Resources(mem_per_gpu=GIB, gres="fpga"), "mem_per_gpu", "counts nothing without GPUs"),
        (
            Resources(cpus_per_gpu=4, gpus_per_node="2", ntasks=8, mpi=True),
            "cpus_per_gpu",
            "on how many nodes the GPUs are: give nodes as well",
        ),
        (Resources(gpus_per_task="a100:1"), "gpus_per_task", "a100:1 for each of how many tasks?"),
    ],
)
def test_what_is_counted_with_another_option_needs_it(
    asked: Resources, field: str, said: str
) -> None:
    (error,) = check_limits(asked, Limits())
    assert error.pointer == f"/resources/{field}"
    assert said in error.detail


def test_every_way_to_ask_is_counted_as_slurm_counts_it() -> None:
    whole = Resources(nodes=2, ntasks_per_node=3, gpus_per_task="a100:2", cpus_per_gpu=4,
                      mem_per_gpu=GIB, mpi=True)  # fmt: skip
    assert (whole.tasks, whole.ranks, whole.gpu_count, whole.cpus) == (6, 6, 12, 48)
    assert whole.memory_bytes == 12 * GIB
    assert check_limits(whole, Limits()) == []
    assert cpus_of_task(ResourcesSchema().dump(whole)) == 48
    site = ClusterSettings(scheduler="slurm", base="/jobs", python="/python")
    assert "cpus_per_task" not in with_defaults(whole, site).to_directives()
    script = "\n".join(f"#SBATCH --{name.replace('_', '-')}={value}"
                       for name, value in whole.to_directives().items())  # fmt: skip
    read = parse_directives(f"#!/bin/sh\n{script}\n")
    assert (read.cpus, read.nodes, read.memory_bytes) == (48, 2, 12 * GIB)
    several = Resources(nodes=2, ntasks_per_node=3, cpus_per_task=2)
    assert several.cpus == cpus_of_task(ResourcesSchema().dump(several)) == 12


@pytest.mark.parametrize(
    ("asked", "pointer", "said"),
    [
        (Resources(nodes=3), "/resources/nodes", "so 2 of 3 would idle"),
        (Resources(nodes=2, ntasks=2), "/resources/nodes", "so 1 of 2 would idle"),
        (Resources(ntasks=4, cpus_per_task=2), "/resources/ntasks", "ask for cpus_per_task = 8,"),
    ],
)
def test_what_would_lie_on_several_machines_is_refused(
    asked: Resources, pointer: str, said: str
) -> None:
    (error,) = check_spread(asked)
    assert error.pointer == pointer
    assert said in error.detail


ABLE = ClusterSettings(scheduler="slurm", base="/jobs", python="/python", mpi="srun --mpi=pmix")
UNABLE = replace(ABLE, mpi="")
SPREAD = Resources(mpi=True, ntasks=8, nodes=2)
FIT: dict[str, Any] = {"kind": "fit", "mode": "fit", "method": "dream", "elements": ()}


@pytest.mark.parametrize(
    ("asked", "cluster", "changed", "pointer", "said"),
    [
        (SPREAD, UNABLE, {}, "mpi", "no launcher"),
        (SPREAD, ABLE, {"kind": "dummy"}, "mpi", "only a fit uses MPI, not dummy"),
        (SPREAD, ABLE, {"mode": "check"}, "mpi", "not check"),
        (SPREAD, ABLE, {"method": "lm"}, "mpi", "lm evaluates one point after the other; de and"),
        (SPREAD, ABLE, {"method": "auto"}, "mpi", "auto evaluates"),
        (SPREAD, ABLE, {"elements": ({},)}, "mpi", "elements of an array"),
        (Resources(mpi=True), ABLE, {}, "ntasks", "asks for 1: ask for 2"),
        (Resources(mpi=True, ntasks=2, nodes=3), ABLE, {}, "nodes", "1 would idle"),
        (Resources(ntasks=8, nodes=2), ABLE, {}, "nodes", "without mpi"),
    ],
)
def test_mpi_is_refused_where_it_does_nothing(
    asked: Resources, cluster: ClusterSettings, changed: dict[str, Any], pointer: str, said: str
) -> None:
    (error,) = check_ranks(asked, cluster, **{**FIT, **changed})
    assert error.pointer == f"/resources/{pointer}"
    assert said in error.detail


@pytest.mark.parametrize("method", ["dream", "de"])
def test_a_fit_of_a_population_may_use_several_machines(method: str) -> None:
    assert check_ranks(SPREAD, ABLE, **{**FIT, "method": method}) == []
    assert "mpi" not in SPREAD.to_directives()


@pytest.mark.parametrize(
    "launcher",
    ["srun; rm -rf", "srun $(id)", "--mpi=pmix", "srun -n 4", "srun '--mpi=pmix'", "s\ta `x`"],
)
def test_a_launcher_that_is_no_plain_program_stops_the_start(launcher: str) -> None:
    with pytest.raises(ValueError, match="mpi = "):
        replace(ABLE, mpi=launcher)


def test_one_machine_may_be_asked_for_in_several_ways() -> None:
    one = Resources(nodes=1, ntasks=4, cpus_per_task=2)
    for asked in (Resources(), Resources(nodes=1), Resources(cpus_per_task=8), one):
        assert check_spread(asked) == []
