"""What a person or a program may know of the sites, and one's own accounts there."""

from __future__ import annotations

from dataclasses import asdict
from http import HTTPStatus
from typing import Any

from apiflask import APIBlueprint

from fitters.bumps_options import METHODS
from gateway.clusters.models import ClusterAccount, Survey
from gateway.clusters.schemas import (
    ClusterAccountSchema,
    ClustersSchema,
    KindsSchema,
    MethodsSchema,
    WantedAccountSchema,
    WhoseSchema,
)
from gateway.clusters.service import WantedAccount, authorized_keys
from gateway.clusters.shared import shared_account_note
from gateway.jobs.kinds import kinds
from gateway.web.context import gateway, identity
from gateway.web.described import answers

bp = APIBlueprint("clusters", __name__, tag="clusters")


@bp.get("/clusters")
@bp.output(ClustersSchema)
def list_clusters() -> dict[str, Any]:
    """List the clusters with what they give to one job."""
    settings = gateway().settings
    own = gateway().cluster_accounts.logins(identity().user)
    drained = gateway().drains.notes()
    surveys, libraries = gateway().surveys.all(), gateway().surveys.libraries.all()
    return {
        "items": [
            {
                "name": name,
                "title": cluster.title,
                "default": name == settings.default_cluster,
                "scheduler": cluster.scheduler,
                "accounts": cluster.accounts,
                "trust_group": bool(shared_account_note(cluster)),
                "login": own.get(name),
                "max_time": cluster.max_time,
                "default_time": cluster.default_time,
                "max_cpus_per_job": cluster.most_cpus,
                "max_array": cluster.max_array,
                "partitions": list(cluster.partitions),
                "drained": drained.get(name, ""),
                "version": _version(surveys.get(name)),
                "libraries": libraries.get(name),
            }
            for name, cluster in settings.clusters.items()
        ]
    }


def _version(survey: Survey | None) -> str | None:
    return survey.found.version if survey and survey.found else None


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


@bp.get("/clusters/<cluster>/account")
@bp.input(WhoseSchema, location="query", arg_name="whose")
@bp.output(ClusterAccountSchema)
@answers(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT)
def get_account(cluster: str, whose: dict[str, str]) -> dict[str, Any]:
    """Read one's account on a cluster, with the line for ``authorized_keys``."""
    asks = identity()
    account = gateway().cluster_accounts.get(asks, cluster, whose["user"] or asks.user)
    return present(account)


@bp.put("/clusters/<cluster>/account")
@bp.input(WantedAccountSchema, arg_name="wanted")
@bp.input(WhoseSchema, location="query", arg_name="whose")
@bp.output(ClusterAccountSchema)
@answers(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT)
def put_account(cluster: str, wanted: dict[str, Any], whose: dict[str, str]) -> dict[str, Any]:
    """Register one's account on a cluster; the same again changes nothing."""
    asks = identity()
    user = _user(cluster, whose)
    made = WantedAccount(**wanted)
    return present(gateway().cluster_accounts.register(cluster, user, made, asks.user))


@bp.delete("/clusters/<cluster>/account")
@bp.input(WhoseSchema, location="query", arg_name="whose")
@bp.output({}, status_code=204)
@answers(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT)
def delete_account(cluster: str, whose: dict[str, str]) -> tuple[str, int]:
    """Forget one's account on a cluster; jobs that have not ended are held until it is back."""
    gateway().cluster_accounts.remove(cluster, _user(cluster, whose), identity().user)
    return "", 204


def present(account: ClusterAccount) -> dict[str, Any]:
    """Write an account for its reader: all but the key."""
    settings = gateway().settings.clusters[account.cluster]
    return {
        "cluster": account.cluster,
        "user": account.user,
        "login": account.login,
        "source": account.source,
        "public_key": account.public_key,
        "fingerprint": account.fingerprint,
        "certificate_file": account.certificate_file,
        "added": account.added,
        "authorized_keys": [
            {"host": host, "line": line} for host, line in authorized_keys(account, settings)
        ],
    }


def _user(cluster: str, whose: dict[str, str]) -> str:
    """Say whose account is to be changed: a stranger's is not there."""
    asks = identity()
    user = whose["user"] or asks.user
    gateway().cluster_accounts.may_have(asks, cluster, user)
    if user != asks.user:
        gateway().accounts.user(user)
    return user
