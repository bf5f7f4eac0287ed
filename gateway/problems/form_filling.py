"""What stands in the form before anybody types: defaults, a problem, or everything of a job."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any

from fitters.base import Option
from fitters.bumps_options import METHODS
from gateway.example import PROBLEM
from gateway.jobs.kinds import kinds
from gateway.jobs.models import Job
from gateway.problems.form_campaign import campaign_fields
from gateway.problems.form_expert import expert_fields
from gateway.problems.form_reading import CARRIED, Row, UploadedFile, write_files, write_rows
from gateway.problems.service import Found
from gateway.records import Document
from gateway.settings import Settings

FormValues = dict[str, str]
RECOMMENDED = "auto"


def fresh(settings: Settings, kind: str = "fit") -> FormValues:
    """Fill in what most people want."""
    return {
        "kind": kind,
        "tab": "curve",
        "formula": "library",
        "function": "line",
        "peaks": "2",
        "shape": "gaussian",
        "background": "constant",
        "fit": RECOMMENDED,
        "mode": "fit",
        "cluster": settings.default_cluster,
        **_option_defaults(kind),
    }


def of_problem(found: Found) -> FormValues:
    """Fill in a problem: its content can be changed, and is then its next version."""
    version = found.kept.version
    document = version.document
    fill = {"curve": _curve, "json": _json, "script": _script}[version.type]
    return {
        "tab": version.type,
        "base": found.problem.id,
        "base_version": str(version.number),
        "title": found.problem.name,
        **fill(document[version.type]),
    }


def of_example() -> FormValues:
    """Fill in data that come with the gateway, for who has none at hand."""
    return {"title": PROBLEM["name"], "tags": "example", **_curve(PROBLEM["curve"])}


def of_job(job: Job, found: Found | None) -> FormValues:
    """Fill in everything of a job; without its problem where that is gone."""
    request = job.request
    values = of_problem(found) if found else {}
    options = {**job.options}
    method = str(options.pop("fit", ""))
    prefix = method if job.kind == "fit" else job.kind
    simulate = request.get("simulate")
    values |= {
        "kind": job.kind,
        "fit": method or RECOMMENDED,
        "mode": job.mode,
        "seed": str(job.seed),
        "cluster": job.cluster,
        "proposal": job.attempt.proposal,
        "title": job.title,
        "notes": job.notes,
        "tags": ", ".join(job.tags),
        "parent": job.id,
        "shake": "yes" if request.get("shake") else "",
        "simulate": "yes" if simulate else "",
        "noise": _text((simulate or {}).get("noise_percent")),
        "carried": _carried(request),
        **campaign_fields(request),
        **expert_fields(request),
        **{f"o.{prefix}.{name}": _text(value) for name, value in options.items()},
        **{f"r.{name}": _text(value) for name, value in (request.get("resources") or {}).items()},
    }
    return {name: text for name, text in values.items() if text}


def _option_defaults(kind: str) -> FormValues:
    options = {name: method.options for name, method in METHODS.items() if not method.hidden}
    if kind != "fit" and kind in kinds():
        options = {kind: kinds()[kind].options}
    return {
        f"o.{name}.{option.name}": option_text(option)
        for name, some in options.items()
        for option in some
    }


def option_text(option: Option) -> str:
    """Write the default of an option as a person would type it."""
    return _text(option.default)


def _text(value: Any) -> str:
    """Write a value so that it is read back as the same.

    >>> _text(500.0), _text(1e-06), _text(True), _text(["END", "FAIL"]), _text(None)
    ('500', '1e-06', 'true', 'END,FAIL', '')
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return ",".join(map(_text, value))
    text = repr(value) if isinstance(value, float) else str(value)
    return text.removesuffix(".0")


number_text = _text


def _carried(request: Mapping[str, Any]) -> str:
    usual = {"pack": 1}
    kept = {
        name: request[name]
        for name in CARRIED
        if request.get(name) not in (None, [], usual.get(name))
    }
    if request.get("campaign"):
        for name in ("pack", "throttle"):  # they have fields
            kept.pop(name, None)
    return json.dumps(kept) if kept else ""


def _curve(curve: Document) -> FormValues:
    columns = curve["columns"]
    dy = columns["dy"]
    data = curve["data"]
    values = {
        "data_text": data.get("text", ""),
        "data_digest": data.get("digest", ""),
        "data_name": data.get("name", ""),
        "x": str(columns["x"]),
        "y": str(columns["y"]),
        "dx": _text(columns.get("dx")),
        "dy_from": dy["from"],
        "dy_column": _text(dy.get("column")),
        "dy_value": _text(dy.get("value")),
        "others": ", ".join(
            f"{name} = {column + 1}" for name, column in (columns.get("others") or {}).items()
        ),
        "mask": ", ".join(
            f"{start + 1}-{stop}" if stop > start + 1 else str(stop)
            for start, stop in curve.get("mask", ())
        ),
    }
    return values | _formula(curve) | write_rows([_row(item) for item in curve["parameters"]])


def _formula(curve: Document) -> FormValues:
    if curve.get("expression") is not None:
        return {"formula": "expression", "expression": curve["expression"]}
    function = curve["function"]
    if isinstance(function, str):
        return {"formula": "library", "function": function}
    return {"formula": "peaks", **{name: str(value) for name, value in function.items()}}


def _row(item: Document) -> Row:
    low, high = item.get("bounds") or (None, None)
    prior = item.get("prior") or {}
    role = "tied" if item.get("tie") else "fit" if item.get("fit", True) else "fixed"
    return Row(
        name=item["name"],
        value=_text(item["value"]),
        role=role,
        low=_text(low),
        high=_text(high),
        mean=_text(prior.get("mean")),
        std=_text(prior.get("std")),
        tie=item.get("tie") or "",
    )


def _json(content: Document) -> FormValues:
    file, python = content["file"], content.get("python")
    said = {"json_python": python} if python else {}
    return {"json_digest": file["digest"], "json_name": file["name"], **said}


def _script(content: Document) -> FormValues:
    files = [UploadedFile(name=file["name"], digest=file["digest"]) for file in content["files"]]
    return {
        "entry": content["entry"],
        "args": shlex.join(content["args"]),
        **write_files(files),
    }
