"""Jobs over HTTP."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from http import HTTPStatus
from typing import Any

from apiflask import APIBlueprint
from flask import Response, current_app, jsonify, make_response, request

from gateway.datasets.models import Dataset
from gateway.errors import ConflictError, NotFoundError
from gateway.jobs.advice_schema import PreviewSchema
from gateway.jobs.again_schema import AgainSchema, RerunSchema
from gateway.jobs.answer import Answers
from gateway.jobs.asking import Again, Request
from gateway.jobs.bulk import Bulk, Many
from gateway.jobs.bulk_schema import BulkDoneSchema, BulkSchema
from gateway.jobs.bundle import write_bundle
from gateway.jobs.documents import result_documents
from gateway.jobs.history import told_history
from gateway.jobs.history_schema import HistorySchema
from gateway.jobs.job_stream import JobStream
from gateway.jobs.listing import JobFilter, find_jobs
from gateway.jobs.models import Job, Progress
from gateway.jobs.new_job_schema import NewJobSchema
from gateway.jobs.plan import script_sha256
from gateway.jobs.present import API, present, told_accuracy, told_earliest, told_forecast
from gateway.jobs.schemas import (
    AttemptQuery,
    JobListQuery,
    JobListSchema,
    JobPatchSchema,
    JobRequest,
    JobRequestSchema,
    JobSchema,
    JobScriptSchema,
    LogQuery,
    LogSchema,
    ResultsSchema,
)
from gateway.jobs.service import find_attempt
from gateway.records import Document
from gateway.web.access import by_link
from gateway.web.context import gateway, identity
from gateway.web.correlation import request_id
from gateway.web.described import answers
from gateway.web.downloads import send_ref
from gateway.web.etag import with_etag
from gateway.web.idempotency import REPLAYED, idempotency_key, request_hash
from gateway.web.install import STREAMS
from gateway.web.paging import page_of, paged
from gateway.web.sse import event_stream

bp = APIBlueprint("jobs", __name__, tag="jobs")
_answers = Answers()
_Responses = dict[int | str, dict[str, str | dict[str, dict[str, Any]]]]
_STREAM: _Responses = {200: {"description": "events", "content": {"text/event-stream": {}}}}
_FILE: _Responses = {
    200: {"description": "the file", "content": {"application/octet-stream": {}}},
    206: {"description": "a part of it", "content": {"application/octet-stream": {}}},
}
_NOT_YET: _Responses = {
    202: {
        "description": "it has not ended: the job as it is",
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/JobSchema"}}},
    }
}
_ZIP: _Responses = {200: {"description": "a zip file", "content": {"application/zip": {}}}}


@bp.post("/jobs/preview")
@bp.input(JobRequestSchema, arg_name="wanted")
@bp.output(PreviewSchema)
@answers(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT)
def preview_job(wanted: JobRequest) -> Document:
    """Show the script that this request would run, byte for byte; nothing is queued."""
    preview = gateway().jobs.preview(_request(wanted.raw), wanted)
    return {
        "script": preview.plan.script,
        "sha256": script_sha256(preview.plan),
        "difference": preview.difference,
        "draft": preview.draft,
        "warnings": preview.warnings,
        "tasks": preview.tasks,
        "forecast": told_forecast(preview.outlook.forecast),
        "accuracy": told_accuracy(preview.outlook.accuracy),
        "earliest": told_earliest(preview.outlook.earliest),
    }


@bp.post("/jobs")
@bp.input(JobRequestSchema, arg_name="wanted")
@bp.output(NewJobSchema, status_code=202)
@answers(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, headers=("Idempotency-Key",))
def create_job(wanted: JobRequest) -> Response:
    """Queue a job: 202, and its state is at the Location. The same key makes the same job."""
    made = gateway().jobs.submit(_request(wanted.raw), wanted)
    document, status, headers = _accepted(made.job, replayed=made.replayed)
    # As it is, like a job that is read: marshmallow would copy it field by field.
    return make_response(jsonify({**document, "warnings": list(made.warnings)}), status, headers)


@bp.get("/jobs")
@bp.input(JobListQuery, location="query", arg_name="query")
@bp.output(JobListSchema)
def list_jobs(query: dict[str, Any]) -> tuple[dict[str, Any], int, dict[str, str]]:
    """List your jobs, newest first, or with ``shared`` those that others share with you."""
    page = page_of(query)
    services = gateway()
    of = services.jobs.shared.list_of(identity(), shared=query.pop("shared"))
    jobs, last = find_jobs(of, JobFilter(**query), page.limit, page.after)
    steps = services.live.progress_many([job.id for job in jobs])
    body, status, headers = paged([_document(job, steps.get(job.id)) for job in jobs], last)
    body["total"] = of.count()
    return body, status, headers


@bp.post("/jobs/bulk")
@bp.input(BulkSchema, arg_name="wanted")
@bp.output(BulkDoneSchema)
@answers(headers=("Idempotency-Key",))
def change_many(wanted: Many) -> Document:
    """Do one thing with up to 200 jobs, and say for each what came of it."""
    services = gateway()
    came = Bulk(services.jobs, services.accounts.audit).do(_request(["bulk"]), wanted)
    return {"done": sum(one.done for one in came), "items": [asdict(one) for one in came]}


@bp.get("/jobs/<job_id>")
@bp.output(JobSchema)
@answers(HTTPStatus.NOT_MODIFIED, headers=("If-None-Match",))
@by_link
def get_job(job_id: str) -> Any:
    """Say how a job is; 304 when nothing has changed since the ETag."""
    job = gateway().jobs.get(identity(), job_id)
    answer = _answers.to(job, _progress(job), gateway().settings.clusters.get(job.cluster))
    return with_etag(Response(answer.at_this_age(), mimetype="application/json"), answer.etag)


@bp.patch("/jobs/<job_id>")
@bp.input(JobPatchSchema, arg_name="changes")
@bp.output(JobSchema)
@answers(HTTPStatus.CONFLICT)
def edit_job(job_id: str, changes: dict[str, Any]) -> Document:
    """Change title, notes or tags."""
    return _present(gateway().jobs.edit(identity(), job_id, changes))


@bp.delete("/jobs/<job_id>")
@bp.output({}, status_code=204)
@answers(HTTPStatus.CONFLICT)
def delete_job(job_id: str) -> str:
    """Forget a job that has ended, with its results."""
    gateway().jobs.delete(identity(), job_id)
    gateway().accounts.audit.record(identity().user, "job.delete", job_id)
    return ""


@bp.post("/jobs/<job_id>/cancel")
@bp.output(JobSchema, status_code=202)
@answers(HTTPStatus.CONFLICT)
def cancel_job(job_id: str) -> tuple[Document, int, dict[str, str]]:
    """Ask for the end of a job; CANCELLED only when its scheduler says so."""
    return _accepted(gateway().jobs.cancel(identity(), job_id))


@bp.post("/jobs/<job_id>/stop")
@bp.output(JobSchema, status_code=202)
@answers(HTTPStatus.CONFLICT)
def stop_job(job_id: str) -> tuple[Document, int, dict[str, str]]:
    """Ask a fit to stop early and keep its result."""
    return _accepted(gateway().jobs.stop(identity(), job_id))


@bp.post("/jobs/<job_id>/resume")
@bp.input(AgainSchema, arg_name="change")
@bp.output(JobSchema, status_code=202)
@answers(HTTPStatus.CONFLICT, headers=("Idempotency-Key",))
def resume_job(job_id: str, change: dict[str, Any]) -> tuple[Document, int, dict[str, str]]:
    """Continue a fit with what it has: more samples, more time."""
    return _accepted(gateway().jobs.resume(_request([job_id, "resume"]), job_id, Again(**change)))


@bp.post("/jobs/<job_id>/rerun")
@bp.input(RerunSchema, arg_name="change")
@bp.output(JobSchema, status_code=202)
@answers(HTTPStatus.CONFLICT, headers=("Idempotency-Key",))
def rerun_job(job_id: str, change: dict[str, Any]) -> tuple[Document, int, dict[str, str]]:
    """Run a job that has ended once more from its start, or only what failed of an array."""
    return _accepted(gateway().jobs.rerun(_request([job_id, "rerun"]), job_id, Again(**change)))


@bp.post("/jobs/<job_id>/instead")
@bp.output(JobSchema, status_code=202)
@answers(HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY)
def ask_instead(job_id: str) -> tuple[Document, int, dict[str, str]]:
    """Cancel a job that can never start and ask for what its alarm proposes: one job, ever."""
    return _accepted(gateway().jobs.ask_instead(_request([job_id, "instead"]), job_id))


@bp.get("/jobs/<job_id>/history")
@bp.output(HistorySchema)
@by_link
def get_history(job_id: str) -> Document:
    """Tell what happened to a job, newest first, with who says so."""
    return told_history(gateway().jobs.get(identity(), job_id))


@bp.get("/jobs/<job_id>/script")
@bp.output(JobScriptSchema)
@by_link
def get_script(job_id: str) -> Document:
    """Show what was, or will be, submitted."""
    job = gateway().jobs.get(identity(), job_id)
    plan = gateway().jobs.plan(job)
    return {
        "script": plan.script,
        "sha256": script_sha256(plan),
        "job": plan.job,
        "attempt": job.attempt.number,
    }


@bp.get("/jobs/<job_id>/log")
@bp.input(LogQuery, location="query", arg_name="query")
@bp.output(LogSchema)
@by_link
def get_log(job_id: str, query: dict[str, Any]) -> Document:
    """Read a part of a log, by offset in bytes; a negative one counts from the end."""
    job = gateway().jobs.get(identity(), job_id)
    number = find_attempt(job, query["attempt"]).number
    logs = gateway().logs
    path = logs.path(job.id, number, query["stream"], query["task"])
    offset, content, size = logs.read(path, query["offset"], query["limit"])
    return {
        "stream": query["stream"],
        "task": query["task"],
        "attempt": number,
        "offset": offset,
        "next_offset": offset + len(content),
        "size": size,
        "text": content.decode("utf-8", "replace"),
        "cut": logs.is_cut(path),
    }


@bp.get("/jobs/<job_id>/events")
@bp.doc(responses=_STREAM)
@answers(headers=("Last-Event-ID",))
@by_link
def stream_events(job_id: str) -> Response:
    """Follow a job live (SSE); Last-Event-ID goes on from there."""
    who, services = identity(), gateway()
    services.jobs.get(who, job_id)
    state = JobStream(services, who, job_id)
    may_read = partial(services.jobs.may_read, who, job_id)
    return event_stream(current_app.extensions[STREAMS], who.reader, state.read, may_read)


@bp.get("/jobs/<job_id>/results")
@bp.output(ResultsSchema)
@bp.doc(responses=_NOT_YET)
@by_link
def get_results(job_id: str) -> Any:
    """Read what came out: 202 while nothing has."""
    job = gateway().jobs.get(identity(), job_id)
    dataset = _dataset(job)
    if dataset is None:
        if not job.final:
            document, status, headers = _accepted(job)
            return make_response(jsonify(document), status, headers)
        raise NotFoundError(f"job {job_id} left no results: {job.attempt.reason_text}")
    return _results(job, dataset)


@bp.get("/jobs/<job_id>/files/<path:path>")
@bp.input(AttemptQuery, location="query", arg_name="query")
@bp.doc(responses=_FILE)
@answers(HTTPStatus.NOT_MODIFIED, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, headers=("Range",))
@by_link
def get_file(job_id: str, path: str, query: dict[str, Any]) -> Response:
    """Send one result file, as an attachment; ranges and digests as in RFC 9110 and RFC 9530."""
    job = gateway().jobs.get(identity(), job_id)
    dataset = _dataset(job, query["attempt"])
    ref = dataset.file(path) if dataset else None
    if ref is None:
        raise NotFoundError(f"job {job_id} left no file {path[:100]!r}")
    return send_ref(gateway().files, ref)


@bp.get("/jobs/<job_id>/bundle.zip")
@bp.doc(responses=_ZIP)
@answers(HTTPStatus.CONFLICT)
@by_link
def get_bundle(job_id: str) -> Response:
    """Send everything that is needed to do it again, as one zip file."""
    job = gateway().jobs.get(identity(), job_id)
    dataset = _dataset(job)
    if dataset is None:
        raise ConflictError(f"job {job_id} has no results yet: {job.attempt.reason_text}")
    response = Response(
        write_bundle(gateway().blobs, job, gateway().jobs.plan(job), dataset),
        mimetype="application/zip",
    )
    response.headers["Content-Disposition"] = f'attachment; filename="{job.id}.zip"'
    return response


def _request(content: Any) -> Request:
    """Say who asks, with which key, in which trail."""
    body = request.get_json(silent=True) if isinstance(content, list) else None
    return Request(
        identity=identity(),
        correlation_id=request_id(),
        key=idempotency_key() or "",
        request_hash=request_hash([request.path, content, body]),
    )


def _present(job: Job) -> Document:
    return _document(job, _progress(job))


def _progress(job: Job) -> Progress | None:
    """Read how far a job has got; nobody has worked yet on one that was just accepted."""
    return gateway().live.progress(job.id) if job.version else None


def _document(job: Job, progress: Progress | None) -> Document:
    return present(job, progress, gateway().settings.clusters.get(job.cluster))


def _accepted(job: Job, *, replayed: bool = False) -> tuple[Document, int, dict[str, str]]:
    headers = {"Location": f"{API}/{job.id}"}
    if replayed:
        headers[REPLAYED] = "true"
    if not job.final:
        headers["Retry-After"] = "2"
    return _present(job), 202, headers


def _dataset(job: Job, attempt: int | None = None) -> Dataset | None:
    """Find what an attempt left; None asks for the last one."""
    found = find_attempt(job, attempt).dataset
    return None if found is None else gateway().files.dataset(found)


def _results(job: Job, dataset: Dataset) -> Document:
    return {
        "job": job.id,
        "attempt": job.attempt.number,
        "state": job.attempt.state.value,
        "type": dataset.type,
        "complete": dataset.complete,
        "results": list(result_documents(gateway().blobs, dataset.files)),
        "files": [
            {
                "path": ref.path,
                "size": ref.size,
                "digest": ref.digest,
                "href": f"{API}/{job.id}/files/{ref.path}",
            }
            for ref in dataset.files
        ],
        "links": {"bundle": f"{API}/{job.id}/bundle.zip", "job": f"{API}/{job.id}"},
    }
