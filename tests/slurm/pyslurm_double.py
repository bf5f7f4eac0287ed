"""A double of pyslurm 25.11.2: the part of its API that we use, with what is odd about it.

pyslurm needs Slurm 25.11, and Debian has another release. So this stands in for it: it checks and
changes values as the original does, raises what that raises, and runs the jobs for real, through
the commands of the cluster that ``SLURM_CONF`` names. What the original was seen or read to do:

* ``submit`` reads no ``#SBATCH`` line; ``load_sbatch_options`` wants a path and fails on
  ``--partition``. Without ``nodes`` a job gets one node, without ``ntasks`` one task.
* A time limit of digits alone is a TypeError, names of signals need their ``SIG``, gres needs
  counts, ``INVALID_DEPEND`` is not known, there is no ``gpus_per_node``.
* Element 0 of an array has None for its index; elements that wait are one record; each element
  has an id of its own. ``Jobs.load`` gives everybody's jobs, ended ones too.
* The id of an array stands for all its elements, also while it is the id of one. Cancelling ended
  and unknown jobs is no error; another signal to what waits is one, also when others got it.
* An exit code of 128 and more has 128 taken off.

``PYSLURM_DOUBLE`` names a folder. Each line of ``faults`` there spoils one call: its name, then
what happens. ``lost`` is carried out and answered with errno 5004; ``away`` is answered so and not
carried out; ``hang`` never ends and keeps Python's lock; ``lost-hang`` is carried out first; a
number is the errno of a refusal. ``version`` there is the version to be.
"""

from __future__ import annotations

import ctypes
import os
import re
import signal as signals
import subprocess
import sys
import tempfile
from collections.abc import Iterator, ValuesView
from pathlib import Path
from types import SimpleNamespace
from typing import Any

_FOLDER = Path(os.environ["PYSLURM_DOUBLE"])
__version__ = (_FOLDER / "version").read_text().strip()

_TEXTS = {
    1001: "Communication connection failure",
    2000: "Invalid partition name specified",
    2017: "Invalid job id specified",
    2020: "Job can not be altered now, try again later",
    2021: "Job/step already completing or completed",
    5004: "Socket timed out on send/recv operation",
    6000: "Invalid authentication credential",
}
_PATH = "/usr/bin:/bin"

if "ClusterName" not in Path(os.environ["SLURM_CONF"]).read_text():
    sys.stderr.write("fatal: Unable to process configuration file\n")
    os._exit(1)


class PyslurmError(Exception):
    pass


class RPCError(PyslurmError):
    def __init__(self, errno: int = -1, msg: str | None = None) -> None:
        self.errno = errno
        self.msg = msg or _TEXTS.get(errno, f"Unspecified error {errno}")
        super().__init__(self.msg)


# Faults


def _fault(call: str) -> str:
    """Take the next fault of a call from the list."""
    path = _FOLDER / "faults"
    lines = path.read_text().splitlines() if path.exists() else []
    for number, line in enumerate(lines):
        name, _, fault = line.partition(" ")
        if name == call:
            path.write_text("\n".join(lines[:number] + lines[number + 1 :]))
            return fault
    return ""


def _before(fault: str) -> None:
    if fault == "hang":
        _hang()
    if fault == "away":
        _complain(5004)
        raise RPCError(5004)
    if fault.isdigit():
        raise RPCError(int(fault))


def _after(fault: str) -> None:
    if fault == "lost-hang":
        _hang()
    if fault == "lost":
        _complain(5004)
        raise RPCError(5004)


def _hang() -> None:
    """Wait for ever, as C code does that never lets another thread run."""
    while True:
        ctypes.PyDLL(None).sleep(3600)


def _complain(number: int) -> None:
    sys.stderr.write(f"error: slurm_receive_msg [127.0.0.1:6817]: {_TEXTS[number]}\n")


def _run(*argv: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PATH": _PATH, "LC_ALL": "C", "SLURM_TIME_FORMAT": "%s"}
    return subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)


