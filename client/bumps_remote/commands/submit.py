"""``submit`` and the drop-in for ``bumps``: the same options, run elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from bumps_remote.array import choose_pack, choose_throttle
from bumps_remote.commands.common import common, connect, print_json
from bumps_remote.commands.elements import mode_of, read_campaign, read_elements
from bumps_remote.commands.look import preview_lines
from bumps_remote.commands.outcome import (
    copy_session,
    default_folder,
    follow,
    free_folder,
    report,
    say_submitted,
)
from bumps_remote.commands.parameters import (
    PREFIX,
    SECONDS,
    WHOLE,
    fit_options,
    resource_options,
    resources_of,
    unknown_flags,
)
from bumps_remote.completion import complete_cluster, complete_method
from bumps_remote.connection import Connection
from bumps_remote.errors import RemoteError, UsageError
from bumps_remote.files import Bundle, make_bundle
from bumps_remote.job import Job, succeeded
from bumps_remote.local_check import check_model, differing
from bumps_remote.options import (
    RESOURCES,
    built_in_methods,
    check_fit,
    check_resources,
    read_pars,
    read_text,
    split_args,
    wall_for,
)
from bumps_remote.outlook import preview, staged
from bumps_remote.show import err, notice, size_text
from bumps_remote.submission import After, Wanted
from bumps_remote.text import clean, clean_line
from bumps_remote.transferred import sending
from bumps_remote.transport import Patience

NOT_HERE = {
    "--resume": "continue a job with 'bumps-remote resume ID'",
    "--read-session": "continue a job with 'bumps-remote resume ID'; start values come by --pars",
    "--reload-export": "start values come by --pars",
    "--simrandom": "take --simulate, or --shake",
    "--entropy": "compute it from the fetched session with bumps itself",
    "--mpi": "one job is one node; --cpus says how many processors",
    "--edit": "'bumps-remote open ID' opens a finished job in bumps",
    "--webview": "'bumps-remote open ID' opens a finished job in bumps",
    "--external": "'bumps-remote open ID' opens a finished job in bumps",
}
"""Options of bumps that make no sense here, and what does."""

NEEDLESS = {
    "--err": "uncertainties are in every result",
    "--cov": "the covariance is in every result",
    "--trace": "a job is not traced",
    "--checkpoint": "the site says how often a fit is saved",
    "--serializer": "the server chooses it",
    "--loglevel": "the log is whole",
}
"""Options of bumps that change nothing here."""

MODELS = (".py", ".json")
_ARGS, _ARRAY = "bumps_remote.args", "bumps_remote.array"
_INTERRUPTED = (
    "interrupted while it was being submitted: the same command finds its job or makes it, and "
    "'bumps-remote journal' shows what is unfinished"
)
_PROBE_S = 3.0
_LOOKED_AT = 5


class LikeBumps(click.Command):
    """A command that takes the options of bumps, and those that only the server knows."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take ``--args a b`` as bumps does, and ask the server about options unknown here."""
        rest, lists = split_args(args)
        ctx.meta[_ARGS] = tuple(lists.get("--args", ()))
        ctx.meta[_ARRAY] = None if "--array" not in lists else tuple(lists["--array"])
        _check_order(rest, lists)
        names = [token.partition("=")[0] for token in rest]
        for name in names:
            if name in NOT_HERE:
                raise UsageError(f"{name} is not for a remote fit: {NOT_HERE[name]}")
        if unknown_flags(rest, self.params):
            self._learn(rest)
        return super().parse_args(ctx, rest)

    def _learn(self, tokens: list[str]) -> None:
        """Add the options of methods that only the server has."""
        url = next((token[6:] for token in tokens if token.startswith("--url=")), None)
        try:
            with Connection(
                url, insecure="--insecure" in tokens, patience=Patience(total_s=_PROBE_S)
            ) as connection:
                learned = fit_options(connection.methods())
        except RemoteError:
            return  # then the nearest name that we know is proposed
        known = {param.name for param in self.params}
        self.params += [option for option in learned if option.name not in known]


def _check_order(rest: Sequence[str], lists: Mapping[str, Sequence[str]]) -> None:
    """Refuse a model that a list of words before it has swallowed."""
    if any(not token.startswith("-") for token in rest):
        return
    for option, words in lists.items():
        if words and words[-1].endswith(MODELS):
            raise UsageError(
                f"{option} takes all words up to the next option, also {clean_line(words[-1], 80)}:"
                f" put the model before {option}"
            )


def like_bumps(function: Any) -> Any:
    """Give a command the options of bumps and our own."""
    for name in ("--err", "--cov", "--trace"):
        function = click.option(name, _ignored(name), is_flag=True, hidden=True)(function)
    for name in ("--checkpoint", "--serializer", "--loglevel"):
        function = click.option(name, _ignored(name), hidden=True)(function)
    for option in reversed(_OPTIONS):
        function = option(function)
    return resource_options(function)


