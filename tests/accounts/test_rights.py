"""Who may do what to whose things; a stranger's thing is not there: S30's ground."""

from __future__ import annotations

import itertools

import pytest

from gateway.accounts.models import AdminError, Identity, Scope, ScopeError, expand
from gateway.accounts.rights import Right, may, require_admin, require_may
from gateway.errors import NotFoundError


def who(user: str = "ada", *, admin: bool = False, scope: Scope = Scope.SUBMIT) -> Identity:
    return Identity(user=user, admin=admin, scopes=expand([scope]))


EVERYBODY = [
    who(user, admin=admin, scope=scope)
    for user, admin, scope in itertools.product(("ada", "bob"), (False, True), Scope)
]


@pytest.mark.parametrize(
    "identity", EVERYBODY, ids=lambda one: f"{one.user} {one.admin} {max(one.scopes)}"
)
def test_the_table_of_rights(identity: Identity) -> None:
    is_administrator = identity.admin and Scope.ADMIN in identity.scopes
    own = identity.user == "ada"
    assert may(identity, Right.READ, "ada") == (own or is_administrator)
    assert may(identity, Right.WRITE, "ada") == (
        (own or is_administrator) and Scope.SUBMIT in identity.scopes
    )
    assert may(identity, Right.ADMIN, "ada") == is_administrator


def test_a_strangers_thing_and_a_missing_one_get_the_same_words() -> None:
    words = set()
    for owner in (None, "bob"):
        with pytest.raises(NotFoundError) as caught:
            require_may(who(), Right.READ, owner, "job 01J")
        words.add(str(caught.value))
    assert len(words) == 1
    assert "job 01J" in words.pop()


def test_writing_a_strangers_thing_does_not_say_that_it_is_there() -> None:
    with pytest.raises(NotFoundError):
        require_may(who(scope=Scope.READ), Right.WRITE, "bob", "job 01J")


def test_ones_own_thing_with_a_narrow_token_says_which_scope_is_missing() -> None:
    with pytest.raises(ScopeError) as caught:
        require_may(who(scope=Scope.READ), Right.WRITE, "ada", "job 01J")
    assert caught.value.scope is Scope.SUBMIT
    require_may(who(scope=Scope.READ), Right.READ, "ada", "job 01J")


def test_an_administrator_needs_the_scope_too() -> None:
    require_admin(who(admin=True, scope=Scope.ADMIN))
    with pytest.raises(ScopeError):
        require_admin(who(admin=True, scope=Scope.SUBMIT))
    with pytest.raises(AdminError):
        require_admin(who(admin=False, scope=Scope.ADMIN))
