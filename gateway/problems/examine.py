"""Look at a problem of any of the three types: what it renders to, and what is known of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from gateway.errors import FieldError, InvalidError
from gateway.problems.bumps_json import JsonReport, check_json
from gateway.problems.bundle import render, render_curve
from gateway.problems.curve import ResolvedCurve, preview, resolve
from gateway.problems.json_reading import JsonLimits
from gateway.problems.models import (
    Bundle,
    CurveDocument,
    Document,
    JsonDocument,
    ReadBlob,
    ScriptDocument,
)
from gateway.problems.script_check import check_script
from gateway.settings import LimitSettings

Classification = Literal["data-only", "code-bearing"]


@dataclass(frozen=True, kw_only=True)
class Examined:
    """What is known of a problem without running any of it."""

    bundle: Bundle
    content: CurveDocument | JsonDocument | ScriptDocument
    """What was examined; a curve with the start values that were guessed."""

    classification: Classification
    warnings: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    """Of the fitted parameters, where they are known."""

    n_parameters: int | None = None
    n_points: int | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


def examine(
    document: Document,
    read_blob: ReadBlob,
    limits: LimitSettings,
    allowed_classes: Collection[str],
) -> Examined:
    """Check a problem and render it to what a job runs.

    Parameters
    ----------
    allowed_classes
        What a bumps JSON problem may be made of.

    Raises
    ------
    InvalidError
        With every field that is wrong; what is wrong inside a JSON problem is said with its own
        pointer at ``/json/file``.
    """
    match document.content:
        case CurveDocument() as curve:
            return _curve(resolve(curve, read_blob))
        case JsonDocument() as content:
            return _json(content, render(document, read_blob), limits, allowed_classes)
        case ScriptDocument() as content:
            return _script(content, render(document, read_blob), limits)


def _curve(curve: ResolvedCurve) -> Examined:
    free = tuple(parameter.name for parameter in curve.document.parameters if parameter.free)
    start = preview(curve)["chisq"]
    return Examined(
        bundle=render_curve(curve),
        content=curve.document,
        # Written by us from a parsed expression: no code of the user is in it.
        classification="data-only",
        warnings=curve.warnings,
        labels=free,
        n_parameters=len(free),
        n_points=sum(curve.data.used),
        details={"start_chisq": start},
    )


def _json(
    content: JsonDocument,
    bundle: Bundle,
    limits: LimitSettings,
    allowed_classes: Collection[str],
) -> Examined:
    try:
        report = check_json(
            bundle.files[bundle.entry], allowed_classes, JsonLimits(size_bytes=limits.model_bytes)
        )
    except InvalidError as error:
        raise InvalidError([_in_file(item) for item in error.errors]) from error
    return Examined(
        # Without a function any Python will do.
        bundle=replace(bundle, python=content.python if report.functions else None),
        content=content,
        classification=report.classification,
        warnings=report.warnings,
        labels=tuple(parameter.label for parameter in report.parameters),
        n_parameters=len(report.parameters),
        n_points=report.points,
        details=_json_details(report),
    )


def _in_file(item: FieldError) -> FieldError:
    """Point from the document at the file, and say where in the file."""
    detail = f"at {item.pointer}: {item.detail}" if item.pointer else item.detail
    return FieldError(pointer="/json/file", detail=detail)


def _json_details(report: JsonReport) -> dict[str, Any]:
    return {
        "models": list(report.models),
        "parameters": [
            {
                "label": parameter.label,
                "value": parameter.value,
                "bounds": list(parameter.bounds),
                "prior": parameter.prior,
            }
            for parameter in report.parameters
        ],
        "functions": [
            {"name": item.name, "source": item.source, "imports": list(item.names)}
            for item in report.functions
        ],
        "libraries": dict(report.libraries),
    }


def _script(content: ScriptDocument, bundle: Bundle, limits: LimitSettings) -> Examined:
    report = check_script(bundle.entry, bundle.files, limits.model_bytes)
    return Examined(
        bundle=bundle,
        content=content,
        classification="code-bearing",
        warnings=report.warnings,
        details={
            "standard": list(report.standard),
            "bundled": list(report.bundled),
            "environment": list(report.environment),
            "opens": list(report.opens),
        },
    )
