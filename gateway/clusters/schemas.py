"""Sites, kinds of job and fit methods as programs read them."""

from __future__ import annotations

from apiflask import Schema
from marshmallow import fields


class ClusterSchema(Schema):
    """A site, with what it gives to one job."""

    name = fields.String(required=True)
    title = fields.String(required=True)
    default = fields.Boolean(required=True)
    scheduler = fields.String(required=True)
    accounts = fields.String(required=True)
    max_time = fields.String(required=True)
    default_time = fields.String(required=True)
    max_cpus_per_job = fields.Integer(required=True, allow_none=True)
    max_array = fields.Integer(required=True)
    partitions = fields.List(fields.String(), required=True)


class ClustersSchema(Schema):
    """All sites."""

    items = fields.List(fields.Nested(ClusterSchema), required=True)


class OptionSchema(Schema):
    """One setting of a kind or of a fit method."""

    name = fields.String(required=True)
    type = fields.String(required=True)
    default = fields.Raw(required=True)
    label = fields.String(required=True)
    help = fields.String(required=True)
    minimum = fields.Float(required=True, allow_none=True)
    maximum = fields.Float(required=True, allow_none=True)
    above = fields.Float(required=True, allow_none=True)
    choices = fields.List(fields.String(), required=True)
    unit = fields.String(required=True)


class KindSchema(Schema):
    """A kind of job."""

    name = fields.String(required=True)
    title = fields.String(required=True)
    shape = fields.String(required=True)
    output_type = fields.String(required=True)
    resources = fields.Dict(required=True)
    options = fields.List(fields.Nested(OptionSchema), required=True)


class KindsSchema(Schema):
    """All kinds of job."""

    items = fields.List(fields.Nested(KindSchema), required=True)


class MethodSchema(Schema):
    """A fit method."""

    name = fields.String(required=True)
    title = fields.String(required=True)
    help = fields.String(required=True)
    parallel = fields.Boolean(required=True)
    resumable = fields.Boolean(required=True)
    options = fields.List(fields.Nested(OptionSchema), required=True)


class MethodsSchema(Schema):
    """All fit methods, and which one is taken when nobody names one."""

    default = fields.String(required=True)
    items = fields.List(fields.Nested(MethodSchema), required=True)
