"""What the site's policy says of who asks, in lines: limits, proposals, what may be added."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.text import Text

from bumps_remote.numbers import number
from bumps_remote.text import clean_line
from bumps_remote.transport import Document


def standing_lines(policy: Document) -> Iterator[Text]:
    """Say what somebody may have, and has had; nothing of what is not limited."""
    if groups := policy.get("groups"):
        yield Text(f"groups: {_names(groups)}")
    for limit in policy.get("limits") or []:
        if said := "; ".join(_limits(limit)):
            yield Text(f"{clean_line(limit.get('of'))} {clean_line(limit.get('name'), 60)}: {said}")
    for one in policy.get("proposals") or []:
        days = f"{clean_line(one.get('first'))} to {clean_line(one.get('last'))}"
        closed = "" if one.get("open") else ", not open now"
        title = clean_line(one.get("title") or "", 80)
        yield Text(f"--proposal={clean_line(one.get('name'), 60)}: {title} ({days}{closed})")
    expert = policy.get("expert") or {}
    options = [f"--{name.replace('_', '-')}" for name in expert.get("directives") or []]
    ways = [f"--sbatch with {_names(options)}"] if options else []
    ways += ["--line with shell lines before the fit"] if expert.get("lines") else []
    if ways:
        yield Text(f"you may add to scripts: {', and '.join(ways)}")


def _limits(limit: Mapping[str, Any]) -> Iterator[str]:
    if limit.get("jobs"):
        yield f"{number(limit['jobs'])} jobs at once"
    if limit.get("cpus"):
        yield f"{number(limit['cpus'])} CPUs at once"
    if limit.get("core_hours"):
        window = f" a {clean_line(limit['window'])}" if limit.get("window") else ""
        used = number(limit.get("core_hours_used"), 4)
        yield f"{used} of {number(limit['core_hours'], 9)} core-hours{window} used"
    if limit.get("submissions_per_hour"):
        yield f"{number(limit['submissions_per_hour'])} submissions an hour"


def _names(names: list[str]) -> str:
    return ", ".join(clean_line(name, 60) for name in names)
