"""Who had what run, and who did what, as a page and as a table for a spreadsheet."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import fields
from typing import Any
from urllib.parse import urlencode

import redis
from apiflask import APIBlueprint
from flask import Response, render_template, request

from gateway.accounts.models import Scope
from gateway.admin.audit_schemas import HandedQuery
from gateway.admin.pages import checked, filled
from gateway.jobs.handed import Handed, HandedFilter, handed
from gateway.jobs.parameter_table import safe_cell
from gateway.records import time_text
from gateway.web.access import needs
from gateway.web.context import gateway
from gateway.web.paging import MOST, make_cursor, page_of

bp = APIBlueprint("audit_pages", __name__, enable_openapi=False)

PATH = "/admin/audit"
_TRAIL = 50
_MOST_ROWS = 10_000
_COLUMNS = tuple(item.name for item in fields(Handed))


@bp.get(PATH)
@needs(Scope.ADMIN)
def audit() -> str:
    """Show what was handed over, newest first, and the trail of what was done."""
    asked = filled(request.args)
    query: dict[str, Any] = checked(HandedQuery(), asked)
    page, wanted = page_of(query), HandedFilter(**query)
    found = handed(gateway().redis, wanted, page.limit, page.after)
    chosen = {name: asked.get(name, "") for name in ("user", "job", "cluster")}
    more = {**filled(chosen), "cursor": make_cursor(found.last)} if found.last else None
    return render_template(
        "admin/audit.html",
        rows=found.rows,
        trail=gateway().accounts.audit.read(wanted.user, limit=_TRAIL),
        chosen=chosen,
        query=urlencode(filled(chosen)),
        more=f"{PATH}?{urlencode(more)}" if more else None,
        clusters=gateway().settings.clusters,
    )


@bp.get(f"{PATH}.csv")
@needs(Scope.ADMIN)
def table() -> Response:
    """Answer what was handed over as CSV, the newest ten thousand attempts of it."""
    query: dict[str, Any] = checked(HandedQuery(), filled(request.args))
    page_of(query)
    answer = Response(_csv(gateway().redis, HandedFilter(**query)), mimetype="text/csv")
    answer.headers["Content-Disposition"] = 'attachment; filename="audit.csv"'
    return answer


def _csv(client: redis.Redis, wanted: HandedFilter) -> Iterator[str]:
    yield _line(_COLUMNS)
    after: str | None = None
    count = 0
    while count < _MOST_ROWS:
        page = handed(client, wanted, MOST, after)
        for row in page.rows:
            yield _line([_cell(getattr(row, name)) for name in _COLUMNS])
        count += len(page.rows)
        if (after := page.last) is None:
            return


def _cell(value: Any) -> Any:
    if isinstance(value, dict):
        return json.dumps(value, sort_keys=True)
    return time_text(value) if hasattr(value, "isoformat") else safe_cell(value)


def _line(cells: Any) -> str:
    text = io.StringIO()
    csv.writer(text).writerow(cells)
    return text.getvalue()
