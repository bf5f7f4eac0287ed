"""What the ``#SBATCH`` lines of a script ask for, for schedulers that must read them themselves.

Slurm's sbatch reads them on its own. Local execution and the C API do not, so they are read here:
only from the head of the script, before its first command, as sbatch does.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta

from scheduler.sizes import Size
from scheduler.units import parse_memory, parse_time

_RANGE = re.compile(r"([0-9]{1,7})(?:-([0-9]{1,7}))?")
_ARRAY = re.compile(r"([0-9][0-9,-]*)(?:%([0-9]{1,7}))?")
_SIGNAL = re.compile(r"(B:)?([A-Z0-9]{1,8})(?:@([0-9]{1,5}))?")


@dataclass(frozen=True, kw_only=True)
class Directives:
    """The options of a script that every scheduler must obey, and all others as text."""

    job_name: str = ""
    time: timedelta | None = None
    cpus: int = 1
    """Of one task of an array: all that its options come to."""

    nodes: int = 1
    memory_bytes: int | None = None
    tasks: tuple[int, ...] = ()
    """Array indices; empty for a job that is no array."""

    throttle: int | None = None
    """How many tasks of the array may run at once; None for no such limit."""

    output: str = "slurm-%j.out"
    error: str = ""
    chdir: str = ""
    signal: str = ""
    """Name of the signal that announces the time limit; empty for none."""

    signal_batch: bool = False
    """Whether only the batch shell gets it (``B:``)."""

    signal_lead: timedelta = timedelta(seconds=60)
    append: bool = False
    others: dict[str, str] = field(default_factory=dict)


def parse_directives(script: str) -> Directives:
    r"""Read the ``#SBATCH`` lines of a script.

    >>> wanted = parse_directives("#!/bin/bash\n#SBATCH --time=2:00\n#SBATCH --array=0-3%2\necho")
    >>> wanted.time.seconds, wanted.tasks, wanted.throttle
    (120, (0, 1, 2, 3), 2)

    Raises
    ------
    ValueError
        If the script has no ``#!`` line, or a line cannot be read; the message names the option.
    """
    options = parse_options(script)
    size = _size(options)
    tasks, throttle = _array(options.pop("array", ""))
    signal = _parse("signal", _SIGNAL, options.pop("signal", ""))
    time, output = options.pop("time", ""), options.pop("output", "slurm-%j.out")
    return Directives(
        job_name=options.pop("job-name", ""),
        time=parse_time(time) if time else None,
        cpus=size.cpus,
        nodes=size.nodes or 1,
        memory_bytes=_memory(options, size),
        tasks=tasks,
        throttle=throttle,
        output=output,
        error=options.pop("error", output),
        chdir=options.pop("chdir", ""),
        signal=signal[2] if signal else "",
        signal_batch=bool(signal and signal[1]),
        signal_lead=timedelta(seconds=int(signal[3] or 60) if signal else 60),
        append=options.pop("open-mode", "") == "append",
        others=options,
    )


def parse_options(script: str) -> dict[str, str]:
    r"""Read the options of a script as text, by their long names.

    >>> parse_options("#!/bin/bash\n#SBATCH --time=2:00\n#SBATCH --exclusive\necho\n#SBATCH --no")
    {'time': '2:00', 'exclusive': ''}

    Raises
    ------
    ValueError
        If the script has no ``#!`` line, or one of its lines has no long option.
    """
    if not script.startswith("#!"):
        raise ValueError("the script does not begin with #! and the path of its interpreter")
    return dict(_options(script))


def _options(script: str) -> list[tuple[str, str]]:
    options = []
    for line in script.split("\n")[1:]:
        if line.startswith("#SBATCH"):
            options += _one_line(line.removeprefix("#SBATCH"))
        elif line.strip() and not line.startswith("#"):
            break
    return options


def _one_line(text: str) -> list[tuple[str, str]]:
    options = []
    for word in shlex.split(text, comments=True):
        if not word.startswith("--"):
            raise ValueError(f"#SBATCH {word}: only the long form --option=value is read here")
        name, _, value = word[2:].partition("=")
        options.append((name, value))
    return options


def _size(options: dict[str, str]) -> Size:
    return Size(
        nodes=_number(options, "nodes"),
        ntasks=_number(options, "ntasks"),
        ntasks_per_node=_number(options, "ntasks-per-node"),
        cpus_per_task=_number(options, "cpus-per-task"),
        cpus_per_gpu=_number(options, "cpus-per-gpu"),
        gres=options.get("gres"),
        gpus=options.get("gpus"),
        gpus_per_node=options.get("gpus-per-node"),
        gpus_per_task=options.get("gpus-per-task"),
    )


def _number(options: dict[str, str], name: str) -> int | None:
    if (text := options.pop(name, None)) is None:
        return None
    if not re.fullmatch(r"[0-9]{1,7}", text) or int(text) < 1:
        raise ValueError(f"--{name}={text}: must be a whole number of at least 1")
    return int(text)


def _array(text: str) -> tuple[tuple[int, ...], int | None]:
    if (found := _parse("array", _ARRAY, text)) is None:
        return (), None
    return read_indices(found[1]), int(found[2]) if found[2] else None


def read_indices(text: str) -> tuple[int, ...]:
    """Read which tasks of an array there are, as ``--array`` has them.

    >>> read_indices("3,17,40-42")
    (3, 17, 40, 41, 42)

    Raises
    ------
    ValueError
        If it is of another form, or an index does not lie above the one before it.
    """
    found: list[int] = []
    for part in text.split(","):
        if (match := _RANGE.fullmatch(part)) is None:
            raise ValueError(f"--array={text[:80]}: {part[:20]!r} is not a form that is read here")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            raise ValueError(f"--array={text[:80]}: the last index is below the first")
        if found and first <= found[-1]:
            raise ValueError(f"--array={text[:80]}: {first} does not lie above {found[-1]}")
        found += range(first, last + 1)
    return tuple(found)


def write_indices(indices: Iterable[int]) -> str:
    """Write which tasks of an array there are, in their order and each once.

    >>> write_indices([40, 3, 41, 17, 42, 3])
    '3,17,40-42'
    """
    runs: list[list[int]] = []
    for index in sorted(set(indices)):
        if runs and runs[-1][1] == index - 1:
            runs[-1][1] = index
        else:
            runs.append([index, index])
    return ",".join(f"{first}-{last}" if last > first else str(first) for first, last in runs)


def _memory(options: dict[str, str], size: Size) -> int | None:
    counts = {"mem": 1, "mem-per-cpu": size.cpus, "mem-per-gpu": size.gpu_count}
    asked = [(options.pop(name, ""), count) for name, count in counts.items()]
    return next((parse_memory(text) * count for text, count in asked if text), None)


def _parse(name: str, pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    if not text:
        return None
    if (found := pattern.fullmatch(text)) is None:
        raise ValueError(f"--{name}={text}: not a form that is read here")
    return found
