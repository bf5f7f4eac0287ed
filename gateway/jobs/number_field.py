"""Numbers in documents: finite ones, and nothing that merely looks like one."""

from __future__ import annotations

from typing import Any

from marshmallow import ValidationError, fields

_GREATEST = 1e308


def is_finite(value: Any) -> bool:
    """Whether a value of a document is a number that a float can hold.

    >>> is_finite(1), is_finite(True), is_finite(float("nan")), is_finite(10**400)
    (True, False, False, False)
    """
    return type(value) in (int, float) and value == value and abs(value) <= _GREATEST


class NumberField(fields.Field[float]):
    """A finite number; text and truth values are none."""

    def __init__(self, **options: Any) -> None:
        super().__init__(metadata={"type": "number"}, **options)

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> float:
        if not is_finite(value):
            raise ValidationError(f"{str(value)[:40]!r} is not a finite number.")
        return float(value)
