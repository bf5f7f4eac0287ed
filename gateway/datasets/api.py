"""Files over HTTP: at once, or in pieces by tus 1.0."""

from __future__ import annotations

import base64
import binascii
from http import HTTPStatus
from typing import Any

from apiflask import APIBlueprint
from flask import Response, request, url_for

from gateway.datasets.blobs import read_chunks
from gateway.datasets.models import FileRef
from gateway.datasets.schemas import FileSchema, UploadQuery, UploadSchema
from gateway.datasets.uploads import Upload, Uploads
from gateway.errors import BadRequestError, MediaTypeError, PreconditionError
from gateway.web.access import takes_bytes
from gateway.web.context import gateway, identity
from gateway.web.described import answers

bp = APIBlueprint("files", __name__, tag="files")

VERSION = "1.0.0"
_PIECE = "application/offset+octet-stream"
_NOT_TUS = (HTTPStatus.PRECONDITION_FAILED,)


@bp.post("/files")
@takes_bytes("file_bytes")
@bp.input(UploadQuery, location="query", arg_name="query")
@bp.output(FileSchema, status_code=201)
def add_file(query: dict[str, Any]) -> FileRef:
    """Keep the body as a file; the same bytes again get the same digest."""
    return gateway().files.add(identity(), query["name"], read_chunks(request.stream))


@bp.get("/files/<digest>")
@answers(HTTPStatus.NOT_FOUND)
@bp.output(FileSchema)
def get_file(digest: str) -> FileRef:
    """Say that one has this content, by its SHA-256: it need not be sent again."""
    return gateway().files.find(identity(), digest)


@bp.post("/uploads")
@takes_bytes("json_bytes")
@answers(
    HTTPStatus.CONFLICT,
    HTTPStatus.UNPROCESSABLE_ENTITY,
    *_NOT_TUS,
    headers=("Tus-Resumable", "Upload-Length", "Upload-Metadata"),
)
@bp.output(UploadSchema, status_code=201)
def start_upload() -> tuple[Upload, int, dict[str, str]]:
    """Announce a file that comes in pieces (tus 1.0): they go to the Location."""
    size, name = _number("Upload-Length"), _file_name()
    _require_tus()
    upload = _uploads().start(identity(), name, size)
    place = url_for(".get_upload", upload_id=upload.id)
    return upload, HTTPStatus.CREATED, {"Location": place, **_headers(upload)}


@bp.get("/uploads/<upload_id>")
@answers(HTTPStatus.NOT_FOUND)
@bp.output(UploadSchema)
def get_upload(upload_id: str) -> tuple[Upload, int, dict[str, str]]:
    """Say how far an upload got: HEAD answers with Upload-Offset alone."""
    upload = _uploads().get(identity(), upload_id)
    return upload, HTTPStatus.OK, _headers(upload)


@bp.patch("/uploads/<upload_id>")
@takes_bytes("file_bytes")
@answers(
    HTTPStatus.NOT_FOUND,
    HTTPStatus.CONFLICT,
    HTTPStatus.LOCKED,
    *_NOT_TUS,
    headers=("Tus-Resumable", "Upload-Offset"),
)
@bp.output({}, status_code=204)
def append_to_upload(upload_id: str) -> Response:
    """Add the next piece, from where the last one ended; the last of all makes it a file."""
    offset = _number("Upload-Offset")
    _require_tus()
    if request.mimetype != _PIECE:
        raise MediaTypeError(f"a piece of a file is {_PIECE}, not {request.mimetype[:100]!r}")
    upload = _uploads().append(identity(), upload_id, offset, read_chunks(request.stream, _BLOCK))
    return Response(status=HTTPStatus.NO_CONTENT, headers=_headers(upload))


@bp.delete("/uploads/<upload_id>")
@answers(HTTPStatus.NOT_FOUND)
@bp.output({}, status_code=204)
def drop_upload(upload_id: str) -> Response:
    """Forget an upload (tus 1.0, termination); a file that it made stays."""
    _uploads().drop(identity(), upload_id)
    return Response(status=HTTPStatus.NO_CONTENT, headers={"Tus-Resumable": VERSION})


_BLOCK = 1 << 16
"""So much is lost of a piece when its line is cut, at most."""


def _uploads() -> Uploads:
    services = gateway()
    root = services.settings.state_directory / "blobs"
    return Uploads(services.files, root, services.settings.limits)


def _headers(upload: Upload) -> dict[str, str]:
    return {
        "Tus-Resumable": VERSION,
        "Upload-Offset": str(upload.offset),
        "Upload-Length": str(upload.size),
    }


def _require_tus() -> None:
    said = request.headers.get("Tus-Resumable", "")
    if said != VERSION:
        raise PreconditionError(f"Tus-Resumable is {said[:20]!r}: this site speaks {VERSION}")


def _number(name: str) -> int:
    text = request.headers.get(name, "")
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise BadRequestError(f"{name} is {text[:30]!r}: give a number of bytes")
    return int(text)


def _file_name() -> str:
    """Read the name of a file from what tus calls metadata."""
    said = request.headers.get("Upload-Metadata", "")
    words = [(*pair.split(), "", "") for pair in said.split(",")]
    pairs = {name: value for name, value, *_ in words}
    try:
        return base64.b64decode(pairs["filename"], validate=True).decode()
    except (KeyError, binascii.Error, UnicodeDecodeError) as error:
        raise BadRequestError(
            "Upload-Metadata has no filename: send 'filename' and the name in base64"
        ) from error
