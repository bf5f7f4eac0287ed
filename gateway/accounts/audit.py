"""The audit trail: who did what to what, when and from where; only ever appended."""

from __future__ import annotations

from dataclasses import dataclass

from structlog.contextvars import get_contextvars

from gateway.accounts.models import AuditRecord
from gateway.accounts.store import AccountStore
from gateway.records import now

BY_COMMAND = "(command)"
"""Who sits at the gateway's own host; no user can be called so."""

_LONGEST = 200


@dataclass(frozen=True)
class Audit:
    """Writes and reads the trail; other rooms write to it too."""

    store: AccountStore

    def record(self, user: str, action: str, subject: str = "") -> None:
        """Note an action; address and request id come from the request that is being answered.

        Parameters
        ----------
        action
            A noun and a verb: ``job.submit``, ``token.make``.
        subject
            What it was done to, by its id.
        """
        context = get_contextvars()
        self.store.append_audit(
            AuditRecord(
                time=now(),
                user=user,
                action=action,
                subject=subject[:_LONGEST],
                address=str(context.get("address", "")),
                request_id=str(context.get("request_id", "")),
            )
        )

    def read(
        self, user: str | None, before: str | None = None, limit: int = 50
    ) -> list[tuple[str, AuditRecord]]:
        """Read the trail of a user, or of all for None, newest first, from before an entry's id."""
        return self.store.audit(user, before, limit)
