"""Files over HTTP."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint
from flask import request

from gateway.datasets.blobs import read_chunks
from gateway.datasets.models import FileRef
from gateway.datasets.schemas import FileSchema, UploadQuery
from gateway.web.access import takes_bytes
from gateway.web.context import gateway, identity

bp = APIBlueprint("files", __name__, tag="files")


@bp.post("/files")
@takes_bytes("file_bytes")
@bp.input(UploadQuery, location="query", arg_name="query")
@bp.output(FileSchema, status_code=201)
def add_file(query: dict[str, Any]) -> FileRef:
    """Keep the body as a file; the same bytes again get the same digest."""
    return gateway().files.add(identity(), query["name"], read_chunks(request.stream))
