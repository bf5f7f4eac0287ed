"""Is this process alive, and can it do its work? For balancers and administrators."""

from __future__ import annotations

import os
from typing import Any

from apiflask import APIBlueprint

from gateway.database import check_store, ping, schema_version
from gateway.errors import UnavailableError
from gateway.web.access import public
from gateway.web.context import gateway

bp = APIBlueprint("health", __name__, tag="health")


@bp.get("/healthz")
@public
def healthz() -> dict[str, Any]:
    """Say that this process answers."""
    return {"status": "ok"}


@bp.get("/readyz")
@public
def readyz() -> tuple[dict[str, Any], int]:
    """Say whether store, disk and reconciler do their work: 503 and what is wrong, if not."""
    services = gateway()
    checks: dict[str, str] = {}
    try:
        ping(services.redis)
        checks["store"] = "; ".join(check_store(services.redis)) or "ok"
        checks["schema"] = str(schema_version(services.redis))
        checks["reconciler"] = "ok" if services.job_store.pulse() else "silent"
    except UnavailableError as error:
        checks["store"] = str(error)
    disk = os.statvfs(services.settings.state_directory)
    free = disk.f_bavail * disk.f_frsize
    checks["disk"] = "ok" if disk.f_bavail > disk.f_blocks * 0.02 else f"{free} bytes free"
    good = all(checks.get(name) == "ok" for name in ("store", "reconciler", "disk"))
    return {"status": "ok" if good else "not ready", "checks": checks}, 200 if good else 503
