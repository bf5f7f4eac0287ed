"""Problems over HTTP."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from apiflask import APIBlueprint
from flask import Response, jsonify, request

from gateway.datasets.zipped import write_zip
from gateway.problems.answer_schemas import (
    CurvePreviewSchema,
    FoundSchema,
    FunctionsSchema,
    ProblemListSchema,
    ProblemVersionsSchema,
    TableSchema,
)
from gateway.problems.curve import preview, resolve
from gateway.problems.models import CurveDocument, Document, FileRef
from gateway.problems.present import (
    present,
    present_functions,
    present_item,
    present_table,
    present_version,
)
from gateway.problems.schemas import (
    CloneSchema,
    ColumnsRequestSchema,
    PreviewRequestSchema,
    ProblemListQuery,
    ProblemSchema,
    VersionQuery,
)
from gateway.problems.service import data_reader
from gateway.problems.tables import read_table
from gateway.web.context import gateway, identity
from gateway.web.described import answers
from gateway.web.etag import etag_of, require_match, with_etag
from gateway.web.idempotency import idempotency_key, request_hash
from gateway.web.paging import page_of, paged

bp = APIBlueprint("problems", __name__, tag="problems")
_Responses = dict[int | str, dict[str, str | dict[str, dict[str, Any]]]]
_ZIP: _Responses = {200: {"description": "a zip file", "content": {"application/zip": {}}}}


@bp.get("/functions")
@bp.output(FunctionsSchema)
def list_functions() -> dict[str, Any]:
    """List the curve functions, with their formulas and parameters."""
    return present_functions()


@bp.post("/problems/columns")
@bp.input(ColumnsRequestSchema, arg_name="wanted")
@bp.output(TableSchema)
def look_at_columns(wanted: dict[str, Any]) -> dict[str, Any]:
    """Say what is read of a text or file with columns, and what was odd about it."""
    return present_table(read_table(_data(wanted["data"]), "/data"))


@bp.post("/problems/curve/preview")
@bp.input(PreviewRequestSchema, arg_name="wanted")
@bp.output(CurvePreviewSchema)
def preview_curve(wanted: dict[str, CurveDocument]) -> dict[str, Any]:
    """Give what a browser draws of a curve: data and start curve, at most 500 points.

    Parameters that a library function lacks are guessed from the data, and answered complete.
    """
    curve = resolve(wanted["curve"], data_reader(gateway().files, identity().user))
    shown = preview(curve)
    shown["parameters"] = [
        {
            "name": item.name,
            "value": item.value,
            "fit": item.fit,
            "bounds": None if item.bounds is None else list(item.bounds),
            "prior": None if item.prior is None else vars(item.prior),
            "tie": item.tie,
        }
        for item in curve.document.parameters
    ]
    return shown


@bp.post("/problems")
@bp.input(ProblemSchema, arg_name="document")
@bp.output(FoundSchema, status_code=201)
@answers(HTTPStatus.CONFLICT, headers=("Idempotency-Key",))
def create_problem(document: Document) -> tuple[dict[str, Any], int, dict[str, str]]:
    """Keep a problem: 201 and its Location."""
    hashed = request_hash([request.path, request.get_json()])
    found = gateway().problems.create(identity(), document, idempotency_key() or "", hashed)
    return present(found), 201, {"Location": f"/api/v1/problems/{found.problem.id}"}


@bp.get("/problems")
@bp.input(ProblemListQuery, location="query", arg_name="query")
@bp.output(ProblemListSchema)
def list_problems(query: dict[str, Any]) -> tuple[dict[str, Any], int, dict[str, str]]:
    """List your problems, newest first."""
    page = page_of(query)
    found, last = gateway().problems.find(identity(), query["q"], page.limit, page.after)
    return paged([present_item(problem) for problem in found], last)


@bp.get("/problems/<problem_id>")
@bp.input(VersionQuery, location="query", arg_name="query")
@bp.output(FoundSchema)
@answers(HTTPStatus.NOT_MODIFIED, headers=("If-None-Match",))
def get_problem(problem_id: str, query: dict[str, Any]) -> Any:
    """Read a problem: its newest version, or ``?version=``."""
    found = gateway().problems.get(identity(), problem_id, query["version"])
    document = present(found)
    return with_etag(jsonify(document), etag_of(document))


@bp.put("/problems/<problem_id>")
@bp.input(ProblemSchema, arg_name="document")
@bp.output(FoundSchema)
@answers(
    HTTPStatus.CONFLICT,
    HTTPStatus.PRECONDITION_FAILED,
    HTTPStatus.PRECONDITION_REQUIRED,
    headers=("If-Match",),
)
def edit_problem(problem_id: str, document: Document) -> dict[str, Any]:
    """Edit a problem (If-Match): new content is a new version; jobs keep the one they used."""
    now = gateway().problems.get(identity(), problem_id)
    require_match(etag_of(present(now)))
    return present(gateway().problems.update(identity(), problem_id, document, now.problem.version))


@bp.delete("/problems/<problem_id>")
@bp.output({}, status_code=204)
def delete_problem(problem_id: str) -> str:
    """Forget a problem; jobs keep what they ran with."""
    gateway().problems.delete(identity(), problem_id)
    return ""


@bp.post("/problems/<problem_id>/clone")
@bp.input(CloneSchema, arg_name="wanted")
@bp.output(FoundSchema, status_code=201)
def clone_problem(
    problem_id: str, wanted: dict[str, Any]
) -> tuple[dict[str, Any], int, dict[str, str]]:
    """Copy a problem into a new one."""
    found = gateway().problems.clone(identity(), problem_id, wanted["name"])
    return present(found), 201, {"Location": f"/api/v1/problems/{found.problem.id}"}


@bp.get("/problems/<problem_id>/versions")
@bp.output(ProblemVersionsSchema)
def list_versions(problem_id: str) -> dict[str, Any]:
    """List the versions, the newest first."""
    versions = gateway().problems.versions(identity(), problem_id)
    return {"items": [present_version(kept) for kept in versions]}


@bp.get("/problems/<problem_id>/export.zip")
@bp.input(VersionQuery, location="query", arg_name="query")
@bp.doc(responses=_ZIP)
def export_problem(problem_id: str, query: dict[str, Any]) -> Response:
    """Send model and data: plain ``bumps model.py`` runs them to the same chi-square."""
    found = gateway().problems.get(identity(), problem_id, query["version"])
    files = found.kept.bundle.files
    response = Response(write_zip(gateway().blobs, files), mimetype="application/zip")
    name = f"{found.problem.id}-{found.kept.version.number}.zip"
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def _data(data: FileRef | str) -> str | bytes:
    if isinstance(data, str):
        return data
    return gateway().files.read(identity().user, data.digest, "/data/digest")
