"""What programs ask of notifications."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from apiflask import APIBlueprint

from gateway.notifications.models import Shown
from gateway.notifications.schemas import NotificationsSchema
from gateway.web.context import gateway, identity
from gateway.web.described import answers
from gateway.web.paging import Page, PlainPageSchema, paged

bp = APIBlueprint("notifications", __name__, tag="notifications")


@bp.get("/notifications")
@bp.input(PlainPageSchema, location="query", arg_name="page")
@bp.output(NotificationsSchema)
def list_notifications(page: Page) -> tuple[dict[str, Any], int, dict[str, str]]:
    """List the ends of one's jobs, newest first, of the last 200, and count the unread ones."""
    user, service = identity().user, gateway().notifications
    found = service.newest(user, page.after, page.limit + 1)
    last = found[page.limit - 1].notification.id if len(found) > page.limit else None
    body, status, headers = paged([present(shown) for shown in found[: page.limit]], last)
    return {**body, "unread": service.unread(user)}, status, headers


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
    return {**vars(told), "read": shown.read, "links": links}
