"""What programs ask of notifications."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from apiflask import APIBlueprint

from gateway.notifications.models import Shown
from gateway.notifications.schemas import (
    CodeSchema,
    DeliveriesSchema,
    DeliverySchema,
    MadeWebhookSchema,
    MailSchema,
    NewMailSchema,
    NewWebhookSchema,
    NotificationsSchema,
    WebhooksSchema,
)
from gateway.web.context import gateway, identity
from gateway.web.described import answers
from gateway.web.paging import Page, PlainPageSchema, paged

bp = APIBlueprint("notifications", __name__, tag="notifications")


@bp.get("/notifications")
@bp.input(PlainPageSchema, location="query", arg_name="page")
@bp.output(NotificationsSchema)
def list_notifications(page: Page) -> tuple[dict[str, Any], int, dict[str, str]]:
    """List the ends of one's jobs and what was shared, newest first, of the last 200."""
    who, service = identity(), gateway().notifications
    found = service.newest(who, page.after, page.limit + 1)
    last = found[page.limit - 1].notification.id if len(found) > page.limit else None
    body, status, headers = paged([present(shown) for shown in found[: page.limit]], last)
    return {**body, "unread": service.unread(who.user)}, status, headers


@bp.post("/notifications/read")
@bp.output({}, status_code=204)
def read_all_notifications() -> tuple[str, int]:
    """Note that one has read all notifications."""
    gateway().notifications.mark_all_read(identity().user)
    return "", 204


@bp.post("/notifications/<notification_id>/read")
@bp.output({}, status_code=204)
@answers(HTTPStatus.NOT_FOUND)
def read_notification(notification_id: str) -> tuple[str, int]:
    """Note that one has read a notification."""
    gateway().notifications.mark_read(identity().user, notification_id)
    return "", 204


def present(shown: Shown) -> dict[str, Any]:
    """Write a notification for its reader."""
    told = shown.notification
    links = {"job": f"/api/v1/jobs/{told.job}", "page": f"/jobs/{told.job}"}
    return {**vars(told), "event": told.event, "read": shown.read, "links": links}


@bp.get("/webhooks")
@bp.output(WebhooksSchema)
def list_webhooks() -> dict[str, Any]:
    """List where one hears of ends."""
    return {"items": gateway().webhooks.all(identity().user)}


@bp.post("/webhooks")
@bp.input(NewWebhookSchema, arg_name="wanted")
@bp.output(MadeWebhookSchema, status_code=201)
@answers(HTTPStatus.CONFLICT)
def make_webhook(wanted: dict[str, Any]) -> tuple[dict[str, Any], int]:
    """Have the ends of one's jobs sent to a URL; the secret that signs them is shown this once."""
    user = identity().user
    made = gateway().webhooks.add(user, **wanted)
    gateway().accounts.audit.record(user, "webhook.make", made.webhook.id)
    return {**vars(made.webhook), "secret": made.secret}, 201


@bp.delete("/webhooks/<webhook_id>")
@bp.output({}, status_code=204)
@answers(HTTPStatus.NOT_FOUND)
def delete_webhook(webhook_id: str) -> tuple[str, int]:
    """Send nothing there any more."""
    user = identity().user
    gateway().webhooks.remove(user, webhook_id)
    gateway().accounts.audit.record(user, "webhook.remove", webhook_id)
    return "", 204


@bp.post("/webhooks/<webhook_id>/test")
@bp.output(DeliverySchema, status_code=202)
@answers(HTTPStatus.NOT_FOUND)
def test_webhook(webhook_id: str) -> tuple[Any, int]:
    """Have a ``ping`` sent; ``/webhooks/deliveries`` says what became of it."""
    return gateway().webhooks.ping(identity().user, webhook_id), 202


@bp.get("/webhooks/deliveries")
@bp.output(DeliveriesSchema)
def list_deliveries() -> dict[str, Any]:
    """List the last messages to one's webhooks, newest first, and what became of each."""
    return {"items": gateway().webhooks.deliveries(identity().user)}


@bp.get("/me/mail")
@bp.output(MailSchema)
@answers(HTTPStatus.NOT_FOUND)
def get_mail() -> Any:
    """Read where one wants mail of ends."""
    return gateway().mails.get(identity().user)


@bp.put("/me/mail")
@bp.input(NewMailSchema, arg_name="wanted")
@bp.output(MailSchema)
@answers(HTTPStatus.CONFLICT)
def put_mail(wanted: dict[str, Any]) -> Any:
    """Have ends told by mail; a new address counts once the code that is sent there came back."""
    user = identity().user
    made = gateway().mails.put(user, wanted["address"], wanted["states"])
    gateway().accounts.audit.record(user, "mail.set", user)
    return made


@bp.post("/me/mail/verify")
@bp.input(CodeSchema, arg_name="came")
@bp.output(MailSchema)
@answers(HTTPStatus.NOT_FOUND)
def verify_mail(came: dict[str, str]) -> Any:
    """Take the code that came by mail."""
    return gateway().mails.confirm(identity().user, came["code"])


@bp.delete("/me/mail")
@bp.output({}, status_code=204)
@answers(HTTPStatus.NOT_FOUND)
def delete_mail() -> tuple[str, int]:
    """Send no mail any more."""
    user = identity().user
    gateway().mails.remove(user)
    gateway().accounts.audit.record(user, "mail.remove", user)
    return "", 204
