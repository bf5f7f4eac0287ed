"""Expert mode: what a user may add to the script where the site's policy lets them.

Two things and no others, so that the protocol of the script stays whole whatever is typed. Further
directives are options of a list with a pattern each: where and when a job runs, never who it is,
where it writes, or how much it takes. Shell lines before the fit are kept in the script as text
and run in a shell of their own, once the claim is taken: they can do what a model can, no more.
"""

from __future__ import annotations

import difflib
import hashlib
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from gateway.errors import FieldError
from gateway.jobs.resources import Resources
from scheduler.slurm_fields import TABLE

MOST_BYTES = 8_192
END_OF_LINES = "END-OF-YOUR-LINES"
_BASH = "/bin/bash"
_CHECK = "ulimit -v 524288 -t 2 -f 0 -c 0; exec /bin/bash -p -n"
_CHECK_S = 5.0

_HOST = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}"
_WHEN = (
    r"(now(\+[1-9][0-9]{0,6}((second|minute|hour|day|week)s?)?)?"
    r"|[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}(:[0-9]{2})?)?|[0-9]{2}:[0-9]{2}(:[0-9]{2})?)"
)
_WORDS = r"[A-Za-z0-9][A-Za-z0-9_:=,.*-]{0,63}"


@dataclass(frozen=True)
class More:
    """A further directive: what its value looks like, and what to say of it."""

    pattern: str
    help: str

    @property
    def is_flag(self) -> bool:
        """Whether it stands without a value."""
        return self.pattern == "True"


MORE: Mapping[str, More] = {
    "nodelist": More(rf"{_HOST}(,{_HOST}){{0,15}}", "These nodes: node7."),
    "exclude": More(r"[A-Za-z0-9][A-Za-z0-9_.,\[\]-]{0,255}", "Not these nodes: node[1-3],node9."),
    "begin": More(_WHEN, "Not before: now+2hours, 2030-01-31T20:00."),
    "deadline": More(_WHEN, "Given up when it cannot end by then."),
    "prefer": More(r"[A-Za-z0-9_\[(][A-Za-z0-9_.&|*()\[\]-]{0,127}", "Features, if they are free."),
    "contiguous": More("True", "nodes beside each other"),
    "spread_job": More("True", "over as many nodes as there are"),
    "use_min_nodes": More("True", "over as few nodes as will do"),
    "switches": More(r"[1-9][0-9]{0,3}(@[0-9:-]{1,16})?", "At most so many switches: 1@2:00:00."),
    "hint": More(
        "(compute_bound|memory_bound|multithread|nomultithread)",
        "How cores are used: nomultithread.",
    ),
    "threads_per_core": More("[1-8]", "Threads of each core: 1."),
    "distribution": More(_WORDS, "Of ranks: block:cyclic."),
    "mem_bind": More(_WORDS, "Of ranks: local."),
    "cpu_freq": More(_WORDS, "high, medium, or kHz."),
    "gpu_bind": More(_WORDS, "Of ranks: closest."),
    "gpu_freq": More(_WORDS, "high, medium, or MHz."),
    "gres_flags": More(
        "(enforce-binding|disable-binding)", "enforce-binding: CPUs that are near the GPUs."
    ),
    "tmp": More("[1-9][0-9]{0,11}[KMGT]?", "Disk of a node: 20G."),
}
"""By Slurm's long names with ``_``: what a policy can allow. None asks for more than the job."""

_OWN = frozenset({
    "array", "batch", "chdir", "clusters", "comment", "container", "dependency", "error", "export",
    "export_file", "get_user_env", "gid", "hold", "ignore_pbs", "input", "job_name",
    "kill_on_invalid_dep", "no_kill", "no_requeue", "open_mode", "output", "parsable", "priority",
    "propagate", "quiet", "reboot", "requeue", "signal", "test_only", "time_min", "uid", "wait",
    "wrap",
})  # fmt: skip

_DIRECTIVE = re.compile(r"\s*#\s*(SBATCH|SLURM|PBS|BSUB)", re.IGNORECASE)
"""Of #PBS and #BSUB, sbatch 22.05 obeys every line of a script, also after its first command."""

_WHERE = re.compile(r"line (\d+): (.*)")


@dataclass(frozen=True, kw_only=True)
class Expert:
    """What a user adds to the script."""

    directives: Mapping[str, str] = field(default_factory=dict)
    lines: str = ""

    def __bool__(self) -> bool:
        return bool(self.directives or self.lines)


NOTHING = Expert()


@dataclass(frozen=True, kw_only=True)
class Additions:
    """What somebody may add to the script; by default nothing."""

    directives: tuple[str, ...] = ()
    lines: bool = False

    def __post_init__(self) -> None:
        for name in self.directives:
            if name not in MORE:
                raise ValueError(f"directives: {name!r} {why_not(name)}")

    def __bool__(self) -> bool:
        return bool(self.directives or self.lines)

    def __or__(self, other: Additions) -> Additions:
        both = dict.fromkeys((*self.directives, *other.directives))
        return Additions(directives=tuple(both), lines=self.lines or other.lines)


