"""Whether a site keeps accounts of ended jobs: where it does not, nobody waits for their word."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from scheduler.base import SchedulerUnavailableError
from scheduler.shell import LocalShell
from scheduler.slurm import Slurm, SlurmConfig


@pytest.mark.parametrize(
    ("programs", "kind", "keeps"),
    [
        ({"sacct": "/usr/bin/sacct"}, "accounting_storage/slurmdbd", True),
        ({"sacct": "/usr/bin/sacct"}, "accounting_storage/none", False),
        ({"sacct": "/usr/bin/sacct"}, "(null)", False),
        ({}, "accounting_storage/slurmdbd", False),
    ],
)
def test_slurm_says_once_whether_it_keeps_accounts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, programs: dict[str, str], kind: str, *,
    keeps: bool,
) -> None:  # fmt: skip
    slurm = Slurm(LocalShell(), SlurmConfig(base=str(tmp_path)))
    hello: dict[str, Any] = {"programs": programs}
    asked: list[str] = []

    def config() -> dict[str, str]:
        asked.append("config")
        if len(asked) == 1:
            raise SchedulerUnavailableError("hpc: no controller is up")
        return {"AccountingStorageType": kind}

    monkeypatch.setattr(slurm._link, "open", lambda: hello)
    monkeypatch.setattr(slurm._calls, "config", config)
    if programs:
        assert slurm.keeps_accounts(), "nobody knows, and it is asked again"
    assert [slurm.keeps_accounts() for _ in range(3)] == [keeps] * 3
    assert len(asked) == (2 if programs else 0)
