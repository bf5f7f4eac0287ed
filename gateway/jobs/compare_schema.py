"""A comparison as programs ask for it and read it."""

from __future__ import annotations

from apiflask import Schema
from marshmallow import RAISE, fields, validate

_MOST_TEXT = 600
_ONE = "[0-7][0-9A-HJKMNP-TV-Z]{25}(:[0-9]{0,6}(:[0-9]{1,6})?)?"


class CompareQuery(Schema):
    """What is to be compared."""

    class Meta:
        """Refuse what is not known."""

        unknown = RAISE

    ids = fields.String(
        required=True,
        validate=validate.Length(min=1, max=_MOST_TEXT),
        metadata={
            "description": "2 to 10 of ID, ID:attempt or ID:attempt:element, commas between; "
            "the first is the reference",
            "pattern": f"^{_ONE}(,{_ONE}){{1,9}}$",
        },
    )


class ComparedSchema(Schema):
    """One of those that are compared."""

    ref = fields.String(required=True)
    job = fields.String(required=True)
    attempt = fields.Integer(required=True)
    element = fields.Integer(required=True, allow_none=True)
    title = fields.String(required=True)
    state = fields.String(required=True)
    method = fields.String(required=True)
    status = fields.String(required=True, allow_none=True)
    verdict = fields.String(required=True, allow_none=True)
    chisq = fields.Float(required=True, allow_none=True)
    nllf = fields.Float(required=True, allow_none=True)
    dof = fields.Float(required=True, allow_none=True)
    points = fields.Float(required=True, allow_none=True)
    delta_aic = fields.Float(required=True, allow_none=True)
    delta_bic = fields.Float(required=True, allow_none=True)
    links = fields.Dict(required=True)


class ComparedCellSchema(Schema):
    """A parameter in one of them."""

    value = fields.Float(required=True, allow_none=True)
    uncertainty = fields.Float(required=True, allow_none=True)
    at_limit = fields.String(required=True, allow_none=True)
    difference = fields.Float(required=True, allow_none=True)
    sigmas = fields.Float(required=True, allow_none=True)


class ComparedParameterSchema(Schema):
    """A parameter over all of them; null where one does not have it."""

    label = fields.String(required=True)
    values = fields.List(fields.Nested(ComparedCellSchema, allow_none=True), required=True)
    differs = fields.Boolean(required=True)
    spread = fields.Float(required=True, allow_none=True)
    farthest = fields.Float(required=True, allow_none=True)
    mean = fields.Float(required=True, allow_none=True)
    mean_uncertainty = fields.Float(required=True, allow_none=True)
    chisq = fields.Float(required=True, allow_none=True)


class ComparedSettingSchema(Schema):
    """A setting of all of them; null where one does not have it."""

    group = fields.String(required=True)
    name = fields.String(required=True)
    values = fields.List(fields.Raw(allow_none=True), required=True)
    differs = fields.Boolean(required=True)


class ComparisonSchema(Schema):
    """Jobs side by side."""

    jobs = fields.List(fields.Nested(ComparedSchema), required=True)
    same_data = fields.Boolean(required=True, allow_none=True)
    parameters = fields.List(fields.Nested(ComparedParameterSchema), required=True)
    settings = fields.List(fields.Nested(ComparedSettingSchema), required=True)
