"""What a kind of job declares, and its jobs obey: its shape, its resources, what comes out."""

from __future__ import annotations

from dataclasses import fields, replace
from functools import cache
from typing import Any

from marshmallow import ValidationError

from gateway.clusters.settings import ClusterSettings
from gateway.errors import FieldError, InvalidError
from gateway.jobs.kinds import find_kind, kinds
from gateway.jobs.resource_schema import EITHER, ResourcesSchema
from gateway.jobs.resources import Resources, parse_time
from gateway.jobs.schemas import JobRequest

PLAIN = "generic"
"""The type of what a kind left that is no longer installed."""

_ONE = {
    "single": "does one thing at a time",
    "array-reduce": "would put its parts together at the end, which this gateway does not do",
}


def shape_errors(request: JobRequest) -> list[FieldError]:
    """Refuse many of a kind that is for one, at the field that asks for them."""
    why = _ONE.get(find_kind(request.kind).shape)
    if why is None:
        return []
    detail = f"the kind {request.kind} {why}: submit a job for each"
    asked = {"/elements": request.elements, "/campaign": request.campaign}
    return [FieldError(pointer=place, detail=detail) for place, given in asked.items() if given]


def as_declared(request: JobRequest, cluster: ClusterSettings) -> JobRequest:
    """Give a request what its kind declares of the resources that it leaves open.

    No more time and processors than the site gives a job: nobody has asked for them.

    Raises
    ------
    InvalidError
        If the kind declares what no job can have.
    """
    declared, asked = declared_resources(request.kind), request.resources
    given: dict[str, Any] = {
        item.name: value
        for item in fields(declared)
        if _is_set(value := getattr(declared, item.name)) and not _answered(asked, item.name)
    }
    if not given:
        return request
    if "time" in given:
        given["time"] = min(given["time"], parse_time(cluster.max_time))
    if "cpus_per_task" in given and cluster.most_cpus:
        most = cluster.most_cpus // asked.tasks
        given["cpus_per_task"] = max(1, min(given["cpus_per_task"], most))
    return replace(request, resources=replace(asked, **given))


@cache
def declared_resources(name: str) -> Resources:
    """Read what a kind declares, as a request is read; a declaration is there for good.

    Raises
    ------
    InvalidError
        Naming what of it no job can have.
    """
    try:
        found: Resources = ResourcesSchema().load(dict(find_kind(name).resources))
    except ValidationError as error:
        said = error.messages_dict.items()
        wrong = "; ".join(f"{name}: {' '.join(map(str, texts))}" for name, texts in said)
        text = f"the kind {name} declares resources that no job can have ({wrong}): "
        raise InvalidError.at("/kind", f"{text}whoever installed it has to mend it") from error
    return found


def output_type(kind: str) -> str:
    """Say which type of dataset comes out of a kind."""
    return kinds()[kind].output_type if kind in kinds() else PLAIN


def _is_set(value: object) -> bool:
    return value not in (None, (), False)


def _answered(asked: Resources, name: str) -> bool:
    """Whether a request says itself what an option is about, by it or by one in its place."""
    others = {other for pair in EITHER if name in pair for other in pair}
    return any(_is_set(getattr(asked, one)) for one in {name, *others})