def written(name: str) -> str:
    """Write the name of an option as sbatch has it.

    >>> written("threads_per_core")
    '--threads-per-core'
    """
    return f"--{name.replace('_', '-')}"


def why_not(name: str) -> str:
    """Say why an option is none that a user could add."""
    if name in _OWN:
        return (
            "is the gateway's own: it says which job this is, where it writes, or that it runs once"
        )
    return f"is no option that can be added; known are {', '.join(MORE)}"


# ---- whether it may be


def expert_errors(
    expert: Expert, allowed: Additions, resources: Resources, scheduler: str
) -> list[FieldError]:
    """Say what of it may not be; an empty list is agreement.

    Parameters
    ----------
    allowed
        By the site's policy, to whom it is.
    scheduler
        Of the cluster, as its settings name it.
    """
    errors = [
        FieldError(pointer=f"/expert/directives/{name}", detail=text)
        for name in expert.directives
        if (text := _forbidden(name, allowed, scheduler))
    ]
    if expert.lines and not allowed.lines:
        detail = (
            "this site lets you add no lines to the script: leave them out, or ask its "
            "administrators for lines = true in [expert] of the policy"
        )
        errors.append(FieldError(pointer="/expert/lines", detail=detail))
    hosts, nodes = expert.directives.get("nodelist", "").split(","), resources.nodes or 1
    if len(hosts) > nodes:
        detail = (
            f"{len(hosts)} nodes are named and {nodes} asked for, but Slurm would give them all"
        )
        errors.append(FieldError(pointer="/expert/directives/nodelist", detail=detail))
    if {"hint", "threads_per_core"} <= expert.directives.keys():
        detail = "with threads_per_core it would be said twice how cores are used: leave one out"
        errors.append(FieldError(pointer="/expert/directives/hint", detail=detail))
    return errors


def _forbidden(name: str, allowed: Additions, scheduler: str) -> str:
    if name not in allowed.directives:
        may = ", ".join(map(written, allowed.directives)) or "none"
        return (
            f"this site lets you add no {written(name)}; you may add: {may}. Leave it out, or ask "
            "its administrators to name it in [expert] of the policy"
        )
    if scheduler == "pyslurm" and name.replace("_", "-") not in TABLE:
        return f"this cluster is reached by pyslurm, which knows no {written(name)}: leave it out"
    return ""


def unheeded(expert: Expert, scheduler: str) -> list[str]:
    """Say what of it a scheduler does not heed."""
    if scheduler != "local" or not expert.directives:
        return []
    names = ", ".join(map(written, expert.directives))
    return [f"Jobs here run on the gateway's own host, which does not heed {names}."]


# ---- lines


def lines_error(lines: str) -> str:
    """Say what is wrong with shell lines; empty when bash can read them. Nothing of them is run."""
    if len(lines.encode(errors="replace")) > MOST_BYTES:
        return f"these are more than {MOST_BYTES} bytes: put them into a file, and source it here"
    for number, line in enumerate(lines.split("\n"), 1):
        if text := line_error(line):
            return f"line {number} {text}"
    return _syntax_error(lines)


def line_error(line: str) -> str:
    """Say why a line cannot stand in the script; empty when it can."""
    strange = next((sign for sign in line if not sign.isprintable() and sign != "\t"), None)
    if strange is not None:
        return f"has the character U+{ord(strange):04X}, which is not printable: type it anew"
    if _DIRECTIVE.match(line):
        return "is a directive, and has no place among commands: give it as an option of its own"
    if line.strip() == END_OF_LINES:
        return "is what ends your lines in the script: write something else"
    return ""


def _syntax_error(lines: str) -> str:
    """Let bash parse them without running any: an open quote is said before the job waits."""
    try:
        done = subprocess.run(
            [_BASH, "-p", "-c", _CHECK],
            input=lines.encode() + b"\n",
            capture_output=True,
            env={"LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"},
            timeout=_CHECK_S,
            check=False,
        )
    except FileNotFoundError:  # no bash beside this gateway: the job's own says it then
        return ""
    except subprocess.TimeoutExpired:
        return "bash cannot read these in time: make them simpler"
    said = done.stderr.decode(errors="replace").strip()
    if done.returncode == 0 and not said:
        return ""
    found = _WHERE.search(said)
    if found is None:
        return f"bash cannot read these: {said[:200] or f'status {done.returncode}'}"
    return f"bash cannot read line {found[1]}: {found[2][:200]}"


# ---- what it changes


def told(expert: Expert) -> dict[str, str]:
    """Write for an audit what was added: directives, and of shell lines their number and digest."""
    found = dict(expert.directives)
    if expert.lines:
        digest = hashlib.sha256(expert.lines.encode()).hexdigest()
        found["lines"] = f"{expert.lines.count(chr(10)) + 1}, SHA-256 {digest}"
    return found


def difference(before: str, after: str) -> str:
    """Write what was added to a script as a unified diff; empty when it is the same."""
    return "\n".join(_difference(before.splitlines(), after.splitlines()))


def _difference(before: Sequence[str], after: Sequence[str]) -> Iterator[str]:
    names = ("job.sh without your additions", "job.sh")
    return difflib.unified_diff(before, after, *names, lineterm="")
