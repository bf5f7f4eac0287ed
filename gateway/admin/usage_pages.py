"""Who used how much, as a page and as a table for a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from apiflask import APIBlueprint
from flask import Response, render_template, request

from gateway.accounts.models import Scope
from gateway.admin.pages import checked, filled
from gateway.admin.schemas import UsageQuery
from gateway.jobs.usage import Period, Usage, usage
from gateway.web.access import needs
from gateway.web.context import gateway

bp = APIBlueprint("usage_pages", __name__, enable_openapi=False)

PATH = "/admin/usage"
_COLUMNS = ("user", "cluster", "proposal", "ended", "core_hours", "wasted_core_hours", "estimated")


@bp.get(PATH)
@needs(Scope.ADMIN)
def report() -> str:
    """Show core-hours and waste by user and cluster."""
    period = _period()
    rows = usage(gateway().redis, period)
    return render_template(
        "admin/usage.html",
        period=period,
        rows=rows,
        proposals=any(row.proposal for row in rows),
        total=sum(row.core_hours for row in rows),
        wasted=sum(row.wasted_core_hours for row in rows),
    )


@bp.get(f"{PATH}.csv")
@needs(Scope.ADMIN)
def table() -> Response:
    """Answer the same as CSV."""
    period = _period()
    answer = Response(_csv(usage(gateway().redis, period)), mimetype="text/csv")
    name = f"usage-{period.since}-{period.until}.csv"
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer


def _period() -> Period:
    period: Period = checked(UsageQuery(), filled(request.args))
    return period


def _csv(rows: Sequence[Usage]) -> str:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(_COLUMNS)
    for row in rows:
        ended = " ".join(f"{state}={count}" for state, count in sorted(row.ended.items()))
        hours = (f"{row.core_hours:.4f}", f"{row.wasted_core_hours:.4f}")
        writer.writerow([row.user, row.cluster, row.proposal, ended, *hours, row.estimated])
    return text.getvalue()
