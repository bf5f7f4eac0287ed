"""Look at a cluster step by step, as its jobs will meet it, and say what to mend.

Nothing is submitted unless somebody asks for a small job at the end (`gateway.reach.trial`).
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import scheduler.look
from gateway.clusters.models import ClusterAccount
from gateway.clusters.settings import ClusterSettings
from gateway.findings import Finding
from gateway.jobs.plan import python_of
from gateway.reach.reach import identity, open_scheduler, open_shell, route, slurm_config
from gateway.reach.trial import Trial, check_script
from gateway.settings import Settings, SettingsError
from scheduler.base import SchedulerError
from scheduler.link import Link
from scheduler.shell import Shell
from scheduler.slurm import Slurm
from scheduler.slurm_argv import COMMANDS
from scheduler.slurm_calls import AccountingError, Calls
from scheduler.ssh_line import HostKeyError, SignInError, check_identities

_PROBE_S = 60.0
_ENDS = (".", "?", "!")
_TICK_S = 0.01
_OUTPUT_BYTES = 1 << 20
_OLDEST = (3, 10)
_CLOCK_S = 10.0
_GIB = 1 << 30
_LEAST_FREE_GIB = 1.0
_LEAST_FREE_FILES = 10_000
_VERSION_OF_LOGIN_PYTHON = "import sys; print('.'.join(map(str, sys.version_info[:3])))"
_VERSION_OF_BUMPS = "import bumps, sys; print(bumps.__version__, sys.version.split()[0])"


def check_cluster(
    settings: Settings,
    name: str,
    account: ClusterAccount | None = None,
    wait_s: float | None = None,
) -> Iterator[Finding]:
    """Look at a cluster.

    Parameters
    ----------
    account
        As whom; None for the account that all share.
    wait_s
        How long a small job may wait and run that is tried at the end; None: there is none.
    """
    cluster = settings.clusters[name]
    if cluster.scheduler == "local":
        steps = (
            _Step("sandbox", lambda: _sandbox(cluster)),
            _Step("bumps", lambda: _bumps_here(cluster)),
        )
        yield from _taken(f"cluster {name}", steps)
        return
    remote = _Remote(settings, name, account, wait_s)
    try:
        yield from _taken(f"cluster {name}", remote.steps())
    finally:
        remote.close()


@dataclass(frozen=True)
class _Step:
    what: str
    look: Callable[[], str]
    needed: bool = False
    """Whether nothing after it can be looked at when this is wrong."""


def _taken(name: str, steps: Sequence[_Step]) -> Iterator[Finding]:
    """Take steps until one is wrong that all others need."""
    for number, step in enumerate(steps):
        what = f"{name}: {step.what}"
        try:
            yield Finding(what=what, good=True, text=step.look())
        except (SchedulerError, SettingsError, OSError, subprocess.TimeoutExpired) as error:
            left = ", ".join(later.what for later in steps[number + 1 :]) if step.needed else ""
            text = str(error)
            if left:
                text = f"{text}{'' if text.endswith(_ENDS) else '.'} So not looked at: {left}"
            yield Finding(what=what, good=False, text=text)
            if left:
                return


class _Remote:
    """A cluster with Slurm's commands, here or over SSH; a step finds what later ones need."""

    _shell: Shell
    _link: Link
    _calls: Calls
    _hello: dict[str, Any]
    _config: dict[str, str]

    def __init__(
        self,
        settings: Settings,
        name: str,
        account: ClusterAccount | None,
        wait_s: float | None,
    ) -> None:
        self._settings = settings
        self._wait_s = wait_s
        self._name = name
        self._account = account
        self._cluster = settings.clusters[name]
        self._failed: SchedulerError | None = None
        self._clock_s = 0.0
        self._agent = slurm_config(self._cluster, account)
        self._closing = ExitStack()

    def close(self) -> None:
        """Close what was opened."""
        self._closing.close()

    def steps(self) -> list[_Step]:
        """Say what to look at, in this order."""
        return [
            _Step("settings", self._open, needed=True),
            *(self._way() if self._cluster.ssh else ()),
            _Step("Python", self._python, needed=True),
            _Step("base directory", self._base),
            _Step("clock", self._clock),
            _Step("agent", self._start_agent, needed=True),
            *(
                _Step(program, lambda program=program: self._program(program))  # type: ignore[misc]  # a default binds it
                for program in COMMANDS
            ),
            *([_Step("pyslurm", self._library)] if self._cluster.scheduler == "pyslurm" else ()),
            _Step("controller", self._controller, needed=True),
            _Step("accounting", self._accounting),
            _Step("array size", self._array_size),
            _Step("script", self._script),
            _Step("bumps", self._bumps),
            *([_Step("job", self._job)] if self._wait_s else ()),
        ]

    def _way(self) -> list[_Step]:
        return [
            _Step("key", self._key, needed=True),
            _Step("connection", self._connection, needed=True),
            _Step("host key", lambda: self._entered(HostKeyError), needed=True),
            _Step("sign-in", lambda: self._entered(SignInError), needed=True),
        ]

    # The way

    def _open(self) -> str:
        ssh = self._cluster.ssh
        pins = [(one.host, one.host_keys) for one in ssh.jumps] if ssh else []
        pins += [(ssh.host, ssh.host_keys)] if ssh else []
        if unpinned := next((host for host, keys in pins if not keys), ""):
            raise SettingsError(
                f"host_keys: none is pinned for {unpinned}, and nobody connects to a machine "
                f"that could be another: 'bumps-gateway cluster keys {self._name}' shows what it "
                "has, and the line to write once you have compared it"
            )
        self._shell = open_shell(self._settings, self._name, self._account)
        self._closing.callback(self._shell.close)
        if self._cluster.ssh is None:
            return "Slurm's commands run on this host"
        return f"over SSH to {self._cluster.ssh.host}:{self._cluster.ssh.port}"

    def _key(self) -> str:
        ssh = self._cluster.ssh
        if ssh is None:
            return "none is needed"
        own = identity(self._settings, self._name, self._account)
        check_identities(self._name, route(ssh, self._account, own))
        if self._account:
            return f"{self._account.source.value} key {self._account.fingerprint}"
        return "the SSH agent" if own.agent else str(own.key_file)

    def _connection(self) -> str:
        """Connect, and keep for the next steps what they would say."""
        began = time.monotonic()
        try:
            self._run("/bin/true")
        except (HostKeyError, SignInError) as error:
            self._failed = error
        return f"answered within {time.monotonic() - began:.1f} s"

    def _entered(self, kind: type[SchedulerError]) -> str:
        ssh = self._cluster.ssh
        if isinstance(self._failed, kind):
            raise self._failed
        if ssh is None or kind is HostKeyError:
            return "is the one that is pinned"
        return f"let in as {self._account.login if self._account else ssh.user}"

    def _run(self, *argv: str) -> str:
        """Run a program over there that must succeed, and give what it printed."""
        stream = self._shell.start(argv)
        try:
            pieces: list[bytes] = []
            deadline = time.monotonic() + _PROBE_S
            while piece := stream.receive(_OUTPUT_BYTES, max(0.0, deadline - time.monotonic())):
                pieces.append(piece)
            # The word of its end comes after the end of its output.
            while (status := stream.exit_code()) is None and time.monotonic() < deadline:
                time.sleep(_TICK_S)
            if status != 0:
                said = stream.stderr_tail().strip().rpartition("\n")[2]
                raise SchedulerError(f"{argv[0]} ends with status {status}: {said[:300]}")
            return b"".join(pieces).decode("utf-8", "replace")
        finally:
            stream.close()

    # What is there

    def _python(self) -> str:
        path = self._agent.python
        try:
            version = self._run(path, "-I", "-S", "-c", _VERSION_OF_LOGIN_PYTHON).strip()
        except SchedulerError as error:
            raise SchedulerError(
                f"{error}; set login_python to a Python that the login node has"
            ) from error
        if tuple(map(int, version.split("."))) < _OLDEST:
            raise SchedulerError(
                f"{path} is {version}: set login_python to 3.10 or later on the login node"
            )
        return f"{version} ({path})"

    def _base(self) -> str:
        source = Path(scheduler.look.__file__).read_text(encoding="utf-8")
        began = time.time()
        text = self._run(self._agent.python, "-I", "-c", source, self._agent.base)
        found = json.loads(text.splitlines()[-1])
        self._clock_s = float(found["now"]) - (began + time.time()) / 2
        if found["trouble"]:
            raise SchedulerError(
                f"{self._agent.base}: {found['trouble']}; set base to a directory that the account "
                "may make or write, on a file system that compute nodes see"
            )
        if found["loose"]:
            raise SchedulerError(f"others could put jobs in there: {found['loose']}")
        free = found["free_bytes"] / _GIB
        # Some file systems count no files: they say 0.
        if free < _LEAST_FREE_GIB or 0 < found["free_files"] < _LEAST_FREE_FILES:
            raise SchedulerError(
                f"{self._agent.base} is nearly full: {free:.1f} GiB, {found['free_files']} files"
            )
        return f"{self._agent.base} can be written, {free:.0f} GiB are free"

    def _clock(self) -> str:
        text = f"{abs(self._clock_s):.1f} s {'ahead' if self._clock_s > 0 else 'behind'}"
        if abs(self._clock_s) > _CLOCK_S:
            raise SchedulerError(
                f"the login node's is {text}: times of jobs will be wrong by that; see NTP there "
                "and here"
            )
        return f"at most {text}" if abs(self._clock_s) >= 1 else "as here"

    def _start_agent(self) -> str:
        self._link = Link(self._shell, self._agent)
        self._calls = Calls(self._link, self._cluster.command_timeout_s)
        self._hello = self._link.open()
        return f"runs as {self._hello['account']} on {self._hello['host']}"

    # Slurm

    def _program(self, program: str) -> str:
        path = self._hello["programs"][program]
        if not path:
            where = self._cluster.programs or "the usual places"
            raise SchedulerError(
                f"is not in {where}: set programs to the directory of Slurm's commands"
            )
        answer = self._calls.run([program, "--version"])
        if answer.status:
            raise SchedulerError(f"{path} does not run: {answer.said}")
        return f"{answer.stdout.strip()} ({path})"

    def _library(self) -> str:
        slurm, close = open_scheduler(self._settings, self._name)
        try:
            return slurm.probe().version
        finally:
            close()

    def _controller(self) -> str:
        self._calls.insist_on_controller()
        self._config = self._calls.config()
        up = [row["Partition"] for row in self._calls.partitions() if row["Available"] == "up"]
        if missing := sorted(set(self._cluster.partitions) - {name.rstrip("*") for name in up}):
            raise SchedulerError(
                f"partitions names {', '.join(missing)}, which is not up; up: {', '.join(up)}"
            )
        return f"answers; partitions {', '.join(up)}"

    def _accounting(self) -> str:
        if self._config.get("AccountingStorageType", "").endswith(("/none", "(null)")):
            return "none: jobs that Slurm has forgotten are judged by their own files"
        try:
            self._calls.accounted_named(["gw-doctor-1"])
        except AccountingError as error:
            raise SchedulerError(
                f"{error}; until it answers, the ends of jobs that have left the queue are not seen"
            ) from error
        return "answers"

    def _array_size(self) -> str:
        text = self._config.get("MaxArraySize", "")
        most = int(text) if text.isdigit() else 0
        if most and self._cluster.max_array > most - 1:
            raise SchedulerError(
                f"MaxArraySize is {most}: set max_array to at most {most - 1}, not "
                f"{self._cluster.max_array}"
            )
        return f"MaxArraySize is {most or 'not told'}, max_array {self._cluster.max_array}"

    def _script(self) -> str:
        """Have a script tested like those of jobs, in each partition that people may name."""
        self._link.close()  # the next one is of the scheduler's own: there are few channels
        slurm = Slurm(self._shell, self._agent)
        try:
            wanted = self._cluster.partitions or ("",)
            return "; ".join(
                check_script(slurm, self._cluster, self._agent.base, one) for one in wanted
            )
        finally:
            slurm.close()

    def _job(self) -> str:
        """Run a small job on a compute node: nobody else can say what is there."""
        self._link.close()
        slurm, close = open_scheduler(self._settings, self._name, self._account)
        trial = Trial(
            slurm=slurm, cluster=self._cluster, base=self._agent.base, wait_s=self._wait_s or 0.0
        )
        try:
            return trial.run()
        finally:
            close()

    def _bumps(self) -> str:
        """Try what runs the driver: on the login node, since nobody else can be asked."""
        python = python_of(self._cluster)
        try:
            self._run("/bin/test", "-e", python)
        except SchedulerError:
            return f"{python} is not on the login node: make sure that compute nodes have it"
        variables = [f"{key}={text}" for key, text in self._cluster.environment.items()]
        try:
            said = self._run("/usr/bin/env", *variables, python, "-c", _VERSION_OF_BUMPS)
        except SchedulerError as error:
            if self._cluster.prolog:
                return f"{python} has none by itself: see that prolog brings it on compute nodes"
            raise SchedulerError(f"{python}: {error}; install bumps and h5py there") from error
        version, own = said.split()[-2:]
        return f"bumps {version} on Python {own} ({python})"


def _sandbox(cluster: ClusterSettings) -> str:
    if cluster.sandbox == "none":
        return "none: jobs run with the gateway's own rights, so its users must trust each other"
    if shutil.which("bwrap") is None:
        raise SettingsError("sandbox is 'bwrap' and bubblewrap is not installed")
    return "bubblewrap"


def _bumps_here(cluster: ClusterSettings) -> str:
    python = python_of(cluster)
    done = subprocess.run(
        [python, "-c", _VERSION_OF_BUMPS],
        capture_output=True,
        text=True,
        timeout=_PROBE_S,
        check=False,
    )
    if done.returncode != 0:
        hint = "pip install 'bumps-gateway[fit]'" if python == sys.executable else "install bumps"
        raise SettingsError(f"{python} cannot import bumps: {hint} there")
    version, own = done.stdout.split()
    return f"bumps {version} on Python {own} ({python})"
