"""What a site has decided about sharing."""

from __future__ import annotations

from dataclasses import dataclass

LINKS = ("off", "users", "anyone")


@dataclass(frozen=True, kw_only=True)
class SharingSettings:
    """How far things may be shared."""

    links: str
    """``off``: by name alone; ``users``: a link opens for who is signed in; ``anyone``: for all."""

    def __post_init__(self) -> None:
        if self.links not in LINKS:
            raise ValueError(f"links = {self.links!r}: choose {', '.join(LINKS)}")
