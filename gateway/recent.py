"""What was made last, kept for who asks for it again soon."""

from __future__ import annotations

from typing import Generic, TypeVar

_Kept = TypeVar("_Kept")


class Recent(Generic[_Kept]):
    """The last thing that was made for each of so many keys; older ones are made again.

    Parameters
    ----------
    most
        How many keys there are at most; the one that was put longest ago goes first.

    >>> recent: Recent[int] = Recent(2)
    >>> for key, number in (("a", 1), ("b", 2), ("a", 3), ("c", 4)):
    ...     recent.put(key, number)
    >>> recent.get("a"), recent.get("b"), recent.get("c")
    (3, None, 4)
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: dict[str, _Kept] = {}

    def get(self, key: str) -> _Kept | None:
        """Give what was put last for a key; None if that is gone."""
        return self._kept.get(key)

    def put(self, key: str, made: _Kept) -> None:
        """Keep something in the place of what was kept for the key."""
        self._kept.pop(key, None)
        self._kept[key] = made
        for oldest in list(self._kept)[: -self._most]:
            self._kept.pop(oldest, None)
