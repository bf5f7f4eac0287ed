"""The page of one's notifications."""

from __future__ import annotations

from apiflask import APIBlueprint
from flask import redirect, render_template
from werkzeug.wrappers import Response as AnyResponse

from gateway.notifications.store import KEPT
from gateway.web.context import gateway, identity

bp = APIBlueprint("notification_pages", __name__, enable_openapi=False)

PATH = "/notifications"


@bp.get(PATH)
def notifications() -> str:
    """List the ends of one's jobs."""
    user, service = identity().user, gateway().notifications
    return render_template(
        "notifications/list.html", items=service.newest(user, None, KEPT), kept=KEPT
    )


@bp.post(f"{PATH}/read")
def read_all() -> AnyResponse:
    """Mark all as read."""
    gateway().notifications.mark_all_read(identity().user)
    return redirect(PATH, code=303)


@bp.post(f"{PATH}/<notification_id>/read")
def read_one(notification_id: str) -> AnyResponse:
    """Mark one as read."""
    gateway().notifications.mark_read(identity().user, notification_id)
    return redirect(f"{PATH}#n-{notification_id}", code=303)
