"""What the doctor finds of the parts that a site cannot do without."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import redis as redis_client

from gateway.database import upgrade
from gateway.doctor import examine
from gateway.findings import Finding
from gateway.jobs.live_store import LiveStore
from gateway.settings import Settings, load_settings


def findings(settings: Settings) -> dict[str, Finding]:
    """Look as the doctor does, but not at the clusters."""
    return {finding.what: finding for finding in islice(examine(settings), 6)}


def test_a_worker_that_gives_no_sign_of_life_is_found(
    redis_server: Path, redis: redis_client.Redis, tmp_path: Path
) -> None:
    upgrade(redis)
    (tmp_path / "state").mkdir(mode=0o700)
    names = {"GATEWAY_STATE": tmp_path / "state", "GATEWAY_REDIS_URL": f"unix://{redis_server}"}
    settings = load_settings({name: str(text) for name, text in names.items()}, with_secret=False)

    silent = findings(settings)
    LiveStore(redis, 600).beat(60)
    lively = findings(settings)

    assert not silent["worker"].good
    assert "start 'bumps-gateway worker'" in silent["worker"].text
    assert lively["worker"].good, lively["worker"].line
    assert silent["disk"].good == lively["disk"].good
    assert " free at " in silent["disk"].text


def test_a_store_that_is_away_is_named_once_with_what_to_start(tmp_path: Path) -> None:
    names = {"GATEWAY_STATE": str(tmp_path), "GATEWAY_REDIS_URL": f"unix://:word@{tmp_path}/none"}
    found = list(islice(examine(load_settings(names, with_secret=False)), 5))
    wrong = {one.what: one.text for one in found if not one.good}
    assert list(wrong) == ["store"], wrong
    assert f"nothing answers at unix://{tmp_path}/none" in wrong["store"]
    assert "start 'bumps-gateway run'" in wrong["store"]
    assert "word" not in wrong["store"]