_OPTIONS = (
    click.argument("model", type=click.Path(path_type=Path)),
    click.option("--fit", metavar="METHOD", shell_complete=complete_method,
                 help="Fit method, such as amoeba, dream, lm, auto."),
    click.option("--pars", type=click.Path(path_type=Path), help="Start values from a .par file."),
    click.option("--seed", type=WHOLE, help="Random seed; 0 or none: the server draws one."),
    click.option("--shake", is_flag=True, help="Start from random values."),
    click.option("--simulate/--no-simulate", help="Replace the data by theory and noise."),
    click.option("--noise", type=float, default=5.0, help="Percent of noise with --simulate."),
    click.option("--chisq", is_flag=True, help="Only evaluate chi-square."),
    click.option("--check", is_flag=True, help="Only load the problem and say what is odd."),
    click.option("--data", multiple=True, metavar="FILE",
                 help="Take this along, too (*.dat, NAME=FILE)."),
    click.option("--array", metavar="FILE...", expose_value=False,
                 help="Fit each of these data files: one job, one element for each."),
    click.option("--replace", metavar="NAME",
                 help="With --array: which data file they replace, if the model has several."),
    click.option("--grid", multiple=True, metavar="NAME=V,V...",
                 help="Hold a parameter at each of these values and fit the others; LOW:HIGH:COUNT "
                 "for evenly spaced ones. Several: all combinations, one job."),
    click.option("--from-starts", metavar="N|FILE",
                 help="Fit from so many random starts, or from those of a table: names, then a "
                 "line of values for each. The best is named."),
    click.option("--pack", type=WHOLE,
                 help="With --array, --grid, --from-starts: so many fits to a process; else so "
                 "many as make 20."),
    click.option("--throttle", type=WHOLE, metavar="N",
                 help="With these: at most so many processes at once, as Slurm's --array=0-99%N."),
    click.option("--no-auto", is_flag=True, help="Take along only the model and --data."),
    click.option("--cluster", shell_complete=complete_cluster, help="Where to run."),
    click.option("--proposal", metavar="NAME",
                 help="Submit under this proposal: its account, QOS and reservation."),
    click.option("--after", multiple=True, metavar="ID", help="Begin when that job ended well."),
    click.option("--after-kind", default="afterok", help="How it must end: afternotok, afterany."),
    click.option("--title", default="", help="What the job is called."),
    click.option("--notes", default="", help="Notes to the job."),
    click.option("--tag", "tags", multiple=True, help="A tag; may be given several times."),
    click.option("--new", is_flag=True,
                 help="A new job even if the same is unfinished in the journal."),
    click.option("--unchecked", is_flag=True,
                 help="Do not load the model here first, to see that it can be fitted."),
    click.option("--parallel", type=WHOLE, hidden=True),
    click.option("--batch", "-b", is_flag=True, hidden=True),
    click.option("--start", "-s", is_flag=True, hidden=True),
    click.option("--run", "-r", is_flag=True, hidden=True),
    click.option("--headless/--no-headless", "-x", hidden=True),
    click.option("--session", "--write-session", "session", type=click.Path(path_type=Path),
                 help="Where the fetched session is put as well."),
    click.option("--output", "-o", "--export", "output", type=click.Path(path_type=Path),
                 help="Folder for the results."),
    click.option("--force", is_flag=True, help="Replace files that are there."),
    click.option("--timeout", type=SECONDS, metavar="SECONDS", help="Wait no longer: exit code 5."),
)  # fmt: skip


def _ignored(name: str) -> str:
    return f"needless_{name.removeprefix('--')}"


def make_command(name: str, help: str, callback: Any) -> LikeBumps:
    """Make a command that takes what bumps takes."""
    command = click.command(name, cls=LikeBumps, help=help)(like_bumps(common(callback)))
    command.params += fit_options(built_in_methods())
    return command


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
        fetched = job.fetch(folder, replace=given["force"])
        copy_session(fetched, given["session"])
    report(job, fetched, as_json=as_json)


def _bundle(ctx: click.Context, given: Mapping[str, Any], *, quiet: bool) -> Bundle:
    bundle = make_bundle(
        given["model"],
        args=ctx.meta[_ARGS],
        data=given["data"],
        automatic=not given["no_auto"],
    )
    for name, reason in NEEDLESS.items():
        if given.get(_ignored(name)):
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
    elements = read_elements(ctx.meta[_ARRAY], bundle, given, quiet=quiet)
    campaign = read_campaign(given, quiet=quiet)
    options = {
        name.removeprefix(PREFIX): value
        for name, value in given.items()
        if name.startswith(PREFIX) and value is not None
    }
    if given["fit"]:
        options["fit"] = given["fit"]
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
        resources=_resources(given, options),
        elements=elements,
        campaign=campaign,
        pack=given["pack"] if campaign else choose_pack(len(elements), given["pack"]),
        throttle=choose_throttle(given["throttle"], several=bool(campaign or elements)),
    )


def _resources(given: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    asked = resources_of(given)
    if given["parallel"] and "cpus" not in asked:
        asked["cpus"] = given["parallel"]
    if options.get("time") and "wall" not in asked:
        # bumps's --time ends the fit; Slurm's must not come first.
        asked["wall"] = wall_for(float(options["time"]))
    return check_resources({RESOURCES[name]: value for name, value in asked.items()})


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

__all__ = ["run", "submit"]
