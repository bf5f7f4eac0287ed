"""Expert mode as people and programs write it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from apiflask import Schema
from marshmallow import RAISE, ValidationError, fields, post_load

from gateway.jobs.expert import MORE, Expert, lines_error, why_not, written
from gateway.jobs.script import OPTIONS

_LONGEST = 400


class DirectivesField(fields.Field[dict[str, str]]):
    """Further directives by Slurm's long names with ``_``; true for those without a value."""

    def __init__(self, **options: Any) -> None:
        words = "by Slurm's long names with _ for -, as resources; true for one without a value"
        value = {"type": ["string", "integer", "boolean"]}
        super().__init__(
            metadata={"type": "object", "additionalProperties": value, "description": words},
            **options,
        )

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> dict[str, str]:
        if not isinstance(value, Mapping):
            raise ValidationError("Must be an object of options and their values.")
        errors: dict[str, list[str]] = {}
        for name, text in value.items():
            if wrong := _wrong(str(name), text):
                errors[str(name)[:64]] = [wrong]
        if errors:
            raise ValidationError(errors)
        return {name: str(text) for name, text in value.items() if _is_given(text)}


def _is_given(text: Any) -> bool:
    return text not in ("", None, False)


def _wrong(name: str, text: Any) -> str:
    """Say what is wrong with one directive; empty when nothing is."""
    if name in OPTIONS:
        return f"Give this as resources.{name}."
    if name not in MORE:
        return f"{name[:64]!r} {why_not(name)}."
    if not _is_given(text):
        return ""
    if not isinstance(text, str | int) or re.fullmatch(MORE[name].pattern, str(text)) is None:
        return f"{str(text)[:64]!r} is not a value that {written(name)} takes."
    return ""


class LinesField(fields.String):
    """Shell lines that bash can read; none of them is run here."""

    def _deserialize(self, value: Any, *rest: Any, **kwargs: Any) -> str:
        text = str(super()._deserialize(value, *rest, **kwargs)).rstrip()
        if text and (wrong := lines_error(text)):
            raise ValidationError(wrong[0].upper() + wrong[1:] + ".")
        return text


class ExpertSchema(Schema):
    """What is added to the script, where the site's policy lets you."""

    class Meta:
        """Refuse what is not known, so that a misspelt field is not silently lost."""

        unknown = RAISE

    directives = DirectivesField()
    lines = LinesField(
        metadata={
            "description": "shell lines that run before the fit, in the job, as its user; where "
            "one fails, nothing is fitted"
        }
    )

    @post_load
    def make_expert(self, data: Mapping[str, Any], **_: Any) -> Expert:
        """Build the value that the rest of the gateway works with."""
        return Expert(**data)
