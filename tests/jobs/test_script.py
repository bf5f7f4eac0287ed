"""The batch script: what may stand in it, and what it is, byte for byte."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import fields
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.errors import GatewayError, InvalidError
from gateway.jobs.expert import Expert
from gateway.jobs.resources import Resources
from gateway.jobs.script import OPTIONS, ScriptError, render_script, signal_lead
from scheduler.directives import parse_directives

RECORDED = Path(__file__).parent.parent / "recorded" / "scripts"
DEFAULTS: dict[str, Any] = {
    "marker": "gw-01JD0000000000000000000000-1",
    "comment": "gw:ada:c0ffee",
    "workdir": "/scratch/gateway/ada/01JD0000000000000000000000/1",
    "python": "/opt/bumps/bin/python3",
    "environment": {},
}
CASES: dict[str, tuple[Mapping[str, str | int], dict[str, Any]]] = {
    "single": (
        Resources(time=timedelta(hours=1), cpus_per_task=1).to_directives(),
        {"signal_lead_s": 600},
    ),
    "array": (
        Resources(
            partition="short,long",
            account="beam",
            time=timedelta(days=2),
            cpus_per_task=4,
            mem=2**31,
        ).to_directives(),
        {"tasks": 100, "throttle": 8, "signal_lead_s": 600, "resumable": True},
    ),
    "mpi": (
        Resources(nodes=2, ntasks=8, cpus_per_task=4, mpi=True).to_directives(),
        {"resumable": True, "launcher": ("srun", "--mpi=pmix", "-n", "8")},
    ),
    "everything": (
        Resources(
            partition="gpu",
            account="beam@lab",
            qos="normal",
            time=timedelta(minutes=90),
            nodes=2,
            ntasks=8,
            cpus_per_task=2,
            mem_per_cpu=3 * 2**30,
            gpus_per_node="a100:2",
            constraint="(skylake|icelake)&ib",
            reservation="school",
            licenses="matlab:1",
            mail_type=("END", "FAIL"),
            mail_user="ada@example.org",
            nice=100,
            exclusive=True,
        ).to_directives(),
        {
            "environment": {"NUMBA_CACHE_DIR": "/scratch/my numba", "NOTE": "it's $HOME `x`"},
            "prolog": ("module purge", "module load python/3.11"),
        },
    ),
}


def render(resources: Mapping[str, str | int], **changes: Any) -> str:
    return render_script(resources, **{**DEFAULTS, **changes})


def directives(script: str) -> list[str]:
    """Find what any reader of lines could take for a directive."""
    return [line for line in re.split(r"[\r\n\x0b\x0c\x1c-\x1e\x85\u2028\u2029\0]", script)
            if "#SBATCH" in line]  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_script_is_byte_for_byte_the_recorded_one(case: str) -> None:
    resources, changes = CASES[case]
    recorded = RECORDED / f"{case}.sh"
    assert render(resources, **changes) == recorded.read_text(encoding="utf-8"), (
        f"the script has changed: if it should, run python -m tests.jobs.test_script and read the "
        f"difference of {recorded}"
    )


@pytest.mark.parametrize("case", CASES)
def test_bash_reads_the_script(case: str) -> None:
    checked = subprocess.run(["/bin/bash", "-n", RECORDED / f"{case}.sh"], capture_output=True)
    assert (checked.returncode, checked.stderr) == (0, b"")


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
@pytest.mark.parametrize("case", CASES)
def test_shellcheck_has_nothing_to_say(case: str) -> None:
    # SC2317: functions that only a trap calls look unreachable to it. SC2016: a value with $ in it.
    argv = ["shellcheck", "--exclude=SC2317,SC2016", str(RECORDED / f"{case}.sh")]
    checked = subprocess.run(argv, capture_output=True, text=True)
    assert checked.stdout == ""


def test_what_is_rendered_is_what_a_scheduler_reads() -> None:
    resources, changes = CASES["array"]
    wanted = parse_directives(render(resources, **changes))
    assert wanted.job_name == DEFAULTS["marker"]
    assert (wanted.time, wanted.cpus) == (timedelta(days=2), 4)
    assert (wanted.tasks, wanted.throttle) == (tuple(range(100)), 8)
    assert (wanted.output, wanted.error) == ("stdout.%a.txt", "stderr.%a.txt")
    assert (wanted.signal, wanted.signal_batch) == ("USR1", True)
    assert wanted.signal_lead == timedelta(seconds=600)
    assert wanted.memory_bytes == 2**31
    assert wanted.append
    assert wanted.others["partition"] == "short,long"


def test_an_array_with_holes_is_read_as_it_is_written() -> None:
    script = render({}, tasks=200, indices=(3, 17, 40, 41, 199), throttle=2)
    assert "#SBATCH --array=3,17,40-41,199%2" in directives(script)
    wanted = parse_directives(script)
    assert (wanted.tasks, wanted.throttle) == ((3, 17, 40, 41, 199), 2)
    assert wanted.output == "stdout.%a.txt"
    one = parse_directives(render({}, tasks=200, indices=(17,)))
    assert (one.tasks, one.output) == ((17,), "stdout.%a.txt"), "one task of an array is an array"
    with pytest.raises(ScriptError, match="indices is 200"):
        render({}, tasks=200, indices=(200,))


@pytest.mark.parametrize("text", ["5-3", "3,3", "7,2", "1-4,4", "1,,2", "1-", "0-9:2", "-1", "1;2"])
def test_indices_that_no_array_of_ours_has_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="--array"):
        parse_directives(f"#!/bin/bash\n#SBATCH '--array={text}'\n")


def test_a_single_job_logs_to_task_0() -> None:
    wanted = parse_directives(render(*CASES["single"][:1]))
    assert (wanted.output, wanted.tasks) == ("stdout.0.txt", ())


def test_only_a_job_that_can_resume_is_requeued() -> None:
    assert "#SBATCH --no-requeue\n" in render({})
    assert "#SBATCH --requeue\n" in render({}, resumable=True)


def test_every_option_of_resources_has_its_pattern() -> None:
    assert {field.name for field in fields(Resources)} == {*OPTIONS, "mpi"}


def test_an_option_that_is_not_listed_is_refused_by_name() -> None:
    with pytest.raises(InvalidError) as caught:
        render({"uid": 0})
    assert caught.value.errors[0].pointer == "/resources/uid"


@pytest.mark.parametrize("option", [option for option in OPTIONS if option != "exclusive"])
@pytest.mark.parametrize(
    "tail", ["\n#SBATCH --uid=0", "\r\nx", "\x0bx", "\u2028x", "\u0085x", "\0", " x", "\n", ";id"]
)
def test_a_value_that_goes_on_after_its_end_is_refused_by_name(option: str, tail: str) -> None:
    good = {name: str(v) for case in CASES.values() for name, v in case[0].items()}.get(option, "a")
    with pytest.raises(InvalidError) as caught:
        render({option: good + tail})
    assert caught.value.errors[0].pointer == f"/resources/{option}"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("marker", "my title"),
        ("marker", "gw-J1-1\n#SBATCH --uid=0"),
        ("comment", "gw:ada:x\nid"),
        ("workdir", "relative"),
        ("workdir", "/scratch/a b"),
        ("python", "/usr/bin/python3\nid"),
        ("environment", {"A B": "x"}),
        ("environment", {"A": "x\nid"}),
        ("environment", {"A": "x\u2028id"}),
        ("prolog", ("module load x\nid",)),
        ("prolog", ("#SBATCH --uid=0",)),
        ("tasks", 0),
        ("throttle", 0),
        ("signal_lead_s", 0),
    ],
)
def test_a_value_of_the_site_that_cannot_stand_in_a_script_is_refused(
    name: str, value: Any
) -> None:
    with pytest.raises(ScriptError, match=name):
        render({}, **{name: value, **({"tasks": 2} if name == "throttle" else {})})


@pytest.mark.parametrize(
    ("limit", "checkpoint", "lead_s"),
    [
        (timedelta(hours=8), timedelta(minutes=1), 180),
        (timedelta(hours=8), timedelta(minutes=5), 600),
        (timedelta(minutes=2), timedelta(minutes=5), 30),
        (timedelta(seconds=1), timedelta(minutes=5), 1),
        (timedelta(days=365), timedelta(days=30), 65535),
    ],
)
def test_the_signal_leads_by_two_checkpoints_and_at_most_a_quarter(
    limit: timedelta, checkpoint: timedelta, lead_s: int
) -> None:
    assert signal_lead(limit, checkpoint) == lead_s


def test_a_template_in_a_value_stays_text() -> None:
    script = render({}, environment={"A": "{{7*7}}{% include '/etc/passwd' %}"})
    assert "export A='{{7*7}}{% include '\"'\"'/etc/passwd'\"'\"' %}'\n" in script


HOSTILE = st.one_of(
    st.text(max_size=40),
    st.sampled_from(["\n#SBATCH --uid=0", "\r#SBATCH x", "\u2028#SBATCH", "$(id)", "`id`",
                     "'; id;'", "--wrap=id", "%a", "x\0", "\x0b", "{{7*7}}", "#SBATCH", "gpu", "1",
                     "#PBS -N x", "\n#BSUB -J x", "END-OF-YOUR-LINES",
                     "1:00:00", "2G", "a@b.c", "/a/b", "gw-J1-1"]),
    st.lists(
        st.sampled_from([*"aA1:-/,@.%#\n\r\x0b\0 \u2028\u0085'\"$`\\", "#SBATCH"]), max_size=12
    ).map("".join),
)  # fmt: skip


@cache
def usual_directives(**resources: str | int) -> frozenset[str]:
    return frozenset(line.split("=")[0] for line in directives(render(resources)))


@pytest.mark.slow
@settings(max_examples=10_000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    field=st.sampled_from([*OPTIONS, "marker", "comment", "workdir", "python", "environment",
                           "variable", "prolog", "option", "lines", "exclude"]),
    text=HOSTILE,
)  # fmt: skip
def test_no_text_makes_a_directive_of_its_own(field: str, text: str) -> None:
    resources: dict[str, str | int] = {"time": "10", "cpus_per_task": 1}
    expected = set(usual_directives(**resources))
    changes: dict[str, Any] = {}
    if field in OPTIONS:
        resources[field] = text
        expected.add(f"#SBATCH --{field.replace('_', '-')}")
    elif field == "option":
        resources[text] = "1"
        expected.add(f"#SBATCH --{text.replace('_', '-')}")
    elif field == "environment":
        changes = {"environment": {"A": text}}
    elif field in ("lines", "exclude"):
        added = Expert(lines=text) if field == "lines" else Expert(directives={field: text})
        changes = {"expert": added}
        expected.add("#SBATCH --ignore-pbs" if field == "lines" else "#SBATCH --exclude")
    elif field == "variable":
        changes = {"environment": {text: "1"}}
    else:
        changes = {field: (text,) if field == "prolog" else text}
    try:
        script = render(resources, **changes)
    except GatewayError:
        return
    lines = [line for line in directives(script) if line.startswith("#SBATCH")]
    assert {line.split("=")[0] for line in lines} <= expected
    assert len(lines) == len({line.split("=")[0] for line in lines})
    assert not re.search("[\r\0\x0b\x0c\x1c-\x1e\x85\u2028\u2029]", script)
    assert script.count("\n#SBATCH") == len(lines)
    assert not re.search(r"(?m)^#(PBS|BSUB)", script)  # sbatch obeys these anywhere
    assert script.endswith('exit "$rc"\n')


def record() -> None:
    """Write the recorded scripts anew."""
    for case, (resources, changes) in CASES.items():
        script = render(resources, **changes)
        (RECORDED / f"{case}.sh").write_text(script, encoding="utf-8")


if __name__ == "__main__":
    record()
