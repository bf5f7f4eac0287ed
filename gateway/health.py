"""Is this process alive, and can it do its work? For balancers and administrators."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint, Schema
from marshmallow import fields

from gateway.database import check_store, ping, schema_version
from gateway.disk import check_space
from gateway.errors import UnavailableError
from gateway.web.access import public
from gateway.web.context import gateway

bp = APIBlueprint("health", __name__, tag="health")
_Responses = dict[int | str, dict[str, str | dict[str, dict[str, Any]]]]
_NOT_READY: _Responses = {
    503: {
        "description": "something does not do its work",
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ReadySchema"}}},
    }
}


class AliveSchema(Schema):
    """What a process says that answers."""

    status = fields.String(required=True)


class ReadySchema(AliveSchema):
    """What was looked at, and what was found: ``ok``, or what is wrong."""

    checks = fields.Dict(keys=fields.String(), values=fields.String(), required=True)


@bp.get("/healthz")
@bp.output(AliveSchema)
@public
def healthz() -> dict[str, Any]:
    """Say that this process answers."""
    return {"status": "ok"}


@bp.get("/readyz")
@bp.output(ReadySchema)
@bp.doc(responses=_NOT_READY)
@public
def readyz() -> tuple[dict[str, Any], int]:
    """Say whether store, disk and reconciler do their work: 503 and what is wrong, if not."""
    services = gateway()
    checks: dict[str, str] = {}
    try:
        ping(services.redis)
        checks["store"] = "; ".join(check_store(services.redis)) or "ok"
        checks["schema"] = str(schema_version(services.redis))
        checks["reconciler"] = "ok" if services.live.pulse() else "silent"
    except UnavailableError as error:
        checks["store"] = str(error)
    free, enough = check_space(services.settings.state_directory)
    checks["disk"] = "ok" if enough else f"{free} bytes free"
    good = all(checks.get(name) == "ok" for name in ("store", "reconciler", "disk"))
    return {"status": "ok" if good else "not ready", "checks": checks}, 200 if good else 503
