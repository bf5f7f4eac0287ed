"""What jobs that are compared were asked for: every setting, and where they are not the same."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.jobs.compared import Comparison, Member
from gateway.jobs.concise import plain
from gateway.jobs.result_view import ParameterRow, interval_text

Value = str | float | int | bool | None
_TEXT = 500
_SHORT = 12
_START_DIGITS = 10
_RUN = ("mode", "seed", "shake", "simulate", "resume", "cpus", "ranks", "time_limit_s")
_OWN = frozenset({"job_name", "output", "error", "chdir", "comment"})
"""Directives that are another in each job by their nature."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One setting of all members."""

    group: str
    name: str
    values: tuple[Value, ...]
    """None where a member does not have it."""

    @property
    def differs(self) -> bool:
        """Whether not all have the same."""
        return any(value != self.values[0] for value in self.values)

    @property
    def everywhere(self) -> bool:
        """Whether each member has it."""
        return None not in self.values


def settings_of(comparison: Comparison) -> tuple[Setting, ...]:
    """List every setting that any member has, in the order in which they come."""
    told = [dict(_told(member)) for member in comparison.members]
    # By group, so that what only a later member has stands beside its like.
    keys = dict.fromkeys(key for one in told for key in one)
    groups = list(dict.fromkeys(group for group, _ in keys))
    found = (
        Setting(group=group, name=name, values=tuple(one.get((group, name)) for one in told))
        for group, name in sorted(keys, key=lambda key: groups.index(key[0]))
    )
    return (*found, *_bounds(comparison))


def _bounds(comparison: Comparison) -> Iterator[Setting]:
    """Name parameters whose bounds or start are not the same; the others would be a long list."""
    for line in comparison.lines:
        for group, tell in (("bounds", _bounds_of), ("start", _start_of)):
            values = tuple(tell(cell.row) if cell else None for cell in line.cells)
            setting = Setting(group=group, name=line.label, values=values)
            if setting.differs and setting.everywhere:
                yield setting


def _bounds_of(row: ParameterRow) -> str:
    return "open" if row.bounds == (None, None) else interval_text(row.bounds)


def _start_of(row: ParameterRow) -> str:
    return plain(row.start, _START_DIGITS)


def _told(member: Member) -> Iterator[tuple[tuple[str, str], Value]]:
    yield from _of_problem(member)
    for group, values in (
        ("options of the fit", _mapping(member.plan.job.get("options"))),
        ("run", _run(member)),
        ("resources", _resources(member)),
        ("versions", member.result.versions if member.result else {}),
    ):
        for name, value in values.items():
            yield (group, str(name)), _plain(value)


def _of_problem(member: Member) -> Iterator[tuple[tuple[str, str], Value]]:
    problem = member.job.problem
    yield ("problem", "name"), problem.name or None
    yield ("problem", "version"), problem.version or None
    for name, digest in sorted(_files(member).items()):
        yield ("problem", f"file {name}"), digest[:_SHORT]
    for name, value in _mapping(member.plan.job.get("problem")).items():
        yield ("problem", str(name)), _plain(value)
    if start := _start(member):
        yield ("problem", "start values"), start


def _run(member: Member) -> dict[str, Any]:
    run = _mapping(member.plan.job.get("run"))
    return {**{name: run[name] for name in _RUN if name in run}, "cluster": member.job.cluster}


def _resources(member: Member) -> dict[str, Any]:
    asked = member.attempt.resources
    return {f"--{name.replace('_', '-')}": asked[name] for name in asked if name not in _OWN}


def _files(member: Member) -> dict[str, str]:
    """Give the digest of each file of the problem, as this element has them."""
    kept = {file.path: file.digest for file in member.plan.files}
    own = member.element.get("files")
    replaced = own if isinstance(own, dict) else {}
    return {
        name: kept.get(f"data/{replaced.get(name, name)}", digest)
        for path, digest in kept.items()
        if path.startswith("data/") and not path.startswith("data/elements/")
        for name in [path.removeprefix("data/")]
    }


def _start(member: Member) -> str | None:
    found = member.element
    start = found.get("start") or member.plan.job.get("start")
    more = {name: found[name] for name in ("fixed", "values") if found.get(name)}
    parts = [_plain(part) for part in (start, more) if part]
    return " ".join(map(str, parts)) or None


def _plain(value: Any) -> Value:
    """Write what is no plain value as JSON."""
    if value is None or isinstance(value, bool | int | float):
        return value
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    return text if len(text) <= _TEXT else text[: _TEXT - 1] + "…"


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
