"""What users do with webhooks, and what is sent to them; `gateway.notifications.courier` sends."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gateway.errors import ConflictError, InvalidError, NotFoundError
from gateway.ids import new_id
from gateway.notifications.addresses import parse_target
from gateway.notifications.models import Delivery, Notification, Webhook
from gateway.notifications.outbox_store import OutboxStore
from gateway.notifications.signing import make_secret, seal
from gateway.notifications.webhook_store import WebhookStore
from gateway.records import now, time_text, to_document
from gateway.settings import Settings
from scheduler.base import JobState

LABEL_CHARACTERS = 100


@dataclass(frozen=True, kw_only=True)
class NewWebhook:
    """A webhook that was just made, with its secret, which is shown this once."""

    webhook: Webhook
    secret: str


class Webhooks:
    """The verbs of webhooks."""

    def __init__(self, store: WebhookStore, outbox: OutboxStore, settings: Settings) -> None:
        self._store = store
        self._outbox = outbox
        self._settings = settings

    def add(self, user: str, label: str, url: str, states: Sequence[JobState]) -> NewWebhook:
        """Have ends told to a URL.

        Raises
        ------
        InvalidError
            For a URL that no webhook may have.
        ConflictError
            When the user has as many as the site allows.
        """
        rules = self._settings.notifications
        try:
            parse_target(url, rules.ports)
        except ValueError as error:
            raise InvalidError.at("/url", str(error)) from error
        webhook_id, secret = new_id(), make_secret()
        hook = Webhook(
            id=webhook_id,
            user=user,
            label=label,
            url=url,
            states=tuple(states),
            sealed_secret=seal(self._settings.secret_key, user, webhook_id, secret),
            made=now(),
        )
        if not self._store.add(hook, rules.webhooks):
            raise ConflictError(f"you have {rules.webhooks} webhooks already: remove one first")
        return NewWebhook(webhook=hook, secret=secret)

    def all(self, user: str) -> list[Webhook]:
        """List a user's webhooks."""
        return self._store.all(user)

    def remove(self, user: str, id: str) -> None:
        """Forget a webhook; what waits to be sent there is dropped.

        Raises
        ------
        NotFoundError
            When the user has none of this id.
        """
        if not self._store.remove(user, id):
            raise _missing(id)

    def ping(self, user: str, id: str) -> Delivery:
        """Have a message sent that tells nothing, to try a webhook."""
        hook = self._store.find(user, id)
        if hook is None:
            raise _missing(id)
        delivery = _delivery(hook, new_id(), "ping", {"label": hook.label})
        self._outbox.add(delivery)
        return delivery

    def deliveries(self, user: str) -> list[Delivery]:
        """List what was sent of late, or is to be, newest first."""
        return self._outbox.newest(user)

    def messages(self, told: Notification) -> list[Delivery]:
        """Write what is to be sent of an end."""
        wanted = [hook for hook in self._store.all(told.user) if hook.wants(told)]
        return [_delivery(hook, told.id, told.event, self._data(told)) for hook in wanted]

    def _data(self, told: Notification) -> dict[str, Any]:
        url = self._settings.url
        return {
            "job": told.job,
            "attempt": told.attempt,
            "title": told.title,
            "kind": told.kind,
            "state": told.state.value,
            "text": told.text,
            "verdict": to_document(told.verdict),
            "others": told.others,
            "also": list(told.also),
            "links": {"job": f"{url}/api/v1/jobs/{told.job}", "page": f"{url}/jobs/{told.job}"},
        }


def _delivery(hook: Webhook, event: str, kind: str, data: dict[str, Any]) -> Delivery:
    made = now()
    body = {"id": event, "type": kind, "timestamp": time_text(made), "data": data}
    return Delivery(
        id=new_id(),
        user=hook.user,
        webhook=hook.id,
        event=event,
        kind=kind,
        body=json.dumps(body),
        made=made,
        next_try=made,
    )


def _missing(id: str) -> NotFoundError:
    return NotFoundError(f"there is no webhook {id[:80]}")
