"""Problems as people and programs write them: the only validation, forms and JSON alike."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from apiflask import Schema
from marshmallow import RAISE, ValidationError, fields, post_load, validate, validates_schema

from gateway.datasets.service import check_file_name
from gateway.errors import InvalidError
from gateway.problems.library_parts import BACKGROUNDS, PEAK_LIMIT, SHAPES
from gateway.problems.models import (
    CurveDocument,
    CurveParameter,
    Document,
    FileRef,
    JsonDocument,
    PeakSum,
    Prior,
    ScriptDocument,
)
from gateway.problems.selection import Choice, Uncertainty
from gateway.web.errors import field_errors
from gateway.web.paging import PageSchema

_NAME = 200
_NOTES = 10_000
_TEXT = 900_000
_EXPRESSION = 2_000
_ARGUMENT = 1_000
_MOST = 200
_COLUMNS = 50
_RULES = ("column", "constant", "percent", "sqrt")
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_DIGEST = validate.Regexp(r"\A[0-9a-f]{64}\Z", error="This is no SHA-256 digest.")


class _Strict(Schema):
    class Meta:
        """Refuse what is not known, so that a misspelt field is not silently lost."""

        unknown = RAISE


def _line(value: str) -> None:
    if not value.isprintable():
        raise ValidationError("One line of printable text, please.")


def _number(value: Any) -> None:
    if type(value) not in (int, float) or value != value or abs(value) > 1e308:
        raise ValidationError(f"{str(value)[:40]!r} is not a finite number.")


class NumberField(fields.Field[float]):
    """A finite number; text and truth values are none."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> float:
        _number(value)
        return float(value)


class FileNameField(fields.String):
    """A plain relative file name."""

    def _deserialize(self, value: Any, *rest: Any, **kwargs: Any) -> str:
        text = str(super()._deserialize(value, *rest, **kwargs))
        try:
            return check_file_name(text, "")
        except InvalidError as error:
            raise ValidationError(error.errors[0].detail) from error


class FileRefSchema(_Strict):
    """An uploaded file, under the name that it has beside the model."""

    digest = fields.String(required=True, validate=_DIGEST)
    name = FileNameField(required=True)

    @post_load
    def make(self, data: dict[str, Any], **_: Any) -> FileRef:
        """Make the reference."""
        return FileRef(**data)


class DataSchema(_Strict):
    """Data of a curve: an uploaded file, or the text itself."""

    digest = fields.String(validate=_DIGEST)
    name = FileNameField(load_default="data.dat")
    text = fields.String(validate=validate.Length(min=1, max=_TEXT))

    @post_load
    def make(self, data: dict[str, Any], **_: Any) -> FileRef | str:
        """Make the reference, or take the text."""
        if ("digest" in data) == ("text" in data):
            raise ValidationError("Give either digest (an uploaded file) or text.")
        if "text" in data:
            return str(data["text"])
        return FileRef(digest=data["digest"], name=data["name"])


class UncertaintySchema(_Strict):
    """Where dy comes from."""

    rule = fields.String(required=True, data_key="from", validate=validate.OneOf(_RULES))
    column = fields.Integer(strict=True, validate=validate.Range(0, _COLUMNS))
    value = NumberField()

    @post_load
    def make(self, data: dict[str, Any], **_: Any) -> Uncertainty:
        """Make the rule; it needs just what belongs to it."""
        rule = data["rule"]
        needed = {"column": "column", "constant": "value", "percent": "value"}.get(rule)
        if needed and needed not in data:
            raise ValidationError(f"'{rule}' needs {needed}.", needed)
        if needed == "value" and data["value"] <= 0:
            raise ValidationError(f"{data['value']:g} is not above 0.", "value")
        return Uncertainty(**data)


class ChoiceSchema(_Strict):
    """Which columns mean what, counted from 0."""

    x = fields.Integer(strict=True, load_default=0, validate=validate.Range(0, _COLUMNS))
    y = fields.Integer(strict=True, load_default=1, validate=validate.Range(0, _COLUMNS))
    dy = fields.Nested(UncertaintySchema, required=True)
    dx = fields.Integer(
        strict=True, allow_none=True, load_default=None, validate=validate.Range(0, _COLUMNS)
    )
    others = fields.Dict(
        keys=fields.String(validate=validate.Regexp(_IDENTIFIER)),
        values=fields.Integer(strict=True, validate=validate.Range(0, _COLUMNS)),
        load_default=dict,
    )

    @post_load
    def make(self, data: dict[str, Any], **_: Any) -> Choice:
        """Make the choice."""
        return Choice(**data)