def _failed(stderr: str) -> RPCError:
    """Give a command's complaint the number that the library has for it."""
    for number, text in _TEXTS.items():
        if text.lower() in stderr.lower():
            return RPCError(number)
    return RPCError(2099, stderr.strip().rpartition("failed: ")[2])


# Submission

_KNOWN = """
name account user_id group_id priority site_factor wckey array batch_constraints begin_time
clusters cluster_constraints comment admin_comment requires_contiguous_nodes
cores_reserved_for_system threads_reserved_for_system working_directory cpu_frequency nodes
deadline delay_boot_time dependencies excluded_nodes required_nodes constraints kill_on_node_fail
licenses mail_user mail_types mcs_label memory_per_cpu memory_per_node memory_per_gpu network nice
log_files_open_mode overcommit partitions profile_types accounting_gather_frequency qos
requires_node_reboot is_requeueable reservations script script_args environment resource_sharing
distribution time_limit time_limit_min container container_id cpus_per_task cpus_per_gpu
sockets_per_node cores_per_socket threads_per_core gpus gpus_per_socket gpus_per_task
gres_per_node gpu_binding ntasks ntasks_per_node ntasks_per_socket ntasks_per_core ntasks_per_gpu
switches signal standard_in standard_output standard_error kill_on_invalid_dependency
spreads_over_nodes use_min_nodes gres_binding gres_tasks_per_sharing temporary_disk_per_node
get_user_environment min_cpus_per_node wait_all_nodes selinux_context segment_size reserved_ports
extra
"""
_MAIL = """
array_tasks begin end fail requeue stage_out time_limit time_limit_90 time_limit_80
time_limit_50 all
"""


class JobSubmitDescription:
    def __init__(self, **fields: Any) -> None:
        for name, value in {**dict.fromkeys(_KNOWN.split()), **fields}.items():
            setattr(self, name, value)

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in _KNOWN.split():
            raise AttributeError(f"'JobSubmitDescription' object has no attribute {name!r}")
        self.__dict__[name] = value

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"'JobSubmitDescription' object has no attribute {name!r}")

    def load_sbatch_options(self, overwrite: bool = False) -> None:
        if not Path(self.script).is_file():
            raise ValueError("The script path you provided is not valid.")
        for line in Path(self.script).read_text().splitlines():
            if match := re.match(r"#SBATCH --(job-name|time|partition)=(\S+)", line):
                field = {"job-name": "name", "time": "time_limit"}.get(match[1], match[1])
                if getattr(self, field) is None or overwrite:
                    setattr(self, field, match[2])

    def submit(self) -> int:
        fault = _fault("submit")
        text, argv = self._script(), self._options()
        _before(fault)
        # sbatch reads these lines, the library does not.
        text = re.sub(r"(?m)^#SBATCH", "##BATCH", text)
        with tempfile.NamedTemporaryFile("w", suffix=".sh") as script:
            script.write(text)
            script.flush()
            done = _run("sbatch", "--parsable", *argv, script.name, *(self.script_args or ()))
        if done.returncode != 0:
            raise _failed(done.stderr)
        _after(fault)
        return int(done.stdout)

    def _script(self) -> str:
        if not self.script:
            raise ValueError("You need to provide a batch script.")
        if "\n" not in self.script and Path(self.script).is_file():
            text = Path(self.script).read_text()
        elif self.script_args:
            raise ValueError(
                "Passing arguments to a script is only allowed if it was loaded from a file."
            )
        else:
            text = str(self.script)
        if not text.startswith("#!"):
            raise ValueError("Not a valid Batch script. First line must start with '#!',")
        if "\0" in text or "\r\n" in text:
            raise ValueError("Batch script contains what the controller does not allow")
        return text

    def _options(self) -> list[str]:
        """Check and change the fields as the original does, then say them as sbatch takes them."""
        least, most = _nodes(self.nodes)
        options = {
            "job-name": self.name,
            "comment": self.comment,
            "chdir": self.working_directory or str(Path.cwd()),
            "output": self.standard_output,
            "error": self.standard_error,
            "open-mode": self.log_files_open_mode,
            "export": str(self.environment or "ALL").upper(),
            "array": self.array,
            "account": self.account,
            "qos": self.qos,
            "constraint": self.constraints,
            "mail-user": self.mail_user,
            "partition": _joined(self.partitions),
            "reservation": _joined(self.reservations),
            "licenses": _joined(self.licenses),
            "gres": _gres(self.gres_per_node),
            "mail-type": _mail(self.mail_types),
            "time": _minutes(self.time_limit),
            "nodes": f"{least}-{most}",
            "ntasks": _unsigned(self.ntasks or 1, 32),
            "cpus-per-task": _unsigned(self.cpus_per_task or 1, 16),
            "mem": self.memory_per_node,
            "mem-per-cpu": self.memory_per_cpu,
            "nice": self.nice,
            "signal": _signal(self.signal),
        }
        if self.memory_per_node and self.memory_per_cpu:
            raise ValueError(
                "Only one of memory_per_cpu, memory_per_node or memory_per_gpu can be set."
            )
        flags = [
            *(["--exclusive"] if _sharing(self.resource_sharing) else []),
            *(["--hold"] if self.priority == 0 else []),
            "--requeue" if self.is_requeueable in (None, True) else "--no-requeue",
        ]
        return [f"--{name}={value}" for name, value in options.items() if value] + flags


