"""What a person or a program may know of the sites and the kinds of job."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from apiflask import APIBlueprint

from fitters.bumps_options import METHODS
from gateway.clusters.schemas import ClustersSchema, KindsSchema, MethodsSchema
from gateway.jobs.kinds import kinds
from gateway.web.context import gateway

bp = APIBlueprint("clusters", __name__, tag="clusters")


@bp.get("/clusters")
@bp.output(ClustersSchema)
def list_clusters() -> dict[str, Any]:
    """List the clusters with what they give to one job."""
    settings = gateway().settings
    return {
        "items": [
            {
                "name": name,
                "title": cluster.title,
                "default": name == settings.default_cluster,
                "scheduler": cluster.scheduler,
                "accounts": cluster.accounts,
                "max_time": cluster.max_time,
                "default_time": cluster.default_time,
                "max_cpus_per_job": cluster.most_cpus,
                "max_array": cluster.max_array,
                "partitions": list(cluster.partitions),
            }
            for name, cluster in settings.clusters.items()
        ]
    }


@bp.get("/kinds")
@bp.output(KindsSchema)
def list_kinds() -> dict[str, Any]:
    """List the kinds of job with their options."""
    return {
        "items": [
            {
                "name": kind.name,
                "title": kind.title,
                "shape": kind.shape,
                "output_type": kind.output_type,
                "resources": dict(kind.resources),
                "options": [asdict(option) for option in kind.options],
            }
            for kind in kinds().values()
        ]
    }


@bp.get("/methods")
@bp.output(MethodsSchema)
def list_methods() -> dict[str, Any]:
    """List the fit methods with every option, its range and its default."""
    return {
        "default": "amoeba",
        "items": [
            {
                "name": method.name,
                "title": method.title,
                "help": method.help,
                "parallel": method.parallel,
                "resumable": method.resumable,
                "options": [asdict(option) for option in method.options],
            }
            for method in METHODS.values()
            if not method.hidden
        ],
    }
