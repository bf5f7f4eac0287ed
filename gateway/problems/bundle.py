"""Render a document to the bundle that a job gets: entry point and files by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from gateway.errors import FieldError, InvalidError, NotFoundError
from gateway.problems.curve import ResolvedCurve, axis_label, resolve
from gateway.problems.curve_script import DATA, ENTRY, data_file, model_script
from gateway.problems.models import (
    Bundle,
    CurveDocument,
    Document,
    FileRef,
    JsonDocument,
    ReadBlob,
    ScriptDocument,
)
from gateway.problems.names import clashes
from gateway.problems.selection import select
from gateway.problems.tables import read_table

JSON_ENTRY = "problem.json"


class StoredFiles(Mapping[str, bytes]):
    """Files that are kept already, by name: each is read when somebody looks at it.

    A problem has up to 200 of 100 MB each, and of most only the name matters.
    """

    def __init__(self, files: Sequence[FileRef], read_blob: ReadBlob) -> None:
        self._files = {file.name: (index, file) for index, file in enumerate(files)}
        self._read_blob = read_blob

    def __getitem__(self, name: str) -> bytes:
        """Read one."""
        index, file = self._files[name]
        return read_file(file, self._read_blob, f"/script/files/{index}")

    def __contains__(self, name: object) -> bool:
        """Whether there is one of this name; a mapping would read it to say so."""
        return name in self._files

    def __iter__(self) -> Iterator[str]:
        """Go through their names."""
        return iter(self._files)

    def __len__(self) -> int:
        """Count them."""
        return len(self._files)

    @property
    def digests(self) -> dict[str, str]:
        """Name the content of each."""
        return {name: file.digest for name, (_, file) in self._files.items()}


def render(document: Document, read_blob: ReadBlob) -> Bundle:
    """Give the files of a job; the same document and files give the same bytes.

    Raises
    ------
    InvalidError
        With every field that is wrong, a file that is not there among them; one of a script when
        it is read.
    """
    match document.content:
        case CurveDocument() as curve:
            return render_curve(resolve(curve, read_blob))
        case JsonDocument(file=file):
            files = {JSON_ENTRY: read_file(file, read_blob, "/json/file")}
            return Bundle(type="json", entry=JSON_ENTRY, files=files)
        case ScriptDocument() as script:
            stored = read_files(script.files, read_blob)
            return Bundle(type="script", entry=script.entry, files=stored, args=script.args)


def render_curve(curve: ResolvedCurve) -> Bundle:
    """Write a resolved curve as model.py and data.dat."""
    columns = curve.document.columns
    labels = [axis_label(curve.table, columns.y, "y"), axis_label(curve.table, columns.x, "x")]
    files = {
        ENTRY: model_script(curve).encode("ascii"),
        DATA: data_file(curve.data, [f"{labels[0]} over {labels[1]}"]).encode("ascii"),
    }
    return Bundle(type="script", entry=ENTRY, files=files)


def render_element(curve: CurveDocument, raw: bytes, pointer: str = "") -> bytes:
    """Write the data.dat of one element of an array: other data, read by the same columns.

    Raises
    ------
    InvalidError
        If the columns that the problem chose are not all there, or not usable, or the rows that
        the problem leaves out do not exist.
    """
    table = read_table(raw, pointer)
    return data_file(select(table, curve.columns, curve.mask, pointer)).encode("ascii")


def read_files(files: Sequence[FileRef], read_blob: ReadBlob) -> StoredFiles:
    """Give the files of a script by name; refuse names that stand for the same file."""
    if errors := clashes([file.name for file in files], "/script/files"):
        raise InvalidError(errors)
    return StoredFiles(files, read_blob)


def read_file(file: FileRef, read_blob: ReadBlob, pointer: str) -> bytes:
    """Read one file; one that is not there is an error of the field that names it."""
    try:
        return read_blob(file.digest)
    except (NotFoundError, InvalidError) as error:
        raise InvalidError([missing(file, pointer)]) from error


def missing(file: FileRef, pointer: str) -> FieldError:
    """Say that a file is not there."""
    detail = f"you have no file {file.digest[:12]}... ({file.name}): upload it first"
    return FieldError(pointer=f"{pointer}/digest", detail=detail)
