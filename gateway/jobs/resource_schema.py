"""Resources as people and programs write them: the only validation, for forms and JSON alike."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from apiflask import Schema
from marshmallow import RAISE, ValidationError, fields, post_load, pre_load, validates_schema
from marshmallow.validate import Range

from gateway.jobs.resources import Resources, parse_memory, parse_time
from gateway.jobs.script import OPTIONS
from scheduler.units import format_memory, format_time

MAIL_TYPES = ("BEGIN", "END", "FAIL", "REQUEUE", "TIME_LIMIT", "TIME_LIMIT_90", "TIME_LIMIT_80",
              "TIME_LIMIT_50", "ARRAY_TASKS", "INVALID_DEPEND")  # fmt: skip
_LONGEST = timedelta(days=366)
_TEXT_OR_NUMBER = ["string", "integer"]

_GPUS = "2, or a100:2 with a type"
_SUCH = {
    "gres": "gpu:2, or gpu:a100:2 with a type",
    **dict.fromkeys(("gpus", "gpus_per_node", "gpus_per_task"), _GPUS),
}
"""How an option is written whose form is not plain."""

EITHER = (
    ("mem", "mem_per_cpu"),
    ("mem", "mem_per_gpu"),
    ("mem_per_cpu", "mem_per_gpu"),
    ("cpus_per_task", "cpus_per_gpu"),
    ("gres", "gpus_per_node"),
    ("gres", "gpus"),
    ("gpus_per_node", "gpus"),
    ("gres", "gpus_per_task"),
    ("gpus", "gpus_per_task"),
    ("gpus_per_node", "gpus_per_task"),
)
"""Options that ask for the same thing in two ways."""


class TimeField(fields.Field[timedelta]):
    """A time limit in Slurm's forms; a number is minutes."""

    def __init__(self, **options: Any) -> None:
        words = "minutes, or a text such as 90, 1:30:00 or 2-12 (days-hours)"
        super().__init__(metadata={"type": _TEXT_OR_NUMBER, "description": words}, **options)

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> timedelta:
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise ValidationError("Must be a text such as 1:30:00, or a number of minutes.")
        try:
            time = parse_time(str(value).strip())
        except ValueError as error:
            raise ValidationError(f"{error}.") from error
        if time > _LONGEST:
            raise ValidationError(f"{value} is more than a year; ask for less.")
        return time

    def _serialize(self, value: timedelta | None, *_: Any, **__: Any) -> str | None:
        return None if value is None else format_time(value)


class MemoryField(fields.Field[int]):
    """A size with K, M, G or T; a bare number is megabytes, as in Slurm."""

    def __init__(self, **options: Any) -> None:
        words = "megabytes, or a text such as 512M or 2G"
        super().__init__(metadata={"type": _TEXT_OR_NUMBER, "description": words}, **options)

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise ValidationError("Must be a text such as 2G, or a number of megabytes.")
        try:
            size = parse_memory(str(value).strip())
        except ValueError as error:
            raise ValidationError(f"{error}.") from error
        if not size:
            raise ValidationError(f"{value} would be all memory of a node; ask for a size.")
        return size

    def _serialize(self, value: int | None, *_: Any, **__: Any) -> str | None:
        return None if value is None else format_memory(value)


class OptionField(fields.String):
    """A text that its option of sbatch takes, and nothing that could end a line of the script."""

    def _deserialize(self, value: Any, *rest: Any, **kwargs: Any) -> str:
        text = str(super()._deserialize(value, *rest, **kwargs))
        option = self.name or ""
        if re.fullmatch(OPTIONS[option], text) is None:
            written = option.replace("_", "-")
            said = f"{text[:64]!r} is not a value that --{written} takes"
            such = _SUCH.get(option)
            raise ValidationError(f"{said}; write it as {such}." if such else f"{said}.")
        return text


class GpusField(OptionField):
    """How many GPUs, of any type as a number, of one as ``type:number``."""

    def __init__(self, **options: Any) -> None:
        words = "a number, or a text such as 2 or a100:2"
        super().__init__(metadata={"type": _TEXT_OR_NUMBER, "description": words}, **options)

    def _deserialize(self, value: Any, *rest: Any, **kwargs: Any) -> str:
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise ValidationError("Must be a number of GPUs, or a text such as a100:2.")
        return super()._deserialize(str(value), *rest, **kwargs)