class PriorSchema(_Strict):
    """What is known of a parameter from elsewhere: a normal distribution."""

    mean = NumberField(required=True)
    std = NumberField(required=True, validate=validate.Range(min=0, min_inclusive=False))

    @post_load
    def make(self, data: dict[str, Any], **_: Any) -> Prior:
        """Make the prior."""
        return Prior(**data)


class BoundsField(fields.Field[tuple[float | None, float | None]]):
    """A pair of numbers; null leaves an end open."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> tuple[float | None, float | None]:
        if not isinstance(value, list | tuple) or len(value) != 2:
            raise ValidationError("Give a pair [low, high]; null leaves an end open.")
        for end in value:
            if end is not None:
                _number(end)
        low, high = (None if end is None else float(end) for end in value)
        return (low, high)


class ParameterSchema(_Strict):
    """A parameter: its start value and what the fit may do with it."""

    name = fields.String(
        required=True,
        validate=validate.Regexp(_IDENTIFIER, error="A name is letters, digits and _."),
    )
    value = NumberField(required=True)
    fit = fields.Boolean(load_default=True)
    bounds = BoundsField(allow_none=True, load_default=None)
    prior = fields.Nested(PriorSchema, allow_none=True, load_default=None)
    tie = fields.String(
        allow_none=True, load_default=None, validate=validate.Length(min=1, max=_EXPRESSION)
    )

    @post_load
    def make(self, data: dict[str, Any], **_: Any) -> CurveParameter:
        """Make the parameter."""
        return CurveParameter(**data)


class PeakSumSchema(_Strict):
    """A sum of peaks on a background."""

    peaks = fields.Integer(required=True, strict=True, validate=validate.Range(1, PEAK_LIMIT))
    shape = fields.String(load_default="gaussian", validate=validate.OneOf(SHAPES))
    background = fields.String(load_default="constant", validate=validate.OneOf(BACKGROUNDS))

    @post_load
    def make(self, data: dict[str, Any], **_: Any) -> PeakSum:
        """Make the sum."""
        return PeakSum(**data)


class FunctionField(fields.Field[str | PeakSum]):
    """The name of a library function, or a sum of peaks."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> str | PeakSum:
        if isinstance(value, str) and 1 <= len(value) <= _NAME:
            return value
        if isinstance(value, dict):
            made: PeakSum = PeakSumSchema().load(value)
            return made
        raise ValidationError("Give the name of a function, or {peaks, shape, background}.")


def _row_range(value: Any) -> None:
    if len(value) != 2 or value[0] < 0 or value[1] <= value[0]:
        raise ValidationError(f"{value} is not a range [first, behind the last] of rows.")


class CurveSchema(_Strict):
    """A curve as the form describes it."""

    data = fields.Nested(DataSchema, required=True)
    columns = fields.Nested(ChoiceSchema, required=True)
    mask = fields.List(
        fields.List(fields.Integer(strict=True), validate=_row_range),
        load_default=list,
        validate=validate.Length(max=1_000),
    )
    function = FunctionField(load_default=None, allow_none=True)
    expression = fields.String(
        load_default=None, allow_none=True, validate=validate.Length(min=1, max=_EXPRESSION)
    )
    parameters = fields.List(
        fields.Nested(ParameterSchema), load_default=list, validate=validate.Length(max=_MOST)
    )

    @validates_schema
    def check_formula(self, data: Mapping[str, Any], **_: Any) -> None:
        """Ask for one formula."""
        if (data.get("function") is None) == (data.get("expression") is None):
            raise ValidationError("Give either a function or an expression.", "function")

    @post_load
    def make(self, data: dict[str, Any], **_: Any) -> CurveDocument:
        """Make the document."""
        data["mask"] = tuple((rows[0], rows[1]) for rows in data["mask"])
        data["parameters"] = tuple(data["parameters"])
        return CurveDocument(**data)


