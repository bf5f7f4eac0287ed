"""The page of administrators: clusters with their switch, and the queue over all users."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from apiflask import APIBlueprint
from flask import redirect, render_template, request
from marshmallow import ValidationError
from werkzeug.wrappers import Response as AnyResponse

from gateway.accounts.models import Scope
from gateway.admin.overview import QueueFilter, look_over, queue
from gateway.admin.schemas import QueueQuery, WantedDrainSchema
from gateway.admin.surveys import rules
from gateway.errors import GatewayError, InvalidError
from gateway.jobs.line import cpus_of
from gateway.web.access import needs
from gateway.web.context import gateway, identity
from gateway.web.csrf import FIELD
from gateway.web.errors import field_errors
from gateway.web.paging import make_cursor, page_of
from scheduler.base import JobState

bp = APIBlueprint("admin_pages", __name__, enable_openapi=False)

PATH = "/admin"
_STATES = tuple(state.value for state in JobState if not state.final)

Page = str | tuple[str, int] | AnyResponse


@bp.get(PATH)
@needs(Scope.ADMIN)
def overview() -> Page:
    """Show how clusters fare, and the queue."""
    return _page()


@bp.post(f"{PATH}/drain")
@needs(Scope.ADMIN)
def drain_all() -> Page:
    """Hand nothing new over to any cluster."""
    return _drain(None)


@bp.post(f"{PATH}/clusters/<cluster>/drain")
@needs(Scope.ADMIN)
def drain(cluster: str) -> Page:
    """Hand nothing new over to a cluster."""
    return _drain(cluster)


@bp.post(f"{PATH}/resume")
@needs(Scope.ADMIN)
def resume_all() -> Page:
    """Hand over to every cluster again."""
    gateway().drains.resume_all(identity().user)
    return redirect(PATH, code=303)


@bp.post(f"{PATH}/clusters/<cluster>/resume")
@needs(Scope.ADMIN)
def resume(cluster: str) -> Page:
    """Hand over to a cluster again."""
    gateway().drains.resume(cluster, identity().user)
    return redirect(f"{PATH}#{cluster}", code=303)


@bp.post(f"{PATH}/clusters/<cluster>/probe")
@needs(Scope.ADMIN)
def probe(cluster: str) -> Page:
    """Have the worker find out again what a cluster can do."""
    gateway().surveys.ask(cluster, identity().user)
    gateway().live.wake("")
    return redirect(f"{PATH}/clusters/{cluster}", code=303)


@bp.get(f"{PATH}/clusters/<cluster>")
@needs(Scope.ADMIN)
def show_cluster(cluster: str) -> Page:
    """Show what a cluster can do, what follows, and how much it is asked."""
    survey = gateway().surveys.find(cluster)
    (one,) = [one for one in look_over(gateway()).clusters if one.name == cluster]
    return render_template(
        "admin/cluster.html",
        cluster=one,
        survey=survey,
        libraries=gateway().surveys.libraries.all().get(cluster),
        rules=rules(gateway(), cluster, survey),
        settings=gateway().settings.clusters[cluster],
    )


def _drain(cluster: str | None) -> Page:
    drains, by = gateway().drains, identity().user
    try:
        reason = checked(WantedDrainSchema(), filled(request.form))["reason"]
        if cluster is None:
            drains.drain_all(reason, by)
        else:
            drains.drain(cluster, reason, by)
    except InvalidError as error:
        return _page(cluster or "*", error), HTTPStatus.UNPROCESSABLE_ENTITY
    return redirect(f"{PATH}#{cluster}" if cluster else PATH, code=303)


def _page(wrong: str = "", error: GatewayError | None = None) -> str:
    asked = filled(request.args)
    query = checked(QueueQuery(), asked)
    page = page_of(query)
    jobs, last = queue(gateway(), QueueFilter(**query), page.limit, page.after)
    chosen = {name: asked.get(name, "") for name in ("user", "state", "cluster")}
    more = {**filled(chosen), "cursor": make_cursor(last)} if last else None
    return render_template(
        "admin/overview.html",
        found=look_over(gateway()),
        surveys=gateway().surveys.all(),
        rows=[(job, cpus_of(job)) for job in jobs],
        more=f"{PATH}?{urlencode(more)}#queue" if more else None,
        chosen=chosen,
        states=_STATES,
        given=request.form,
        wrong=wrong,
        error=error,
    )


def filled(form: Any) -> dict[str, str]:
    """Give the fields that somebody filled in."""
    return {name: text for name, text in form.items() if text and name != FIELD}


def checked(schema: Any, document: dict[str, str]) -> Any:
    """Read fields by the schema of the API."""
    try:
        return schema.load(document)
    except ValidationError as error:
        raise InvalidError(list(field_errors({"form": error.messages}))) from error
