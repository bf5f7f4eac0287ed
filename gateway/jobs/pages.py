"""The pages of jobs: the list, one job with what it says and what came out, and its buttons.

Every page is whole without a script. Scripts ask for ``?part=live``, which is the part of the same
page that changes, and get 304 while it has not; for ``?part=log``, lines of a log; and for
``?part=curves``, the curves of a running fit as JSON, where no events reach them.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from apiflask import APIBlueprint
from flask import Response, jsonify, make_response, redirect, render_template, request
from flask.blueprints import BlueprintSetupState
from marshmallow import Schema, ValidationError
from werkzeug.wrappers import Response as AnyResponse

from gateway import __version__
from gateway.errors import GatewayError, InvalidError, NotFoundError
from gateway.jobs import page_words as words
from gateway.jobs.again_schema import AgainSchema, RerunSchema
from gateway.jobs.alarm import alarm_of
from gateway.jobs.asking import Again, Request
from gateway.jobs.concise import plain
from gateway.jobs.job_view import job_page, list_page, log_part
from gateway.jobs.parameter_table import FORMATS
from gateway.jobs.result_view import interval_text, read_results
from gateway.jobs.schemas import JobListQuery, JobPatchSchema, LogQuery
from gateway.jobs.service import find_attempt
from gateway.jobs.share_part import sharing_part
from gateway.texts import duration, size_text
from gateway.web.access import by_link
from gateway.web.context import gateway, identity
from gateway.web.correlation import request_id
from gateway.web.csrf import FIELD
from gateway.web.errors import field_errors
from gateway.web.etag import etag_of, with_etag
from gateway.web.headers import as_user_file
from gateway.web.idempotency import parse_key, request_hash

bp = APIBlueprint("job_pages", __name__, enable_openapi=False)
Page = str | Response | AnyResponse | tuple[str, int]

_FILTERS = {
    "ago": words.ago,
    "alarm": alarm_of,
    "duration": duration,
    "size_text": size_text,
    "plain": plain,
    "interval": interval_text,
    "ask_for": words.ask_for,
    "asked_for": words.asked_for,
    "doubt": words.doubt,
    "state_word": words.state_word,
    "verdict_word": words.verdict_word,
    "status_word": words.status_word,
}


@bp.record_once
def _add_filters(state: BlueprintSetupState) -> None:
    state.app.jinja_env.filters.update(_FILTERS)


@bp.get("/")
def start() -> Page:
    """Start at one's jobs."""
    return redirect("/jobs", code=303)


@bp.get("/jobs")
def jobs() -> Page:
    """List your jobs, newest first."""
    query = load(JobListQuery(), {key: text for key, text in request.args.items() if text})
    page = stamped(list_page(gateway(), identity(), query))
    if request.args.get("part") == "live":
        return _if_changed("jobs/_rows.html", page)
    return render_template("jobs/list.html", **page)


@bp.get("/jobs/<job_id>")
@by_link
def job(job_id: str) -> Page:
    """Show a job: how it is, what came out, what can be done with it."""
    if request.args.get("part") == "curves":
        gateway().jobs.get(identity(), job_id)
        return jsonify(gateway().live.curves(job_id))
    if request.args.get("part") == "log":
        return render_template("jobs/_log_part.html", log=_log_of(job_id))
    page = _page(job_id)
    if request.args.get("part") == "live":
        return _if_changed("jobs/_live.html", page)
    return render_template("jobs/job.html", **page)


@bp.post("/jobs/<job_id>/edit")
def edit(job_id: str) -> Page:
    """Change title, notes and tags."""
    form = request.form
    tags = [tag.strip() for tag in form.get("tags", "").split(",") if tag.strip()]
    notes = form.get("notes", "").replace("\r\n", "\n")
    changes = {"title": form.get("title", "").strip(), "notes": notes, "tags": tags}
    return do(
        job_id, lambda: gateway().jobs.edit(identity(), job_id, load(JobPatchSchema(), changes))
    )


@bp.post("/jobs/<job_id>/stop")
def stop(job_id: str) -> Page:
    """Ask a fit to stop and keep what it has."""
    return do(job_id, lambda: gateway().jobs.stop(identity(), job_id))


@bp.post("/jobs/<job_id>/cancel")
def cancel(job_id: str) -> Page:
    """Ask for the end of a job."""
    return do(job_id, lambda: gateway().jobs.cancel(identity(), job_id))


@bp.post("/jobs/<job_id>/resume")
def resume(job_id: str) -> Page:
    """Continue a fit with what it has."""
    return do(job_id, lambda: gateway().jobs.resume(_request(), job_id, _again()))


@bp.post("/jobs/<job_id>/rerun")
def rerun(job_id: str) -> Page:
    """Run a job once more from its start, or only what failed of it."""
    return do(job_id, lambda: gateway().jobs.rerun(_request(), job_id, _again(RerunSchema())))


