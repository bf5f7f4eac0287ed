"""Look at a problem of any of the three types: what it renders to, and what is known of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from gateway.errors import InvalidError, NotFoundError, TooLargeError
from gateway.problems import curve_script
from gateway.problems.curve import chisq, resolve
from gateway.problems.models import (
    Bundle,
    CurveDocument,
    Document,
    FileRef,
    JsonDocument,
    ReadBlob,
    ScriptDocument,
)
from gateway.settings import LimitSettings

Classification = Literal["data-only", "code-bearing"]


@dataclass(frozen=True, kw_only=True)
class Examined:
    """What is known of a problem without running any of it."""

    bundle: Bundle
    classification: Classification
    warnings: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    """Of the fitted parameters, where they are known."""

    n_parameters: int | None = None
    n_points: int | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


def examine(document: Document, read_blob: ReadBlob, limits: LimitSettings) -> Examined:
    """Check a problem and render it to what a job runs.

    Raises
    ------
    InvalidError
        With every field that is wrong.
    """
    match document.content:
        case CurveDocument() as curve:
            return _curve(curve, read_blob)
        case JsonDocument(file=file):
            return _json(file, read_blob, limits)
        case ScriptDocument() as script:
            return _script(script, read_blob, limits)


def _curve(document: CurveDocument, read_blob: ReadBlob) -> Examined:
    curve = resolve(document, read_blob)
    names = [column for column in (curve.table.names[document.columns.x],) if column]
    files = {
        curve_script.ENTRY: curve_script.model_script(curve).encode(),
        curve_script.DATA: curve_script.data_file(curve.data, names).encode(),
    }
    free = tuple(parameter.name for parameter in curve.document.parameters if parameter.free)
    start = chisq(curve)
    return Examined(
        bundle=Bundle(type="script", entry=curve_script.ENTRY, files=files),
        classification="data-only",
        warnings=curve.warnings,
        labels=free,
        n_parameters=len(free),
        n_points=sum(curve.data.used),
        details={"start_chisq": start if abs(start) < float("inf") else None},
    )


def _json(file: FileRef, read_blob: ReadBlob, limits: LimitSettings) -> Examined:
    raise InvalidError.at("/json", "not yet")


def _script(document: ScriptDocument, read_blob: ReadBlob, limits: LimitSettings) -> Examined:
    files = {}
    for index, ref in enumerate(document.files):
        files[ref.name] = _read(ref, read_blob, f"/script/files/{index}/digest")
    if len(files[document.entry]) > limits.model_bytes:
        raise TooLargeError(f"{document.entry} has more than {limits.model_bytes} bytes")
    return Examined(
        bundle=Bundle(type="script", entry=document.entry, files=files, args=document.args),
        classification="code-bearing",
    )


def _read(ref: FileRef, read_blob: ReadBlob, pointer: str) -> bytes:
    try:
        return read_blob(ref.digest)
    except (NotFoundError, InvalidError) as error:
        detail = f"you have no file {ref.digest[:12]}... ({ref.name}): upload it first"
        raise InvalidError.at(pointer, detail) from error