def _joined(value: Any) -> Any:
    return value if value is None or isinstance(value, str) else ",".join(value)


def _unsigned(value: Any, bits: int) -> int:
    if isinstance(value, str):
        value = int(value)
    if value >= 1 << bits:
        raise OverflowError(f"value too large to convert to uint{bits}_t")
    return int(value)


def _nodes(value: Any) -> tuple[int, int]:
    if value is None:
        return 1, 1
    if isinstance(value, dict):
        return int(value.get("min", 1)), int(value.get("max", 1) or value.get("min", 1))
    first, _, last = str(value).partition("-")
    return int(first), int(last or first)


def _minutes(value: Any) -> Any:
    if isinstance(value, str) and value.isdigit():
        raise TypeError("an integer is required")
    return value


def _gres(value: Any) -> str | None:
    if not value:
        return None
    if isinstance(value, str):
        value = {
            name: int(count) for name, count in (one.rsplit(":", 1) for one in value.split(","))
        }
    return ",".join(f"{name}:{int(count)}" for name, count in value.items())


def _mail(value: Any) -> str | None:
    types = value.split(",") if isinstance(value, str) else value or []
    if any(one.casefold() not in _MAIL.split() for one in types):
        raise ValueError("Invalid Mail type: {typ}.")  # the original forgets to put it in, too
    return ",".join(types) or None


def _signal(value: Any) -> str | None:
    if not value:
        return None
    if not isinstance(value, dict):
        flag, _, rest = str(value).rpartition(":")
        name, _, lead = rest.partition("@")
        value = {"signal": _number(name), "time": lead or 60, "batch_only": "b" in flag.casefold()}
    if not str(value["signal"]).isdigit():
        raise TypeError("an integer is required")
    return f"{'B:' if value.get('batch_only') else ''}{value['signal']}@{value.get('time') or 60}"


def _number(value: Any) -> int:
    if str(value).isnumeric():
        return signals.Signals(int(value)).value
    try:
        return signals.Signals[value].value
    except KeyError:
        raise ValueError(f"Invalid Signal: {value}.") from None


def _sharing(value: Any) -> bool:
    if value not in (None, "yes", "oversubscribe", "user", "mcs", "no", "exclusive"):
        raise ValueError(f"Invalid resource_sharing type: {value}.")
    return value in ("no", "exclusive")


# Jobs