@bp.post("/jobs/<job_id>/instead")
def ask_instead(job_id: str) -> Page:
    """Cancel a job that can never start, and show the one that is asked for in its place."""
    made: list[str] = []
    answer = do(job_id, lambda: made.append(gateway().jobs.ask_instead(_request(), job_id).id))
    return redirect(f"/jobs/{made[0]}", code=303) if made else answer


@bp.post("/jobs/<job_id>/delete")
def delete(job_id: str) -> Page:
    """Forget a job and its results."""
    return do(job_id, lambda: _delete(job_id), "/jobs")


def _delete(job_id: str) -> None:
    gateway().jobs.delete(identity(), job_id)
    gateway().accounts.audit.record(identity().user, "job.delete", job_id)


@bp.get("/jobs/<job_id>/parameters.<ending>")
@by_link
def parameters(job_id: str, ending: str) -> Page:
    """Write the table of parameters for another program."""
    found = gateway().jobs.get(identity(), job_id)
    number = request.args.get("attempt", type=int)
    attempt = find_attempt(found, number)
    if ending not in FORMATS or attempt.dataset is None:
        raise NotFoundError(f"job {job_id} has no table of parameters as {ending[:20]!r}")
    kind, write = FORMATS[ending]
    dataset = gateway().files.dataset(attempt.dataset)
    results = read_results(gateway().blobs, dataset, found.elements)
    response = Response(write(results), mimetype=kind)
    return as_user_file(response, f"{found.id}-parameters.{ending}")


@bp.get("/jobs/<job_id>/log.txt")
@by_link
def log(job_id: str) -> Page:
    """Send a log as it is, byte for byte."""
    names = ("stream", "task", "attempt")
    query = load(LogQuery(), {key: request.args[key] for key in names if key in request.args})
    found = gateway().jobs.get(identity(), job_id)
    number = find_attempt(found, query["attempt"]).number
    logs = gateway().logs
    path = logs.path(found.id, number, query["stream"], query["task"])
    size = logs.read(path, 0, 0)[2]
    _, content, _ = logs.read(path, 0, size)
    name = f"{found.id}-{number}-{query['stream']}.{query['task']}.txt"
    return as_user_file(Response(content, mimetype="text/plain"), name)


def _log_of(job_id: str) -> dict[str, Any]:
    found = gateway().jobs.get(identity(), job_id)
    attempt = find_attempt(found, request.args.get("attempt", type=int))
    return log_part(gateway(), found, attempt, request.args)


def _page(job_id: str, error: GatewayError | None = None) -> dict[str, Any]:
    services, who = gateway(), identity()
    page = stamped({**job_page(services, who, job_id, request.args), "error": error})
    if request.args.get("part") is None:
        page |= sharing_part(services, page["job"])
    return page


def stamped(page: dict[str, Any]) -> dict[str, Any]:
    """Name what a page says now: scripts replace a part of it when its stamp is another."""
    return {**page, "stamp": etag_of([__version__, page["version"]])}


def do(job_id: str, verb: Any, after: str = "") -> Page:
    """Do what a button says and go back to the page; say there what was in the way."""
    try:
        verb()
    except GatewayError as error:
        if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR or isinstance(error, NotFoundError):
            raise
        return render_template("jobs/job.html", **_page(job_id, error)), int(error.status)
    return redirect(after or f"/jobs/{job_id}", code=303)


def _again(schema: AgainSchema | None = None) -> Again:
    """Read what a form wants different: options with ``option.``, resources with ``resource.``."""
    document: dict[str, Any] = {"options": {}, "resources": {}}
    for name, text in request.form.items():
        part, dot, key = name.partition(".")
        if dot and part in ("option", "resource") and text.strip():
            document[f"{part}s"][key] = text.strip()
    if elements := request.form.get("elements"):
        document["elements"] = elements
    return Again(**load(schema or AgainSchema(), document))


def _request() -> Request:
    """Say who asks; the form carries a key, so that a double click makes one attempt."""
    form = {name: text for name, text in request.form.items() if name not in (FIELD, "key")}
    return Request(
        identity=identity(),
        correlation_id=request_id(),
        key=parse_key(request.form.get("key", "")) or "",
        request_hash=request_hash([request.path, form]),
    )


def _if_changed(template: str, page: dict[str, Any]) -> Response:
    """Send the part of a page that changes; 304 without rendering it while nothing has."""
    response = with_etag(make_response(""), page["stamp"])
    if response.status_code != HTTPStatus.NOT_MODIFIED:
        response.set_data(render_template(template, **page))
    return response


def load(schema: Schema, document: dict[str, Any]) -> Any:
    """Check what a query or a form says."""
    known = {key: value for key, value in document.items() if key != "part"}
    try:
        return schema.load(known)
    except ValidationError as error:
        raise InvalidError(list(field_errors({"form": error.messages}))) from error
