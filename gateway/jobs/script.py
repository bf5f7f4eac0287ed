"""The batch script of a job: rendered from checked values, the same for every scheduler.

Every ``#SBATCH`` line is made here from a value that matched the pattern of its option; quoting
would not help, because sbatch reads these lines one by one and knows no shell. Nothing that a user
typed freely (title, notes, tags) comes into the script at all, but for the shell lines of expert
mode: they stand in it as quoted text, after its first command (`gateway.jobs.expert`).
"""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Mapping
from datetime import timedelta
from functools import cache

from jinja2 import FileSystemLoader, StrictUndefined, Template
from jinja2.sandbox import SandboxedEnvironment

from gateway import __version__
from gateway.clusters.settings import LAUNCHER_WORD
from gateway.errors import GatewayError, InvalidError
from gateway.jobs.expert import END_OF_LINES, MORE, NOTHING, Expert, line_error, written
from gateway.resources import cupboard
from scheduler.directives import write_indices

_NAMES = r"[A-Za-z0-9][A-Za-z0-9_.@:+-]{0,63}"
_COUNT = r"[1-9][0-9]{0,6}"
_MEMORY = r"[1-9][0-9]{0,11}[KMGT]?"
_NO_COUNT = r"(?![0-9]+[KMGTPkmgtp]?(?:,|$))"
# Slurm takes "gres:" off, and reads 1k as 1024: neither would be what is counted here.
_GRES = (
    rf"(?!gres\b)[a-z][a-z0-9_]{{0,15}}(:{_NO_COUNT}[A-Za-z0-9][A-Za-z0-9_.-]{{0,31}})?"
    r"(:[1-9][0-9]{0,3})?"
)
_GPUS = r"([A-Za-z0-9][A-Za-z0-9_.-]{0,31}:)?[1-9][0-9]{0,3}"
_TIME = r"[0-9]{1,5}(-[0-9]{1,2})?(:[0-9]{1,2}){0,2}"
_MAIL_TYPE = "(BEGIN|END|FAIL|REQUEUE|TIME_LIMIT(_(50|80|90))?|ARRAY_TASKS|INVALID_DEPEND)"

OPTIONS: Mapping[str, str] = {
    "partition": rf"{_NAMES}(,{_NAMES}){{0,15}}",
    "account": _NAMES,
    "qos": _NAMES,
    "time": _TIME,
    "nodes": _COUNT,
    "ntasks": _COUNT,
    "ntasks_per_node": _COUNT,
    "cpus_per_task": _COUNT,
    "cpus_per_gpu": _COUNT,
    "mem": _MEMORY,
    "mem_per_cpu": _MEMORY,
    "mem_per_gpu": _MEMORY,
    "gres": rf"{_GRES}(,{_GRES}){{0,7}}",
    "gpus": _GPUS,
    "gpus_per_node": _GPUS,
    "gpus_per_task": _GPUS,
    "constraint": r"[A-Za-z0-9_\[(][A-Za-z0-9_.&|*()\[\]-]{0,127}",
    "reservation": _NAMES,
    "wckey": _NAMES,
    "licenses": rf"{_NAMES}(,{_NAMES}){{0,7}}",
    "mail_type": rf"{_MAIL_TYPE}(,{_MAIL_TYPE}){{0,7}}",
    "mail_user": r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,63}@[A-Za-z0-9][A-Za-z0-9.-]{0,189}",
    "nice": r"[0-9]{1,9}",
    "exclusive": r"True",
}
"""What a value of each option must look like, whole; an option that is not here is refused."""

_MARKER = r"gw-[0-9A-Za-z]{1,40}-[1-9][0-9]{0,5}"
_COMMENT = r"[A-Za-z0-9][A-Za-z0-9_.@:+-]{0,199}"
_WORKDIR = r"/[A-Za-z0-9_.@:+=,/-]{1,1023}"
_VARIABLE = r"[A-Za-z_][A-Za-z0-9_]{0,127}"


class ScriptError(GatewayError):
    """A value of ours or of the site's settings cannot stand in a script."""


def signal_lead(time_limit: timedelta, checkpoint: timedelta) -> int:
    """Say how many seconds before the time limit a job is told to save what it has.

    Two checkpoints, at least three minutes; but never more than a quarter of the time, because
    Slurm sends the signal at once when the lead is longer than the job.

    >>> signal_lead(timedelta(hours=8), timedelta(minutes=5))
    600
    >>> signal_lead(timedelta(minutes=2), timedelta(minutes=5))
    30
    """
    lead = min(max(timedelta(seconds=180), 2 * checkpoint), time_limit / 4)
    return min(max(1, int(lead.total_seconds())), 65535)


