"""What users do with mail, and what is sent to them; `gateway.notifications.courier` sends."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from gateway.errors import ConflictError, InvalidError, NotFoundError, TooManyRequestsError
from gateway.ids import new_id
from gateway.notifications.mail_store import MailStore
from gateway.notifications.models import Delivery, MailAddress, Notification
from gateway.notifications.outbox_store import OutboxStore
from gateway.records import now
from gateway.settings import Settings
from scheduler.base import JobState

ADDRESS = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,63}@[A-Za-z0-9][A-Za-z0-9.-]{0,189}")
_CODE_LIFE = timedelta(hours=1)
_CODES_PER_HOUR = 5
_GUESSES = 5


class Mails:
    """The verbs of mail."""

    def __init__(self, store: MailStore, outbox: OutboxStore, settings: Settings) -> None:
        self._store = store
        self._outbox = outbox
        self._settings = settings

    @property
    def offered(self) -> bool:
        """Whether this site sends mail."""
        return bool(self._settings.mail.host)

    def find(self, user: str) -> MailAddress | None:
        """Find the address of a user."""
        return self._store.find(user)

    def get(self, user: str) -> MailAddress:
        """Read the address of a user.

        Raises
        ------
        NotFoundError
            When there is none.
        """
        found = self._store.find(user)
        if found is None:
            raise NotFoundError("you have given no mail address")
        return found

    def put(self, user: str, address: str, states: Sequence[JobState]) -> MailAddress:
        """Have ends told by mail; a new address gets a code that has to come back first.

        Raises
        ------
        InvalidError
            For what is no address.
        ConflictError
            When this site sends no mail.
        TooManyRequestsError
            When codes were sent too often.
        """
        if not self.offered:
            raise ConflictError("this site sends no mail: ask its administrator")
        if not ADDRESS.fullmatch(address):
            raise InvalidError.at("/address", "is no mail address: write name@host")
        known = self._store.find(user)
        if known is not None and known.address == address and known.verified:
            changed = replace(known, states=tuple(states))
            self._store.put(changed)
            return changed
        if self._store.count_code(user) > _CODES_PER_HOUR:
            raise TooManyRequestsError("too many codes were sent: wait an hour", 3_600)
        code = f"{secrets.randbelow(10**8):08d}"
        made = MailAddress(
            user=user,
            address=address,
            states=tuple(states),
            code=self._digest(user, code),
            code_sent=now(),
        )
        self._store.put(made)
        text = (
            f"{user} at {self._settings.url} wants mail here.\n\nThe code is {code}, for an hour.\n"
        )
        subject = "your code"
        self._outbox.add(_mail(made, new_id(), "code", subject, f"{text}\n{_STRANGER}\n"))
        return made

    def confirm(self, user: str, code: str) -> MailAddress:
        """Take the code that came by mail.

        Raises
        ------
        NotFoundError
            When there is no address.
        InvalidError
            For another code, or an old one.
        """

        def look(known: MailAddress) -> MailAddress:
            if known.verified:
                return known
            fresh = now() - known.code_sent < _CODE_LIFE and known.wrong < _GUESSES
            if fresh and hmac.compare_digest(known.code, self._digest(user, code)):
                return replace(known, code="", verified=now())
            return replace(known, wrong=known.wrong + 1)

        found = self._store.change(user, look)
        if found is None:
            raise NotFoundError("you have given no mail address")
        if not found.verified:
            raise InvalidError.at("/code", "is not the code that was sent, or too old: ask again")
        return found

    def remove(self, user: str) -> None:
        """Send no mail any more.

        Raises
        ------
        NotFoundError
            When there is no address.
        """
        if not self._store.remove(user):
            raise NotFoundError("you have given no mail address")

    def messages(self, told: Notification) -> list[Delivery]:
        """Write what is to be sent of an end."""
        known = self._store.find(told.user) if self.offered else None
        if known is None or not known.wants(told):
            return []
        name = told.title or told.job
        if told.others:
            name += f" and {told.others} more"
        lines = [
            f"{name}: {told.state.value}",
            told.text,
            told.verdict.text if told.verdict else "",
            *(f"{self._settings.url}/jobs/{job}" for job in (told.job, *told.also)),
            f"The first {1 + len(told.also)} are named." if told.others > len(told.also) else "",
        ]
        text = "\n\n".join(line for line in lines if line)
        subject = f"{told.state.value}: {name}"
        return [_mail(known, told.id, told.event, subject, f"{text}\n")]

    def _digest(self, user: str, code: str) -> str:
        key = hashlib.sha256(b"codes of mail" + self._settings.secret_key).digest()
        return hmac.digest(key, f"{user}:{code}".encode(), "sha256").hex()


_STRANGER = "If that is not you, do nothing: without the code no more mail comes."


def _mail(to: MailAddress, event: str, kind: str, subject: str, text: str) -> Delivery:
    made = now()
    return Delivery(
        id=new_id(),
        user=to.user,
        address=to.address,
        event=event,
        kind=kind,
        body=json.dumps({"subject": subject, "text": text}),
        made=made,
        next_try=made,
    )