_US = "\x1f"
_COLUMNS = ("JobID", "ArrayJobID", "ArrayTaskID", "State", "Reason", "exit_code", "StartTime",
            "EndTime", "BatchHost", "RestartCnt", "UserID", "PriorityLong", "Name")  # fmt: skip


class Job:
    def __init__(self, job_id: int) -> None:
        self.id = job_id
        self.array_id: int | None = None
        self.array_task_id: int | None = None
        self.array_tasks_waiting: str | None = None

    @classmethod
    def _read(cls, line: str) -> Job:
        found = dict(zip(_COLUMNS, (field.strip() for field in line.split(_US)), strict=False))
        job = cls(int(found["JobID"]))
        tasks = found["ArrayTaskID"]
        if tasks != "N/A":
            job.array_id = int(found["ArrayJobID"])
            if tasks.isdigit() and found["State"] != "PENDING":
                job.array_task_id = int(tasks) or None
            else:
                job.array_tasks_waiting = tasks.partition("%")[0]
        job._take(found)
        return job

    def _take(self, found: dict[str, str]) -> None:
        status = int(found["exit_code"])
        self.batch_host = None if found["BatchHost"] in ("", "n/a", "N/A") else found["BatchHost"]
        self.name, self.state, self.state_reason = found["Name"], found["State"], found["Reason"]
        code = status >> 8 & 255
        self.exit_code = code - 128 if code >= 128 else code
        self.exit_code_signal = status & 127
        self.start_time, self.end_time = _instant(found["StartTime"]), _instant(found["EndTime"])
        self.requeue_count, self.user_id = int(found["RestartCnt"]), int(found["UserID"])
        self.priority = int(found["PriorityLong"])

    def send_signal(self, signal: Any, steps: str = "children") -> None:
        fault = _fault("signal")
        number = _number(signal)
        _before(fault)
        jobs = [job for job in Jobs.load().values() if self.id in (job.id, job.array_id)]
        if not jobs and number != signals.SIGKILL:
            raise RPCError(2017)
        how = [] if number == signals.SIGKILL and steps == "children" else [f"--signal={number}"]
        _run("scancel", *how, *(["--batch"] if steps == "batch" else []), _element(self.id, jobs))
        if how and any(job.state == "PENDING" for job in jobs):
            raise RPCError(2020)
        _after(fault)

    def cancel(self) -> None:
        self.send_signal(9)


def _element(job_id: int, jobs: list[Job]) -> str:
    """Name an element as scancel does; the id of an array stands for all its elements."""
    for job in jobs:
        if job.id == job_id and job.array_id not in (None, job_id):
            return f"{job.array_id}_{job.array_task_id or 0}"
    return str(job_id)


def _instant(text: str) -> int | None:
    return int(text) if text.isdigit() else None


class Jobs:
    def __init__(self) -> None:
        self._jobs: dict[int, Job] = {}

    @staticmethod
    def load() -> Jobs:
        fault = _fault("load")
        _before(fault)
        columns = ",".join(f"{name}:{_US}" for name in _COLUMNS)
        done = _run("squeue", "--noheader", "--all", "--states=all", f"--Format={columns}")
        if done.returncode != 0:
            raise _failed(done.stderr)
        jobs = Jobs()
        for line in done.stdout.splitlines():
            job = Job._read(line)
            jobs._jobs[job.id] = job
        _after(fault)
        return jobs

    def values(self) -> ValuesView[Job]:
        return self._jobs.values()

    def __getitem__(self, job_id: int) -> Job:
        return self._jobs[job_id]

    def __iter__(self) -> Iterator[int]:
        return iter(self._jobs)


def _ping(index: int) -> SimpleNamespace:
    _before(_fault("ping"))
    said = _run("scontrol", "ping").stdout
    if index >= len(said.splitlines()):
        raise RPCError(msg="Invalid Index specified.")
    if "is UP" not in said.splitlines()[index]:
        raise RPCError(5004)
    return SimpleNamespace(is_primary=index == 0, is_responding=True, index=index)


slurmctld = SimpleNamespace(ping=_ping)
