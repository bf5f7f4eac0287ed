"""Who may read a job, on its page; links to jobs; and a job of somebody else as one's own."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint
from flask import Response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from gateway.accounts.models import Scope, nobody
from gateway.accounts.rights import Right
from gateway.jobs.copied import copied
from gateway.jobs.pages import do, load
from gateway.sharing.schemas import NewShareSchema
from gateway.sharing.service import PATH
from gateway.web.access import needs, public
from gateway.web.context import gateway, identity, identity_or_none
from gateway.web.cookies import keep_link

bp = APIBlueprint("share_pages", __name__, enable_openapi=False)
Page = str | Response | AnyResponse | tuple[str, int]


@bp.post("/jobs/<job_id>/shares")
def share(job_id: str) -> Page:
    """Let a user, a group, or whoever has a link read a job."""
    return do(job_id, lambda: _share(job_id), f"/jobs/{job_id}#sharing")


@bp.post("/jobs/<job_id>/shares/<share_id>/take-back")
def take_back(job_id: str, share_id: str) -> Page:
    """Take read access back."""
    return do(job_id, lambda: _take_back(job_id, share_id), f"/jobs/{job_id}#sharing")


@bp.post("/jobs/<job_id>/leave")
def leave(job_id: str) -> Page:
    """Have a job of somebody else in one's list no more."""
    return do(job_id, lambda: gateway().jobs.shared.leave(identity(), job_id), "/jobs?shared=true")


@bp.post("/jobs/<job_id>/copy")
def copy(job_id: str) -> Page:
    """Make what a job ran with one's own, and go on to the form of a new fit."""
    made: list[str] = []
    answer = do(job_id, lambda: made.append(copied(gateway(), identity(), job_id).problem or ""))
    if not made:
        return answer
    problem = f"&problem={made[0]}" if made[0] else ""
    return redirect(f"/fits/new?from={job_id}{problem}", code=303)


@bp.get(f"{PATH}<link>")
@public
def follow(link: str) -> Page:
    """Show what a link shares; who cannot read it yet says first that they want to."""
    services, who = gateway(), identity_or_none()
    if who is None and services.sharing.links != "anyone":
        return redirect(url_for("account_pages.sign_in", next=request.path), code=303)
    share, job = services.jobs.shared.behind(link)
    if who is None:
        keep_link(link)
        services.sharing.open(nobody(share.id), share, job.owner)
    elif not services.jobs.may_read(who, job.id):
        shown = {"owner": job.owner, "title": job.title, "expires": share.expires}
        return render_template("jobs/shared_link.html", **shown)
    return redirect(f"/jobs/{job.id}", code=303)


@bp.post(f"{PATH}<link>")
@needs(Scope.READ)
def open_link(link: str) -> Page:
    """Be a reader by this link from now on."""
    return redirect(f"/jobs/{gateway().jobs.shared.open(identity(), link)}", code=303)


def _share(job_id: str) -> None:
    services, who, form = gateway(), identity(), request.form
    way = form.get("with", "")
    wanted: dict[str, Any] = {way: "true" if way == "link" else form.get(way, "").strip()}
    if days := form.get("expires_days"):
        wanted["expires_days"] = days
    thing = services.jobs.thing(who, job_id, Right.WRITE)
    services.sharing.share(who, thing, **load(NewShareSchema(), wanted))


def _take_back(job_id: str, share_id: str) -> None:
    services, who = gateway(), identity()
    services.sharing.take_back(who, services.jobs.thing(who, job_id, Right.WRITE), share_id)
