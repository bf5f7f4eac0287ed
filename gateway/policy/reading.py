"""Read a site's policy; whatever is wrong is named by its key.

``config/policy.toml`` is an example with every key.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from gateway.accounts.models import NAME_LENGTH, NAME_PATTERN, NAME_RULE
from gateway.jobs.expert import Additions
from gateway.jobs.script import OPTIONS
from gateway.policy.models import GIVEN, Allowance, Group, Policy, Proposal
from gateway.settings import SettingsError, build_table

_SECTIONS = ("groups", "limits", "proposals", "expert")
_LIMITS = ("each_user", "users", "each_group", "groups")
_PROPOSAL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_Part = TypeVar("_Part")


class PolicyError(SettingsError):
    """A policy cannot be used; the message is one line for the administrator."""


def read_policy(text: str, where: str) -> Policy:
    """Read a policy.

    Parameters
    ----------
    where
        The name of its file, for the message.

    Raises
    ------
    PolicyError
        One line that says which key is wrong and what to do.
    """
    try:
        return _read(tomllib.loads(text))
    # Of deep nesting and of numbers beyond all measure, tomllib and float say it each in their way.
    except (SettingsError, ValueError, OverflowError, RecursionError) as error:
        raise PolicyError(f"{where}: {error}") from error


def _read(tree: Mapping[str, Any]) -> Policy:
    _only(tree, _SECTIONS, "")
    limits = _table(tree, "limits", "limits")
    _only(limits, _LIMITS, "limits.")
    groups = _named(Group, _table(tree, "groups", "groups"), "groups", _check_user_name)
    proposals = _named(
        Proposal, _table(tree, "proposals", "proposals"), "proposals", _check_proposal_name
    )
    for name, group in groups.items():
        _check_names(group.members, f"groups.{name}.members")
    for name, proposal in proposals.items():
        _check_proposal(name, proposal, groups)
    each_user = _table(limits, "each_user", "limits.each_user")
    each_group = _table(limits, "each_group", "limits.each_group")
    own = _table(limits, "groups", "limits.groups")
    _check_known(own, groups, "limits.groups")
    users = _table(limits, "users", "limits.users")
    _check_windows("user", each_user, users)
    _check_windows("group", each_group, own)
    return Policy(
        **_expert(_table(tree, "expert", "expert"), groups),
        groups=groups,
        proposals=proposals,
        each_user=build_table(Allowance, each_user, "limits.each_user"),
        each_group=build_table(Allowance, each_group, "limits.each_group"),
        users=_named(Allowance, _over(each_user, users), "limits.users", _check_user_name),
        group_limits=_named(Allowance, _over(each_group, own), "limits.groups", _check_user_name),
    )


def _expert(table: dict[str, Any], groups: Mapping[str, Group]) -> dict[str, Any]:
    """Read what users may add to scripts: everybody, and who may add more."""
    users = _table(table, "users", "expert.users")
    own = _table(table, "groups", "expert.groups")
    _check_known(own, groups, "expert.groups")
    rest = {key: value for key, value in table.items() if key not in ("users", "groups")}
    _only(rest, ("directives", "lines"), "expert.")
    return {
        "expert": build_table(Additions, rest, "expert"),
        "expert_users": _named(Additions, users, "expert.users", _check_user_name),
        "expert_groups": _named(Additions, own, "expert.groups", _check_user_name),
    }


def _check_windows(kind: str, each: Mapping[str, Any], own: Mapping[str, Any]) -> None:
    """Refuse a window of no core-hours: whoever wrote it believes that something is limited."""
    tables = [table for table in own.values() if isinstance(table, dict)]
    if "window" in each and not any("core_hours" in table for table in (each, *tables)):
        raise _no_hours(f"each_{kind}")
    for name, table in own.items():
        if isinstance(table, dict) and "window" in table and "core_hours" not in {**each, **table}:
            raise _no_hours(f"{kind}s.{name}")


def _no_hours(table: str) -> PolicyError:
    return PolicyError(
        f"[limits.{table}] has a window and no core_hours, so nothing is limited: give "
        f"limits.{table}.core_hours, or leave window out"
    )


def _over(each: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Lay what is said of one over what is said of each."""
    return {
        name: {**each, **table} if isinstance(table, dict) else table for name, table in own.items()
    }


def _named(
    kind: type[_Part], tables: Mapping[str, Any], path: str, check: Callable[[str, str], None]
) -> dict[str, _Part]:
    for name in tables:
        check(name, path)
    return {name: build_table(kind, table, f"{path}.{name}") for name, table in tables.items()}


def _table(tree: Mapping[str, Any], key: str, path: str) -> dict[str, Any]:
    table = tree.get(key, {})
    if not isinstance(table, dict):
        raise PolicyError(f"[{path}] must be a table")
    return table


def _only(tree: Mapping[str, Any], known: Iterable[str], path: str) -> None:
    if unknown := sorted(set(tree) - set(known)):
        raise PolicyError(f"unknown key {path}{unknown[0]}; known: {', '.join(known)}")


def _check_user_name(name: str, path: str) -> None:
    """Refuse what could be no user; groups are named by the same rule."""
    if len(name) > NAME_LENGTH or not NAME_PATTERN.fullmatch(name):
        raise PolicyError(f"{path}: {name!r} is not a name: {NAME_RULE}")


def _check_proposal_name(name: str, path: str) -> None:
    if not _PROPOSAL.fullmatch(name):
        raise PolicyError(f"{path}: {name!r} is not a name: 1 to 64 letters, digits, dot, - and _")


def _check_names(names: Iterable[str], path: str) -> None:
    for index, name in enumerate(names):
        _check_user_name(name, f"{path}[{index}]")


def _check_known(named: Iterable[str], groups: Mapping[str, Group], path: str) -> None:
    for name in named:
        if name not in groups:
            known = ", ".join(groups) or "none"
            raise PolicyError(f"{path}: there is no [groups.{name}]; known: {known}")


def _check_proposal(name: str, proposal: Proposal, groups: Mapping[str, Group]) -> None:
    path = f"proposals.{name}"
    _check_names(proposal.users, f"{path}.users")
    _check_known(proposal.groups, groups, f"{path}.groups")
    for option in GIVEN:
        value = getattr(proposal, option)
        if value and not re.fullmatch(OPTIONS[option], value):
            raise PolicyError(f"{path}.{option} = {value!r} is not a value that --{option} takes")
