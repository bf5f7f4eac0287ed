"""The page that does one thing with many jobs: it asks where that is for good, and tells of each.

It works without a script. The form of the list carries a key, so that a double click runs no job
again twice.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

from apiflask import APIBlueprint
from flask import redirect, render_template, request
from marshmallow import ValidationError

from gateway.errors import GatewayError, InvalidError
from gateway.ids import new_id
from gateway.jobs.asking import Request
from gateway.jobs.bulk import ENDS, MOST, Bulk, Many, Verb
from gateway.jobs.bulk_schema import BulkSchema
from gateway.jobs.job_view import list_page, list_url
from gateway.jobs.listing import JobFilter, find_jobs
from gateway.jobs.models import Job
from gateway.jobs.pages import Page, load, stamped
from gateway.jobs.schemas import JobListQuery
from gateway.web.context import gateway, identity
from gateway.web.correlation import request_id
from gateway.web.errors import field_errors
from gateway.web.idempotency import parse_key

bp = APIBlueprint("job_bulk_pages", __name__, enable_openapi=False)
_NONE = "Choose jobs first: tick those that you mean, or all that were found."
_NO_VERB = "Say what to do with them: use one of the buttons."


@bp.get("/jobs/bulk")
def nothing() -> Page:
    """Lead who comes back to this address to the list."""
    return redirect("/jobs", code=303)


@bp.post("/jobs/bulk")
def bulk() -> Page:
    """Do one thing with the chosen jobs, or ask first whether that is meant."""
    form = request.form
    query, back = _query(form.get("from", ""))
    try:
        found, more = _found(query) if form.get("scope") == "found" else ([], False)
        wanted = _wanted([job.id for job in found] or form.getlist("job"))
    except GatewayError as error:
        page = {**stamped(list_page(gateway(), identity(), query)), "error": error}
        return render_template("jobs/list.html", **page), int(error.status)
    shown = {"wanted": wanted, "back": back}
    if form.get("sure") != "yes" and (wanted.verb in ENDS or found):
        jobs = gateway().job_store.get_many(wanted.jobs)
        own = [job for job in jobs if job.owner == identity().user]
        return render_template("jobs/bulk_ask.html", jobs=own, more=more, key=_key(), **shown)
    services = gateway()
    came = Bulk(services.jobs, services.accounts.audit).do(_request(), wanted)
    done = sum(one.done for one in came)
    return render_template("jobs/bulk_done.html", came=came, done=done, **shown)


def _found(query: dict[str, Any]) -> tuple[list[Job], bool]:
    """Find the jobs that the list was narrowed to; answer whether there are more than that."""
    wanted = {name: text for name, text in query.items() if name not in ("limit", "cursor")}
    of = gateway().jobs.shared.list_of(identity(), shared=wanted.pop("shared"))
    jobs, last = find_jobs(of, JobFilter(**wanted), MOST, None)
    return jobs, last is not None


def _wanted(jobs: list[str]) -> Many:
    if not jobs:
        raise InvalidError.at("/jobs", _NONE)
    if not (verb := request.form.get("verb", "")):
        raise InvalidError.at("/verb", _NO_VERB)
    document: dict[str, Any] = {"verb": verb, "jobs": list(dict.fromkeys(jobs))}
    if verb in (Verb.TAG.value, Verb.UNTAG.value):
        document["tag"] = request.form.get("label", "")
    try:
        wanted: Many = BulkSchema().load(document)
    except ValidationError as error:
        raise InvalidError(list(field_errors({"form": error.messages}))) from error
    return wanted


def _query(text: str) -> tuple[dict[str, Any], str]:
    """Read how the list was narrowed, and say where it is; what nobody narrows by is ignored."""
    known = dict(parse_qsl(text[:2000]))
    try:
        return load(JobListQuery(), known), list_url(known)
    except InvalidError:
        return load(JobListQuery(), {}), list_url({})


def _key() -> str:
    return parse_key(request.form.get("key", "")) or new_id()


def _request() -> Request:
    return Request(identity=identity(), correlation_id=request_id(), key=_key())
