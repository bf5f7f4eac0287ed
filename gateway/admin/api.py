"""What programs of administrators may ask of all users' work, and tell."""

from __future__ import annotations

from http import HTTPStatus

from apiflask import APIBlueprint

from gateway.accounts.models import Scope
from gateway.admin.schemas import DrainSchema, WantedDrainSchema
from gateway.clusters.models import Drain
from gateway.web.access import needs
from gateway.web.context import gateway, identity
from gateway.web.described import answers

bp = APIBlueprint("admin", __name__, tag="admin")


@bp.put("/admin/clusters/<cluster>/drain")
@bp.input(WantedDrainSchema, arg_name="wanted")
@bp.output(DrainSchema)
@needs(Scope.ADMIN)
@answers(HTTPStatus.NOT_FOUND)
def drain_cluster(cluster: str, wanted: dict[str, str]) -> Drain:
    """Hand nothing new over to a cluster: jobs wait in the gateway, running ones go on."""
    return gateway().drains.drain(cluster, wanted["reason"], identity().user)


@bp.delete("/admin/clusters/<cluster>/drain")
@bp.output({}, status_code=204)
@needs(Scope.ADMIN)
@answers(HTTPStatus.NOT_FOUND)
def resume_cluster(cluster: str) -> tuple[str, int]:
    """Hand over to a cluster again, beginning with what waits."""
    gateway().drains.resume(cluster, identity().user)
    return "", 204


@bp.put("/admin/drain")
@bp.input(WantedDrainSchema, arg_name="wanted")
@bp.output({}, status_code=204)
@needs(Scope.ADMIN)
def drain_all(wanted: dict[str, str]) -> tuple[str, int]:
    """Hand nothing new over to any cluster."""
    gateway().drains.drain_all(wanted["reason"], identity().user)
    return "", 204


@bp.delete("/admin/drain")
@bp.output({}, status_code=204)
@needs(Scope.ADMIN)
def resume_all() -> tuple[str, int]:
    """Hand over to every cluster again."""
    gateway().drains.resume_all(identity().user)
    return "", 204
