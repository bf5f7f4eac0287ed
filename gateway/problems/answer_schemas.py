"""Problems, curves and functions as programs read them."""

from __future__ import annotations

from typing import Any

from apiflask import Schema
from marshmallow import fields


def _numbers() -> fields.List[Any]:
    return fields.List(fields.Float(allow_none=True), required=True)


class ShownParameterSchema(Schema):
    """A parameter of a curve, complete."""

    name = fields.String(required=True)
    value = fields.Float(required=True)
    fit = fields.Boolean(required=True)
    bounds = fields.List(fields.Float(allow_none=True), required=True, allow_none=True)
    prior = fields.Dict(required=True, allow_none=True)
    tie = fields.String(required=True, allow_none=True)


class LineSchema(Schema):
    """A smooth curve."""

    x = _numbers()
    y = _numbers()


class CurvePreviewSchema(Schema):
    """What a browser draws of a curve; null where a number is not finite."""

    rows = fields.Integer(required=True)
    points = fields.Integer(required=True)
    x = _numbers()
    y = _numbers()
    dy = _numbers()
    dx = fields.List(fields.Float(allow_none=True), required=True, allow_none=True)
    mask = fields.List(fields.Boolean(), required=True)
    start = _numbers()
    line = fields.Nested(LineSchema, required=True, allow_none=True)
    chisq = fields.Float(required=True, allow_none=True)
    dof = fields.Integer(required=True)
    x_label = fields.String(required=True)
    y_label = fields.String(required=True)
    warnings = fields.List(fields.String(), required=True)
    parameters = fields.List(fields.Nested(ShownParameterSchema), required=True)


class FunctionParameterSchema(Schema):
    """A parameter of a library function."""

    name = fields.String(required=True)
    label = fields.String(required=True)
    unit = fields.String(required=True)
    value = fields.Float(required=True)
    bounds = fields.List(fields.Float(allow_none=True), required=True)


class FunctionSchema(Schema):
    """A curve function of the library."""

    name = fields.String(required=True)
    title = fields.String(required=True)
    group = fields.String(required=True)
    formula = fields.String(required=True)
    help = fields.String(required=True)
    parameters = fields.List(fields.Nested(FunctionParameterSchema), required=True)


class PeaksSchema(Schema):
    """What a sum of peaks is made of."""

    most = fields.Integer(required=True)
    shapes = fields.List(fields.String(), required=True)
    backgrounds = fields.List(fields.String(), required=True)


class FunctionsSchema(Schema):
    """The library of curve functions."""

    items = fields.List(fields.Nested(FunctionSchema), required=True)
    peaks = fields.Nested(PeaksSchema, required=True)


class FoundSchema(Schema):
    """A problem with one of its versions."""

    id = fields.String(required=True)
    owner = fields.String(required=True)
    name = fields.String(required=True)
    type = fields.String(required=True)
    tags = fields.List(fields.String(), required=True)
    notes = fields.String(required=True)
    created = fields.String(required=True)
    updated = fields.String(required=True)
    version = fields.Integer(required=True)
    versions = fields.Integer(required=True, metadata={"description": "number of the newest"})
    digest = fields.String(required=True)
    cloned_from = fields.String(required=True, allow_none=True)
    document = fields.Dict(required=True)
    classification = fields.String(required=True)
    warnings = fields.List(fields.String(), required=True)
    labels = fields.List(fields.String(), required=True)
    n_parameters = fields.Integer(required=True, allow_none=True)
    n_points = fields.Integer(required=True, allow_none=True)
    details = fields.Dict(required=True)
    files = fields.Dict(required=True)
    links = fields.Dict(required=True)


class ProblemVersionSchema(Schema):
    """One version of a problem."""

    version = fields.Integer(required=True)
    digest = fields.String(required=True)
    document = fields.Dict(required=True)
    classification = fields.String(required=True)
    warnings = fields.List(fields.String(), required=True)
    labels = fields.List(fields.String(), required=True)
    n_parameters = fields.Integer(required=True, allow_none=True)
    n_points = fields.Integer(required=True, allow_none=True)
    details = fields.Dict(required=True)
    files = fields.Dict(required=True)


class ProblemVersionsSchema(Schema):
    """The versions of a problem, the newest first."""

    items = fields.List(fields.Nested(ProblemVersionSchema), required=True)


class TableSchema(Schema):
    """What was read of a text with columns."""

    names = fields.List(fields.String(), required=True)
    units = fields.List(fields.String(), required=True)
    rows = fields.Integer(required=True)
    head = fields.List(fields.List(fields.Float(allow_none=True)), required=True)
    warnings = fields.List(fields.String(), required=True)
    suggested = fields.Dict(required=True)


class ProblemItemSchema(Schema):
    """A problem in a list."""

    id = fields.String(required=True)
    name = fields.String(required=True)
    type = fields.String(required=True)
    tags = fields.List(fields.String(), required=True)
    created = fields.String(required=True)
    updated = fields.String(required=True)
    version = fields.Integer(required=True)
    digest = fields.String(required=True)


class ProblemListSchema(Schema):
    """Problems, newest first."""

    items = fields.List(fields.Nested(ProblemItemSchema), required=True)
    next_cursor = fields.String(required=True, allow_none=True)
