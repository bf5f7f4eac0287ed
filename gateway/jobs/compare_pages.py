"""Jobs side by side as a page, and the page where they are chosen; both whole without a script."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from apiflask import APIBlueprint
from flask import Response, redirect, render_template, request
from flask.blueprints import BlueprintSetupState
from werkzeug.wrappers import Response as AnyResponse

from gateway.errors import InvalidError
from gateway.jobs.compared import MOST, Comparison, Line, Ref, compare, parse_refs
from gateway.jobs.compared_files import changes_of
from gateway.jobs.compared_settings import settings_of
from gateway.jobs.concise import concise, plain
from gateway.jobs.job_view import file_url
from gateway.jobs.listing import JobFilter, find_jobs
from gateway.jobs.models import Job
from gateway.jobs.parameter_table import Cell, safe_cell
from gateway.web.context import gateway, identity
from gateway.web.headers import as_user_file

bp = APIBlueprint("compare_pages", __name__, enable_openapi=False)
PATH = "/jobs/compare"
Page = str | Response | tuple[str, int]

_OFFERED = 50
_LOOKED_THROUGH = 200
_DIFFERING = "differing"


@bp.record_once
def _add_filters(state: BlueprintSetupState) -> None:
    state.app.jinja_env.filters.update({"short_form": concise, "sigmas": _sigmas})


def _sigmas(value: float) -> str:
    """Write a distance with as many digits as anybody reads.

    >>> _sigmas(-0.0087), _sigmas(2.449), _sigmas(1234.5)
    ('0.0', '2.4', '1.23e3')
    """
    return f"{abs(value):.1f}" if abs(value) < 10 else plain(abs(value), 3)


@bp.get(PATH)
def compare_page() -> Page:
    """Show two to ten results side by side, or let them be chosen."""
    try:
        refs = parse_refs(request.args.getlist("ids"))
        if len(refs) < 2 or "choose" in request.args:
            return _chooser(refs)
        found = compare(gateway(), identity(), refs)
    except InvalidError as error:
        return _chooser((), error), int(HTTPStatus.UNPROCESSABLE_ENTITY)
    settings = settings_of(found)
    return render_template(
        "jobs/compare.html",
        found=found,
        titles=[one.title for one in found.members],
        lines=_shown(found),
        only=request.args.get("only") == _DIFFERING,
        settings=settings,
        changes=changes_of(found, gateway().blobs),
        aic=found.versus_best(0),
        bic=found.versus_best(1),
        url=_url,
        refs=refs,
        overlay=_overlay(found),
        most=MOST,
    )


@bp.post(PATH)
def compare_chosen() -> AnyResponse:
    """Go on from the list of jobs with those that were ticked there."""
    return redirect(_url(parse_refs(request.form.getlist("job"))), code=303)


@bp.get(f"{PATH}.csv")
def compare_table() -> Response:
    """Write the parameters of all as one table, with all digits."""
    found = compare(gateway(), identity(), parse_refs(request.args.getlist("ids")))
    text = io.StringIO()
    writer = csv.writer(text)
    head: list[Cell] = ["parameter"]
    for one in found.members:
        head += [f"{name} {one.ref}" for name in ("value", "uncertainty", "difference", "sigmas")]
    writer.writerow([*head, "mean", "mean uncertainty", "chisq of the mean"])
    writer.writerows(_csv_row(line) for line in found.lines)
    return as_user_file(Response(text.getvalue(), mimetype="text/csv"), "comparison.csv")


def _csv_row(line: Line) -> list[Cell]:
    cells: list[Cell] = [safe_cell(line.label)]
    for cell in line.cells:
        if cell is None:
            cells += [None] * 4
        else:
            cells += [cell.row.value, cell.row.uncertainty, cell.difference, cell.sigmas]
    return [*cells, *(line.mean or (None, None)), line.chisq]


def _shown(found: Comparison) -> tuple[Line, ...]:
    if request.args.get("only") != _DIFFERING:
        return found.lines
    return tuple(line for line in found.lines if line.differs)


def _overlay(found: Comparison) -> dict[str, Any]:
    """Say what the script draws: whose curves, and where they are."""
    members = [
        {
            "number": number,
            "title": one.title,
            "curves": file_url(one.job, one.attempt, one.curves) if one.curves else None,
        }
        for number, one in enumerate(found.members, start=1)
    ]
    return {"members": members, "same_data": found.same_data}


def _url(refs: Sequence[Ref], *, only: bool = False, **more: str) -> str:
    asked = {"ids": ",".join(map(str, refs)), **({"only": _DIFFERING} if only else {}), **more}
    return f"{PATH}?" + "&".join(f"{name}={quote(text, safe=',:')}" for name, text in asked.items())


def _chooser(refs: Sequence[Ref], error: InvalidError | None = None) -> str:
    words = request.args.get("q", "")[:200]
    chosen = [(ref, gateway().jobs.get(identity(), ref.job)) for ref in refs]
    own = gateway().jobs.shared.list_of(identity(), shared=False)
    jobs, _ = find_jobs(own, JobFilter(q=words or None), _LOOKED_THROUGH, None)
    taken = {str(ref) for ref in refs}
    problems = {job.problem.id for _, job in chosen} - {None}
    offered = [job for job in jobs if job.id not in taken and _is_comparable(job)]
    offered.sort(key=lambda job: job.problem.id not in problems)
    return render_template(
        "jobs/compare_choose.html",
        chosen=chosen,
        offered=offered[:_OFFERED],
        more=max(0, len(offered) - _OFFERED),
        same=problems,
        words=words,
        error=error,
        most=MOST,
    )


def _is_comparable(job: Job) -> bool:
    """Whether it left results; those of an array are compared element by element."""
    return job.attempt.dataset is not None and not job.elements