def render_script(
    resources: Mapping[str, str | int],
    *,
    marker: str,
    comment: str,
    workdir: str,
    python: str,
    environment: Mapping[str, str],
    tasks: int = 1,
    indices: tuple[int, ...] = (),
    throttle: int | None = None,
    signal_lead_s: int = 60,
    resumable: bool = False,
    prolog: tuple[str, ...] = (),
    launcher: tuple[str, ...] = (),
    expert: Expert = NOTHING,
) -> str:
    """Write the script of one attempt.

    Parameters
    ----------
    resources
        By Slurm's long names with ``_`` for ``-``, as `Resources.to_directives` gives them.
    marker
        The job name, ``gw-<id>-<attempt>``.
    tasks, indices
        1 for a single job, else an array; which of 0 to *tasks* - 1 run, empty: all.
    throttle
        How many tasks may run at once; None for no limit of ours.
    prolog
        Lines of the site's settings, such as ``module load python``, run before the driver.
    launcher
        What starts the driver several times, as ``srun --mpi=pmix -n 4`` in words; empty: once.
    expert
        What its user adds: further directives, and shell lines before the driver.

    Raises
    ------
    InvalidError
        If a resource is not of the form that its option takes; it names the field.
    ScriptError
        If one of the other values cannot stand in a script; it names the value.
    """
    directives = [
        *_own(marker, comment, workdir, _array(tasks, indices, throttle)),
        f"--signal=B:USR1@{_whole('signal_lead_s', signal_lead_s, 1, 65535)}",
        "--requeue" if resumable else "--no-requeue",
        *(_directive(option, value) for option, value in resources.items()),
        *_added(expert),
    ]
    return _template().render(
        directives=directives,
        workdir=workdir,
        python=_printable("python", python),
        environment=_variables(environment),
        prolog=[_command(line) for line in prolog],
        launcher=[_matching("launcher", LAUNCHER_WORD, word) for word in launcher],
        lines=_lines(expert.lines),
        end_of_lines=END_OF_LINES,
    )


def _array(tasks: int, indices: tuple[int, ...], throttle: int | None) -> str:
    """Say which tasks there are, as ``--array`` has it; empty for a single job."""
    _whole("tasks", tasks, 1, 1_000_000)
    for index in indices:
        _whole("indices", index, 0, tasks - 1)
    limit = "" if throttle is None else f"%{_whole('throttle', throttle, 1, 1_000_000)}"
    if tasks == 1:
        return ""
    return f"{write_indices(indices or range(tasks))}{limit}"


def _own(marker: str, comment: str, workdir: str, array: str) -> list[str]:
    """Make the directives that no user has a say in."""
    index = "%a" if array else "0"
    return [
        f"--job-name={_matching('marker', _MARKER, marker)}",
        f"--comment={_matching('comment', _COMMENT, comment)}",
        f"--chdir={_matching('workdir', _WORKDIR, workdir)}",
        f"--output=stdout.{index}.txt",
        f"--error=stderr.{index}.txt",
        "--open-mode=append",
        "--export=NONE",
        *([f"--array={array}"] if array else []),
    ]


def _directive(option: str, value: str | int) -> str:
    """Write one resource as a directive, or refuse it by name."""
    pattern, text = OPTIONS.get(option), str(value)
    if pattern is None:
        raise InvalidError.at(
            f"/resources/{option[:64]}",
            f"this gateway passes no such option on; known are {', '.join(OPTIONS)}",
        )
    if re.fullmatch(pattern, text) is None:
        raise InvalidError.at(
            f"/resources/{option}", f"{text[:64]!r} is not a value that --{option} takes"
        )
    name = option.replace("_", "-")
    return f"--{name}" if option == "exclusive" else f"--{name}={text}"


def _variables(environment: Mapping[str, str]) -> dict[str, str]:
    """Give the variables of the site, each of them one that can stand in a script."""
    for name, value in environment.items():
        _matching("environment", _VARIABLE, name)
        _printable(f"environment {name}", value)
    return dict(environment)


def _added(expert: Expert) -> list[str]:
    """Make the directives of expert mode."""
    added = [_further(option, value) for option, value in expert.directives.items()]
    return [*added, "--ignore-pbs"] if expert.lines else added  # else #PBS counts among the lines


def _further(option: str, value: str) -> str:
    """Write a directive of expert mode, or refuse it by name."""
    if option not in MORE or re.fullmatch(MORE[option].pattern, value) is None:
        detail = f"{value[:64]!r} is not a value of an option that can be added"
        raise InvalidError.at(f"/expert/directives/{option[:64]}", detail)
    return written(option) if MORE[option].is_flag else f"{written(option)}={value}"


def _lines(text: str) -> str:
    """Give shell lines that cannot end before their end."""
    for number, line in enumerate(text.split("\n") if text else (), 1):
        if wrong := line_error(line):
            raise InvalidError.at("/expert/lines", f"line {number} {wrong}")
    return text


def _matching(name: str, pattern: str, text: str) -> str:
    if re.fullmatch(pattern, text) is None:
        raise ScriptError(f"{name} {text[:64]!r} cannot stand in a batch script: want {pattern}")
    return text


def _printable(name: str, text: str) -> str:
    # isprintable refuses line ends of every alphabet, NUL, bidirectional marks and lone surrogates.
    if not text.isprintable():
        raise ScriptError(f"{name} {text[:64]!r} cannot stand in a batch script: not printable")
    return text


def _command(line: str) -> str:
    if not line.strip() or line.lstrip().startswith("#"):
        raise ScriptError(f"prolog line {line[:64]!r} is no command")
    return _printable("prolog line", line)


def _whole(name: str, value: int, minimum: int, maximum: int) -> int:
    if not minimum <= value <= maximum:
        raise ScriptError(f"{name} is {value}, but must lie between {minimum} and {maximum}")
    return int(value)


@cache
def template_version() -> str:
    """Name what makes scripts: the gateway's version, and a digest of the templates as they are.

    A site may have changed them, and a script can be told to be of one or the other.
    """
    digest = hashlib.sha256()
    for path in sorted((cupboard("templates") / "slurm").glob("*.j2")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return f"{__version__}+{digest.hexdigest()[:12]}"


@cache
def _template() -> Template:
    environment = SandboxedEnvironment(
        loader=FileSystemLoader(cupboard("templates") / "slurm"),
        undefined=StrictUndefined,
        autoescape=False,  # shell, not HTML: values are checked above or quoted
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["quote"] = shlex.quote
    return environment.get_template("job.sh.j2")
