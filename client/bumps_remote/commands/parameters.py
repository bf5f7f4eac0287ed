"""Options of the command line that are not click's own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from bumps_remote.additions import read_additions
from bumps_remote.errors import UsageError
from bumps_remote.options import (
    FitOption,
    Methods,
    all_options,
    check_memory,
    check_wall,
    read_value,
    read_whole,
)
from bumps_remote.text import clean_line

_Function = TypeVar("_Function", bound=Callable[..., Any])
PREFIX = "fit_option_"


class Whole(click.ParamType):  # type: ignore[type-arg]  # older click has no argument
    """A whole number, which may be written 1e5."""

    name = "integer"

    def convert(self, value: Any, param: click.Parameter | None, _ctx: click.Context | None) -> int:
        """Read it."""
        return value if isinstance(value, int) else read_whole(_name(param), str(value))


class Checked(click.ParamType):  # type: ignore[type-arg]  # older click has no argument
    """A text that a function checks."""

    def __init__(self, name: str, check: Callable[[str], str]) -> None:
        self.name = name
        self._check = check

    def convert(
        self, value: Any, _param: click.Parameter | None, _ctx: click.Context | None
    ) -> str:
        """Check it."""
        return self._check(str(value))


class OfFit(click.ParamType):  # type: ignore[type-arg]  # older click has no argument
    """The value of an option of a fit method."""

    def __init__(self, option: FitOption) -> None:
        self.name = option.type
        self._option = option

    def convert(
        self, value: Any, _param: click.Parameter | None, _ctx: click.Context | None
    ) -> Any:
        """Read it."""
        return value if not isinstance(value, str) else read_value(self._option, value)


WHOLE = Whole()
SECONDS = click.FloatRange(min=0)

_RESOURCES = (
    click.option("--cpus", type=WHOLE, help="Processors of the job; de and dream use several."),
    click.option(
        "--wall",
        type=Checked("TIME", check_wall),
        help="Wall time in Slurm's forms, such as 2:00:00 or 1-12; a number is minutes.",
    ),
    click.option("--mem", type=Checked("SIZE", check_memory), help="Memory, such as 4G."),
    click.option("--partition", help="Partition of the cluster."),
    click.option("--account", help="Account that pays."),
    click.option("--qos", help="Quality of service."),
    click.option("--ntasks", type=WHOLE, help="With --mpi: so many ranks."),
    click.option("--mpi", is_flag=True, default=None,
                 help="One fit over several machines; de and dream, where the site has MPI."),
    click.option("--sbatch", multiple=True, metavar="OPTION",
                 help="Any other option of sbatch, as in a script: gres=gpu:1. Some need the "
                 "leave of the site's policy."),
    click.option("--line", "line", multiple=True, metavar="COMMAND",
                 help="A shell line of the script before the fit, such as 'module load bumps', "
                 "where the site's policy lets you."),
    click.option("--lines", type=click.Path(path_type=Path), metavar="FILE",
                 help="The same, all from a file."),
)  # fmt: skip
_NAMES = ("cpus", "wall", "mem", "partition", "account", "qos", "ntasks", "mpi")


def resource_options(function: _Function) -> _Function:
    """Give a command Slurm's options, and what may be added to the script."""
    for option in reversed(_RESOURCES):
        function = option(function)
    return function


PLAIN = click.option(
    "--plain", is_flag=True, help="Without what --sbatch and --line have added to its script."
)


def resources_of(given: Mapping[str, Any]) -> dict[str, Any]:
    """Take what was asked of the machine, by our names, with ``directives`` and ``lines``."""
    asked = {name: given[name] for name in _NAMES if given.get(name) is not None}
    added = read_additions(given["sbatch"], given["line"], given["lines"]).given()
    if both := sorted(asked.keys() & added.keys()):
        raise UsageError(f"--{both[0]} is given twice, by itself and by --sbatch: leave one out")
    if given.get("plain"):
        added = {"lines": "", **added}
    return {**asked, **added}


def fit_options(methods: Methods) -> list[click.Option]:
    """Make an option of the command line for each option of each method."""
    found = []
    for option in all_options(methods).values():
        takers = ", ".join(name for name, options in methods.items() if option.name in options)
        flags = f"--{option.name}"
        name = PREFIX + option.name
        about = f"{option.help} [{takers}]".strip()
        if option.type == "bool":
            flags = f"{flags}/--no-{option.name}"
            found.append(click.Option([name, flags], default=None, help=about, is_flag=True))
        else:
            found.append(click.Option([name, flags], type=OfFit(option), help=about))
    return found


def given_options(changes: Iterable[str], methods: Methods) -> dict[str, Any]:
    """Read ``--set name=value``."""
    known = all_options(methods)
    options: dict[str, Any] = {}
    for text in changes:
        name, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"--set takes NAME=VALUE, not {clean_line(text, 60)!r}")
        name = name.lstrip("-")
        options[name] = read_value(known.get(name) or FitOption(name=name, type="str"), value)
    return options


def unknown_flags(tokens: Sequence[str], params: Sequence[click.Parameter]) -> list[str]:
    """List the long options of a command line that no parameter takes."""
    known = {flag for param in params for flag in (*param.opts, *param.secondary_opts)}
    flags = [token.partition("=")[0] for token in tokens if token.startswith("--")]
    return [flag for flag in flags if flag not in known and flag != "--"]


def _name(param: click.Parameter | None) -> str:
    return (param.name or "").removeprefix(PREFIX) if param else "number"
