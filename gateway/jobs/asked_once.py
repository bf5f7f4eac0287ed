"""Answers that hold for one request, however many of its jobs ask for them."""

from __future__ import annotations

from typing import Any, TypeVar, cast

_Asked = TypeVar("_Asked")


def asked_once(of: _Asked) -> _Asked:
    """Stand for what is asked: the same question again has the answer that it had.

    Only for questions whose arguments can be hashed, and only while one request is worked at: what
    changes in between is not seen. What is raised is raised again by asking again.

    >>> class Oracle:
    ...     asked = 0
    ...     def say(self, word):
    ...         self.asked += 1
    ...         return f"{word}, {self.asked}"
    >>> oracle = asked_once(Oracle())
    >>> oracle.say("yes"), oracle.say("no"), oracle.say("yes")
    ('yes, 1', 'no, 2', 'yes, 1')
    """
    return cast("_Asked", _Once(of))


class _Once:
    """Remembers answers by question."""

    def __init__(self, of: Any) -> None:
        self._of = of
        self._known: dict[tuple[object, ...], Any] = {}

    def __getattr__(self, name: str) -> Any:
        ask = getattr(self._of, name)

        def answer(*about: Any) -> Any:
            question = (name, *about)
            if question not in self._known:
                self._known[question] = ask(*about)
            return self._known[question]

        return answer
