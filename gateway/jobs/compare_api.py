"""Jobs side by side, over HTTP."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from apiflask import APIBlueprint

from gateway.jobs.compare_schema import CompareQuery, ComparisonSchema
from gateway.jobs.compared import Cell, Comparison, Line, Member, compare, parse_refs
from gateway.jobs.compared_settings import settings_of
from gateway.jobs.present import API
from gateway.records import Document
from gateway.web.context import gateway, identity
from gateway.web.described import answers

bp = APIBlueprint("compare", __name__, tag="comparisons")


@bp.get("/jobs/compare")
@bp.input(CompareQuery, location="query", arg_name="query")
@bp.output(ComparisonSchema)
@answers(HTTPStatus.NOT_FOUND)
def compare_jobs(query: dict[str, Any]) -> Document:
    """Compare two to ten results: parameters, how far apart they are, what was set otherwise."""
    found = compare(gateway(), identity(), parse_refs([query["ids"]]))
    return {
        "jobs": _members(found),
        "same_data": found.same_data,
        "parameters": [_line(line) for line in found.lines],
        "settings": [
            {
                "group": setting.group,
                "name": setting.name,
                "values": list(setting.values),
                "differs": setting.differs,
            }
            for setting in settings_of(found)
        ],
    }


def _members(found: Comparison) -> list[Document]:
    rows = zip(found.members, found.versus_best(0), found.versus_best(1), strict=True)
    return [{**_member(one), "delta_aic": aic, "delta_bic": bic} for one, aic, bic in rows]


def _member(member: Member) -> Document:
    result = member.result
    numbers = result.numbers if result else {}
    own = f"{API}/{member.job.id}"
    links = {"self": own, "page": f"/jobs/{member.job.id}"}
    if member.curves:
        links["curves"] = f"{own}/files/{member.curves}?attempt={member.attempt.number}"
    return {
        "ref": str(member.ref),
        "job": member.job.id,
        "attempt": member.attempt.number,
        "element": member.ref.element,
        "title": member.title,
        "state": member.attempt.state.value,
        "method": member.attempt.method,
        "status": result.status if result else None,
        "verdict": result.code if result else None,
        **{name: numbers.get(name) for name in ("chisq", "nllf", "dof", "points")},
        "links": links,
    }


def _line(line: Line) -> Document:
    mean, uncertainty = line.mean or (None, None)
    return {
        "label": line.label,
        "values": [_cell(cell) for cell in line.cells],
        "differs": line.differs,
        "spread": line.spread,
        "farthest": line.farthest,
        "mean": mean,
        "mean_uncertainty": uncertainty,
        "chisq": line.chisq,
    }


def _cell(cell: Cell | None) -> Document | None:
    if cell is None:
        return None
    return {
        "value": cell.row.value,
        "uncertainty": cell.row.uncertainty,
        "at_limit": cell.row.at_limit or None,
        "difference": cell.difference,
        "sigmas": cell.sigmas,
    }
