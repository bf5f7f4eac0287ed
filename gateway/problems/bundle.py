"""Render a document to the bundle that a job gets: entry point and files by name."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.errors import InvalidError, NotFoundError
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


def render(document: Document, read_blob: ReadBlob) -> Bundle:
    """Give the files of a job; the same document and files give the same bytes.

    Raises
    ------
    InvalidError
        With every field that is wrong, a file that is not there among them.
    """
    match document.content:
        case CurveDocument() as curve:
            return render_curve(resolve(curve, read_blob))
        case JsonDocument(file=file):
            files = {JSON_ENTRY: read_file(file, read_blob, "/json/file")}
            return Bundle(type="json", entry=JSON_ENTRY, files=files)
        case ScriptDocument() as script:
            files = read_files(script.files, read_blob)
            return Bundle(type="script", entry=script.entry, files=files, args=script.args)


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


def read_files(files: Sequence[FileRef], read_blob: ReadBlob) -> dict[str, bytes]:
    """Read the files of a script by name; refuse names that stand for the same file."""
    if errors := clashes([file.name for file in files], "/script/files"):
        raise InvalidError(errors)
    return {
        file.name: read_file(file, read_blob, f"/script/files/{index}")
        for index, file in enumerate(files)
    }


def read_file(file: FileRef, read_blob: ReadBlob, pointer: str) -> bytes:
    """Read one file; one that is not there is an error of the field that names it."""
    try:
        return read_blob(file.digest)
    except (NotFoundError, InvalidError) as error:
        detail = f"you have no file {file.digest[:12]}... ({file.name}): upload it first"
        raise InvalidError.at(f"{pointer}/digest", detail) from error
