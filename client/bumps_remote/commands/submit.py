"""``submit`` and the drop-in for ``bumps``: the same options, run elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from bumps_remote.additions import expert_of
from bumps_remote.after import After
from bumps_remote.array import choose_pack, choose_throttle
from bumps_remote.commands.common import connect, print_json
from bumps_remote.commands.elements import mode_of, read_campaign, read_elements
from bumps_remote.commands.like import ARGS, ARRAY, MODELS, NEEDLESS, ignored, make_command
from bumps_remote.commands.look import preview_lines
from bumps_remote.commands.outcome import (
    copy_session,
    default_folder,
    fetched_later,
    follow,
    free_folder,
    report,
    say_submitted,
)
from bumps_remote.commands.parameters import (
    PREFIX,
    resources_of,
)
from bumps_remote.connection import Connection
from bumps_remote.files import Bundle, make_bundle
from bumps_remote.job import Job, succeeded
from bumps_remote.local_check import check_model, differing
from bumps_remote.options import (
    check_fit,
    read_pars,
    read_text,
    take_resources,
    wall_for,
)
from bumps_remote.outlook import preview, staged
from bumps_remote.show import err, notice
from bumps_remote.submission import Wanted
from bumps_remote.text import clean, clean_line, size_text
from bumps_remote.transferred import Transferred, sending

_INTERRUPTED = (
    "interrupted while it was being submitted: the same command finds its job or makes it, and "
    "'bumps-remote journal' shows what is unfinished"
)
_LOOKED_AT = 5


@click.pass_context
def _submit(
    ctx: click.Context,
    /,
    *,
    waiting: bool,
    fetching: bool,
    dry_run: bool,
    show_request: bool,
    url: str | None,
    insecure: bool,
    as_json: bool,
    **given: Any,
) -> None:
    wanted = wanted_of(ctx, given, quiet=as_json)
    if show_request:
        print_json({"problem": wanted.problem(), "job": wanted.job()})
        return
    if dry_run:
        _dry_run(wanted, url, insecure=insecure, as_json=as_json)
        return
    if given["output"]:
        free_folder(given["output"], replace=given["force"])
    with connect(url, insecure=insecure) as connection:
        job = send(
            connection, wanted, new=given["new"], unchecked=given["unchecked"], quiet=as_json
        )
        fetching = fetching or bool(given["output"] or given["session"])
        if waiting or fetching:
            _finish(job, given, fetching=fetching, as_json=as_json)
            return
    say_submitted(job, as_json=as_json)


def _dry_run(wanted: Wanted, url: str | None, *, insecure: bool, as_json: bool) -> None:
    """Show the script and what is to be expected of it; nothing stays there."""
    with connect(url, insecure=insecure) as connection:
        wanted = connection.meant(wanted)
        check_fit(wanted.options, connection.methods())
        with (
            sending(quiet=as_json) as bar,
            staged(connection.transport, wanted, bar.told) as problem,
        ):
            found = preview(connection.transport, wanted, problem)
    if as_json:
        print_json(found)
        return
    click.echo(clean(found["script"]), nl=False)
    for line in preview_lines(found):
        err().print(line)


@click.pass_context
def _run(
    ctx: click.Context, /, *, url: str | None, insecure: bool, as_json: bool, **given: Any
) -> None:
    wanted = wanted_of(ctx, given, quiet=as_json)
    if given["output"]:
        free_folder(given["output"], replace=given["force"])
    with connect(url, insecure=insecure) as connection:
        job = send(
            connection, wanted, new=given["new"], unchecked=given["unchecked"], quiet=as_json
        )
        notice(f"job {job.id}")
        _finish(job, given, fetching=not given["chisq"] and not given["check"], as_json=as_json)


def _finish(job: Job, given: Mapping[str, Any], *, fetching: bool, as_json: bool) -> None:
    follow(job, given["timeout"], quiet=as_json)
    fetched = None
    if fetching and (succeeded(job.document) or job.document.get("dataset")):
        folder = given["output"] or default_folder(job)
        with fetched_later(job.id, folder), Transferred(quiet=as_json) as bar:
            fetched = job.fetch(folder, replace=given["force"], told=bar.told)
        copy_session(fetched, given["session"])
    report(job, fetched, as_json=as_json)


def _bundle(ctx: click.Context, given: Mapping[str, Any], *, quiet: bool) -> Bundle:
    bundle = make_bundle(
        given["model"],
        args=ctx.meta[ARGS],
        data=given["data"],
        automatic=not given["no_auto"],
    )
    for name, reason in NEEDLESS.items():
        if given.get(ignored(name)):
            notice(f"{name} changes nothing here: {reason}")
    for hint in bundle.hints:
        notice(hint)
    if not quiet:
        names = ", ".join(clean_line(file.name, 80) for file in bundle.files)
        notice(f"taking {names} ({size_text(bundle.size)})")
    return bundle


def send(
    connection: Connection, wanted: Wanted, *, new: bool, unchecked: bool, quiet: bool = False
) -> Job:
    """Try what is wanted here, submit it, and say what Ctrl-C leaves behind."""
    check_fit(wanted.options, connection.methods())
    if not unchecked and (here := check_model(wanted, notice)):
        _tell_versions(connection, wanted, here)
    try:
        with sending(quiet=quiet) as bar:
            return connection.send(wanted, new=new, told=bar.told)
    except KeyboardInterrupt:
        notice(_INTERRUPTED)
        raise click.Abort from None


def _tell_versions(connection: Connection, wanted: Wanted, here: Mapping[str, str]) -> None:
    """Say where the newest result of a cluster was made with other versions than are here."""
    for job in connection.jobs(state="COMPLETED", kind="fit", limit=_LOOKED_AT):
        if wanted.cluster in (None, job.get("cluster")):
            results = connection.results(str(job["id"]))["results"]
            there = results[0].get("versions") if results else None
            if there and (found := differing(here, there)):
                notice(f"your newest result of {job.get('cluster')} has {', '.join(found)}")
            return


def wanted_of(ctx: click.Context, given: Mapping[str, Any], *, quiet: bool) -> Wanted:
    """Put together what the command line asks for."""
    bundle = _bundle(ctx, given, quiet=quiet)
    elements = read_elements(ctx.meta[ARRAY], bundle, given, quiet=quiet)
    campaign = read_campaign(given, quiet=quiet)
    options = {
        name.removeprefix(PREFIX): value
        for name, value in given.items()
        if name.startswith(PREFIX) and value is not None
    }
    if given["fit"]:
        options["fit"] = given["fit"]
    asked = _asked(given, options)
    return Wanted(
        bundle=bundle,
        options=options,
        mode=mode_of(given),
        seed=given["seed"] or None,
        shake=given["shake"],
        simulate={"noise_percent": given["noise"]} if given["simulate"] else None,
        start=read_pars(read_text(given["pars"])) if given["pars"] else (),
        title=given["title"],
        notes=given["notes"],
        tags=given["tags"],
        cluster=given["cluster"],
        proposal=given["proposal"],
        after=After(tuple(given["after"]), given["after_kind"]),
        expert=expert_of(asked),
        resources=take_resources(asked),
        elements=elements,
        campaign=campaign,
        pack=given["pack"] if campaign else choose_pack(len(elements), given["pack"]),
        throttle=choose_throttle(given["throttle"], several=bool(campaign or elements)),
    )


def _asked(given: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    asked = resources_of(given)
    if given["parallel"] and "cpus" not in asked:
        asked["cpus"] = given["parallel"]
    if options.get("time") and "wall" not in asked:
        # bumps's --time ends the fit; Slurm's must not come first.
        asked["wall"] = wall_for(float(options["time"]))
    return asked


submit = make_command(
    "submit",
    "Submit MODEL (.py, or bumps .json) with the files it needs; options as for bumps.",
    click.option("--wait", "waiting", is_flag=True, help="Wait until the job has ended.")(
        click.option("--fetch", "fetching", is_flag=True, help="Wait, and fetch the results.")(
            click.option(
                "--dry-run", is_flag=True, help="Show script, forecast and warnings; queue nothing."
            )(
                click.option(
                    "--show-request", is_flag=True, help="Show what would be sent; send nothing."
                )(_submit)
            )
        )
    ),
)
run = make_command(
    "run",
    "Fit MODEL as bumps does, but there: submit, wait, fetch. 'run' may be left out.",
    _run,
)

__all__ = ["MODELS", "run", "submit"]
