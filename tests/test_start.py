"""What stops a gateway before it starts, said in one line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from gateway.settings import SECRET_FILE


def command(state: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    kept = {key: text for key, text in os.environ.items() if not key.startswith("GATEWAY_")}
    return subprocess.run(
        [sys.executable, "-m", "gateway.cli", *arguments],
        env={**kept, "GATEWAY_STATE": str(state), **more},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_missing_secret_stops_each_process_with_one_line(tmp_path: Path) -> None:
    for process in ("web", "worker"):
        done = command(tmp_path / "state", process)
        assert done.returncode == 1
        assert len(done.stderr.splitlines()) == 1
        assert "bumps-gateway init" in done.stderr
        assert "GATEWAY_SECRET_KEY" in done.stderr


def test_plain_http_for_others_is_refused_before_anything_starts(tmp_path: Path) -> None:
    done = command(tmp_path / "state", "run", GATEWAY_SERVER__HOST="0.0.0.0")  # noqa: S104
    assert done.returncode == 1
    assert "https://" in done.stderr
    assert [path.name for path in (tmp_path / "state").iterdir()] == [SECRET_FILE]
