"""What the sharing room talks about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple


class Name(NamedTuple):
    """Which thing: its kind, such as ``job``, and its id."""

    kind: str
    id: str


@dataclass(frozen=True, kw_only=True)
class Thing:
    """What can be shared, and whose it is."""

    kind: str
    id: str
    owner: str

    @property
    def name(self) -> Name:
        """Name it."""
        return Name(self.kind, self.id)


class How(StrEnum):
    """With whom something is shared."""

    USER = "user"
    GROUP = "group"
    LINK = "link"


@dataclass(frozen=True, kw_only=True)
class Share:
    """Read access to one thing, for one user, one group, or whoever has a link."""

    id: str
    kind: str
    thing: str
    how: How
    by: str
    since: datetime
    to: str = ""
    """The name of the user or the group; empty for a link."""

    expires: datetime | None = None

    @property
    def name(self) -> Name:
        """Name what is shared."""
        return Name(self.kind, self.thing)

    @property
    def field(self) -> str:
        """Name it among those of one thing: nobody is named twice."""
        return f"{self.how}:{self.to or self.id}"

    def is_over(self, moment: datetime) -> bool:
        """Whether it has ended by itself."""
        return self.expires is not None and self.expires <= moment


@dataclass(frozen=True, kw_only=True)
class Access:
    """A share as the owner sees it."""

    share: Share
    opened: Mapping[str, datetime] = field(default_factory=dict)
    """By whom, and when last, newest first; the empty name stands for people not signed in."""

    link: str | None = None
    """The whole address, of a link."""

    note: str = ""
    """Why it gives nobody access now; empty when it does."""

    members: int | None = None
    """Of a group, as it is now."""

    @property
    def last_opened(self) -> datetime | None:
        """When anybody used it last; None when nobody has."""
        return max(self.opened.values(), default=None)


@dataclass(frozen=True, kw_only=True)
class Grant:
    """Why somebody may read what is not theirs."""

    share: Share
    opened: datetime | None
    """When they used it last, before now."""
