"""The one place that says who may do what to whose things."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Protocol, TypeVar

from gateway.accounts.models import AdminError, Identity, Scope, ScopeError
from gateway.errors import ForbiddenError, NotFoundError
from gateway.ids import is_id


class Right(Enum):
    """What somebody wants to do with a thing, and the scope that this takes."""

    READ = Scope.READ
    WRITE = Scope.SUBMIT
    ADMIN = Scope.ADMIN


def may(identity: Identity, right: Right, owner: str) -> bool:
    """Say whether somebody may do this with a thing of *owner*.

    An administrator may, as far as the token in use has the scope ``admin``.
    """
    if right.value not in identity.scopes:
        return False
    is_administrator = identity.admin and Scope.ADMIN in identity.scopes
    if right is Right.ADMIN:
        return is_administrator
    return identity.user == owner or is_administrator


def require_may(identity: Identity, right: Right, owner: str | None, what: str) -> None:
    """Let pass who may; answer everybody else as if the thing were not there.

    Parameters
    ----------
    owner
        None when there is no such thing: the same error in the same words, so that a stranger
        cannot tell the two apart.
    what
        The thing in words, such as ``job 01J...``.

    Raises
    ------
    NotFoundError
        For what is missing and for what is a stranger's.
    ScopeError
        For one's own, when only the token is too narrow.
    """
    if owner is None or not may(identity, Right.READ, owner):
        raise NotFoundError(
            f"there is no {what} that you may see: check the id, or who is signed in"
        )
    if not may(identity, right, owner):
        raise ScopeError(right.value)


class Owned(Protocol):
    """What has an owner."""

    @property
    def owner(self) -> str:
        """The name of a user."""


Thing = TypeVar("Thing", bound=Owned)
Shared = Callable[[Identity, str], bool]
"""Whether somebody may read a thing of another, by its id."""


def require_own(
    get: Callable[[str], Thing],
    identity: Identity,
    right: Right,
    id: str,
    what: str,
    shared: Shared | None = None,
) -> Thing:
    """Read a thing for those who may; see `require_may`.

    Parameters
    ----------
    get
        Reads it by its id; NotFoundError says that there is none.
    what
        Its kind in words, such as ``job``.
    shared
        Asked of what is not one's own, and of what is not there: so both take as long.

    Raises
    ------
    ForbiddenError
        For a reader with whom it is shared, and who wants more than to read it.
    """
    named = f"{what} {id[:40]}"
    try:
        thing = get(id) if is_id(id) else None
    except NotFoundError:
        thing = None
    own = thing is not None and may(identity, Right.READ, thing.owner)
    if not own and shared is not None and _is_reader(identity, id, shared) and thing is not None:
        if right is not Right.READ:
            raise ForbiddenError(
                f"this {what} of {thing.owner} is shared with you to read, so only {thing.owner} "
                "can do this: take a copy of your own and work with that"
            )
        return thing
    require_may(identity, right, thing.owner if thing else None, named)
    if thing is None:
        raise NotFoundError(f"there is no {named}")
    return thing


def _is_reader(identity: Identity, id: str, shared: Shared) -> bool:
    return Right.READ.value in identity.scopes and is_id(id) and shared(identity, id)


def require_admin(identity: Identity) -> None:
    """Let administrators pass.

    Raises
    ------
    AdminError
        For everybody else.
    ScopeError
        For an administrator whose token lacks the scope.
    """
    if not identity.admin:
        raise AdminError
    if Scope.ADMIN not in identity.scopes:
        raise ScopeError(Scope.ADMIN)
