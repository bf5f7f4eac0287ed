"""Numbers in documents: finite ones, and nothing that merely looks like one."""

from __future__ import annotations

from typing import Any

from marshmallow import ValidationError, fields

_GREATEST = 1e308


class NumberField(fields.Field[float]):
    """A finite number; text and truth values are none."""

    def __init__(self, **options: Any) -> None:
        super().__init__(metadata={"type": "number"}, **options)

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> float:
        if type(value) not in (int, float) or value != value or abs(value) > _GREATEST:
            raise ValidationError(f"{str(value)[:40]!r} is not a finite number.")
        return float(value)