class JsonProblemSchema(_Strict):
    """A problem that bumps has serialised, and the Python that pickled its functions."""

    file = fields.Nested(FileRefSchema, required=True)
    python = fields.String(
        allow_none=True,
        load_default=None,
        validate=validate.Regexp(
            r"\A3\.\d{1,2}\Z", error="A minor version of Python, such as 3.11."
        ),
    )

    @post_load
    def make(self, data: dict[str, Any], **_: Any) -> JsonDocument:
        """Make the document."""
        return JsonDocument(**data)


class ScriptProblemSchema(_Strict):
    """A model script with its data and helper modules."""

    entry = FileNameField(load_default="model.py")
    files = fields.List(
        fields.Nested(FileRefSchema), required=True, validate=validate.Length(min=1, max=_MOST)
    )
    args = fields.List(
        fields.String(validate=[validate.Length(max=_ARGUMENT), _line]),
        load_default=list,
        validate=validate.Length(max=_MOST),
    )

    @validates_schema
    def check_files(self, data: Mapping[str, Any], **_: Any) -> None:
        """Ask for distinct names, the entry among them."""
        names = [ref.name for ref in data.get("files", ())]
        if not str(data.get("entry", "")).endswith(".py"):
            raise ValidationError("The model must be a Python script (.py).", "entry")
        if data.get("entry") not in names:
            raise ValidationError(f"Not among the files: {', '.join(names)[:300]}.", "entry")
        if any(name.split("/")[0] == "elements" for name in names):
            raise ValidationError("'elements' is where an array's files go: rename it.", "files")
        if len({name.casefold() for name in names}) < len(names):
            raise ValidationError("Two files have the same name (but for its case).", "files")

    @post_load
    def make(self, data: dict[str, Any], **_: Any) -> ScriptDocument:
        """Make the document."""
        return ScriptDocument(
            entry=data["entry"], files=tuple(data["files"]), args=tuple(data["args"])
        )


class ProblemSchema(_Strict):
    """A FitProblem: a curve, a bumps JSON, or a model script."""

    name = fields.String(required=True, validate=[validate.Length(min=1, max=_NAME), _line])
    tags = fields.List(
        fields.String(validate=[validate.Length(min=1, max=40), _line]),
        load_default=list,
        validate=validate.Length(max=20),
    )
    notes = fields.String(load_default="", validate=validate.Length(max=_NOTES))
    type = fields.String(required=True, validate=validate.OneOf(("curve", "json", "script")))
    curve = fields.Nested(CurveSchema)
    json = fields.Nested(JsonProblemSchema)
    script = fields.Nested(ScriptProblemSchema)

    @validates_schema
    def check_type(self, data: Mapping[str, Any], **_: Any) -> None:
        """Ask for the part that the type names, and for no other."""
        wanted = data.get("type", "")
        given = [part for part in ("curve", "json", "script") if part in data]
        if given != [wanted]:
            raise ValidationError(f"type '{wanted}' needs just '{wanted}'.", "type")

    @post_load
    def make(self, data: dict[str, Any], **_: Any) -> Document:
        """Make the document."""
        return Document(
            name=data["name"],
            tags=tuple(data["tags"]),
            notes=data["notes"],
            content=data[data["type"]],
        )


def load_document(raw: Mapping[str, Any]) -> Document:
    """Check the form of a document.

    Raises
    ------
    InvalidError
        With a JSON pointer to every field that is wrong.
    """
    try:
        document: Document = ProblemSchema().load(dict(raw))
    except ValidationError as error:
        raise InvalidError(list(field_errors({"json": error.messages_dict}))) from error
    return document


class ColumnsRequestSchema(_Strict):
    """Data to be looked at."""

    data = fields.Nested(DataSchema, required=True)


class PreviewRequestSchema(_Strict):
    """A curve to be drawn."""

    curve = fields.Nested(CurveSchema, required=True)


class VersionQuery(_Strict):
    """Which version; without it the newest."""

    version = fields.Integer(
        load_default=None, allow_none=True, validate=validate.Range(1, 999_999)
    )


class ProblemListQuery(PageSchema):
    """Which problems: words that stand in name, notes or tags."""

    q = fields.String(load_default="", validate=validate.Length(max=200))


class CloneSchema(_Strict):
    """The name of the copy."""

    name = fields.String(
        load_default=None, allow_none=True, validate=[validate.Length(min=1, max=_NAME), _line]
    )
