"""Notifications as programs read them."""

from __future__ import annotations

from apiflask import Schema
from marshmallow import fields

from gateway.jobs.schemas import VerdictSchema
from gateway.web.fields import Instant
from scheduler.base import JobState


class NotificationSchema(Schema):
    """The end of an attempt of a job."""

    id = fields.String(required=True)
    job = fields.String(required=True)
    attempt = fields.Integer(required=True)
    title = fields.String(required=True)
    kind = fields.String(required=True)
    state = fields.Enum(JobState, by_value=True, required=True)
    text = fields.String(required=True, metadata={"description": "how it ended, in plain words"})
    verdict = fields.Nested(VerdictSchema, required=True, allow_none=True)
    made = Instant(required=True)
    read = fields.Boolean(required=True)
    links = fields.Dict(required=True)


class NotificationsSchema(Schema):
    """A page of notifications."""

    items = fields.List(fields.Nested(NotificationSchema), required=True)
    unread = fields.Integer(required=True, metadata={"description": "of all pages"})
    next_cursor = fields.String(required=True, allow_none=True)
