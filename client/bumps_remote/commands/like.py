"""The command line of bumps, taken by a command of ours: its options, and what differs here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from bumps_remote.after import KINDS
from bumps_remote.commands.common import common
from bumps_remote.commands.parameters import (
    SECONDS,
    WHOLE,
    fit_options,
    resource_options,
    unknown_flags,
)
from bumps_remote.completion import complete_cluster, complete_job, complete_method
from bumps_remote.connection import Connection
from bumps_remote.errors import RemoteError, UsageError
from bumps_remote.options import built_in_methods, split_args
from bumps_remote.text import clean_line
from bumps_remote.transport import Patience

NOT_HERE = {
    "--resume": "continue a job with 'bumps-remote resume ID'",
    "--read-session": "continue a job with 'bumps-remote resume ID'; start values come by --pars",
    "--reload-export": "start values come by --pars",
    "--simrandom": "take --simulate, or --shake",
    "--entropy": "compute it from the fetched session with bumps itself",
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
ARGS, ARRAY = "bumps_remote.args", "bumps_remote.array"
_PROBE_S = 3.0


class LikeBumps(click.Command):
    """A command that takes the options of bumps, and those that only the server knows."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take ``--args a b`` as bumps does, and ask the server about options unknown here."""
        rest, lists = split_args(args)
        ctx.meta[ARGS] = tuple(lists.get("--args", ()))
        ctx.meta[ARRAY] = None if "--array" not in lists else tuple(lists["--array"])
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
        function = click.option(name, ignored(name), is_flag=True, hidden=True)(function)
    for name in ("--checkpoint", "--serializer", "--loglevel"):
        function = click.option(name, ignored(name), hidden=True)(function)
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
    click.option("--after", multiple=True, metavar="ID", shell_complete=complete_job,
                 help="Begin when that job has ended well."),
    click.option("--after-kind", type=click.Choice(KINDS), default=KINDS[0],
                 help="How it must end instead: afternotok, afterany; after: have begun; "
                 "singleton, without --after: all older jobs of this title."),
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


def ignored(name: str) -> str:
    """Name the parameter of an option that changes nothing."""
    return f"needless_{name.removeprefix('--')}"


def make_command(name: str, help: str, callback: Any) -> LikeBumps:
    """Make a command that takes what bumps takes."""
    command = click.command(name, cls=LikeBumps, help=help)(like_bumps(common(callback)))
    command.params += fit_options(built_in_methods())
    return command
