"""How often somebody may guess a password.

Three windows of a few minutes, each counted before the password is looked at: guesses at one name
from one address, guesses from one address, and guesses at one name from anywhere. None is
prolonged by further guesses. A browser that has signed in before shows a device cookie (bound to
the name) and has a window of its own: so a stranger's guesses never keep the true user out.
"""

from __future__ import annotations

import hashlib
import math
import secrets
from dataclasses import dataclass, field
from datetime import timedelta

from gateway.accounts.models import Visit
from gateway.accounts.store import AccountStore
from gateway.accounts.tokens import keyed, matches
from gateway.errors import TooManyRequestsError

WINDOW = timedelta(minutes=15)


@dataclass(frozen=True, kw_only=True)
class Throttle:
    """Counts guesses and says when it is enough."""

    store: AccountStore
    key: bytes = field(repr=False)
    per_pair: int
    per_address: int
    per_name: int

    def admit(self, name: str, visit: Visit) -> None:
        """Count a guess.

        Raises
        ------
        TooManyRequestsError
            With the time when guessing makes sense again.
        """
        for bucket, limit in self._buckets(name, visit):
            self.limit(bucket, limit, "attempts to sign in")

    def admit_address(self, visit: Visit) -> None:
        """Count a guess at a UID; it has too many bits to need more than a bound on the load."""
        self.limit(f"uid:{_short(visit.address)}", self.per_address, "attempts to sign in")

    def limit(self, bucket: str, limit: int, what: str) -> None:
        """Count anything, and refuse it when there were too many."""
        count, left = self.store.count(bucket, WINDOW)
        if count > limit:
            seconds = max(1, math.ceil(left.total_seconds()))
            raise TooManyRequestsError(f"too many {what}: try again in {seconds} s", seconds)

    def succeeded(self, name: str, visit: Visit) -> None:
        """Take the guess back: it was none."""
        own, *shared = self._buckets(name, visit)
        self.store.forget_attempts(own[0])
        for bucket, _ in shared:
            self.store.uncount(bucket)

    def device_for(self, name: str) -> str:
        """Make the proof that a browser has signed in as *name*."""
        random = secrets.token_hex(16)
        return f"{random}.{keyed(self.key, name, random)}"

    def _buckets(self, name: str, visit: Visit) -> list[tuple[str, int]]:
        who = _short(name)
        if visit.device is not None and self._knows(name, visit.device):
            return [(f"device:{_short(visit.device)}", self.per_pair)]
        where = _short(visit.address)
        return [
            (f"pair:{who}:{where}", self.per_pair),
            (f"address:{where}", self.per_address),
            (f"name:{who}", self.per_name),
        ]

    def _knows(self, name: str, device: str) -> bool:
        random, _, mac = device.partition(".")
        return matches(mac, keyed(self.key, name, random))


def _short(text: str) -> str:
    """Names come from strangers: a key has a bounded length whatever they send."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
