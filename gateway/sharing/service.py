"""The verbs of sharing: give read access, take it back, say who has it.

It knows nothing of what is shared but whose it is: jobs use it, and datasets can.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from gateway.accounts.audit import Audit
from gateway.accounts.models import Identity, User
from gateway.accounts.tokens import derive_key, keyed, matches
from gateway.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError
from gateway.ids import new_id
from gateway.records import now, time_text
from gateway.settings import Settings
from gateway.sharing.models import Access, Grant, How, Name, Share, Thing
from gateway.sharing.store import ShareStore

MOST = 50
"""Shares of one thing: what a person can still look over."""

PATH = "/shared/"
_LINK = re.compile(r"([0-7][0-9A-HJKMNP-TV-Z]{25})-([0-9a-f]{64})")
_NOTED = timedelta(minutes=1)
"""How exactly it is known when something was opened last: each note is a write to disk."""

_SAME = timedelta(hours=1)
_PAGE = 200


class Users(Protocol):
    """What accounts know of users."""

    def known_to(self, asker: str, name: str) -> User | None:
        """Find somebody by name for another user."""

    def is_active(self, name: str) -> bool:
        """Whether somebody of this name may sign in."""


class Groups(Protocol):
    """What policy knows of groups."""

    def groups_of(self, user: str) -> Sequence[str]:
        """Say where somebody belongs."""

    def members_of(self, group: str) -> Sequence[str] | None:
        """Say who belongs there; None when there is no such group."""


class Notices(Protocol):
    """What tells people of shares."""

    def shared(self, share: Share, readers: Sequence[str]) -> None:
        """Tell readers of a new share."""

    def taken_back(self, share: Share, readers: Sequence[str]) -> None:
        """Tell them no more of it."""


class Sharing:
    """Who else may read a thing."""

    def __init__(
        self,
        store: ShareStore,
        users: Users,
        groups: Groups,
        audit: Audit,
        settings: Settings,
        notices: Notices,
    ) -> None:
        self._store = store
        self._notices = notices
        self._users = users
        self._groups = groups
        self._audit = audit
        self._url = settings.url
        self._links = settings.sharing.links
        self._key = derive_key(settings.secret_key, "share link")

    # ---- giving

    def share(
        self,
        who: Identity,
        thing: Thing,
        *,
        user: str | None,
        group: str | None,
        link: bool,
        expires: datetime | None,
    ) -> Share:
        """Let somebody read a thing: one user, a group, or whoever has the link; none twice."""
        if user:
            return self.with_user(who, thing, user, expires)
        if group:
            return self.with_group(who, thing, group, expires)
        if not link:
            raise ValueError("share with a user, a group or by a link")
        return self.by_link(who, thing, expires)

    def with_user(
        self, who: Identity, thing: Thing, name: str, expires: datetime | None = None
    ) -> Share:
        """Let a user read a thing; whoever may already, may as before.

        Raises
        ------
        InvalidError
            For the owner, and for who is no active user here.
        TooManyRequestsError
            When names are tried out.
        """
        if name == thing.owner:
            raise InvalidError.at("/user", f"{name!r} is its owner, who sees it anyhow")
        if self._users.known_to(who.user, name) is None:
            self._audit.record(who.user, "share.refused", f"{_words(thing)} user {name[:32]!r}")
            raise InvalidError.at(
                "/user",
                f"{name[:32]!r} is no user here: ask them for the name with which they sign in, or "
                "make a link",
            )
        return self._add(who, thing, How.USER, name, expires)

    def with_group(
        self, who: Identity, thing: Thing, name: str, expires: datetime | None = None
    ) -> Share:
        """Let the members of one of the owner's groups read a thing, as they are at any time.

        Raises
        ------
        InvalidError
            For any other group, in the same words whether there is one or not.
        """
        groups = self._groups.groups_of(thing.owner)
        if name not in groups:
            known = f"known: {', '.join(groups)}" if groups else "there is none"
            raise InvalidError.at("/group", f"{name[:32]!r} is no group of {thing.owner}; {known}")
        return self._add(who, thing, How.GROUP, name, expires)

    def by_link(self, who: Identity, thing: Thing, expires: datetime | None = None) -> Share:
        """Make a link by which a thing can be read."""
        if self._links == "off":
            raise ForbiddenError("this site does not share by links: share with a user or a group")
        return self._add(who, thing, How.LINK, "", expires)

    def _add(
        self, who: Identity, thing: Thing, how: How, to: str, expires: datetime | None
    ) -> Share:
        if expires is not None and expires <= now():
            raise InvalidError.at("/expires", f"{time_text(expires)} is over: give a time to come")
        wanted = Share(
            id=new_id(),
            kind=thing.kind,
            thing=thing.id,
            how=how,
            to=to,
            by=who.user,
            since=now(),
            expires=expires,
        )
        found = self._store.add(wanted, MOST)
        if found.id != wanted.id and found.is_over(now()):
            if self._store.remove(found):
                self._notices.taken_back(found, self._readers(found, thing.owner))
            found = self._store.add(wanted, MOST)
        if found.id == wanted.id:
            self._audit.record(who.user, f"{thing.kind}.share", _subject(found))
            self._notices.shared(found, self._readers(found, thing.owner))
        elif not _ends_alike(found.expires, expires):
            raise ConflictError(
                f"it is shared with {to} already, until another time: take that back first"
            )
        return found

    # ---- looking over, taking back

    def accesses(self, thing: Thing) -> list[Access]:
        """Say who has access, for the eyes of the owner."""
        opened = self._store.opened(thing.name)
        return [
            self.access(share, opened.get(share.id, {})) for share in self._store.all(thing.name)
        ]

    def access(self, share: Share, opened: Mapping[str, datetime]) -> Access:
        """Say what a share gives, and who used it."""
        is_group = share.how is How.GROUP
        note = self._why_void(share)
        if share.how is How.USER and not self._users.is_active(share.to):
            note = note or "This user cannot sign in any more."
        return Access(
            share=share,
            opened=opened,
            link=self.address(share) if share.how is How.LINK else None,
            note=note,
            members=len(self._groups.members_of(share.to) or ()) if is_group else None,
        )

    def groups_for(self, thing: Thing) -> Sequence[str]:
        """Say with which groups a thing can be shared."""
        return self._groups.groups_of(thing.owner)

    @property
    def links(self) -> str:
        """Whether there are links here, and for whom: see the settings."""
        return self._links

    def take_back(self, who: Identity, thing: Thing, share_id: str) -> None:
        """End a share, at once.

        Raises
        ------
        NotFoundError
            When the thing has none of this id.
        """
        share = next((one for one in self._store.all(thing.name) if one.id == share_id), None)
        if share is None or not self._store.remove(share):
            raise NotFoundError(f"it has no share {share_id[:26]}, or no more: list them again")
        self._audit.record(who.user, f"{thing.kind}.unshare", _subject(share))
        self._notices.taken_back(share, self._readers(share, thing.owner))

    def _readers(self, share: Share, owner: str) -> list[str]:
        """Name those whom a share gives a thing by name or group."""
        if share.how is How.LINK:
            return []
        names = [share.to] if share.how is How.USER else self._groups.members_of(share.to) or ()
        return [name for name in names if name not in (owner, share.by)]

    def leave(self, who: Identity, name: Name) -> None:
        """Have a thing of somebody else in one's list no more, until it is given anew.

        What was given by name or link cannot be read any more; what a group may read, every
        member may.

        Raises
        ------
        NotFoundError
            When nobody shares such a thing with them.
        """
        groups = self._groups.groups_of(who.user) if who.user else ()
        grants = [one for one in self._store.look([name], who.user)[0] if who.user]
        own = [one.share for one in grants if self._opens(one, who, groups)]
        own = [one for one in own if one.by != who.user]
        if not own:
            raise NotFoundError(f"nobody shares a {name.kind} {name.id[:26]} with you")
        for share in own:
            match share.how:
                case How.USER:
                    self._store.remove(share)
                case How.LINK:
                    self._store.close(share, who.user)
                case How.GROUP:
                    self._store.put_away(share, who.user)
            self._notices.taken_back(share, [who.user])
            self._audit.record(who.user, f"{name.kind}.leave", _subject(share))

    def going(self, name: Name) -> Callable[[], None]:
        """Say, before a thing is deleted, what is to be done when it was: files go after it."""
        shares = self._store.all(name)
        return lambda: self._store.drop_files(shares)

    # ---- reading

    def grant(self, who: Identity, name: Name) -> Grant | None:
        """Say why somebody may read what is not theirs; None when they may not."""
        return self.grants(who, [name])[0]

    def grants(self, who: Identity, names: Sequence[Name]) -> list[Grant | None]:
        """Say it of many things, in one round trip."""
        looked = self._store.look(names, who.user)
        if not any(looked):
            return [None] * len(names)
        groups = self._groups.groups_of(who.user) if who.user else ()
        return [next((one for one in row if self._opens(one, who, groups)), None) for row in looked]

    def _opens(self, grant: Grant, who: Identity, groups: Sequence[str]) -> bool:
        share = grant.share
        if self._why_void(share):
            return False
        if not who.user:
            return share.how is How.LINK and share.id == who.link and self._links == "anyone"
        match share.how:
            case How.USER:
                return share.to == who.user
            case How.GROUP:
                return share.to in groups
            case How.LINK:
                return grant.opened is not None

    def _why_void(self, share: Share) -> str:
        """Say why a share gives nobody access; empty when it does."""
        if share.is_over(now()):
            return "It has ended."
        if share.how is How.LINK and self._links == "off":
            return "This site has switched links off."
        if share.how is How.GROUP and self._groups.members_of(share.to) is None:
            return "There is no such group any more."
        return ""

    def used(self, who: Identity, grant: Grant) -> None:
        """Note that somebody reads what is shared."""
        if grant.opened is None or now() - grant.opened > _NOTED:
            self._store.note(grant.share, who.user)

    def shared_with(self, who: Identity, kind: str, before: str | None) -> Iterator[str]:
        """Go through the ids of all that is shared with somebody, from the newest."""
        groups, left = self._groups.groups_of(who.user), self._store.left(kind, who.user)
        while ids := self._store.newest(kind, who.user, groups, before, _PAGE):
            rows = self._store.look([Name(kind, one) for one in ids], who.user)
            pairs = zip(ids, rows, strict=True)
            yield from (one for one, row in pairs if self._lists(row, who, groups, left))
            before = ids[-1]

    def count(self, who: Identity, kind: str) -> int:
        """Count what is shared with somebody, with what has ended since."""
        groups, left = self._groups.groups_of(who.user), self._store.left(kind, who.user)
        found = self._store.known(kind, who.user, groups)
        things = sorted(set(left.values()))
        rows = self._store.look([Name(kind, one) for one in things], who.user)
        # What a group may read is not asked: while the policy cannot be read, nobody is in any.
        there = {grant.share.id for row in rows for grant in row}
        gone = {share: thing for share, thing in left.items() if share not in there}
        self._store.forget_left(kind, who.user, gone)
        pairs = zip(things, rows, strict=True)
        hidden = [one for one, row in pairs if not self._lists(row, who, groups, left)]
        return len(found.difference(hidden))

    def _lists(
        self, row: Sequence[Grant], who: Identity, groups: Sequence[str], left: Container[str]
    ) -> bool:
        """Whether any share gives somebody a thing that they have not left."""
        return any(one.share.id not in left and self._opens(one, who, groups) for one in row)

    # ---- links

    def address(self, share: Share) -> str:
        """Write the link of a share: only this site can, and the store does not hold it."""
        return f"{self._url}{self.path(share)}"

    def path(self, share: Share) -> str:
        """Write a link without the name of this site."""
        return f"{PATH}{share.id}-{self._mark(share.id)}"

    def follow(self, text: str) -> Share:
        """Read a link, or the end of one.

        Raises
        ------
        NotFoundError
            In the same words for one that was forged, was taken back, or has ended.
        """
        found = _LINK.fullmatch(text.strip().rpartition("/")[2])
        if found and matches(found[2], self._mark(found[1])):
            share = self._store.of_link(found[1])
            if share is not None and not self._why_void(share):
                return share
        raise NotFoundError(
            "this link opens nothing, or no more: ask who gave it to you for another one"
        )

    def open(self, who: Identity, share: Share, owner: str) -> None:
        """Let somebody read by a link from now on, until it ends or is taken back."""
        if who.user == owner:
            return
        before = self._store.look([share.name], who.user)[0]
        if any(one.share.id == share.id and one.opened for one in before):
            return
        if not self._store.note(share, who.user):
            raise NotFoundError("this link was taken back just now")
        self._audit.record(who.user, f"{share.kind}.open_link", _subject(share))

    def _mark(self, share_id: str) -> str:
        return keyed(self._key, share_id)


def _ends_alike(one: datetime | None, other: datetime | None) -> bool:
    """Whether two ends are meant to be the same: a second click comes a little later."""
    if one is None or other is None:
        return one is other
    return abs(one - other) < _SAME


def _words(thing: Thing) -> str:
    return f"{thing.kind} {thing.id}"


def _subject(share: Share) -> str:
    to = share.to or share.id
    until = f" until {time_text(share.expires)}" if share.expires else ""
    return f"{share.thing} {share.how} {to}{until}"
