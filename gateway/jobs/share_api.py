"""Who may read a job, over HTTP; and a job of somebody else as the beginning of one's own."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from apiflask import APIBlueprint, Schema
from marshmallow import fields

from gateway.accounts.rights import Right
from gateway.jobs.copied import copied
from gateway.jobs.present import API
from gateway.records import Document
from gateway.sharing.schemas import AccessListSchema, AccessSchema, LinkSchema, NewShareSchema, told
from gateway.web.context import gateway, identity
from gateway.web.described import answers

bp = APIBlueprint("job_shares", __name__, tag="shares")


class CopySchema(Schema):
    """What makes the same job again, as one's own."""

    request = fields.Dict(required=True, metadata={"description": "the body for POST /jobs"})
    problem = fields.String(
        required=True, allow_none=True, metadata={"description": "id of the copy that was made"}
    )


class OpenedLinkSchema(Schema):
    """What a link opens."""

    job = fields.String(required=True)
    links = fields.Dict(required=True)


@bp.get("/jobs/<job_id>/shares")
@bp.output(AccessListSchema)
def list_shares(job_id: str) -> Document:
    """Say who may read a job besides its owner, since when, and when they did last."""
    services = gateway()
    thing = services.jobs.thing(identity(), job_id, Right.READ)
    return {
        "items": [told(access) for access in services.sharing.accesses(thing)],
        "groups": services.sharing.groups_for(thing),
        "links": services.sharing.links,
    }


@bp.post("/jobs/<job_id>/shares")
@bp.input(NewShareSchema, arg_name="wanted")
@bp.output(AccessSchema, status_code=201)
@answers(HTTPStatus.CONFLICT)
def share_job(job_id: str, wanted: dict[str, Any]) -> tuple[Document, int, dict[str, str]]:
    """Let a user, a group or whoever has a link read a job; the same again changes nothing."""
    services, who = gateway(), identity()
    thing = services.jobs.thing(who, job_id, Right.WRITE)
    share = services.sharing.share(who, thing, **wanted)
    place = {"Location": f"{API}/{job_id}/shares"}
    return told(services.sharing.access(share, {})), HTTPStatus.CREATED, place


@bp.delete("/jobs/<job_id>/shares/<share_id>")
@bp.output({}, status_code=204)
def take_back_share(job_id: str, share_id: str) -> str:
    """Take read access back, at once."""
    services, who = gateway(), identity()
    services.sharing.take_back(who, services.jobs.thing(who, job_id, Right.WRITE), share_id)
    return ""


@bp.post("/jobs/<job_id>/leave")
@bp.output({}, status_code=204)
@answers(HTTPStatus.NOT_FOUND)
def leave_job(job_id: str) -> str:
    """Have a job that others share with you in your list no more, until it is shared anew."""
    gateway().jobs.shared.leave(identity(), job_id)
    return ""


@bp.post("/jobs/<job_id>/copy")
@bp.output(CopySchema)
@answers(HTTPStatus.CONFLICT)
def copy_job(job_id: str) -> Document:
    """Copy the problem of a job that you may read; answer what runs the same as a job of yours."""
    made = copied(gateway(), identity(), job_id)
    return {"request": made.request, "problem": made.problem}


@bp.post("/shared")
@bp.input(LinkSchema, arg_name="given")
@bp.output(OpenedLinkSchema)
@answers(HTTPStatus.NOT_FOUND)
def open_link(given: dict[str, str]) -> Document:
    """Open a job by a link: from now on it is among those that are shared with you."""
    job_id = gateway().jobs.shared.open(identity(), given["link"])
    return {"job": job_id, "links": {"self": f"{API}/{job_id}", "page": f"/jobs/{job_id}"}}
