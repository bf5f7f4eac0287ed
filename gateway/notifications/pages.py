"""The pages of one's notifications, and of where they are sent."""

from __future__ import annotations

from collections.abc import Callable

from apiflask import APIBlueprint
from flask import redirect, render_template, request
from werkzeug.wrappers import Response as AnyResponse

from gateway.errors import GatewayError, InvalidError
from gateway.notifications.models import MailAddress
from gateway.notifications.store import KEPT
from gateway.notifications.webhooks import LABEL_CHARACTERS, NewWebhook
from gateway.web.context import gateway, identity
from scheduler.base import JobState

bp = APIBlueprint("notification_pages", __name__, enable_openapi=False)

PATH = "/notifications"
WHERE = "/notifications/sent"
_SENT = 20

Page = str | tuple[str, int] | AnyResponse


@bp.get(PATH)
def notifications() -> str:
    """List the ends of one's jobs."""
    items = gateway().notifications.newest(identity(), None, KEPT)
    return render_template("notifications/list.html", items=items, kept=KEPT)


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


@bp.get(WHERE)
def where() -> Page:
    """Show where one's notifications are sent, with forms to change it."""
    return _where_page()


@bp.post(f"{WHERE}/mail")
def set_mail() -> Page:
    """Give an address, or other states."""
    user = identity().user
    return _done("mail", lambda: gateway().mails.put(user, _text("address"), _states()))


@bp.post(f"{WHERE}/mail/verify")
def verify_mail() -> Page:
    """Take the code that came by mail."""
    user = identity().user
    return _done("code", lambda: gateway().mails.confirm(user, _text("code")))


@bp.post(f"{WHERE}/mail/remove")
def remove_mail() -> Page:
    """Send no mail any more."""
    gateway().mails.remove(identity().user)
    return redirect(WHERE, code=303)


@bp.post(f"{WHERE}/webhooks")
def make_webhook() -> Page:
    """Make a webhook, and show its secret this once."""
    user = identity().user
    try:
        label = _text("label")
        if not 0 < len(label) <= LABEL_CHARACTERS:
            raise InvalidError.at("/label", f"write up to {LABEL_CHARACTERS} characters")
        made = gateway().webhooks.add(user, label, _text("url"), _states())
    except GatewayError as error:
        return _where_page("webhook", error), int(error.status)
    gateway().accounts.audit.record(user, "webhook.make", made.webhook.id)
    return _where_page(made=made)


@bp.post(f"{WHERE}/webhooks/<webhook_id>/test")
def try_webhook(webhook_id: str) -> Page:
    """Have a message sent, to try it."""
    gateway().webhooks.ping(identity().user, webhook_id)
    return redirect(f"{WHERE}#sent", code=303)


@bp.post(f"{WHERE}/webhooks/<webhook_id>/remove")
def remove_webhook(webhook_id: str) -> Page:
    """Send nothing there any more."""
    user = identity().user
    gateway().webhooks.remove(user, webhook_id)
    gateway().accounts.audit.record(user, "webhook.remove", webhook_id)
    return redirect(WHERE, code=303)


def _done(form: str, verb: Callable[[], MailAddress]) -> Page:
    """Do what a form asks, and show the page again; what is wrong stands at its field."""
    try:
        verb()
    except GatewayError as error:
        return _where_page(form, error), int(error.status)
    gateway().accounts.audit.record(identity().user, "mail.set", identity().user)
    return redirect(WHERE, code=303)


def _where_page(
    wrong: str = "", error: GatewayError | None = None, made: NewWebhook | None = None
) -> str:
    user, services = identity().user, gateway()
    return render_template(
        "notifications/where.html",
        mail=services.mails.find(user),
        offered=services.mails.offered,
        hooks=services.webhooks.all(user),
        sent=services.webhooks.deliveries(user)[:_SENT],
        ends=[state.value for state in JobState if state.final],
        wrong=wrong,
        error=error,
        made=made,
        given=request.form,
    )


def _text(field: str) -> str:
    return request.form.get(field, "").strip()


def _states() -> list[JobState]:
    known = {state.value: state for state in JobState}
    chosen = request.form.getlist("states")
    if unknown := [text for text in chosen if text not in known]:
        raise InvalidError.at("/states", f"{unknown[0][:40]!r} is not a state of a job")
    return [known[text] for text in chosen]
