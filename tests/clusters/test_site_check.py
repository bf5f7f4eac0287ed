"""What is found at a site where something is wrong: that step, and words to mend it by."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.clusters.settings import ClusterSettings, HopSettings, SSHSettings
from gateway.findings import Finding
from gateway.reach.host_keys import shown_keys
from gateway.reach.site_check import check_cluster
from gateway.settings import Settings, SettingsError, load_settings
from tests.clusters.making import NOBODY
from tests.helpers import free_port
from tests.scheduler.sshd import Account, SSHServer, account, make_key, sshd

STEPS = ["settings", "key", "connection", "host key", "sign-in", "Python", "base directory",
         "clock", "agent", "sbatch", "squeue", "sacct", "scancel", "scontrol", "sinfo",
         "controller"]  # fmt: skip


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A directory that other accounts may enter; pytest closes its own again and again."""
    with tempfile.TemporaryDirectory(prefix="bgw-ssh-") as name:
        path = Path(name)
        path.chmod(0o755)
        (path / "programs").mkdir()
        old = path / "old-python"
        old.write_text("#!/bin/sh\necho 3.6.8\n")
        old.chmod(0o755)
        conf = f"ClusterName=none\nSlurmctldHost=nobody(127.0.0.1)\nSlurmctldPort={free_port()}\n"
        (path / "slurm.conf").write_text(conf)
        yield path


@pytest.fixture(scope="module")
def user(folder: Path) -> Iterator[Account]:
    with account(folder / "home") as made:
        (made.home / "loose").mkdir()
        (made.home / "loose").chmod(0o777)
        os.chown(made.home / "loose", made.uid, made.uid)
        yield made


@pytest.fixture(scope="module")
def server(folder: Path, user: Account) -> Iterator[SSHServer]:
    with sshd(folder / "server", [user]) as one:
        yield one


@pytest.fixture(scope="module")
def other(folder: Path, user: Account) -> Iterator[SSHServer]:
    with sshd(folder / "other", [user]) as one:
        yield one


@pytest.fixture
def ssh(server: SSHServer, user: Account) -> SSHSettings:
    return SSHSettings(
        host="127.0.0.1",
        port=server.port,
        user=user.name,
        key_file=str(user.key_file),
        host_keys=(str(server.host_key),),
        connect_s=5.0,
    )


@pytest.fixture
def cluster(folder: Path, user: Account, ssh: SSHSettings) -> ClusterSettings:
    return ClusterSettings(
        scheduler="slurm",
        base=str(user.home / "jobs"),
        python="/usr/bin/python3",
        slurm_conf=str(folder / "slurm.conf"),
        ssh=ssh,
        command_timeout_s=10.0,
    )


def site_of(cluster: ClusterSettings) -> Settings:
    settings = load_settings({"HOME": "/nonexistent"}, with_secret=False)
    return replace(settings, clusters={"hpc": cluster})


def looked_at(cluster: ClusterSettings) -> tuple[list[str], Finding]:
    """Look at a cluster; answer the steps that were good, and the first that was not."""
    found = list(check_cluster(site_of(cluster), "hpc"))
    good = [one.what.partition(": ")[2] for one in found if one.good]
    return good, next(one for one in found if not one.good)


@pytest.mark.parametrize(
    ("way", "change", "step", "words"),
    [
        ({"host_keys": ()}, {}, "settings", "host_keys: none is pinned"),
        ({"key_file": "/nowhere"}, {}, "key", "cannot be read"),
        ({}, {"login_python": "/no/python"}, "Python", "set login_python to"),
        ({}, {"base": "/proc/jobs"}, "base directory", "set base to a directory"),
        ({}, {"base": "/"}, "base directory", "Permission denied"),
        ({}, {}, "controller", "no controller is up"),
    ],
)
def test_a_wrong_setting_is_found_at_its_step(
    cluster: ClusterSettings,
    ssh: SSHSettings,
    way: dict[str, Any],
    change: dict[str, Any],
    step: str,
    words: str,
) -> None:
    good, wrong = looked_at(replace(cluster, ssh=replace(ssh, **way), **change))
    assert (wrong.what, words in wrong.text) == (f"cluster hpc: {step}", True), wrong.text
    assert good[: STEPS.index(step)] == STEPS[: STEPS.index(step)]


