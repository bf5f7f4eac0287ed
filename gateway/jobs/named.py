"""Names of parameters that tell all of them apart: bumps lets several have one label."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Protocol, TypeVar


class Labelled(Protocol):
    """What has a label that others may have, too."""

    @property
    def label(self) -> str:
        """What it is called."""


Row = TypeVar("Row", bound=Labelled)


def by_name(found: Iterable[Row]) -> dict[str, Row]:
    """Name parameters so that none hides another.

    >>> from types import SimpleNamespace
    >>> rows = [SimpleNamespace(label=text) for text in ("thickness", "rho", "thickness")]
    >>> list(by_name(rows))
    ['thickness', 'rho', 'thickness (2)']
    """
    named: dict[str, Row] = {}
    seen: Counter[str] = Counter()
    for row in found:
        name = row.label
        while name in named:
            seen[row.label] += 1
            name = f"{row.label} ({seen[row.label] + 1})"
        named[name] = row
    return named
