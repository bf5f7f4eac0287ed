"""The small job by which an administrator tries a site: what it finds, and what it leaves."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.clusters.settings import ClusterSettings
from gateway.reach.trial import Trial
from scheduler.base import SchedulerError
from scheduler.look import look
from tests.scheduler.site import LocalSite, open_local, sleeper

NAKED = "/usr/bin/python3"
"""A Python without bumps."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalSite]:
    folder = tmp_path_factory.mktemp("trial")
    with open_local(folder, cpus=1, sandbox="none", kill_wait_s=1.0) as site:
        yield site


@pytest.fixture
def trial(site: LocalSite) -> Trial:
    cluster = ClusterSettings(scheduler="slurm", base=str(site.base), python=sys.executable)
    return Trial(slurm=site.scheduler, cluster=cluster, base=cluster.base, wait_s=60)


def left(site: LocalSite) -> list[Path]:
    return list(site.base.glob("doctor-*"))


def test_it_tells_what_fits_will_find_there_and_leaves_nothing(
    trial: Trial, site: LocalSite
) -> None:
    said = trial.run()
    assert said.startswith("ran on ")
    assert f"python {sys.version.split()[0]}, bumps " in said
    assert "h5py " in said
    assert left(site) == []


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"python": NAKED}, "No module named 'bumps'"),
        ({"python": "/nowhere/python"}, "status 127: "),
        ({"prolog": ("echo no such module >&2; exit 3",)}, "status 3: no such module; see python"),
    ],
)
def test_what_keeps_fits_from_running_is_said_with_what_to_mend(
    trial: Trial, site: LocalSite, settings: dict[str, object], words: str
) -> None:
    wrong = replace(trial, cluster=replace(trial.cluster, **settings))  # type: ignore[arg-type]  # any of its fields
    with pytest.raises(SchedulerError) as told:
        wrong.run()
    assert words in str(told.value)
    assert "prolog" in str(told.value)
    assert left(site) == []


def test_a_base_where_no_claim_can_be_taken_is_found_before_any_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert look(str(tmp_path))["trouble"] == ""

    def refused(*_: str) -> None:  # as vfat does, which no test can mount everywhere
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr("os.link", refused)
    assert "no hard link can be made there (Operation not permitted)" in str(
        look(str(tmp_path))["trouble"]
    )
    assert list(tmp_path.iterdir()) == []


def test_one_that_does_not_get_its_turn_is_cancelled(trial: Trial, site: LocalSite) -> None:
    busy = site.stage(sleeper(600))
    native_id = site.submit(busy)
    site.runs(busy, native_id)
    try:
        with pytest.raises(SchedulerError, match=r"and was cancelled: .*; give --wait more"):
            replace(trial, wait_s=1.5).run()
    finally:
        site.wake(busy)
    assert site.end_of(native_id).state.final
    assert left(site) == []