class MailTypesField(fields.Field[tuple[str, ...]]):
    """Events that send a mail: a list, or names with commas."""

    def __init__(self, **options: Any) -> None:
        items = {"type": "string", "enum": list(MAIL_TYPES)}
        super().__init__(metadata={"type": ["array", "string"], "items": items}, **options)

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> tuple[str, ...]:
        words = value.split(",") if isinstance(value, str) else value
        if not isinstance(words, list | tuple) or not all(word in MAIL_TYPES for word in words):
            raise ValidationError(f"Must be a list of {', '.join(MAIL_TYPES)}.")
        return tuple(dict.fromkeys(words))

    def _serialize(self, value: tuple[str, ...] | None, *_: Any, **__: Any) -> list[str]:
        return list(value or ())


class CountField(fields.Integer):
    """A whole number; a form sends its digits as text."""

    def _deserialize(self, value: Any, *rest: Any, **kwargs: Any) -> int:
        if isinstance(value, str) and re.fullmatch("[0-9]{1,10}", value.strip()):
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValidationError("Must be a whole number.")
        return int(super()._deserialize(value, *rest, **kwargs) or 0)


def _count(most: int = 9_999_999, least: int = 1) -> CountField:
    return CountField(allow_none=True, validate=Range(min=least, max=most))


class ResourcesSchema(Schema):
    """What a job asks of the machine; an empty text or null leaves an option to the site."""

    class Meta:
        """Refuse what is not known, so that a misspelt option is not silently lost."""

        unknown = RAISE

    error_messages = {  # noqa: RUF012 - marshmallow reads this plain dict
        "unknown": f"No such option. Known are {', '.join(OPTIONS)}, mpi."
    }

    partition = OptionField(allow_none=True)
    account = OptionField(allow_none=True)
    qos = OptionField(allow_none=True)
    time = TimeField(allow_none=True)
    nodes = _count()
    ntasks = _count()
    ntasks_per_node = _count()
    cpus_per_task = _count()
    cpus_per_gpu = _count()
    mem = MemoryField(allow_none=True)
    mem_per_cpu = MemoryField(allow_none=True)
    mem_per_gpu = MemoryField(allow_none=True)
    gres = OptionField(allow_none=True)
    gpus = GpusField(allow_none=True)
    gpus_per_node = GpusField(allow_none=True)
    gpus_per_task = GpusField(allow_none=True)
    constraint = OptionField(allow_none=True)
    reservation = OptionField(allow_none=True)
    wckey = OptionField(allow_none=True)
    licenses = OptionField(allow_none=True)
    mail_type = MailTypesField()
    mail_user = OptionField(allow_none=True)
    nice = _count(999_999_999, least=0)
    exclusive = fields.Boolean()
    mpi = fields.Boolean(
        metadata={
            "description": "Start ntasks ranks of MPI that evaluate for one fit of dream or de, "
            "also on several nodes; only where the site has a launcher."
        }
    )

    @pre_load
    def drop_empty(self, data: Any, **_: Any) -> Any:
        """Treat a field that a form left empty as not sent."""
        if not isinstance(data, Mapping):
            return data
        return {name: value for name, value in data.items() if value not in ("", None)}

    @validates_schema
    def check_pairs(self, data: Mapping[str, Any], **_: Any) -> None:
        """Refuse two ways of asking for the same thing: sbatch would, too."""
        for one, other in EITHER:
            if data.get(one) and data.get(other):
                raise ValidationError(f"Give either {one} or {other}, not both.", other)

    @post_load
    def make_resources(self, data: Mapping[str, Any], **_: Any) -> Resources:
        """Build the value that the rest of the gateway works with."""
        return Resources(**data)


_RESOURCES = ResourcesSchema()


def read_kept(resources: Mapping[str, Any]) -> Resources | None:
    """Read what a record keeps of a request; None for an older one that is no longer taken."""
    try:
        found: Resources = _RESOURCES.load(dict(resources))
    except ValidationError:
        return None
    return found
