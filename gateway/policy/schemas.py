"""Policy as people and programs read it: what concerns who asks, and nobody else's."""

from __future__ import annotations

from apiflask import Schema
from marshmallow import fields, validate

from gateway.policy.windows import WINDOWS


class LimitSchema(Schema):
    """How much a user, a group or a proposal may have over all clusters; 0: any amount."""

    of = fields.String(required=True, validate=validate.OneOf(("user", "group", "proposal")))
    name = fields.String(required=True)
    jobs = fields.Integer(required=True, metadata={"description": "at once on clusters"})
    cpus = fields.Integer(required=True, metadata={"description": "of these jobs together"})
    core_hours = fields.Float(required=True)
    core_hours_used = fields.Float(
        required=True, metadata={"description": "until now, also by jobs that run"}
    )
    window = fields.String(
        required=True,
        allow_none=True,
        validate=validate.OneOf((*WINDOWS, None)),
        metadata={"description": "in which the core-hours are counted; null: all days"},
    )
    window_ends = fields.String(required=True, allow_none=True)
    submissions_per_hour = fields.Integer(required=True)
    submitted = fields.Integer(required=True, metadata={"description": "in this hour"})


class ProposalSchema(Schema):
    """A proposal of yours, which a job may name."""

    name = fields.String(required=True)
    title = fields.String(required=True)
    first = fields.Date(required=True, metadata={"description": "the first day, in UTC"})
    last = fields.Date(required=True, metadata={"description": "the last day, which is counted"})
    open = fields.Boolean(required=True, metadata={"description": "whether this is one of them"})
    clusters = fields.List(
        fields.String(), required=True, metadata={"description": "where; none: everywhere"}
    )
    account = fields.String(required=True)
    qos = fields.String(required=True)
    reservation = fields.String(required=True)


class AdditionsSchema(Schema):
    """What you may add to the script of a job."""

    directives = fields.List(
        fields.String(), required=True, metadata={"description": "by their names in expert"}
    )
    lines = fields.Boolean(
        required=True, metadata={"description": "whether shell lines may run before the fit"}
    )


class MyPolicySchema(Schema):
    """What the site's policy says of you."""

    groups = fields.List(fields.String(), required=True)
    limits = fields.List(fields.Nested(LimitSchema), required=True)
    proposals = fields.List(fields.Nested(ProposalSchema), required=True)
    expert = fields.Nested(AdditionsSchema, required=True)
