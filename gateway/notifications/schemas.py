"""Notifications as programs read them."""

from __future__ import annotations

from typing import Any

from apiflask import Schema
from apiflask.validators import Length
from marshmallow import fields

from gateway.jobs.advice_schema import VerdictSchema
from gateway.notifications.addresses import URL_CHARACTERS
from gateway.notifications.mails import ADDRESS
from gateway.notifications.webhooks import LABEL_CHARACTERS
from gateway.web.fields import Instant
from scheduler.base import JobState


class NotificationSchema(Schema):
    """The end of an attempt of a job; or that it will not start, or that somebody shares it."""

    id = fields.String(required=True)
    event = fields.String(
        required=True, metadata={"description": "job.ended, job.stuck or job.shared"}
    )
    job = fields.String(required=True)
    attempt = fields.Integer(required=True)
    title = fields.String(required=True)
    kind = fields.String(required=True)
    state = fields.Enum(JobState, by_value=True, required=True)
    text = fields.String(required=True, metadata={"description": "what happened, in plain words"})
    verdict = fields.Nested(VerdictSchema, required=True, allow_none=True)
    made = Instant(required=True)
    others = fields.Integer(
        required=True, metadata={"description": "how many more jobs do not start for the same"}
    )
    also = fields.List(
        fields.String(), required=True, metadata={"description": "the first of those, by id"}
    )
    by = fields.String(
        required=True, metadata={"description": "who shares it; empty: it is one's own"}
    )
    read = fields.Boolean(required=True)
    links = fields.Dict(required=True)


class NotificationsSchema(Schema):
    """A page of notifications."""

    items = fields.List(fields.Nested(NotificationSchema), required=True)
    unread = fields.Integer(required=True, metadata={"description": "of all pages"})
    next_cursor = fields.String(required=True, allow_none=True)


def _states() -> Any:
    """Say of which ends somebody wants to hear."""
    return fields.List(
        fields.Enum(JobState, by_value=True),
        load_default=list,
        validate=Length(max=len(JobState)),
        metadata={"description": "of ends in these states; none: of all"},
    )


class NewWebhookSchema(Schema):
    """A webhook to be made."""

    label = fields.String(required=True, validate=Length(1, LABEL_CHARACTERS))
    url = fields.String(
        required=True,
        validate=Length(max=URL_CHARACTERS),
        metadata={"description": "https://host/path, on a port that the site allows"},
    )
    states = _states()


class WebhookSchema(Schema):
    """A webhook, without its secret."""

    id = fields.String(required=True)
    label = fields.String(required=True)
    url = fields.String(required=True)
    states = fields.List(fields.Enum(JobState, by_value=True), required=True)
    made = Instant(required=True)


class MadeWebhookSchema(WebhookSchema):
    """A webhook that was just made."""

    secret = fields.String(
        required=True, metadata={"description": "signs its messages; shown this once"}
    )


class WebhooksSchema(Schema):
    """One's webhooks."""

    items = fields.List(fields.Nested(WebhookSchema), required=True)


class DeliverySchema(Schema):
    """A message, and what became of it."""

    id = fields.String(required=True)
    webhook = fields.String(required=True, metadata={"description": "empty: it is a mail"})
    address = fields.String(required=True, metadata={"description": "where a mail goes to"})
    event = fields.String(required=True, metadata={"description": "sent as webhook-id"})
    kind = fields.String(
        required=True, metadata={"description": "job.ended, job.stuck, ping or code"}
    )
    made = Instant(required=True)
    attempts = fields.Integer(required=True)
    next_try = Instant(required=True, allow_none=True)
    delivered = Instant(required=True, allow_none=True)
    given_up = Instant(required=True, allow_none=True)
    last = fields.String(required=True, metadata={"description": "what became of the last attempt"})


class DeliveriesSchema(Schema):
    """The last messages to one's webhooks and address, newest first."""

    items = fields.List(fields.Nested(DeliverySchema), required=True)


class NewMailSchema(Schema):
    """An address to be given."""

    address = fields.String(
        required=True,
        validate=Length(max=254),
        metadata={"pattern": f"^{ADDRESS.pattern}$"},
    )
    states = _states()


class MailSchema(Schema):
    """One's mail address."""

    address = fields.String(required=True)
    states = fields.List(fields.Enum(JobState, by_value=True), required=True)
    verified = Instant(
        required=True,
        allow_none=True,
        metadata={"description": "null: the code that was sent there has not come back yet"},
    )


class CodeSchema(Schema):
    """The code that came by mail."""

    code = fields.String(required=True, validate=Length(max=20))
