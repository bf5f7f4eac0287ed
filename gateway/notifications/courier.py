"""Sends what lies in the outbox, in the process of the RQ worker, where it holds up nobody.

The outbox is the truth: the courier looks into it each second, and nobody has to call it. A
message that it took is due again a minute later, so a kill between sending and noting sends it
once more, with the same ``webhook-id``.
"""

from __future__ import annotations

import json
import random
import ssl
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from threading import Thread

import redis
import structlog
from cryptography.exceptions import InvalidTag

from gateway.accounts.store import AccountStore
from gateway.database import connect
from gateway.faults import crash_point
from gateway.keepsakes import Keepsakes
from gateway.notifications.mail_store import MailStore
from gateway.notifications.models import Delivery
from gateway.notifications.outbox_store import OutboxStore
from gateway.notifications.post import Rules, SendError, post
from gateway.notifications.signing import signed_headers, unseal
from gateway.notifications.smtp import make_mail, send_mail
from gateway.notifications.webhook_store import WebhookStore
from gateway.records import now
from gateway.settings import Settings

_LOOK_S = 1.0
_THREADS = 8
_MOST_PAUSE_S = 4 * 3_600.0
_log = structlog.get_logger("courier")


class VoidError(Exception):
    """There is nobody to send it to any more; the text says why."""


class Courier:
    """Takes what is due, sends it, and notes what became of it."""

    def __init__(self, settings: Settings, client: redis.Redis) -> None:
        self._settings = settings
        self._site = settings.notifications
        self._outbox = OutboxStore(client)
        self._hooks = WebhookStore(client, Keepsakes(settings.state_directory, "webhooks"))
        self._mails = MailStore(client, Keepsakes(settings.state_directory, "mails"))
        self._users = AccountStore(client)
        tls = ssl.create_default_context()
        if self._site.ca_file:
            tls.load_verify_locations(self._site.ca_file)
        self._rules = Rules(
            ports=self._site.ports,
            networks=self._site.networks,
            deadline_s=self._site.deadline_s,
            tls=tls,
        )

    def round(self, pool: ThreadPoolExecutor) -> int:
        """Send some of what is due, side by side; answer how many."""
        taken = self._outbox.take()
        for done in [pool.submit(self._handle, delivery) for delivery in taken]:
            done.result()
        return len(taken)

    def run(self) -> None:
        """Send for ever."""
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="courier") as pool:
            while True:
                try:
                    busy = self.round(pool)
                except redis.RedisError as error:
                    _log.warning("the store is away", error=str(error))
                    busy = 0
                if not busy:
                    time.sleep(_LOOK_S)

    def _handle(self, delivery: Delivery) -> None:
        tried = replace(delivery, attempts=delivery.attempts + 1, next_try=None)
        try:
            self._send(delivery)
        except VoidError as error:
            tried = replace(tried, given_up=now(), last=str(error))
        except SendError as error:
            tried = self._later(tried, str(error))
        except redis.RedisError:
            raise
        except Exception:  # noqa: BLE001 - one message must not end the sending of all others
            _log.exception("a delivery failed", delivery=delivery.id)
            tried = self._later(tried, "the gateway met a fault of its own: its log says more")
        else:
            tried = replace(tried, delivered=now(), last="taken")
        crash_point("outbox-sent")
        self._outbox.note(tried)
        _log.info(
            "delivery",
            delivery=delivery.id,
            event_id=delivery.event,
            user=delivery.user,
            attempts=tried.attempts,
            outcome=tried.last,
            given_up=tried.given_up is not None,
        )

    def _send(self, delivery: Delivery) -> None:
        user = self._users.user(delivery.user)
        if user is None or not user.active:
            raise VoidError("its account is switched off")
        if delivery.address:
            self._send_mail(delivery)
        else:
            self._send_to_webhook(delivery)

    def _send_mail(self, delivery: Delivery) -> None:
        known = self._mails.find(delivery.user)
        awaited = known is not None and (delivery.kind == "code" or known.verified is not None)
        if known is None or known.address != delivery.address or not awaited:
            raise VoidError("its address was removed")
        if not self._settings.mail.host:
            raise SendError("this site sends no mail any more")
        words = json.loads(delivery.body)
        sender, url = self._settings.mail.sender, self._settings.url
        mail = make_mail(delivery, words["subject"], words["text"], sender, url)
        send_mail(mail, self._settings.mail, self._rules.tls, self._site.deadline_s)

    def _send_to_webhook(self, delivery: Delivery) -> None:
        hook = self._hooks.find(delivery.user, delivery.webhook)
        if hook is None:
            raise VoidError("its webhook was removed")
        try:
            secret = unseal(self._settings.secret_key, hook.user, hook.id, hook.sealed_secret)
        except InvalidTag as error:
            raise VoidError("the site has another secret now: make the webhook anew") from error
        body = delivery.body.encode()
        headers = signed_headers(secret, delivery.event, int(time.time()), body)
        post(hook.url, body, headers, self._rules)

    def _later(self, tried: Delivery, why: str) -> Delivery:
        """Say when it is tried again: later each time, and not forever."""
        pause_s = min(self._site.retry_s * 2.0 ** (tried.attempts - 1), _MOST_PAUSE_S)
        again = now() + timedelta(seconds=pause_s * random.uniform(0.5, 1.5))  # noqa: S311 - no secret
        if again - tried.made > timedelta(seconds=self._site.give_up_s):
            return replace(tried, given_up=now(), last=why)
        return replace(tried, next_try=again, last=why)


def start_courier(settings: Settings) -> None:
    """Let a courier work beside whatever this process does; its connections are its own."""
    courier = Courier(settings, connect(settings))
    Thread(target=courier.run, name="courier", daemon=True).start()
