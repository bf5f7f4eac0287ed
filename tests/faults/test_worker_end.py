"""A worker that is told to end does so at once, whatever its queue worker is at."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import redis as redis_client

from scheduler.processes import children
from tests.helpers import eventually

LIMIT_S = 5.0


@pytest.fixture
def environment(tmp_path: Path, redis_server: Path) -> dict[str, str]:
    """A state directory, and a store that another process runs."""
    own = {key: text for key, text in os.environ.items() if not key.startswith("GATEWAY_")}
    own |= {
        "GATEWAY_STATE": str(tmp_path / "state"),
        "GATEWAY_REDIS_URL": f"unix://{redis_server}",
        "GATEWAY_WORKER__TICK_S": "0.1",
        "GATEWAY_WORKER__IDLE_TICK_S": "60",  # it must not sleep this out
    }
    subprocess.run(
        [sys.executable, "-m", "gateway.cli", "init"], env=own, check=True, capture_output=True
    )
    return own


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_told_to_stop_right_after_its_start_ends(
    environment: dict[str, str], number: signal.Signals
) -> None:
    worker = subprocess.Popen([sys.executable, "-m", "gateway.cli", "worker"], env=environment)
    try:
        queue = eventually(lambda: children(worker.pid), every_s=0.001, what="its queue worker")
        worker.send_signal(number)
        assert worker.wait(timeout=LIMIT_S) == 0
        assert not any(Path(f"/proc/{pid}").exists() for pid in queue)
    finally:
        worker.kill()
        worker.wait()


def test_a_resting_worker_ends_at_once_and_waits_for_no_queue_worker(
    environment: dict[str, str], redis: redis_client.Redis
) -> None:
    worker = subprocess.Popen([sys.executable, "-m", "gateway.cli", "worker"], env=environment)
    try:
        (queue,) = eventually(lambda: children(worker.pid), what="its queue worker")
        eventually(lambda: redis.exists("jobs:pulse"), what="the end of its first round")
        os.kill(queue, signal.SIGSTOP)
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(timeout=LIMIT_S) == 0
        assert not Path(f"/proc/{queue}").exists()
    finally:
        worker.kill()
        worker.wait()
