"""The options of bumps, under bumps's own names, and those of Slurm under short ones.

The server says which methods it has and what they take; the table here is for the time when it
cannot be asked. Ranges are the server's to check: it names each field that is wrong.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bumps_remote.errors import UsageError
from bumps_remote.text import clean_line

Value = int | float | bool | str

_BUILT_IN = {
    "auto": "starts:int steps:int xtol:float time:float",
    "amoeba": "steps:int radius:float xtol:float ftol:float starts:int jump:float time:float",
    "de": "steps:int pop:float CR:float F:float ftol:float xtol:float time:float",
    "dream": "samples:int burn:int pop:float init:eps|lhs|cov|random thin:int alpha:float "
    "outliers:none|iqr|grubbs|mahal trim:bool steps:int time:float",
    "newton": "steps:int ftol:float xtol:float starts:int jump:float time:float",
    "lm": "steps:int ftol:float xtol:float starts:int jump:float time:float",
    "pt": "steps:int nT:int CR:float burn:int Tmin:float Tmax:float time:float",
}
_LONG = (
    "nodes", "ntasks", "ntasks_per_node", "cpus_per_gpu", "mem_per_cpu", "mem_per_gpu", "gres",
    "gpus", "gpus_per_node", "gpus_per_task", "constraint", "reservation", "wckey", "licenses",
    "mail_type", "mail_user", "nice", "exclusive", "mpi",
)  # fmt: skip
RESOURCES = {
    "cpus": "cpus_per_task",
    "wall": "time",
    "mem": "mem",
    "partition": "partition",
    "account": "account",
    "qos": "qos",
    **dict(zip(_LONG, _LONG, strict=True)),
}
"""Our names -> Slurm's long ones; ``mpi`` is the gateway's own."""

LISTS = ("--args", "--array")
"""Options that take all words up to the next option."""

_NUMBER = re.compile(r"-\d+(\.\d*)?([eE][+-]?\d+)?|-")
_SLURM_TIME = re.compile(r"(\d+-)?\d{1,9}(:\d{1,2}){0,2}")
_MEMORY = re.compile(r"\d+(\.\d+)?[KMGT]?B?", re.IGNORECASE)
_SECONDS_PER_HOUR = 3600


@dataclass(frozen=True, kw_only=True)
class FitOption:
    """One option of a fit method."""

    name: str
    type: str
    """``int``, ``float``, ``bool``, ``enum`` or ``str``."""

    choices: tuple[str, ...] = ()
    help: str = ""


Methods = Mapping[str, Mapping[str, FitOption]]
"""Method -> option name -> option."""


def built_in_methods() -> Methods:
    """List the methods and options that bumps 1.0 has."""
    return {method: _read_table(text) for method, text in _BUILT_IN.items()}


def methods_of(document: Mapping[str, Any]) -> Methods:
    """Read what GET /methods answers; what cannot be read is left out."""
    methods: dict[str, Mapping[str, FitOption]] = {}
    for row in document.get("items", []):
        options = {
            str(item["name"]): FitOption(
                name=str(item["name"]),
                type=str(item.get("type", "str")),
                choices=tuple(str(choice) for choice in item.get("choices") or ()),
                help=clean_line(item.get("help", "")),
            )
            for item in row.get("options", [])
            if isinstance(item, Mapping) and "name" in item
        }
        methods[str(row.get("name", ""))] = options
    return methods


def all_options(methods: Methods) -> dict[str, FitOption]:
    """List every option that some method has; choices of one name are united."""
    union: dict[str, FitOption] = {}
    for options in methods.values():
        for name, option in options.items():
            known = union.setdefault(name, option)
            if known.type == "int" and option.type == "float":
                union[name] = option
    return union


def read_value(option: FitOption, text: str) -> Value:
    """Read an option as bumps users write it; whole numbers may be 1e5.

    >>> read_value(FitOption(name="samples", type="int"), "1e5")
    100000

    Raises
    ------
    UsageError
        With the option, the value and what would be right.
    """
    if option.type == "int":
        return read_whole(option.name, text)
    if option.type == "float":
        return _read_real(option.name, text)
    if option.type == "bool":
        if text.lower() not in ("true", "false"):
            raise UsageError(f"--{option.name} must be true or false, not {text!r}")
        return text.lower() == "true"
    if option.choices and text not in option.choices:
        raise UsageError(
            f"--{option.name} must be one of {', '.join(option.choices)}, not {text!r}"
        )
    return text


def read_whole(name: str, text: str) -> int:
    """Read a whole number, also one that is written 1e5."""
    number = _read_real(name, text)
    if not number.is_integer():
        raise UsageError(f"--{name} must be a whole number, not {text!r}")
    # "9007199254740993" is no float: digits are taken as they are.
    return int(text) if re.fullmatch(r"[+-]?\d{1,18}", text.strip()) else int(number)


def _read_real(name: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise UsageError(f"--{name} must be a number, not {clean_line(text, 40)!r}")
    return number


def check_fit(given: Mapping[str, object], methods: Methods) -> None:
    """Refuse a method that there is not, and options that the method has not.

    Raises
    ------
    UsageError
        With the nearest name that there is.
    """
    method = str(given.get("fit", "amoeba"))
    if method not in methods:
        raise UsageError(
            f"--fit={clean_line(method, 40)}: no such method;{_nearest(method, methods)}"
        )
    own = methods[method]
    for name in given:
        if name != "fit" and name not in own:
            takers = [other for other, options in methods.items() if name in options]
            where = f" (it belongs to {', '.join(takers)})" if takers else ""
            raise UsageError(f"--{name} is no option of {method}{where};{_nearest(name, own)}")


def _nearest(name: str, known: Mapping[str, object]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f" did you mean {close[0]}?" if close else f" there are {', '.join(known)}"


def check_wall(text: str) -> str:
    """Take a time limit as Slurm writes it.

    >>> check_wall("2:00:00"), check_wall("1-12")
    ('2:00:00', '1-12')
    """
    if not _SLURM_TIME.fullmatch(text.strip()):
        raise UsageError(
            "--wall must be minutes, H:MM:SS or D-HH:MM:SS as in Slurm, "
            f"not {clean_line(text, 40)!r}"
        )
    return text.strip()


def check_memory(text: str) -> str:
    """Take a size as Slurm writes it.

    >>> check_memory("4G")
    '4G'
    """
    if not _MEMORY.fullmatch(text.strip()):
        raise UsageError(f"--mem must be a size such as 4G or 500M, not {clean_line(text, 40)!r}")
    return text.strip()


def take_resources(given: dict[str, Any]) -> dict[str, Any]:
    """Take what is asked of the machine out of some options; answer it by Slurm's long names.

    >>> given = {"samples": 1000, "cpus": 2}
    >>> take_resources(given), given
    ({'cpus_per_task': 2}, {'samples': 1000})
    """
    names = [name for name in given if name in RESOURCES]
    return check_resources({RESOURCES[name]: given.pop(name) for name in names})


def check_resources(resources: Mapping[str, Any]) -> dict[str, Any]:
    """Take resources by Slurm's long names; those that are None are left to the site."""
    given = {name: value for name, value in resources.items() if value is not None}
    if "time" in given:
        given["time"] = check_wall(str(given["time"]))
    if "mem" in given:
        given["mem"] = check_memory(str(given["mem"]))
    return given


