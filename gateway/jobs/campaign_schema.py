"""Campaigns as people and programs write them: the only validation of both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from marshmallow import (
    RAISE,
    Schema,
    ValidationError,
    fields,
    post_load,
    validate,
    validates_schema,
)

from gateway.jobs.campaign import MOST, Campaign
from gateway.jobs.number_field import NumberField

_WAYS = ("random", "starts", "grid")
_NAME = 200
_VALUES = 200_000
_HELD = 20
"""So many parameters at most: each element names all of them."""


def _line(text: str) -> None:
    if not 0 < len(text) <= _NAME or not text.isprintable():
        raise ValidationError(f"A name of 1 to {_NAME} printable signs, please.")


def _some(values: Sequence[object]) -> None:
    if not values:
        raise ValidationError("Give at least one value.")
    seen: set[object] = set()
    for index, value in enumerate(values):
        if value in seen:
            raise ValidationError({index: [f"{value} comes twice: leave one out."]})
        seen.add(value)


def _different_starts(rows: Sequence[Mapping[str, float]]) -> None:
    for index, row in enumerate(rows):
        if not row:
            raise ValidationError({index: ["Name at least one parameter."]})
    seen: dict[object, int] = {}
    for index, row in enumerate(rows):
        earlier = seen.setdefault(frozenset(row.items()), index)
        if earlier != index:
            raise ValidationError({index: [f"It is the same start as number {earlier}."]})


def _few(rows: Sequence[Mapping[str, float]]) -> None:
    """Keep the values of all starts together to what a job.json can be."""
    if sum(map(len, rows)) > _VALUES:
        raise ValidationError(f"At most {_VALUES} values in all starts together, please.")


class _NamedField(fields.Dict):
    """A mapping whose errors point at what is wrong in it, as in the document."""

    def _deserialize(self, value: Any, *rest: Any, **more: Any) -> Any:
        try:
            return super()._deserialize(value, *rest, **more)  # type: ignore[no-untyped-call]  # marshmallow has no types for it
        except ValidationError as error:
            if not isinstance(error.messages, dict):
                raise
            inner = error.messages.items()
            raise ValidationError(
                {name: found.get("key") or found["value"] for name, found in inner}
            ) from error


class CampaignSchema(Schema):
    """Many fits of one problem, an element for each: one of random, starts and grid."""

    class Meta:
        """A misspelt field is not silently lost."""

        unknown = RAISE

    random = fields.Integer(
        strict=True,
        validate=validate.Range(min=1, max=MOST),
        metadata={"description": "So many random starts, within bounds and priors."},
    )
    starts = fields.List(
        _NamedField(keys=fields.String(validate=_line), values=NumberField()),
        validate=[validate.Length(min=1), _few, _different_starts],
        metadata={"description": "Start values by name; what is not named is as in the problem."},
    )
    grid = _NamedField(
        keys=fields.String(validate=_line),
        values=fields.List(NumberField(), validate=_some),
        validate=validate.Length(min=1, max=_HELD),
        metadata={"description": "Parameters and the values at which each is held, combined."},
    )

    @validates_schema
    def one_way(self, data: Mapping[str, Any], **_: Any) -> None:
        """Refuse none and several at once."""
        if sum(name in data for name in _WAYS) != 1:
            raise ValidationError(f"Give one of {', '.join(_WAYS)}.")

    @post_load
    def make_campaign(self, data: dict[str, Any], **_: Any) -> Campaign:
        """Build the value that the service works with."""
        return Campaign(
            random=data.get("random", 0),
            starts=tuple(data.get("starts", ())),
            grid={name: tuple(values) for name, values in data.get("grid", {}).items()},
        )
