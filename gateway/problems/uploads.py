"""Files that come with a form: kept at once, so that nothing is chosen twice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO

from werkzeug.datastructures import FileStorage, MultiDict

from gateway.accounts.models import Identity
from gateway.datasets.service import Files
from gateway.errors import FieldError, InvalidError
from gateway.problems.form_filling import FormValues
from gateway.problems.form_reading import UploadedFile, read_files, write_files

_CHUNK = 1 << 20
_SINGLE = {"data_file": "data", "json_file": "json"}
_SCRIPT = "files"


def keep_uploads(
    files: Files, who: Identity, uploads: MultiDict[str, FileStorage], values: FormValues
) -> None:
    """Keep what was chosen, and write its digest where the form remembers it.

    Raises
    ------
    InvalidError
        At the field of a file that cannot be kept.
    """
    for name, prefix in _SINGLE.items():
        upload = uploads.get(name)
        if upload is not None and upload.filename:
            kept = _keep(files, who, upload, name)
            values[f"{prefix}_digest"], values[f"{prefix}_name"] = kept.digest, kept.name
            values.pop(f"{prefix}_python", None)  # it was said of another file
    added = [_keep(files, who, upload, _SCRIPT) for upload in uploads.getlist(_SCRIPT)
             if upload.filename]  # fmt: skip
    add_files(values, added)


def add_files(values: FormValues, added: list[UploadedFile]) -> None:
    """Put files beside those that are there; the same name again replaces one."""
    by_name = {file.name: file for file in (*read_files(values), *added)}
    for name in [name for name in values if name.startswith("f.")]:
        del values[name]
    values |= write_files(list(by_name.values()))


def _keep(files: Files, who: Identity, upload: FileStorage, field: str) -> UploadedFile:
    pointer = {"data_file": "/curve/file", "json_file": "/json/file"}.get(field, "/script/files")
    try:
        kept = files.add(who, upload.filename or "", _chunks(upload.stream))
    except InvalidError as error:
        raise InvalidError(
            [FieldError(pointer=pointer, detail=item.detail) for item in error.errors]
        ) from error
    return UploadedFile(name=kept.path, digest=kept.digest)


def _chunks(stream: IO[bytes]) -> Iterator[bytes]:
    while chunk := stream.read(_CHUNK):
        yield chunk
