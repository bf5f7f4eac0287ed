"""Fields that documents of all rooms share."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from apiflask.fields import DateTime

from gateway.records import time_text


class Instant(DateTime):
    """An instant as RFC 3339 in UTC, with a Z."""

    def _serialize(
        self,
        value: datetime | None,
        attr: Any,  # noqa: ARG002 - marshmallow's signature
        obj: Any,  # noqa: ARG002
        **kwargs: Any,  # noqa: ARG002
    ) -> str | None:
        return None if value is None else time_text(value)
