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
from gateway.errors import InvalidError
from gateway.jobs.parameter_table import safe_cell
from gateway.jobs.usage import Period, Report, Sum, usage
from gateway.web.access import needs
from gateway.web.context import gateway

bp = APIBlueprint("usage_pages", __name__, enable_openapi=False)

PATH = "/admin/usage"
_SUMS = ("ended", "core_hours", "wasted_core_hours", "wasted", "success_rate", "estimated")
_NAMES = {"user": ("user", "cluster", "proposal"), "kind": ("name",), "group": ("name",)}
"""By what a table may be summed, with the columns that say whose sums a row has."""


@bp.get(PATH)
@needs(Scope.ADMIN)
def report() -> str:
    """Show core-hours and waste by user and cluster."""
    period = _period(filled(request.args))
    found = _report(period)
    return render_template(
        "admin/usage.html",
        period=period,
        found=found,
        proposals=any(row.proposal for row in found.rows),
    )


@bp.get(f"{PATH}.csv")
@needs(Scope.ADMIN)
def table() -> Response:
    """Answer the same as CSV: by user and cluster, or ``?by=kind`` or ``group``.

    When jobs were left out, the last line says so.
    """
    asked = filled(request.args)
    by = asked.pop("by", "user")
    if by not in _NAMES:
        raise InvalidError.at("/query/by", f"{by[:32]!r} is none of {', '.join(_NAMES)}")
    period = _period(asked)
    answer = Response(_csv(_report(period), by), mimetype="text/csv")
    name = f"usage-by-{by}-{period.since}-{period.until}.csv"
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer


def _period(asked: dict[str, str]) -> Period:
    period: Period = checked(UsageQuery(), asked)
    return period


def _report(period: Period) -> Report:
    return usage(gateway().redis, period, gateway().policies.groups_of)


def _csv(found: Report, by: str) -> str:
    rows: Sequence[Sum] = {"user": found.rows, "kind": found.kinds, "group": found.groups}[by]
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([by if name == "name" else name for name in (*_NAMES[by], *_SUMS)])
    for row in rows:
        names = [safe_cell(getattr(row, name)) for name in _NAMES[by]]
        writer.writerow([*names, *_sums(row)])
    if found.left_out:
        writer.writerow([f"(not counted: {found.left_out} older jobs)"])
    return text.getvalue()


def _sums(row: Sum) -> list[str | int]:
    ended = " ".join(f"{state}={count}" for state, count in sorted(row.ended.items()))
    wasted = " ".join(f"{state}={hours:.4f}" for state, hours in sorted(row.wasted.items()))
    hours = f"{row.core_hours:.4f}", f"{row.wasted_core_hours:.4f}"
    rate = "" if row.success_rate is None else f"{row.success_rate:.4f}"
    return [ended, *hours, wasted, rate, row.estimated]
