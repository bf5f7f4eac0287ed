"""Which other jobs one begins after."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from bumps_remote.errors import UsageError
from bumps_remote.ids import LAST
from bumps_remote.journal import Journal

SINGLETON = "singleton"
"""After all older jobs of the same title, which are not named."""

KINDS = ("afterok", "afternotok", "afterany", "after", SINGLETON)


@dataclass(frozen=True)
class After:
    """Which jobs shall have ended before one begins, by their ids, and how."""

    jobs: Sequence[str] = ()
    kind: str = KINDS[0]

    def document(self) -> dict[str, Any] | None:
        """Write it for a request; None when it need not wait."""
        if self.kind == SINGLETON and not self.jobs:
            return {"kind": self.kind}
        return {"kind": self.kind, "jobs": list(self.jobs)} if self.jobs else None

    def found(self, find: Callable[[str], str], url: str) -> After:
        """Put whole ids in the place of their parts and of ``last``.

        Raises
        ------
        UsageError
            For a kind of waiting that names no job, and for ``last`` while it may mean the job of
            a submission that got no answer: the same words would then make another one.
        """
        if self.kind not in KINDS:
            raise UsageError(f"--after-kind: choose {', '.join(KINDS)}, not {self.kind[:40]!r}")
        if self.kind != KINDS[0] and self.kind != SINGLETON and not self.jobs:
            raise UsageError(f"--after-kind={self.kind}: after which job? Give it by --after ID")
        if LAST in self.jobs and any(entry.draft.url == url for entry in Journal().entries()):
            raise UsageError(
                "--after last: a submission got no answer, and its job may be the last: "
                "'bumps-remote journal --continue' finds it; else give the job's ID"
            )
        return After(tuple(find(text) for text in self.jobs), self.kind)