def test_what_needs_a_wrong_step_is_named_and_not_looked_at(
    cluster: ClusterSettings, ssh: SSHSettings
) -> None:
    away = replace(cluster, ssh=replace(ssh, port=free_port()))
    good, wrong = looked_at(away)
    assert (good, wrong.what) == (["settings", "key"], "cluster hpc: connection")
    assert "refuses connections" in wrong.text
    assert "So not looked at: host key, sign-in, Python, base directory, " in wrong.text


def test_another_host_key_is_told_from_a_refused_key(
    cluster: ClusterSettings, ssh: SSHSettings, user: Account, folder: Path
) -> None:
    with sshd(folder / "strict", [user]) as strict:  # of its own: failures here are counted
        shown = str(strict.host_key)
        ssh = replace(ssh, port=strict.port, host_keys=(NOBODY,))
        _, wrong = looked_at(replace(cluster, ssh=ssh))
        assert (wrong.what, shown in wrong.text) == ("cluster hpc: host key", True)
        stranger = make_key(folder / "stranger")
        ssh = replace(ssh, host_keys=(shown,), key_file=str(stranger))
        good, wrong = looked_at(replace(cluster, ssh=ssh))
    assert wrong.what == "cluster hpc: sign-in"
    assert "authorized_keys" in wrong.text
    assert good == ["settings", "key", "connection", "host key"]


def test_an_old_python_is_named_with_its_version(cluster: ClusterSettings, folder: Path) -> None:
    _, wrong = looked_at(replace(cluster, login_python=str(folder / "old-python")))
    assert wrong.what == "cluster hpc: Python"
    assert "is 3.6.8: set login_python to 3.10 or later" in wrong.text


def test_a_base_that_others_may_change_is_refused(cluster: ClusterSettings, user: Account) -> None:
    _, wrong = looked_at(replace(cluster, base=str(user.home / "loose")))
    assert wrong.what == "cluster hpc: base directory"
    assert f"chmod go-w {user.home}/loose" in wrong.text
    _, wrong = looked_at(replace(cluster, base=str(user.home / "loose" / "jobs")))
    assert f"chmod +t {user.home}/loose" in wrong.text


def test_each_missing_program_is_named(cluster: ClusterSettings, folder: Path) -> None:
    found = list(check_cluster(site_of(replace(cluster, programs=str(folder / "programs"))), "hpc"))
    wrong = [one for one in found if not one.good]
    assert [one.what.partition(": ")[2] for one in wrong] == STEPS[9:]
    assert all(f"is not in {folder}/programs: set programs" in one.text for one in wrong[:-1])


# Host keys


def test_host_keys_are_shown_before_any_is_trusted(
    cluster: ClusterSettings, ssh: SSHSettings, server: SSHServer
) -> None:
    (shown,) = shown_keys(site_of(replace(cluster, ssh=replace(ssh, host_keys=()))), "hpc")
    assert (shown.role, shown.keys, shown.known) == ("login node", (server.host_key,), False)
    (shown,) = shown_keys(site_of(cluster), "hpc")
    assert shown.known
    (shown,) = shown_keys(site_of(replace(cluster, ssh=replace(ssh, host_keys=(NOBODY,)))), "hpc")
    assert not shown.known


def test_what_lies_behind_a_machine_is_shown_when_that_is_trusted(
    cluster: ClusterSettings, ssh: SSHSettings, server: SSHServer, other: SSHServer
) -> None:
    gate = HopSettings(host="127.0.0.1", port=other.port, user=ssh.user, host_keys=())
    behind = replace(ssh, host_keys=())

    def shown(hop: HopSettings) -> list[str]:
        wanted = replace(cluster, ssh=replace(behind, jumps=(hop,)))
        return [str(one.best) for one in shown_keys(site_of(wanted), "hpc")]

    before = other.log.count("Accepted")
    assert shown(gate) == [str(other.host_key)]
    assert other.log.count("Accepted") == before  # nobody signs in to whom nobody trusts
    pinned = replace(gate, host_keys=(str(other.host_key),))
    assert shown(pinned) == [str(other.host_key), str(server.host_key)]


def test_where_there_is_nothing_to_show_that_is_said(cluster: ClusterSettings) -> None:
    with pytest.raises(SettingsError, match="is on this host"):
        list(shown_keys(site_of(replace(cluster, ssh=None)), "hpc"))
