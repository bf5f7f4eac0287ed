"""What ``docs/clusters.rst`` tells administrators to type is there."""

from __future__ import annotations

import re
import shlex
import textwrap
from pathlib import Path

import click

from gateway.cli import main
from gateway.reach.site_check import check_cluster
from gateway.settings import load_settings

GUIDE = (Path(__file__).parents[2] / "docs" / "clusters.rst").read_text(encoding="utf-8")


def test_each_file_of_the_guide_can_be_used_as_it_stands(tmp_path: Path) -> None:
    blocks = re.findall(r"^\.\. code-block:: toml\n\n((?:    .*\n|\n)+)", GUIDE, re.MULTILINE)
    assert len(blocks) == 3
    for block in blocks:
        path = tmp_path / "site.toml"
        path.write_text(textwrap.dedent(block))
        settings = load_settings({"GATEWAY_CONFIG": str(path), "HOME": "/"}, with_secret=False)
        assert list(settings.clusters) == ["hpc"]


def test_each_command_of_the_guide_is_there_with_its_options() -> None:
    lines = re.findall(r"^    bumps-gateway (.*)$", GUIDE.replace("\\\n", ""), re.MULTILINE)
    assert len(lines) == 13
    for line in lines:
        command: click.Command = main
        words = shlex.split(line)
        while isinstance(command, click.Group):
            command = command.commands[words.pop(0)]
        known = {option for one in command.params for option in one.opts}
        assert {word for word in words if word.startswith("--")} <= known


def test_the_guide_names_each_step_of_the_test(tmp_path: Path) -> None:
    path = tmp_path / "site.toml"
    path.write_text(
        "[clusters.hpc]\nscheduler='slurm'\nbase='/b'\npython='/p'\n"
        "[clusters.hpc.ssh]\nhost='h'\nuser='u'\nkey_file='/k'\n"
    )
    settings = load_settings({"GATEWAY_CONFIG": str(path), "HOME": "/"}, with_secret=False)
    (unpinned,) = check_cluster(settings, "hpc")
    steps = unpinned.text.partition("not looked at: ")[2].split(", ")
    assert len(steps) == 19
    table = GUIDE.partition("what is looked at\n")[2].partition("\n\n")[0]
    programs = {"squeue", "sacct", "scancel", "scontrol"}  # sbatch ... sinfo
    assert [step for step in steps if step not in programs and step not in table] == []
