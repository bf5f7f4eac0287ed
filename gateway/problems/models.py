"""What a FitProblem is: a named thing of one owner, with versions that never change.

Each edit makes a new version. A version is known by the SHA-256 of its canonical document, so a job
can say for ever which problem it fitted.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from gateway.problems.selection import Choice

ProblemType = Literal["curve", "json", "script"]
ReadBlob = Callable[[str], bytes]
"""Give the bytes with a SHA-256; raises `NotFoundError` where the asker may not see any."""


@dataclass(frozen=True, kw_only=True)
class FileRef:
    """A stored file under the name it has in a bundle."""

    digest: str
    name: str


@dataclass(frozen=True, kw_only=True)
class Prior:
    """A normal prior: what is known of a parameter from elsewhere."""

    mean: float
    std: float


@dataclass(frozen=True, kw_only=True)
class CurveParameter:
    """A parameter of a curve: start value and what the fit may do with it."""

    name: str
    value: float
    fit: bool = True
    bounds: tuple[float | None, float | None] | None = None
    """Acts while the parameter is fitted; None at an end leaves it open."""
    prior: Prior | None = None
    tie: str | None = None
    """An expression of other parameters that takes the place of the value."""

    @property
    def free(self) -> bool:
        """Whether the fit varies it."""
        return self.fit and self.tie is None


@dataclass(frozen=True, kw_only=True)
class PeakSum:
    """A sum of peaks on a background."""

    peaks: int
    shape: str
    background: str


@dataclass(frozen=True, kw_only=True)
class CurveDocument:
    """A curve to be fitted, as the form describes it."""

    data: FileRef | str
    """A stored file, or the text itself."""
    columns: Choice
    mask: tuple[tuple[int, int], ...] = ()
    function: str | PeakSum | None = None
    expression: str | None = None
    parameters: tuple[CurveParameter, ...] = ()


@dataclass(frozen=True, kw_only=True)
class JsonDocument:
    """A problem that bumps has serialised."""

    file: FileRef
    python: str | None = None
    """The minor version of Python that pickled its functions, as the sender says: bumps does not
    write it down."""


@dataclass(frozen=True, kw_only=True)
class ScriptDocument:
    """A model script with its data and helper modules."""

    entry: str
    files: tuple[FileRef, ...]
    args: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Document:
    """A FitProblem as it is posted."""

    name: str
    tags: tuple[str, ...] = ()
    notes: str = ""
    content: CurveDocument | JsonDocument | ScriptDocument

    @property
    def type(self) -> ProblemType:
        """Which of the three it is."""
        match self.content:
            case CurveDocument():
                return "curve"
            case JsonDocument():
                return "json"
            case ScriptDocument():
                return "script"


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """What a job gets: the files of ``data/`` and how to start."""

    type: Literal["script", "json"]
    entry: str
    files: Mapping[str, bytes]
    args: tuple[str, ...] = ()
    python: str | None = None
    """The minor version of Python that a pickled function needs."""

    def digests(self) -> dict[str, str]:
        """Give the SHA-256 of every file."""
        return {name: hashlib.sha256(data).hexdigest() for name, data in self.files.items()}


@dataclass(frozen=True, kw_only=True)
class ProblemVersion:
    """One immutable version of a problem."""

    problem_id: str
    number: int
    digest: str
    """SHA-256 of the canonical document; see `digest_of`."""
    type: ProblemType
    document: Mapping[str, Any]
    """Type and content, canonical, without name, tags and notes."""
    created: datetime
    classification: Literal["data-only", "code-bearing"]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class FitProblem:
    """A user's problem; its versions hold what is fitted."""

    id: str
    owner: str
    name: str
    type: ProblemType
    created: datetime
    updated: datetime
    version: int
    """The number of the newest version."""
    digest: str
    tags: tuple[str, ...] = ()
    notes: str = ""
    cloned_from: str | None = field(default=None)


def canonical(document: Mapping[str, Any]) -> bytes:
    """Write a document so that equal documents have equal bytes (RFC 8785 in spirit).

    >>> canonical({"b": 1.0, "a": [None]})
    b'{"a":[null],"b":1.0}'
    """
    text = json.dumps(
        document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return text.encode()


def digest_of(document: Mapping[str, Any]) -> str:
    """Name a document by the SHA-256 of its canonical form."""
    return hashlib.sha256(canonical(document)).hexdigest()


def content_json(document: Document) -> dict[str, Any]:
    """Give type and content as plain JSON: what is stored, hashed and shown."""
    match document.content:
        case CurveDocument() as curve:
            return {"type": "curve", "curve": _curve_json(curve)}
        case JsonDocument(file=file, python=python):
            said = {"python": python} if python else {}
            return {"type": "json", "json": {"file": _file_json(file), **said}}
        case ScriptDocument() as script:
            files = [_file_json(file) for file in sorted(script.files, key=lambda f: f.name)]
            body = {"entry": script.entry, "files": files, "args": list(script.args)}
            return {"type": "script", "script": body}


def _file_json(file: FileRef) -> dict[str, str]:
    return {"digest": file.digest, "name": file.name}


def _curve_json(curve: CurveDocument) -> dict[str, Any]:
    data = _file_json(curve.data) if isinstance(curve.data, FileRef) else {"text": curve.data}
    body: dict[str, Any] = {
        "data": data,
        "columns": _choice_json(curve.columns),
        "mask": [list(rows) for rows in curve.mask],
        "parameters": [_parameter_json(parameter) for parameter in curve.parameters],
    }
    if curve.expression is not None:
        body["expression"] = curve.expression
    elif isinstance(curve.function, PeakSum):
        peaks = curve.function
        body["function"] = {
            "peaks": peaks.peaks,
            "shape": peaks.shape,
            "background": peaks.background,
        }
    else:
        body["function"] = curve.function
    return body


def _choice_json(choice: Choice) -> dict[str, Any]:
    dy: dict[str, Any] = {"from": choice.dy.rule}
    if choice.dy.rule == "column":
        dy["column"] = choice.dy.column
    elif choice.dy.rule != "sqrt":
        dy["value"] = choice.dy.value
    return {
        "x": choice.x,
        "y": choice.y,
        "dy": dy,
        "dx": choice.dx,
        "others": dict(choice.others),
    }


def _parameter_json(parameter: CurveParameter) -> dict[str, Any]:
    prior = parameter.prior
    return {
        "name": parameter.name,
        "value": parameter.value,
        "fit": parameter.fit,
        "bounds": None if parameter.bounds is None else _pair(parameter.bounds),
        "prior": None if prior is None else {"mean": prior.mean, "std": prior.std},
        "tie": parameter.tie,
    }


def _pair(bounds: Sequence[float | None]) -> list[float | None]:
    return list(bounds)