def read_text(path: str | Path) -> str:
    """Read a local text file.

    Raises
    ------
    UsageError
        When it cannot be read.
    """
    try:
        return Path(path).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{clean_line(path)} cannot be read: {error}") from error


def wall_for(hours: float) -> str:
    """Choose a wall time that leaves a fit of so many hours room to start and to save.

    >>> wall_for(2)
    '2:22:00'
    """
    seconds = math.ceil(round(hours * _SECONDS_PER_HOUR * 1.1, 3)) + 600
    return f"{seconds // 3600}:{seconds % 3600 // 60:02d}:{seconds % 60:02d}"


def read_pars(text: str) -> list[float]:
    r"""Read start values from a .par file: a label and a value on each line.

    >>> read_pars("Si interface 5.03\nscale 1\n")
    [5.03, 1.0]
    """
    values = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            values.append(float(line.split()[-1]))
        except ValueError as error:
            raise UsageError(
                f"--pars: line {number} must end in a value, not {clean_line(line, 60)!r}"
            ) from error
    if not values:
        raise UsageError("--pars: the file holds no values")
    return values


def split_args(tokens: Sequence[str]) -> tuple[list[str], dict[str, list[str]]]:
    """Take ``--args a b c`` and ``--array ...`` out of a command line: up to the next option.

    >>> split_args(["model.py", "--args", "a", "-1", "--fit=de"])
    (['model.py', '--fit=de'], {'--args': ['a', '-1']})
    """
    rest: list[str] = []
    lists: dict[str, list[str]] = {}
    taking = ""
    for token in tokens:
        is_option = token.startswith("-") and not _NUMBER.fullmatch(token)
        name, equals, value = token.partition("=")
        if is_option and name in LISTS:
            taking = "" if equals else name
            # As in bumps, the last --args counts.
            before = lists.get(name, []) if name != "--args" else []
            lists[name] = [*before, value] if equals else before
        elif taking and not is_option:
            lists[taking].append(token)
        else:
            taking = ""
            rest.append(token)
    return rest, lists


def _read_table(text: str) -> dict[str, FitOption]:
    options = {}
    for item in text.split():
        name, _, kind = item.partition(":")
        choices = tuple(kind.split("|")) if "|" in kind else ()
        options[name] = FitOption(name=name, type="enum" if choices else kind, choices=choices)
    return options
