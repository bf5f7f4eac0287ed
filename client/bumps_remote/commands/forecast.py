"""How long a model would take there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import click

from bumps_remote.commands.common import answer, connect
from bumps_remote.commands.like import make_command
from bumps_remote.commands.look import preview_lines
from bumps_remote.commands.outcome import follow, report
from bumps_remote.commands.submit import send, wanted_of
from bumps_remote.connection import Connection
from bumps_remote.job import Job, succeeded
from bumps_remote.options import check_fit
from bumps_remote.outlook import preview, staged
from bumps_remote.show import notice
from bumps_remote.submission import Wanted
from bumps_remote.transferred import sending


@click.pass_context
def _forecast(
    ctx: click.Context, /, *, url: str | None, insecure: bool, as_json: bool, **given: Any
) -> None:
    wanted = wanted_of(ctx, given, quiet=as_json)
    with connect(url, insecure=insecure) as connection:
        wanted = connection.meant(wanted)
        check_fit(wanted.options, connection.methods())
        with (
            sending(quiet=as_json) as bar,
            staged(connection.transport, wanted, bar.told) as problem,
        ):
            found = preview(connection.transport, wanted, problem)
            if not found.get("forecast"):
                job = _time_it(connection, wanted, given)
                notice(f"job {job.id} times one evaluation there")
                follow(job, given["timeout"], quiet=as_json)
                if not succeeded(job.document):
                    report(job, as_json=as_json)  # says why, and ends with 1
                found = preview(connection.transport, wanted, problem)
    answer(found, preview_lines(found), as_json=as_json)


def _time_it(connection: Connection, wanted: Wanted, given: Mapping[str, Any]) -> Job:
    """Ask for a check: it loads the problem and times an evaluation."""
    one = replace(wanted, mode="check", elements=(), campaign=None, pack=1, throttle=None)
    return send(connection, one, new=given["new"], unchecked=given["unchecked"])


forecast = make_command(
    "forecast",
    "Say how long MODEL would take there, and when it could start; a short job times it first.",
    _forecast,
)
