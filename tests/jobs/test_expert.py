"""What a user adds to a script: it reaches the fit, and never the protocol around it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from marshmallow import ValidationError

from gateway.errors import InvalidError
from gateway.jobs.expert import MORE, Additions, Expert, difference, expert_errors, lines_error
from gateway.jobs.expert_schema import ExpertSchema
from gateway.jobs.resources import Resources
from gateway.jobs.script import OPTIONS, render_script
from scheduler.directives import parse_options

ENDS = f"""#!{sys.executable}
import os, signal, time

signal.signal(signal.SIGINT, lambda *_: os._exit(5))
open("fitted", "w").write(f"fit in {{os.getcwd()}} with A={{os.environ.get('A')}}\\n")
time.sleep(60 if os.environ.get("LONG") else 0)
"""
"""In place of Python and the driver."""


def script(place: Path, **expert: Any) -> str:
    """Write a script that runs in a folder of the test."""
    return render_script(
        {"time": "10"},
        marker="gw-J1-1",
        comment="gw:ada:test",
        workdir=str(place),
        python=str(place / "python"),
        environment={},
        expert=Expert(**expert),
    )


def start(place: Path, lines: str) -> subprocess.Popen[bytes]:
    """Run a script with these lines, as a scheduler does."""
    (place / "python").write_text(ENDS, encoding="ascii")
    (place / "python").chmod(0o700)
    (place / "job.sh").write_text(script(place, lines=lines), encoding="utf-8")
    with (place / "stderr").open("wb") as stderr:
        return subprocess.Popen(
            ["/bin/bash", str(place / "job.sh"), "1"],
            env={"SLURM_JOB_ID": "17", "PATH": "/usr/bin:/bin"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
        )


def ended(place: Path) -> dict[str, Any]:
    """Read the exit file."""
    return dict(json.loads((place / "exit.0.json").read_text(encoding="utf-8")))


def load(**raw: Any) -> Expert:
    expert: Expert = ExpertSchema().load(raw)
    return expert


@pytest.mark.parametrize(
    "lines",
    [
        "export A=1",
        "cd /; umask 000; PATH=/nope; export A=1",
        "trap - EXIT; trap '' TERM USR1; finish() { :; }; exit() { :; }; export A=1",
        "task=9; driver=1; lines=; rc=0; owner=; where=x; readonly task; set -C; export A=1",
        "echo 4711; echo 0; cat <<END\nEND-OF-YOUR-LINES!\nEND\nexport A=1",
        "[[ $# == 0 ]]\nA=\"1\" # it's '\nexport A",
    ],
)
def test_what_lines_export_reaches_the_fit_whatever_else_they_do(
    tmp_path: Path, lines: str
) -> None:
    assert lines_error(lines) == ""
    assert start(tmp_path, lines).wait(30) == 0
    found = (tmp_path / "fitted").read_text(encoding="utf-8")
    assert found == f"fit in {tmp_path} with A=1\n"
    assert (ended(tmp_path)["rc"], ended(tmp_path).get("in")) == (0, None)
    assert (tmp_path / "claim.1").read_text(encoding="ascii") == "17\n"


@pytest.mark.parametrize(
    ("lines", "status", "said"),
    [
        ("false\nexport A=1", 1, 1),
        ("exit 7", 7, 7),
        ("exit 0", 1, 0),
        ("exec true", 1, 0),
        ("no-such-command", 127, 127),
        ("kill -9 $BASHPID", 137, 137),
    ],
)
def test_lines_that_fail_fit_nothing_and_say_so(
    tmp_path: Path, lines: str, status: int, said: int
) -> None:
    assert start(tmp_path, lines).wait(30) == status
    assert not (tmp_path / "fitted").exists()
    assert (ended(tmp_path)["rc"], ended(tmp_path)["in"]) == (status, "lines")
    stderr = (tmp_path / "stderr").read_text(encoding="utf-8")
    assert f"your lines before the fit ended with status {said}, so nothing was fitted" in stderr


def test_lines_run_only_for_who_has_the_claim(tmp_path: Path) -> None:
    (tmp_path / "claim.1").write_text("16\n", encoding="ascii")
    assert start(tmp_path, "touch ran").wait(30) == 0
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "exit.0.json").exists()


def test_who_asks_to_stop_while_lines_run_stops_the_fit_after_them(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "gate")
    job = start(tmp_path, "echo > gate; read -r _ < gate; export LONG=1")
    (tmp_path / "gate").read_bytes()  # the lines have begun
    job.send_signal(signal.SIGUSR1)
    (tmp_path / "gate").write_bytes(b"\n")
    assert job.wait(60) == 5


def test_who_cancels_while_lines_run_ends_them(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "gate")
    job = start(tmp_path, "echo > gate; read -r _ < gate; export LONG=1")
    (tmp_path / "gate").read_bytes()
    job.terminate()
    assert job.wait(60) == 143
    assert ended(tmp_path)["rc"] == 143
    assert not (tmp_path / "fitted").exists()


def test_a_script_with_additions_differs_by_them_alone(tmp_path: Path) -> None:
    plain, lines = script(tmp_path), "module load gcc\nexport A=1"
    added = script(tmp_path, directives={"exclude": "n[1-3]", "contiguous": "True"}, lines=lines)
    options = parse_options(added)
    assert options.items() - parse_options(plain).items() == {
        ("exclude", "n[1-3]"),
        ("contiguous", ""),
        ("ignore-pbs", ""),
    }
    assert added.index('ln "$mine"') < added.index(lines) < added.index("driver.pyz")
    diff = difference(plain, added).split("\n")
    assert "+module load gcc" in diff
    assert sum(line.startswith("-") for line in diff) == 2  # the file's name, and one line
    assert difference(plain, plain) == ""
    checked = subprocess.run(["/bin/bash", "-n"], input=added.encode(), capture_output=True)
    assert (checked.returncode, checked.stderr) == (0, b"")


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("#SBATCH --uid=0", "Line 1 is a directive"),
        ("export A=1\n  #sbatch --uid=0", "Line 2 is a directive"),
        ("#PBS -N other", "is a directive"),
        ("#PBSx -N other", "is a directive"),
        ("# BSUB -J other", "is a directive"),
        ("cat <<X\nX\nEND-OF-YOUR-LINES\nid", "Line 3 is what ends your lines"),
        ("a\0b", "character U+0000"),
        ("a\rid", "character U+000D"),
        ("a\u2028#SBATCH --uid=0", "character U+2028"),
        ("echo\u00a0a", "character U+00A0"),
        ("a\u202eb", "character U+202E"),
        ("if true; then", "Bash cannot read line 2: syntax error"),
        ("echo 'a", "Bash cannot read line 1: unexpected EOF"),
        ("}", "Bash cannot read line 1"),
        ("cat <<X", "here-document"),
        ("a" * 8193, "more than 8192 bytes"),
        ("(" * 8000, "Bash cannot read"),
    ],
)
def test_lines_that_cannot_stand_in_a_script_are_refused_by_their_number(
    lines: str, said: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        load(lines=lines)
    assert said in str(caught.value.messages_dict["lines"])


def test_lines_are_read_and_not_run(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    for line in (f"touch {mark}", f"x=$(touch {mark})", f"[[ -v a[$(touch {mark})] ]]",
                 f"set +n; touch {mark}", f"(( a[$(touch {mark})] ))"):  # fmt: skip
        assert load(lines=line).lines == line
    assert not mark.exists()


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("exclude", "n1\n#SBATCH --uid=0", "is not a value that --exclude takes"),
        ("exclude", "n1 --uid=0", "is not a value"),
        ("nodelist", "/etc/passwd", "is not a value"),
        ("begin", "now;id", "is not a value"),
        ("hint", True, "is not a value that --hint takes"),
        ("contiguous", "yes", "is not a value"),
        ("job_name", "gw-X-1", "is the gateway's own"),
        ("output", "/etc/x", "is the gateway's own"),
        ("signal", "B:KILL@5", "is the gateway's own"),
        ("time_min", "1", "is the gateway's own"),
        ("partition", "x", "Give this as resources.partition."),
        ("ntasks_per_node", 4, "Give this as resources.ntasks_per_node."),
        ("ntasks_per_socket", 4, "is no option that can be added; known are nodelist"),
        ("x\n#SBATCH --uid", "0", "is no option that can be added"),
    ],
)
def test_a_directive_that_cannot_be_added_is_refused_by_name(
    name: str, value: Any, said: str, tmp_path: Path
) -> None:
    with pytest.raises(ValidationError) as caught:
        load(directives={name: value})
    assert said in str(caught.value.messages_dict["directives"])
    with pytest.raises(InvalidError):  # nor by another way than the schema
        script(tmp_path, directives={name: str(value).replace("True", "x")})


def test_what_may_be_added_leaves_every_option_of_the_form_and_of_the_protocol_alone() -> None:
    own = {line.partition("=")[0].removeprefix("#SBATCH --") for line in
           script(Path("/a")).splitlines() if line.startswith("#SBATCH")}  # fmt: skip
    assert not {name.replace("_", "-") for name in MORE} & {*own, *OPTIONS}
    for name in own - {"time"}:
        with pytest.raises(ValueError, match="the gateway's own"):
            Additions(directives=(name.replace("-", "_"),))


def test_what_the_policy_does_not_allow_is_refused_with_what_it_does() -> None:
    wanted, asked = load(directives={"exclude": "n1", "nodelist": "n1,n2"}, lines="id"), Resources()
    found = expert_errors(wanted, Additions(directives=("nodelist",)), asked, "slurm")
    said = {error.pointer: error.detail for error in found}
    assert "you may add: --nodelist" in said["/expert/directives/exclude"]
    assert "lets you add no lines" in said["/expert/lines"]
    assert "2 nodes are named and 1 asked for" in said["/expert/directives/nodelist"]
    everything = Additions(directives=tuple(MORE), lines=True)
    fine = load(directives={"exclude": "n1"}, lines="id")
    assert expert_errors(fine, everything, asked, "slurm") == []
    [unknown] = expert_errors(fine, everything, asked, "pyslurm")
    assert "pyslurm, which knows no --exclude" in unknown.detail
    twice = load(directives={"hint": "nomultithread", "threads_per_core": "1"})
    [error] = expert_errors(twice, everything, asked, "slurm")
    assert error.pointer == "/expert/directives/hint"
    assert "leave one out" in error.detail
