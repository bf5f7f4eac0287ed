"""What somebody found who looked at a site step by step."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    what: str
    good: bool
    text: str
    """What was found; where it is wrong, what to mend."""

    @property
    def line(self) -> str:
        """All of it in a line."""
        return f"{'ok   ' if self.good else 'WRONG'} {self.what}: {self.text}"
